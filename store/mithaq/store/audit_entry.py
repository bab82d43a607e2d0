"""Audit entries: what was done, by whom, why, on which records, and what was decided.

Pure: dataclasses and their exact bytes (`mithaq.v1.AuditEntry`). A leaf of an audit log
is those bytes, in the one canonical spelling; a message with unknown fields is refused.
The rule: an entry never holds personal data. Records are named by stream and sequence
or by alert id, search terms by a keyed hash and sealed to the auditors.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from protovalidate import Validator

from mithaq.store.errors import AuditFormatError
from mithaq.v1 import audit_pb2

ENTRY_VERSION: Final = 1
RECORDS_PER_ENTRY_MAX: Final = 1024
# Of distinct streams, and of distinct decisions.
NAMED_PER_ENTRY_MAX: Final = 256
DONE: Final = "done"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LENGTH: Final = struct.Struct(">I")
_QUERY_LABEL: Final = b"mithaq/audit-query/v1"
_VALIDATOR: Final = Validator()


class Operation(IntEnum):
    """What was done; the numbers are those of `mithaq.v1.AuditOperation`."""

    CONSULT = 1
    SEARCH = 2
    SCREEN = 3
    ISSUE = 4
    ALTER = 5
    COMBINE = 6
    DISCLOSE = 7
    RECEIVE = 8
    EXPORT = 9
    ERASE = 10
    ADMINISTER = 11
    SIGN_IN = 12
    BREAK_GLASS = 13
    AUDIT_READ = 14
    REFUSE = 15
    ALARM = 16
    CONTINUE = 17


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evaluator said, and the clauses that made it say so."""

    allowed: bool
    reason: str
    clause_ids: tuple[str, ...] = ()


class RecordRef(NamedTuple):
    """A record of an act: by alert id and version, by stream and sequence, or by both."""

    # Made once per record on the hot path: a tuple costs a quarter of a frozen dataclass.

    alert_id: str = ""
    version: int = 0
    stream_id: bytes = b""
    sequence: int = 0
    decision: Decision | None = None
    necessity_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Loss:
    """The end of a log that its owner could not continue (PROTOCOL 1.5)."""

    origin: str
    witnessed_size: int
    witnessed_root: bytes
    kept_size: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act, or one batch of acts of a kind; `outcome` is `done` or a stable code."""

    at: datetime
    actor: str
    role: str
    operation: Operation
    outcome: str = DONE
    purpose: str = ""
    legal_basis: str = ""
    case_reference: str = ""
    justification: str = ""
    certificate: bytes = b""
    agreement_id: str = ""
    agreement_version: int = 0
    agreement_hash: bytes = b""
    registry_size: int = 0
    counterparts: tuple[str, ...] = ()
    records: tuple[RecordRef, ...] = ()
    query_kind: str = ""
    query_hash: bytes = b""
    query_sealed: bytes = b""
    result_count: int = 0
    subject: str = ""
    loss: Loss | None = None

    def to_bytes(self) -> bytes:
        """Return the exact bytes of the leaf; raise AuditFormatError beyond a limit."""
        message = _to_message(self)
        _check(message)
        return message.SerializeToString(deterministic=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> "AuditEntry":
        """Read a leaf; raise AuditFormatError unless it is in its one spelling."""
        message = audit_pb2.AuditEntry()
        try:
            message.ParseFromString(data)
        except DecodeError:
            raise AuditFormatError("not an audit entry") from None
        _check(message)
        _check_references(message)
        entry = _from_message(message)
        # Unknown fields, and any other spelling, don't come out again.
        if _to_message(entry).SerializeToString(deterministic=True) != data:
            raise AuditFormatError("an audit entry that is not in its one spelling")
        return entry


def query_hash(key: bytes, *, kind: str, terms: Sequence[str]) -> bytes:
    """Return the keyed hash of search terms, so that equal searches can be told as equal.

    `key` is the node's own: without it a hash of a document number could be reversed
    by trying all numbers.
    """
    parts = [part.encode() for part in (kind, *terms)]
    framed = b"".join(_LENGTH.pack(len(part)) + part for part in parts)
    return hmac.digest(key, _QUERY_LABEL + framed, hashlib.sha256)


def microseconds(at: datetime) -> int:
    """Return an aware instant as entries hold it."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at_us: int) -> datetime:
    """Return the instant that an entry holds; raise AuditFormatError beyond the year 9999."""
    try:
        return _EPOCH + at_us * _MICROSECOND
    except OverflowError:
        raise AuditFormatError("an instant after the year 9999") from None


def _check(message: audit_pb2.AuditEntry) -> None:
    violations = _VALIDATOR.collect_violations(message, fail_fast=True)
    if violations:
        rule = violations[0].proto
        fields = [element.field_name for element in rule.field.elements] if rule.field else []
        raise AuditFormatError(f"{'.'.join(fields)} {rule.message}")


def _check_references(message: audit_pb2.AuditEntry) -> None:
    if any(record.stream > len(message.stream_ids) for record in message.records) or any(
        record.decision > len(message.decisions) for record in message.records
    ):
        raise AuditFormatError("a record names a stream or decision that isn't there")


