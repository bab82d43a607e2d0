"""AuditService: list, verify and export this node's audit log.

Reading the log is an act of its own and stands in it before the answer leaves. What is
verified is recomputed from the stored entries, never from what was derived of them. The
rule: what an auditor gets is signed, and holds proofs and acts but no content.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mithaq.node.local.auditing import export, verify
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.service.errors import InvalidRequestError
from mithaq.store.audit import ENTRIES_PER_ANSWER_MAX, AuditFilter
from mithaq.store.audit_entry import AuditEntry, Operation
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
        rows, size = await desk.home.database.read(
            lambda each: (
                audit.read(each, wanted, before=before, limit=limit),
                audit.head(each).size,
            )
        )
        return local_pb2.ListAuditResponse(
            rows=[audit_row(index, entry, alert_id=request.alert_id) for index, entry in rows.rows],
            size=size,
        )

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


def audit_row(index: int, entry: AuditEntry, *, alert_id: str = "") -> local_pb2.AuditRow:
    """Return the line of a list for an audit entry: of all its records, or of one alert's.

    One entry covers a batch; who asks about an alert is told its clauses and no other's.
    """
    records = [each for each in entry.records if alert_id in {"", each.alert_id}]
    clauses = dict.fromkeys(
        clause
        for record in records
        if record.decision is not None
        for clause in record.decision.clause_ids
    )
    alerts = dict.fromkeys(record.alert_id for record in records if record.alert_id)
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
        counterparts=entry.counterparts,
        record_count=len(records) if alert_id else entry.result_count or len(records),
        agreement_id=entry.agreement_id,
    )


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
