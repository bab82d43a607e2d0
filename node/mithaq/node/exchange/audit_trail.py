"""What the outbox did, as audit entries: one for each actor, operation and outcome.

DESIGN 8: streams prove disclosure at both ends, so one entry covers a batch; it lists per
record the decision, the clauses and a hash of the necessity statement. The one rule: an
entry names records by id and place, never by content.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from mithaq.node.exchange.acts import (
    Act,
    ActResult,
    AnswerItem,
    CatchUpItem,
    IssueItem,
    ResendItem,
    UpdateItem,
    WithdrawItem,
)
from mithaq.node.exchange.home import Actor
from mithaq.node.exchange.transaction import Transaction
from mithaq.store.audit_entry import (
    DONE,
    RECORDS_PER_ENTRY_MAX,
    AuditEntry,
    Decision,
    Operation,
    RecordRef,
)

_OPERATIONS: Final = {
    IssueItem: Operation.ISSUE,
    UpdateItem: Operation.ALTER,
    # What it erases is its readers' to log, and ours when the record's key is destroyed.
    WithdrawItem: Operation.ALTER,
    AnswerItem: Operation.DISCLOSE,
    CatchUpItem: Operation.DISCLOSE,
    ResendItem: Operation.DISCLOSE,
}

# As many as an entry's form takes; streams name each record's own.
COUNTERPARTS_MAX: Final = 64
_DECISIONS_CACHED_MAX: Final = 4096


class _Kind(NamedTuple):
    """What the records of one entry have in common."""

    actor: Actor
    operation: Operation
    outcome: str
    agreement_id: str
    counterparts: tuple[str, ...] = ()


def audit_entries(
    tx: Transaction, acts: Sequence[Act], answers: Sequence[ActResult | Exception]
) -> list[AuditEntry]:
    """Return the entries for acts and their answers, in order."""
    grouped: dict[_Kind, list[RecordRef]] = {}
    for act, answer in zip(acts, answers, strict=True):
        kind, records = _told(act, answer)
        grouped.setdefault(kind, []).extend(records)
    return [
        _entry(tx, kind, chunk)
        for kind, records in grouped.items()
        for chunk in _chunks(records, RECORDS_PER_ENTRY_MAX)
    ]


def _told(act: Act, answer: ActResult | Exception) -> tuple[_Kind, list[RecordRef]]:
    operation = _OPERATIONS[type(act)]
    if not isinstance(answer, ActResult):
        code = str(getattr(answer, "code", "MQ-INTERNAL"))
        return _Kind(act.actor, operation, code, ""), [_named(act)]
    agreements = {each.agreement_id for each in answer.disclosures}
    agreement_id = agreements.pop() if len(agreements) == 1 else ""
    recipients = sorted({each for one in answer.disclosures for each in one.recipients})
    kind = _Kind(act.actor, operation, DONE, agreement_id, tuple(recipients[:COUNTERPARTS_MAX]))
    return kind, list(_records(act, answer))


def _named(act: Act) -> RecordRef:
    match act:
        case IssueItem() | UpdateItem() | AnswerItem():
            return RecordRef(alert_id=act.record.alert_id, version=act.record.version)
        case WithdrawItem():
            return RecordRef(alert_id=act.alert_id)
        case CatchUpItem() | ResendItem():
            return RecordRef()


def _records(act: Act, answer: ActResult) -> Iterator[RecordRef]:
    decision = _decision(answer)
    necessity = b""
    if isinstance(act, IssueItem | UpdateItem):
        # The id is a salt of 80 random bits: equal statements don't show as equal.
        text = f"{act.record.alert_id}\x00{act.record.alert.necessity}"
        necessity = hashlib.sha256(text.encode()).digest()
    if not answer.disclosures:
        yield RecordRef(
            alert_id=answer.alert_id,
            version=answer.version,
            decision=decision,
            necessity_hash=necessity,
        )
    for each in answer.disclosures:
        yield RecordRef(
            alert_id=answer.alert_id,
            version=answer.version,
            stream_id=each.stream_id,
            sequence=each.sequence,
            decision=decision,
            necessity_hash=necessity,
        )


def _decision(answer: ActResult) -> Decision | None:
    granting = tuple((each.reason, each.clause_ids) for each in answer.decisions if each.allowed)
    return _granted(granting) if granting else None


@lru_cache(maxsize=_DECISIONS_CACHED_MAX)
def _granted(granting: tuple[tuple[str, tuple[str, ...]], ...]) -> Decision:
    clauses = dict.fromkeys(clause for _, clause_ids in granting for clause in clause_ids)
    return Decision(allowed=True, reason=granting[0][0], clause_ids=tuple(clauses))


def _entry(tx: Transaction, kind: _Kind, records: Sequence[RecordRef]) -> AuditEntry:
    registry, actor = tx.home.registry, kind.actor
    version, digest = 0, b""
    if kind.agreement_id:
        agreement = registry.agreement(kind.agreement_id).in_force(at=tx.at)
        version, digest = agreement.version, agreement.hash
    return AuditEntry(
        at=tx.at,
        actor=actor.user,
        role=actor.role,
        operation=kind.operation,
        outcome=kind.outcome,
        purpose=actor.purpose,
        legal_basis=actor.legal_basis,
        case_reference=actor.case_reference,
        justification=actor.justification,
        agreement_id=kind.agreement_id,
        agreement_version=version,
        agreement_hash=digest,
        registry_size=registry.size,
        counterparts=kind.counterparts,
        records=tuple(records),
        result_count=len(records),
    )


def _chunks(records: Iterable[RecordRef], size: int) -> Iterator[list[RecordRef]]:
    rest = iter(records)
    while chunk := list(islice(rest, size)):
        yield chunk
