"""Agreements in the registry: admitted by all, stopped by one (DESIGN 7)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mithaq.agreements.status import AgreementState
from mithaq.agreements.terms import Agreement
from mithaq.certs import acts
from mithaq.certs.acts import AgreementSignature, NarrowingReason
from mithaq.certs.agreement_transitions import ADMINISTRATORS
from mithaq.certs.entries import EntrySigner, sign_agreement
from mithaq.certs.errors import (
    AuthorityMissingError,
    EntryConflictError,
    MemberInactiveError,
    SignatureInvalidError,
    SignatureUncalledError,
    SignerUnknownError,
    TrustError,
    TrustFormatError,
    UnknownAgreementError,
    UnknownMemberError,
    WrongFederationError,
)
from tests.certs import refusals
from tests.federation import FEDERATION, Federation, agreement, now

REASON = NarrowingReason.AGREEMENT_BREACH


def signatures(
    federation: Federation, terms: bytes, *members: str, count: int = 2
) -> tuple[AgreementSignature, ...]:
    return tuple(
        sign_agreement(terms, federation=FEDERATION, member=member, name=name, pair=pair)
        for member in sorted(members)
        for name, pair in sorted(federation.agencies[member].signatories.items())[:count]
    )


def admitted(
    federation: Federation, terms: Agreement, given: tuple[AgreementSignature, ...] | None = None
) -> acts.AgreementAdmitted:
    encoded = terms.to_bytes()
    if given is None:
        given = signatures(federation, encoded, *terms.members)
    return acts.AgreementAdmitted(encoded, given)


def refused(federation: Federation, act: acts.Act, error: type[TrustError], match: str) -> None:
    refusals.refused(federation, federation.entry(act), error, match)


def leave(
    federation: Federation, agreement_id: str, member: str, *, at: datetime | None = None
) -> None:
    signers = [
        EntrySigner.signatory(member, name, pair)
        for name, pair in federation.agencies[member].signatories.items()
    ]
    federation.enter(acts.AgreementEnded(agreement_id, REASON, member), signers, at=at)


TWO = agreement("eg-moi", "int-iom", agreement_id="eg-iom")


def test_an_agreement_is_in_force_with_all_signatures(federation: Federation) -> None:
    federation.enter(admitted(federation, TWO))
    record = federation.registry.agreement("eg-iom")
    assert record.agreement == TWO
    assert record.agreement.to_bytes() == TWO.to_bytes()
    assert record.status.state is AgreementState.ACTIVE
    assert record.admitted_size == record.changed_size == federation.registry.size
    assert [each.agreement.id for each in federation.registry.agreements()] == [
        "eg-tn",
        "all-three",
        "eg-iom",
    ]


def test_a_party_with_one_signature_has_not_signed(federation: Federation) -> None:
    terms = agreement("eg-moi", "int-iom", "tn-dgsn", agreement_id="three")
    given = (
        *signatures(federation, terms.to_bytes(), "eg-moi", "tn-dgsn"),
        *signatures(federation, terms.to_bytes(), "int-iom", count=1),
    )
    ordered = tuple(sorted(given, key=lambda each: (each.member, each.name)))
    act = admitted(federation, terms, ordered)
    refused(federation, act, AuthorityMissingError, "2 signatories of int-iom have to sign, 1 did")
    federation.enter(admitted(federation, terms))


def test_nobody_signs_for_another_party(federation: Federation) -> None:
    terms = TWO.to_bytes()
    own = signatures(federation, terms, "eg-moi")
    forged = tuple(replace(each, member="int-iom") for each in own)
    act = admitted(federation, TWO, (*own, *forged))
    refused(federation, act, SignatureInvalidError, "verify")


def test_who_is_no_party_does_not_sign(federation: Federation) -> None:
    every = signatures(federation, TWO.to_bytes(), "eg-moi", "int-iom", "tn-dgsn")
    act = admitted(federation, TWO, every)
    refused(federation, act, SignatureUncalledError, "tn-dgsn is no party")


@pytest.mark.parametrize("half", ["ed25519", "mldsa44"])
def test_both_halves_of_a_signatorys_signature_have_to_verify(
    federation: Federation, half: str
) -> None:
    first, *rest = signatures(federation, TWO.to_bytes(), "eg-moi", "int-iom")
    value = getattr(first, half)
    broken = replace(first, **{half: value[:-1] + bytes((value[-1] ^ 1,))})
    act = admitted(federation, TWO, (broken, *rest))
    refused(federation, act, SignatureInvalidError, "verify")


def test_a_signature_over_other_terms_admits_nothing(federation: Federation) -> None:
    other = replace(TWO, title="Other terms").to_bytes()
    given = signatures(federation, other, "eg-moi", "int-iom")
    refused(federation, admitted(federation, TWO, given), SignatureInvalidError, "verify")


def test_a_signatory_whom_nobody_enrolled_does_not_count(federation: Federation) -> None:
    given = signatures(federation, TWO.to_bytes(), "eg-moi", "int-iom")
    renamed = (given[0], replace(given[1], name="signer-x"), *given[2:])
    act = admitted(federation, TWO, renamed)
    refused(federation, act, SignerUnknownError, "signer-x")


def test_an_agreement_takes_k_administrators_besides(federation: Federation) -> None:
    leaf = federation.entry(admitted(federation, TWO), federation.by_administrators(1))
    with pytest.raises(AuthorityMissingError, match="1 more"):
        federation.registry.apply(leaf)


def test_terms_for_another_federation_are_refused(federation: Federation) -> None:
    terms = agreement("eg-moi", "int-iom", agreement_id="eg-iom", federation="other.example")
    refused(federation, admitted(federation, terms), WrongFederationError, "other.example")


def test_terms_that_cannot_be_read_are_refused(federation: Federation) -> None:
    terms = TWO.to_bytes() + b"\xfa\x3f\x01x"
    act = acts.AgreementAdmitted(terms, signatures(federation, terms, "eg-moi", "int-iom"))
    refused(federation, act, TrustFormatError, "cannot be read")


def test_every_party_is_an_active_member(federation: Federation) -> None:
    stranger = agreement("eg-moi", "it-mi", agreement_id="eg-it")
    act = admitted(federation, stranger, signatures(federation, b"", "eg-moi", "int-iom"))
    refused(federation, act, UnknownMemberError, "it-mi")
    federation.suspend("int-iom")
    refused(federation, admitted(federation, TWO), MemberInactiveError, "int-iom is suspended")


# --- versions -------------------------------------------------------------------------------


def test_versions_follow_one_another(federation: Federation) -> None:
    second = replace(TWO, version=2)
    refused(federation, admitted(federation, second), EntryConflictError, "version 1 next, not 2")
    federation.enter(admitted(federation, TWO))
    refused(federation, admitted(federation, TWO), EntryConflictError, "version 2 next, not 1")
    third = replace(TWO, version=3)
    refused(federation, admitted(federation, third), EntryConflictError, "version 2 next, not 3")
    federation.enter(admitted(federation, second))
    assert federation.registry.agreement("eg-iom").agreement.version == 2


def test_a_version_rules_from_the_instant_that_it_begins(federation: Federation) -> None:
    federation.enter(admitted(federation, TWO))
    begins = now() + timedelta(days=10)
    federation.enter(admitted(federation, replace(TWO, version=2, effective_from=begins)))
    record = federation.registry.agreement("eg-iom")
    assert record.in_force(at=begins - timedelta(seconds=1)).version == 1
    assert record.in_force(at=begins).version == 2
    assert record.in_force(at=TWO.effective_from - timedelta(days=1)).version == 1
    assert [record.version(each) is None for each in (1, 2, 3)] == [False, False, True]


def test_a_new_version_is_a_narrowing_for_entries_made_under_the_old_one(
    federation: Federation,
) -> None:
    federation.enter(admitted(federation, TWO))
    before = federation.registry.size
    assert federation.registry.narrowing_since(0, agreement="eg-iom") is None
    federation.enter(admitted(federation, replace(TWO, version=2)))
    found = federation.registry.narrowing_since(before, agreement="eg-iom")
    assert found is not None
    assert (found.act, found.reason) == ("AgreementAdmitted", None)


def test_a_party_is_not_dropped_from_a_new_version_without_its_signatures(
    federation: Federation,
) -> None:
    without = agreement("eg-moi", "tn-dgsn", agreement_id="all-three", version=2)
    act = admitted(federation, without)
    refused(federation, act, AuthorityMissingError, "signatories of int-iom")
    every = signatures(federation, without.to_bytes(), "eg-moi", "int-iom", "tn-dgsn")
    federation.enter(admitted(federation, without, every))
    assert federation.registry.agreement("all-three").agreement.members == {"eg-moi", "tn-dgsn"}


def test_who_left_need_not_sign_a_new_version_but_may_come_back_by_signing(
    federation: Federation,
) -> None:
    leave(federation, "all-three", "int-iom")
    without = agreement("eg-moi", "tn-dgsn", agreement_id="all-three", version=2)
    federation.enter(admitted(federation, without))
    assert federation.registry.agreement("all-three").status.left.keys() == {"int-iom"}
    again = agreement("eg-moi", "int-iom", "tn-dgsn", agreement_id="all-three", version=3)
    federation.enter(admitted(federation, again))
    assert federation.registry.agreement("all-three").status.left == {}


# --- suspending, lifting, ending ------------------------------------------------------------


def test_one_party_stops_the_agreement_and_others_may_join_in(federation: Federation) -> None:
    before = federation.registry.size
    federation.suspend_agreement("eg-tn", "eg-moi")
    federation.suspend_agreement("eg-tn", "tn-dgsn")
    record = federation.registry.agreement("eg-tn")
    assert record.status.state is AgreementState.SUSPENDED
    assert record.status.suspended_by == {"eg-moi", "tn-dgsn"}
    assert record.changed_size == federation.registry.size
    assert federation.registry.narrowing_since(before, agreement="eg-tn") is not None
    federation.lift_agreement("eg-tn", "eg-moi")
    assert federation.registry.agreement("eg-tn").status.state is AgreementState.SUSPENDED
    federation.lift_agreement("eg-tn", "tn-dgsn")
    status = federation.registry.agreement("eg-tn").status
    assert (status.state, status.suspended_by) == (AgreementState.ACTIVE, frozenset())


def test_an_administrators_suspension_stands_apart_from_a_partys(federation: Federation) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    act = acts.AgreementSuspended("eg-tn", REASON)
    federation.enter(act, federation.by_administrators(1))
    status = federation.registry.agreement("eg-tn").status
    assert status.suspended_by == {"eg-moi", ADMINISTRATORS}
    federation.enter(acts.AgreementLifted("eg-tn"))
    assert federation.registry.agreement("eg-tn").status.suspended_by == {"eg-moi"}


def test_a_suspension_is_given_once_and_lifted_once(federation: Federation) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    with pytest.raises(EntryConflictError, match="eg-moi has suspended eg-tn already"):
        federation.suspend_agreement("eg-tn", "eg-moi")
    federation.lift_agreement("eg-tn", "eg-moi")
    with pytest.raises(EntryConflictError, match="eg-moi has not suspended eg-tn"):
        federation.lift_agreement("eg-tn", "eg-moi")


def test_a_suspension_outlasts_a_new_version(federation: Federation) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    terms = agreement("eg-moi", "tn-dgsn", agreement_id="eg-tn", version=2)
    federation.enter(admitted(federation, terms))
    assert federation.registry.agreement("eg-tn").status.state is AgreementState.SUSPENDED


def test_an_agreement_goes_on_while_two_parties_stay(federation: Federation) -> None:
    leave(federation, "all-three", "eg-moi")
    status = federation.registry.agreement("all-three").status
    assert (status.state, list(status.left)) == (AgreementState.ACTIVE, ["eg-moi"])
    with pytest.raises(EntryConflictError, match="eg-moi is no party"):
        leave(federation, "all-three", "eg-moi")
    with pytest.raises(EntryConflictError, match="eg-moi is no party"):
        federation.suspend_agreement("all-three", "eg-moi")
    leave(federation, "all-three", "tn-dgsn")
    status = federation.registry.agreement("all-three").status
    assert status.state is AgreementState.ENDED


def test_each_leaver_winds_down_from_its_own_leaving(federation: Federation) -> None:
    first, then = now() - timedelta(days=2), now() - timedelta(days=1)
    leave(federation, "all-three", "eg-moi", at=first)
    record = federation.registry.agreement("all-three")
    assert record.status.wind_down_until is None
    assert record.status.left == {"eg-moi": first + record.agreement.wind_down}
    leave(federation, "all-three", "tn-dgsn", at=then)
    status = federation.registry.agreement("all-three").status
    until = then + record.agreement.wind_down
    assert status.left == {**record.status.left, "tn-dgsn": until}
    assert status.wind_down_until == until


def test_the_wind_down_begins_when_the_end_was_drawn_up(federation: Federation) -> None:
    made_at = now() - timedelta(hours=1)
    federation.enter(acts.AgreementEnded("eg-tn", REASON), at=made_at)
    record = federation.registry.agreement("eg-tn")
    assert record.status.state is AgreementState.ENDED
    assert record.status.wind_down_until == made_at + record.agreement.wind_down


def test_nothing_follows_the_end_of_an_agreement(federation: Federation) -> None:
    federation.end_agreement("eg-tn")
    terms = agreement("eg-moi", "tn-dgsn", agreement_id="eg-tn", version=2)
    refused(federation, admitted(federation, terms), EntryConflictError, "new id")
    refused(federation, acts.AgreementEnded("eg-tn", REASON), EntryConflictError, "has ended")
    refused(federation, acts.AgreementLifted("eg-tn"), EntryConflictError, "has ended")
    with pytest.raises(EntryConflictError, match="has ended"):
        federation.suspend_agreement("eg-tn", "eg-moi")


@pytest.mark.parametrize(
    "act",
    [acts.AgreementEnded("no-such", REASON), acts.AgreementLifted("no-such")],
)
def test_an_agreement_that_nobody_admitted_cannot_change(
    federation: Federation, act: acts.Act
) -> None:
    refused(federation, act, UnknownAgreementError, "no-such")
