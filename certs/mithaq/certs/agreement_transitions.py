"""What acts about agreements change: admitted, suspended, lifted, ended.

The parties' signatures over the terms are checked here, because who the parties are
stands in the terms. A suspension takes one, its end takes those who suspended.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Final

from mithaq.agreements.errors import AgreementError
from mithaq.agreements.status import AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.certs import acts
from mithaq.certs.errors import EntryConflictError, TrustFormatError, WrongFederationError
from mithaq.certs.mandate import check_agreement_signatures
from mithaq.certs.participants import AgreementRecord
from mithaq.certs.state import Change, RegistryState
from mithaq.certs.transitions import Place

# Stands in AgreementStatus.suspended_by where no party but an administrator suspended;
# no member id can be spelled so.
ADMINISTRATORS: Final = "administrators"
_PARTIES_MIN: Final = 2


def admit_agreement(state: RegistryState, act: acts.AgreementAdmitted, place: Place) -> Change:
    """Admit an agreement, or its next version, with all parties' signatures.

    Raises:
        TrustFormatError, WrongFederationError: the terms can't be read, or are another's.
        UnknownMemberError, MemberInactiveError: a party may not act.
        EntryConflictError: not the next version, or the agreement has ended.
        AuthorityMissingError and its kin: as ``mandate.check_agreement_signatures``.

    """
    agreement = _read(act.terms)
    if agreement.federation != state.federation:
        raise WrongFederationError(f"the terms are for {agreement.federation}")
    for party in agreement.members:
        state.active_member(party)
    before = state.agreements.get(agreement.id)
    _check_next(agreement, before)
    # Who was a party until now has to sign as well: a new version may take from it.
    staying = _staying(before.agreement, before.status) if before else frozenset[str]()
    check_agreement_signatures(
        act.terms, act.signatures, parties=agreement.members | staying, signers=state
    )
    return _admitted(agreement, before, act, place)


def suspend_agreement(state: RegistryState, act: acts.AgreementSuspended, place: Place) -> Change:
    """Stop everything under the agreement, for one party or an administrator."""
    record = _unended(state, act.agreement_id)
    by = _speaker(record, act.member)
    if by in record.status.suspended_by:
        raise EntryConflictError(f"{by} has suspended {act.agreement_id} already")
    status = replace(
        record.status,
        state=AgreementState.SUSPENDED,
        suspended_by=record.status.suspended_by | {by},
    )
    return _changed(record, status, act, place, act.reason)


def lift_suspension(state: RegistryState, act: acts.AgreementLifted, place: Place) -> Change:
    """End one suspension; the agreement goes on when no other is left."""
    record = _unended(state, act.agreement_id)
    by = _speaker(record, act.member)
    if by not in record.status.suspended_by:
        raise EntryConflictError(f"{by} has not suspended {act.agreement_id}")
    if act.member:
        state.active_member(act.member)
    others = record.status.suspended_by - {by}
    status = replace(
        record.status,
        state=AgreementState.SUSPENDED if others else AgreementState.ACTIVE,
        suspended_by=others,
    )
    return Change(agreement=replace(record, status=status, changed_size=place.size))


def end_agreement(state: RegistryState, act: acts.AgreementEnded, place: Place) -> Change:
    """Let one party leave, or end it for all; winding down begins (PROTOCOL 3.7)."""
    record = _unended(state, act.agreement_id)
    status = record.status
    until = place.made_at + record.agreement.wind_down
    if act.member:
        status = replace(status, left={**status.left, _speaker(record, act.member): until})
    if not act.member or len(_staying(record.agreement, status)) < _PARTIES_MIN:
        status = replace(status, state=AgreementState.ENDED, wind_down_until=until)
    return _changed(record, status, act, place, act.reason)


def _read(terms: bytes) -> Agreement:
    try:
        return Agreement.from_bytes(terms)
    except AgreementError as fault:
        raise TrustFormatError(f"the terms in the entry cannot be read: {fault.why}") from fault


def _check_next(agreement: Agreement, before: AgreementRecord | None) -> None:
    expected = before.agreement.version + 1 if before else 1
    if agreement.version != expected:
        raise EntryConflictError(
            f"{agreement.id} is admitted at version {expected} next, not {agreement.version}"
        )
    if before and before.status.state is AgreementState.ENDED:
        raise EntryConflictError(f"{agreement.id} has ended; a new agreement has a new id")


def _admitted(
    agreement: Agreement, before: AgreementRecord | None, act: acts.AgreementAdmitted, place: Place
) -> Change:
    if before is None:
        status = AgreementStatus(AgreementState.ACTIVE)
        record = AgreementRecord(agreement, status, place.size, place.size, (agreement,))
        return Change(agreement=record)
    record = replace(
        before,
        agreement=agreement,
        # Suspensions outlast a new version; who signed it is no longer one that left.
        status=replace(before.status, left=_without(before.status.left, agreement.members)),
        changed_size=place.size,
        versions=(*before.versions, agreement),
    )
    # A new version may grant less, so entries made under the old one are judged anew.
    narrowing = place.narrowing(agreement.id, act, None)
    return Change(agreement=record, narrowed_agreement=narrowing)


def _staying(agreement: Agreement, status: AgreementStatus) -> frozenset[str]:
    return agreement.members.difference(status.left)


def _without(left: Mapping[str, datetime], members: AbstractSet[str]) -> dict[str, datetime]:
    return {member: until for member, until in left.items() if member not in members}


def _unended(state: RegistryState, agreement_id: str) -> AgreementRecord:
    record = state.agreement(agreement_id)
    if record.status.state is AgreementState.ENDED:
        raise EntryConflictError(f"the agreement {agreement_id} has ended")
    return record


def _speaker(record: AgreementRecord, member: str) -> str:
    """Return who speaks: a party that has not left, or the administrators."""
    if not member:
        return ADMINISTRATORS
    if member not in _staying(record.agreement, record.status):
        raise EntryConflictError(f"{member} is no party to {record.agreement.id}")
    return member


def _changed(
    record: AgreementRecord,
    status: AgreementStatus,
    act: acts.AgreementSuspended | acts.AgreementEnded,
    place: Place,
    reason: acts.NarrowingReason,
) -> Change:
    return Change(
        agreement=replace(record, status=status, changed_size=place.size),
        narrowed_agreement=place.narrowing(record.agreement.id, act, reason),
    )
