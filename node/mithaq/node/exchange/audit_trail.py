"""What the outbox did, as audit entries: one for each actor, operation and outcome.

DESIGN 8: streams prove disclosure at both ends, so one entry covers a batch; it lists per
record the decision, the clauses and a hash of the necessity statement. The one rule: an
entry names records by id and place, never by content.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
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
from mithaq.node.exchange.routing import RecipientDecision
from mithaq.node.exchange.transaction import Transaction
from mithaq.store.audit_entry import (
    DONE,
    AuditEntry,
    Decision,
    Operation,
    RecordRef,
    cut_in_entries,
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


class _Way(NamedTuple):
    """What an act tells beside its record: equal for most acts of a batch."""

    actor: Actor
    act: type[Act]
    outcome: str
    # Agreement and readers of each disclosure.
    places: tuple[tuple[str, tuple[str, ...]], ...] = ()


def audit_entries(
    tx: Transaction, acts: Sequence[Act], answers: Sequence[ActResult | Exception]
) -> list[AuditEntry]:
    """Return the entries for acts and their answers, in order."""
    told: dict[_Way, list[RecordRef]] = {}
    granted = _Granted()
    for act, answer in zip(acts, answers, strict=True):
        if isinstance(answer, ActResult):
            places = tuple([(each.agreement_id, each.recipients) for each in answer.disclosures])
            way, records = _Way(act.actor, type(act), DONE, places), _records(act, answer, granted)
        else:
            code = str(getattr(answer, "code", "MQ-INTERNAL"))
            way, records = _Way(act.actor, type(act), code), [_named(act)]
        told.setdefault(way, []).extend(records)
    grouped: dict[_Kind, list[RecordRef]] = {}
    for way, records in told.items():
        grouped.setdefault(_kind(way), []).extend(records)
    return [
        _entry(tx, kind, chunk)
        for kind, records in grouped.items()
        for chunk in cut_in_entries(records)
    ]


def _kind(way: _Way) -> _Kind:
    agreements = {agreement_id for agreement_id, _ in way.places}
    agreement_id = agreements.pop() if len(agreements) == 1 else ""
    recipients = sorted({each for _, readers in way.places for each in readers})
    operation = _OPERATIONS[way.act]
    counterparts = tuple(recipients[:COUNTERPARTS_MAX])
    return _Kind(way.actor, operation, way.outcome, agreement_id, counterparts)


def _named(act: Act) -> RecordRef:
    match act:
        case IssueItem() | UpdateItem() | AnswerItem():
            return RecordRef(alert_id=act.record.alert_id, version=act.record.version)
        case WithdrawItem():
            return RecordRef(alert_id=act.alert_id)
        case CatchUpItem() | ResendItem():
            return RecordRef()


def _records(act: Act, answer: ActResult, granted: "_Granted") -> list[RecordRef]:
    decision = granted.by(answer.decisions)
    necessity = b""
    if isinstance(act, IssueItem | UpdateItem):
        # The id is a salt of 80 random bits: equal statements don't show as equal.
        text = f"{act.record.alert_id}\x00{act.record.values.necessity}"
        necessity = hashlib.sha256(text.encode()).digest()
    alert_id, version = answer.alert_id, answer.version
    if not answer.disclosures:
        return [RecordRef(alert_id, version, decision=decision, necessity_hash=necessity)]
    return [
        RecordRef(alert_id, version, each.stream_id, each.sequence, decision, necessity)
        for each in answer.disclosures
    ]


class _Granted:
    """The decisions of one batch, by the very tuple that told them: most acts share one."""

    def __init__(self) -> None:
        # The tuples stand in the batch's answers, so no id comes twice.
        self._known: dict[int, Decision | None] = {}

    def by(self, decisions: tuple[RecipientDecision, ...]) -> Decision | None:
        """Return what allowed a disclosure, or None where nothing was decided."""
        if id(decisions) not in self._known:
            granting = tuple((each.reason, each.clause_ids) for each in decisions if each.allowed)
            self._known[id(decisions)] = _granted(granting) if granting else None
        return self._known[id(decisions)]


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
