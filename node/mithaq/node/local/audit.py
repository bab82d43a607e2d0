"""AuditService: list, verify and export this node's audit log.

Reading the log is an act of its own and stands in it before the answer leaves. What is
verified is recomputed from the stored entries, never from what was derived of them. The
rule: what an auditor gets is signed, and holds proofs and acts but no content.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.local.auditing import export, verify
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.service.errors import InvalidRequestError
from mithaq.store.audit import ENTRIES_PER_ANSWER_MAX, AuditFilter
from mithaq.store.audit_entry import AuditEntry, Decision, Operation
from mithaq.store.parts import in_parts
from mithaq.v1 import local_pb2, local_pb2_grpc

# gRPC's context has no type that says more.
Context = Any
PAGE_DEFAULT: Final = 50
CHUNK_SIZE_BYTES: Final = 512 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS_MAX: Final = 253_402_300_799_000


class AuditService(local_pb2_grpc.AuditServiceServicer):
    """What auditors call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ListAudit(  # noqa: N802 (named by the service)
        self, request: local_pb2.ListAuditRequest, context: Context
    ) -> local_pb2.ListAuditResponse:
        """List entries, newest first; the reading is logged first, and so stands above them."""
        desk = self._desk
        caller = await desk.admit(context, "AuditService/ListAudit")
        wanted = _filter(request)
        before = request.before_index or None
        limit = min(request.page_size or PAGE_DEFAULT, ENTRIES_PER_ANSWER_MAX)
        await desk.log(
            entry_of(
                actor_of(caller),
                Operation.AUDIT_READ,
                at=desk.now(),
                certificate=caller.tls_fingerprint,
                subject=_told(request),
            )
        )
        audit = desk.home.audit

        def look(connection: sa.Connection) -> local_pb2.ListAuditResponse:
            found = audit.read(connection, wanted, before=before, limit=limit).rows
            parties = _parties(connection, (entry for _, entry in found))
            return local_pb2.ListAuditResponse(
                rows=[
                    audit_row(index, entry, alert_id=request.alert_id, parties=parties)
                    for index, entry in found
                ],
                size=audit.head(connection).size,
            )

        return await desk.home.database.read(look)

    async def VerifyAudit(  # noqa: N802
        self, request: local_pb2.VerifyAuditRequest, context: Context
    ) -> local_pb2.VerifyAuditResponse:
        """Recompute the log from its entries, and compare it with what was signed and seen."""
        del request
        desk = self._desk
        caller = await desk.admit(context, "AuditService/VerifyAudit")
        found = await desk.home.database.read(lambda each: verify(each, desk.home))
        await desk.log(
            entry_of(
                actor_of(caller),
                Operation.AUDIT_READ,
                at=desk.now(),
                certificate=caller.tls_fingerprint,
                subject="verify: " + ("ok" if not found.findings else "findings"),
                result_count=found.size,
            )
        )
        return local_pb2.VerifyAuditResponse(
            ok=not found.findings,
            size=found.size,
            root=found.root,
            witnessed_size=found.witnessed_size,
            findings=found.findings,
        )

    async def ExportAudit(  # noqa: N802
        self, request: local_pb2.ExportAuditRequest, context: Context
    ) -> AsyncIterator[local_pb2.ExportAuditResponse]:
        """Export a signed bundle, in chunks."""
        desk = self._desk
        caller = await desk.admit(context, "AuditService/ExportAudit")
        await desk.log(
            entry_of(
                actor_of(caller, request.grounds),
                Operation.EXPORT,
                at=desk.now(),
                certificate=caller.tls_fingerprint,
                subject="audit bundle",
            )
        )
        bundle = await export(desk.home)
        for start in range(0, len(bundle), CHUNK_SIZE_BYTES):
            yield local_pb2.ExportAuditResponse(chunk=bundle[start : start + CHUNK_SIZE_BYTES])


def audit_row(
    index: int,
    entry: AuditEntry,
    *,
    alert_id: str = "",
    parties: Mapping[bytes, Sequence[str]] = MappingProxyType({}),
) -> local_pb2.AuditRow:
    """Return the line of a list for an audit entry: of all its records, or of one alert's.

    One entry covers a batch; who asks about an alert is told its clauses and no other's.
    `parties` says who is at the other end of each stream: a disclosure goes to all of them.
    """
    records = [each for each in entry.records if alert_id in {"", each.alert_id}]
    decisions = [each.decision for each in records if each.decision is not None]
    clauses = dict.fromkeys(clause for each in decisions for clause in each.clause_ids)
    reasons = dict.fromkeys(each.reason for each in decisions if not each.allowed)
    alerts = dict.fromkeys(record.alert_id for record in records if record.alert_id)
    others = {party for record in records for party in parties.get(record.stream_id, ())}
    return local_pb2.AuditRow(
        index=index,
        at_ms=(entry.at - _EPOCH) // timedelta(milliseconds=1),
        actor=entry.actor,
        role=entry.role,
        operation=entry.operation.name.lower(),
        purpose=entry.purpose,
        case_reference=entry.case_reference,
        justification=entry.justification,
        outcome=entry.outcome,
        clause_ids=list(clauses)[:256],
        alert_ids=list(alerts)[:256],
        counterparts=entry.counterparts or sorted(others)[:64],
        record_count=len(records) if alert_id else entry.result_count or len(records),
        agreement_id=entry.agreement_id,
        decision=_decision(decisions),
        reasons=list(reasons)[:64],
        legal_basis=entry.legal_basis,
        subject=entry.subject,
    )


def _decision(decisions: Sequence[Decision]) -> str:
    said = {each.allowed for each in decisions}
    if len(said) > 1:
        return "mixed"
    return {frozenset({True}): "allowed", frozenset({False}): "refused"}.get(frozenset(said), "")


def _parties(connection: sa.Connection, entries: Iterable[AuditEntry]) -> dict[bytes, list[str]]:
    """Return who is at the other end of each own stream that the entries name."""
    named = {record.stream_id for entry in entries for record in entry.records}
    return {
        row.stream_id: row.audience.split()
        for part in in_parts(named)
        for row in connection.execute(
            sa.select(STREAM.c.stream_id, STREAM.c.audience).where(
                STREAM.c.own.is_(True), STREAM.c.stream_id.in_(part)
            )
        )
    }


def _filter(request: local_pb2.ListAuditRequest) -> AuditFilter:
    return AuditFilter(
        actor=request.actor,
        alert_id=request.alert_id,
        operation=_operation(request.operation),
        since=_instant("from_ms", request.from_ms),
        until=_instant("until_ms", request.until_ms),
    )


def _operation(word: str) -> Operation | None:
    if not word:
        return None
    try:
        return Operation[word.upper().replace("-", "_")]
    except KeyError:
        words = ", ".join(each.name.lower() for each in Operation)
        raise InvalidRequestError(("operation", f"is one of {words}")) from None


def _instant(field: str, at_ms: int) -> datetime | None:
    if not 0 <= at_ms <= _MS_MAX:
        raise InvalidRequestError((field, "is milliseconds since 1970, at most of the year 9999"))
    return _EPOCH + timedelta(milliseconds=at_ms) if at_ms else None


def _told(request: local_pb2.ListAuditRequest) -> str:
    parts = (
        f"alert {request.alert_id}" if request.alert_id else "",
        f"actor {request.actor}" if request.actor else "",
        f"operation {request.operation}" if request.operation else "",
    )
    return ", ".join(part for part in parts if part) or "all"
