"""What the hub decides, by a header alone.

The hub can't see a subject, a field or an offence. It refuses what no facts behind
the header could make right, and never what the sender may send by the full facts.
Withdrawals are let through for longer than anything else: refusing one would keep data
alive that should be gone (PROTOCOL 3.7).
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mithaq.agreements.clause import Clause
from mithaq.agreements.grant import (
    CLOCK_SKEW_DEFAULT,
    forbids_header,
    left,
    not_in_force,
    not_parties,
    out_of_time,
    retention_end,
    wind_down_end,
)
from mithaq.agreements.reason import Decision, Reason, allowed, refused
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import CATEGORY_CODES, Agreement
from mithaq.agreements.vocabulary import ERASURE_RECEIPT, RETURN_MESSAGE, EntryKind, StreamRole

ENDING_KINDS: Final = frozenset({EntryKind.WITHDRAW, EntryKind.CLOSE})
RETURN_CODES: Final = frozenset({RETURN_MESSAGE, ERASURE_RECEIPT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a header and its stream's OPEN tell of an entry.

    `recipients` are the audience for OPEN, WITHDRAW and CLOSE, and the epoch's readers
    for EPOCH and PUT. `category` and `expires_at` belong to a PUT; in a return stream the
    category is RETURN_MESSAGE or ERASURE_RECEIPT.
    """

    kind: int
    role: int
    category: str
    sender: str
    recipients: tuple[str, ...]
    purposes: frozenset[str]
    expires_at: datetime | None
    created_at: datetime


def judge(
    agreement: Agreement,
    header: Header,
    *,
    status: AgreementStatus,
    at: datetime,
    clock_skew: timedelta = CLOCK_SKEW_DEFAULT,
) -> Decision:
    """Decide whether the hub admits an entry with its body."""
    reason = _malformed(agreement, header) or _out_of_time(header, at, clock_skew)
    if reason is not None:
        return refused(reason)
    if header.kind in ENDING_KINDS:
        # To a leaver as well, without an end: what it was given is still taken back.
        return _winding_down(agreement, status, parties=(header.sender,), at=at)
    if header.role == StreamRole.RETURN:
        return _judge_return(agreement, header, status=status, at=at)
    if (reason := _no_standing(agreement, header, status, at)) is not None:
        return refused(reason)
    if header.kind == EntryKind.PUT:
        return _judge_put(agreement, header)
    return _judge_stream(agreement, header)


def _out_of_time(header: Header, at: datetime, clock_skew: timedelta) -> Reason | None:
    if header.kind != EntryKind.PUT:
        return None
    return out_of_time(
        header.expires_at, created_at=header.created_at, at=at, clock_skew=clock_skew
    )


def _malformed(agreement: Agreement, header: Header) -> Reason | None:
    if header.kind not in ADMITTED_KINDS:
        return Reason.KIND_NOT_ADMITTED
    if not header.recipients:
        return Reason.RECIPIENT_NONE
    if header.role == StreamRole.RETURN and len(header.recipients) != 1:
        return Reason.RETURN_NOT_TO_ONE
    for recipient in header.recipients:
        reason = not_parties(agreement, sender=header.sender, recipient=recipient)
        if reason is not None:
            return reason
    return None


ADMITTED_KINDS: Final = ENDING_KINDS | {EntryKind.OPEN, EntryKind.EPOCH, EntryKind.PUT}


def _no_standing(
    agreement: Agreement, header: Header, status: AgreementStatus, at: datetime
) -> Reason | None:
    if (reason := not_in_force(agreement, status, at)) is not None:
        return reason
    for recipient in header.recipients:
        reason = left(status, sender=header.sender, recipient=recipient)
        if reason is not None:
            return reason
    return None


def _winding_down(
    agreement: Agreement, status: AgreementStatus, *, parties: tuple[str, ...], at: datetime
) -> Decision:
    """Decide what goes on after an end, a suspension or a party's leaving (PROTOCOL 3.7)."""
    reason = not_in_force(agreement, status, at)
    if reason is Reason.AGREEMENT_DRAFT or reason is Reason.AGREEMENT_NOT_YET_IN_FORCE:
        return refused(reason)
    if reason is None and status.left.keys().isdisjoint(parties):
        return allowed()
    if at >= min(wind_down_end(agreement, status, member=each) for each in parties):
        return refused(Reason.WIND_DOWN_OVER)
    return allowed(reason=Reason.ALLOWED_IN_WIND_DOWN)


