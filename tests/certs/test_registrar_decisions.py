"""What the registrar turns down, lets expire and forgets."""

from datetime import datetime

import pytest

from mithaq.certs import acts
from mithaq.certs.entries import body_hash
from mithaq.certs.errors import PendingMissingError, SignatureInvalidError, SignerUnknownError
from mithaq.certs.keys import SigningPair
from mithaq.certs.registrar import BODY_AGE_MAX, DECISION_AGE_MAX, RegistrarLog
from mithaq.certs.registrar_state import Decision
from mithaq.certs.rejection import Rejection, sign_rejection
from tests.certs.desk import (
    AT,
    SECOND,
    invited,
    only_item,
    rejected_by,
    request,
    suspended,
)
from tests.federation import Federation


def test_a_rejected_request_is_told_so(log: RegistrarLog) -> None:
    log.commit(log.take_enrolment(request(invited(log)), at=AT))
    item = only_item(log)
    rejection = rejected_by(log, item, "admin-c")
    log.commit(log.reject(item.id, rejection, at=AT))
    decision = log.state.decisions[item.request_hash]
    assert (decision.approved, decision.reason, decision.certificate) == (
        False,
        "MQ-TRUST-REJECTED",
        b"",
    )
    with pytest.raises(PendingMissingError):
        log.reject(item.id, rejection, at=AT)


def test_only_an_administrator_turns_down_what_waits_and_only_that(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.propose(acts.MemberReinstated(suspended(federation, "eg-moi")), at=AT))
    item = only_item(log)
    stranger = Rejection("admin-x", rejected_by(log, item, "admin-a").signature)
    with pytest.raises(SignerUnknownError, match="admin-x"):
        log.reject(item.id, stranger, at=AT)
    forged = sign_rejection(
        body_hash(item.entry.body),
        federation=federation.name,
        administrator="admin-a",
        pair=SigningPair.generate(),
    )
    with pytest.raises(SignatureInvalidError):
        log.reject(item.id, forged, at=AT)
    log.commit(log.propose(acts.MemberReinstated(suspended(federation, "tn-dgsn")), at=AT))
    other = list(log.state.pending.values())[1]
    with pytest.raises(SignatureInvalidError):
        log.reject(item.id, rejected_by(log, other, "admin-a"), at=AT)
    assert len(log.state.pending) == 2


def test_what_has_waited_too_long_to_be_approved_waits_no_longer(log: RegistrarLog) -> None:
    log.commit(log.take_enrolment(request(invited(log)), at=AT))
    item = only_item(log)
    assert list(log.expire(at=AT + BODY_AGE_MAX)) == []
    for step in log.expire(at=AT + BODY_AGE_MAX + SECOND):
        log.commit(step)
    assert log.state.pending == {}
    assert log.state.decisions[item.request_hash].reason == "MQ-TRUST-EXPIRED"


def test_refusals_are_forgotten_by_number_and_by_age_and_approvals_with_their_certificate(
    federation: Federation, log: RegistrarLog
) -> None:
    def decide(number: int, certificate: bytes = b"", at: datetime = AT) -> bytes:
        name = number.to_bytes(32, "big")
        log.state.decisions[name] = Decision(name, bool(certificate), at, certificate, "")
        return name

    in_use = decide(1, federation.agencies["eg-moi"].certificate.der)
    gone = decide(2, federation.new_agency("it-mi").certificate.der)
    first, second = decide(3), decide(4, at=AT + SECOND)

    def forgotten(at: datetime, refusals_max: int = 2) -> list[bytes]:
        found = log.forgettable(at=at, refusals_max=refusals_max)
        return [each.request_hash for each in found]

    assert forgotten(AT) == []
    assert forgotten(AT, 1) == [first]
    assert forgotten(AT + DECISION_AGE_MAX) == []
    assert forgotten(AT + DECISION_AGE_MAX + SECOND) == [gone, first]
    assert second not in forgotten(AT + DECISION_AGE_MAX + SECOND)
    assert in_use not in forgotten(AT + 10 * DECISION_AGE_MAX)