def cut_in_entries(records: Sequence[RecordRef]) -> Iterator[Sequence[RecordRef]]:
    """Yield records in order, as many together as the form of one entry takes."""
    if len(records) <= NAMED_PER_ENTRY_MAX:
        if records:
            yield records
        return
    part: list[RecordRef] = []
    streams: set[bytes] = set()
    decisions: set[Decision | None] = set()
    for each in records:
        streams.add(each.stream_id)
        decisions.add(each.decision)
        is_full = len(part) == RECORDS_PER_ENTRY_MAX
        if is_full or max(len(streams), len(decisions)) > NAMED_PER_ENTRY_MAX:
            yield part
            part, streams, decisions = [], {each.stream_id}, {each.decision}
        part.append(each)
    yield part


def _to_message(entry: AuditEntry) -> audit_pb2.AuditEntry:
    streams: dict[bytes, int] = {}
    decisions = _Decisions()
    records = [_record_message(each, streams, decisions) for each in entry.records]
    message = audit_pb2.AuditEntry(
        version=ENTRY_VERSION,
        at_us=microseconds(entry.at),
        actor=entry.actor,
        role=entry.role,
        operation=audit_pb2.AuditOperation.ValueType(entry.operation),
        outcome=entry.outcome,
        purpose=entry.purpose,
        legal_basis=entry.legal_basis,
        case_reference=entry.case_reference,
        justification=entry.justification,
        certificate=entry.certificate,
        agreement_id=entry.agreement_id,
        agreement_version=entry.agreement_version,
        agreement_hash=entry.agreement_hash,
        registry_size=entry.registry_size,
        counterparts=entry.counterparts,
        stream_ids=streams,
        decisions=[_decision_message(each) for each in decisions.numbers],
        records=records,
        query_kind=entry.query_kind,
        query_hash=entry.query_hash,
        query_sealed=entry.query_sealed,
        result_count=entry.result_count,
        subject=entry.subject,
    )
    if entry.loss is not None:
        message.loss.CopyFrom(_loss_message(entry.loss))
    return message


class _Decisions:
    """The distinct decisions of an entry, numbered from 1."""

    def __init__(self) -> None:
        self.numbers: dict[Decision, int] = {}
        # Records of a batch share the very object, which is told faster than its equal.
        self._last: tuple[Decision | None, int] = None, 0

    def number(self, decision: Decision | None) -> int:
        if decision is not self._last[0]:
            known = self.numbers
            number = 0 if decision is None else known.setdefault(decision, len(known) + 1)
            self._last = decision, number
        return self._last[1]


def _record_message(
    record: RecordRef, streams: dict[bytes, int], decisions: _Decisions
) -> audit_pb2.AuditRecord:
    alert_id, version, stream_id, sequence, decision, necessity_hash = record
    return audit_pb2.AuditRecord(
        alert_id=alert_id,
        version=version,
        stream=streams.setdefault(stream_id, len(streams) + 1) if stream_id else 0,
        sequence=sequence,
        decision=decisions.number(decision),
        necessity_hash=necessity_hash,
    )


def _decision_message(decision: Decision) -> audit_pb2.AuditDecision:
    return audit_pb2.AuditDecision(
        allowed=decision.allowed, reason=decision.reason, clause_ids=decision.clause_ids
    )


def _loss_message(loss: Loss) -> audit_pb2.AuditLoss:
    return audit_pb2.AuditLoss(
        origin=loss.origin,
        witnessed_size=loss.witnessed_size,
        witnessed_root=loss.witnessed_root,
        kept_size=loss.kept_size,
    )


def _from_message(message: audit_pb2.AuditEntry) -> AuditEntry:
    streams = (b"", *message.stream_ids)
    decisions: tuple[Decision | None, ...] = (
        None,
        *(
            Decision(each.allowed, each.reason, tuple(each.clause_ids))
            for each in message.decisions
        ),
    )
    records = tuple(
        RecordRef(
            alert_id=each.alert_id,
            version=each.version,
            stream_id=streams[each.stream],
            sequence=each.sequence,
            decision=decisions[each.decision],
            necessity_hash=each.necessity_hash,
        )
        for each in message.records
    )
    return AuditEntry(
        at=instant(message.at_us),
        actor=message.actor,
        role=message.role,
        operation=Operation(message.operation),
        outcome=message.outcome,
        purpose=message.purpose,
        legal_basis=message.legal_basis,
        case_reference=message.case_reference,
        justification=message.justification,
        certificate=message.certificate,
        agreement_id=message.agreement_id,
        agreement_version=message.agreement_version,
        agreement_hash=message.agreement_hash,
        registry_size=message.registry_size,
        counterparts=tuple(message.counterparts),
        records=records,
        query_kind=message.query_kind,
        query_hash=message.query_hash,
        query_sealed=message.query_sealed,
        result_count=message.result_count,
        subject=message.subject,
        loss=_loss_of(message),
    )


def _loss_of(message: audit_pb2.AuditEntry) -> Loss | None:
    if not message.HasField("loss"):
        return None
    loss = message.loss
    return Loss(loss.origin, loss.witnessed_size, loss.witnessed_root, loss.kept_size)