def _judge_return(
    agreement: Agreement, header: Header, *, status: AgreementStatus, at: datetime
) -> Decision:
    if header.kind == EntryKind.PUT and header.category not in RETURN_CODES:
        return refused(Reason.CATEGORY_UNKNOWN)
    peer = header.recipients[0]
    links = linking(agreement, header.sender, peer)
    if not links:
        return refused(Reason.NO_CLAUSE)
    reason = _no_standing(agreement, header, status, at)
    if reason is None:
        return _judge_answer(header, links)
    # PROTOCOL 3.7: erasures are still answered, and an answer needs its epoch.
    if header.kind == EntryKind.EPOCH or header.category == ERASURE_RECEIPT:
        return _winding_down(agreement, status, parties=(header.sender, peer), at=at)
    return refused(reason)


def _judge_answer(header: Header, links: tuple[Clause, ...]) -> Decision:
    """Bound an answer's stay and its stream's purposes by the clauses of the pair."""
    ids = tuple(clause.id for clause in links)
    if header.kind != EntryKind.PUT:
        purposes = frozenset[str]().union(*(clause.purposes for clause in links))
        return _within(header, purposes, ids)
    if all(_kept_too_long(clause, header) for clause in links):
        return refused(Reason.RETENTION_TOO_LONG, *ids)
    return allowed(*ids)


def _within(header: Header, purposes: AbstractSet[str], clause_ids: Iterable[str]) -> Decision:
    if header.purposes and header.purposes <= purposes:
        return allowed(*clause_ids)
    return refused(Reason.PURPOSE_NOT_GRANTED, *clause_ids)


def linking(agreement: Agreement, member: str, peer: str) -> tuple[Clause, ...]:
    """Return the clauses by which either of two members discloses to the other."""
    return tuple(
        clause
        for clause in agreement.clauses
        if clause.permits
        and (
            (member in clause.senders and peer in clause.recipients)
            or (peer in clause.senders and member in clause.recipients)
        )
    )


def _judge_stream(agreement: Agreement, header: Header) -> Decision:
    """Decide on an OPEN or EPOCH: each reader has a clause, each purpose too."""
    granting: dict[str, None] = {}
    purposes: set[str] = set()
    for recipient in header.recipients:
        permits = [
            clause
            for clause in agreement.clauses
            if clause.permits and header.sender in clause.senders and recipient in clause.recipients
        ]
        if not permits:
            return refused(Reason.NO_CLAUSE)
        for clause in permits:
            granting[clause.id] = None
            purposes |= clause.purposes
    return _within(header, purposes, granting)


def _judge_put(agreement: Agreement, header: Header) -> Decision:
    if header.category not in CATEGORY_CODES:
        return refused(Reason.CATEGORY_UNKNOWN)
    rows = agreement.rows(header.sender, header.category)
    granting: dict[str, None] = {}
    for recipient in header.recipients:
        forbidding = [
            clause.id
            for clause in rows.denies.get(recipient, ())
            if forbids_header(clause, header.purposes)
        ]
        if forbidding:
            return refused(Reason.FORBIDDEN_BY_CLAUSE, *forbidding)
        decision = _judge_reader(rows.permits.get(recipient, ()), header)
        if not decision.allowed:
            return decision
        granting.update(dict.fromkeys(decision.clause_ids))
    return allowed(*granting)


def _judge_reader(permits: Iterable[Clause], header: Header) -> Decision:
    """Return the clauses that could permit it to one reader, or why none can."""
    granting: list[str] = []
    nearest = refused(Reason.NO_CLAUSE)
    for clause in permits:
        if clause.purposes.isdisjoint(header.purposes):
            if nearest.reason is Reason.NO_CLAUSE:
                nearest = refused(Reason.PURPOSE_NOT_GRANTED, clause.id)
        elif _kept_too_long(clause, header):
            if nearest.reason is not Reason.RETENTION_TOO_LONG:
                nearest = refused(Reason.RETENTION_TOO_LONG, clause.id)
        else:
            granting.append(clause.id)
    return allowed(*granting) if granting else nearest


def _kept_too_long(clause: Clause, header: Header) -> bool:
    end = retention_end(header.created_at, clause.retention_days_max)
    return header.expires_at is None or header.expires_at > end
