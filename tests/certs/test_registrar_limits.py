"""What a registrar lets wait, and how much: nobody fills the list on which all wait."""

from datetime import datetime

import pytest

from mithaq.certs import acts, registrar
from mithaq.certs.entries import (
    EntrySigner,
    SignedEntry,
)
from mithaq.certs.errors import (
    EntryConflictError,
    PendingFullError,
)
from mithaq.certs.keys import ReceptionKey
from mithaq.certs.registrar import (
    BODY_AGE_MAX,
    RegistrarLog,
)
from tests.certs.desk import AT, REASON, SECOND, by_administrators, signed_agreement, suspended
from tests.federation import Federation


def test_what_waits_has_a_limit(
    federation: Federation, log: RegistrarLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "PENDING_MAX", 2)
    log.commit(log.propose(acts.MemberReinstated(suspended(federation, "tn-dgsn")), at=AT))
    log.commit(log.propose(acts.MemberReinstated(suspended(federation, "int-iom")), at=AT))
    with pytest.raises(PendingFullError):
        log.propose(acts.MemberRevoked("eg-moi", REASON), at=AT)
    item = next(iter(log.state.pending.values()))
    signed = by_administrators(federation, item.entry.body, "admin-a")
    log.commit(log.take_entry(signed, at=AT))


def test_two_members_alone_cannot_fill_the_list_on_which_all_wait(
    federation: Federation, log: RegistrarLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "PARTY_AGREEMENTS_MAX", 2)
    waiting = [signed_agreement(federation, each, "eg-moi", "tn-dgsn") for each in ("a-1", "a-2")]
    for leaf in waiting:
        log.commit(log.take_entry(leaf, at=AT))
    third = signed_agreement(federation, "more-3", "int-iom", "tn-dgsn")
    with pytest.raises(PendingFullError, match="of tn-dgsn"):
        log.take_entry(third, at=AT)
    # One that waits may come again, and administrators' own acts are not counted.
    log.commit(log.take_entry(waiting[0], at=AT))
    log.commit(log.propose(acts.MemberRevoked("eg-moi", REASON), at=AT))


def test_what_waits_of_agreements_has_a_weight(
    federation: Federation, log: RegistrarLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = signed_agreement(federation, "more-1", "eg-moi", "tn-dgsn")
    second = signed_agreement(federation, "more-2", "eg-moi", "tn-dgsn")
    size = len(SignedEntry.from_bytes(first).body)
    for limit in ("PARTY_BYTES_MAX", "AGREEMENTS_BYTES_MAX"):
        with monkeypatch.context() as patch:
            patch.setattr(registrar, limit, size - 1)
            with pytest.raises(PendingFullError):
                log.take_entry(first, at=AT)
    monkeypatch.setattr(registrar, "PARTY_BYTES_MAX", size)
    log.commit(log.take_entry(first, at=AT))
    with pytest.raises(PendingFullError):
        log.take_entry(second, at=AT)


def test_a_member_cannot_fill_the_registry_with_keys_of_its_own(
    federation: Federation, log: RegistrarLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by dating them back either: as far back as an entry may lie, they still count."""
    monkeypatch.setattr(registrar, "KEYS_BESIDE", 4)
    monkeypatch.setattr(registrar, "KEYS_TIMES", 0)
    agency = federation.agencies["eg-moi"]

    def announce(at: datetime) -> None:
        act = acts.ReceptionKeyAnnounced("eg-moi", ReceptionKey.generate().public)
        leaf = federation.entry(act, [EntrySigner.log("eg-moi", agency.log)], at=at)
        log.commit(log.take_entry(leaf, at=AT + SECOND))

    for _ in range(3):
        announce(AT - BODY_AGE_MAX + SECOND)
    with pytest.raises(EntryConflictError, match="4 reception keys"):
        announce(AT)
