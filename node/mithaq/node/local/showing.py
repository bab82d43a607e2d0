"""Showing one alert or one hit report in full, to somebody who says why.

The newest version that this node holds is opened, judged and logged in one transaction,
and returned after its commit. The rule: an alert that was withdrawn is gone for
everybody; what the law lets this bureau keep of it is shown with the mark that says so.
"""

from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from grpc import StatusCode

from mithaq.agreements.reason import Decision
from mithaq.node.exchange.answering import HIT
from mithaq.node.exchange.home import seconds
from mithaq.node.exchange.stored import RECORD, open_row
from mithaq.node.local.access import Caller
from mithaq.node.local.acting import Outcome
from mithaq.node.local.bulk import Look
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.finding import reader_of, reference, select_alerts
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.hitrows import hit_row
from mithaq.node.local.judging import Judged, Reader, judge_row, stale_cautions
from mithaq.node.local.views import action_to_be_taken, alert_row
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.node.records.wording import warnings_of
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus
from mithaq.service.errors import MithaqError
from mithaq.store.audit_entry import AuditEntry, Operation, RecordRef
from mithaq.v1 import local_pb2, record_pb2

_SHOWN: Final = (RecordStatus.LIVE.value, RecordStatus.RETAINED.value)
VERIFY_IDENTITY: Final = "Verify identity at the second line before any coercive step."


class AlertMissingError(MithaqError):
    """No alert of this id is held here, or not any more."""

    code = "MQ-ALERT-MISSING"
    public_message = "This node holds no live alert with this id."
    fix = "Look it up with `mithaq alert list`; an alert that was withdrawn is erased."
    grpc_status = StatusCode.NOT_FOUND


class HitMissingError(MithaqError):
    """No hit report of this id is held here."""

    code = "MQ-HIT-MISSING"
    public_message = "This node holds no hit report with this id."
    fix = "Look it up with `mithaq hit list`."
    grpc_status = StatusCode.NOT_FOUND


class ReadingDeniedError(MithaqError):
    """No clause lets this role read the record for this purpose."""

    code = "MQ-AGR-READING-DENIED"
    public_message = "No agreement in force lets you read this."
    fix = "Check purpose and role against `mithaq agreement explain`."
    grpc_status = StatusCode.PERMISSION_DENIED

    def __init__(self, decision: Decision) -> None:
        """Say the reason in words: it is this member's own officer who asks."""
        super().__init__(decision.reason.value, public_message=decision.reason.text)


async def show_alert(
    desk: Desk, caller: Caller, request: local_pb2.ShowAlertRequest
) -> local_pb2.ShowAlertResponse:
    """Show the newest live version of an alert, with fields that are not granted left out.

    Raises:
        AlertMissingError: none of this id, or withdrawn.
        ReadingDeniedError: no clause grants it; logged.
        BulkReadError: more looks than an hour allows; logged, with an alarm.

    """
    reader = reader_of(desk, caller, request.grounds)
    actor = actor_of(caller, request.grounds)
    await desk.count(caller, Look.SHOW, actor=actor)
    entry = entry_of(
        actor,
        Operation.CONSULT,
        at=reader.at,
        certificate=caller.tls_fingerprint,
        registry_size=reader.registry.size,
    )

    def consult(connection: sa.Connection) -> tuple[Outcome, local_pb2.ShowAlertResponse]:
        judged = _newest(connection, desk, reader, request.alert_id)
        if judged is None:
            return _refused(entry, RecordRef(request.alert_id), AlertMissingError())
        if judged.shown is None:
            return _refused(entry, reference(judged), ReadingDeniedError(judged.decision))
        told = replace(
            entry,
            records=(reference(judged),),
            agreement_id=judged.row.agreement_id,
            result_count=1,
        )
        return Outcome(told), _answer(judged, judged.shown, reader)

    return await desk.act(consult)


async def show_hit(
    desk: Desk, caller: Caller, request: local_pb2.ShowHitRequest
) -> local_pb2.ShowHitResponse:
    """Show a hit report, sent or received; raise HitMissingError, BulkReadError."""
    reader = reader_of(desk, caller, request.grounds)
    actor = actor_of(caller, request.grounds)
    await desk.count(caller, Look.SHOW, actor=actor)
    entry = entry_of(
        actor,
        Operation.CONSULT,
        at=reader.at,
        certificate=caller.tls_fingerprint,
        subject=f"hit {request.hit_id}",
    )

    def consult(connection: sa.Connection) -> tuple[Outcome, local_pb2.ShowHitResponse]:
        row = connection.execute(
            sa.select(HIT, RECORD)
            .join(RECORD, RECORD.c.record_no == HIT.c.record_no)
            .where(HIT.c.hit_id == request.hit_id)
        ).one_or_none()
        record = None if row is None else _opened(row, desk)
        if row is None or record is None:
            return _refused(entry, None, HitMissingError())
        ref = RecordRef(row.alert_id, row.alert_version)
        told = replace(entry, records=(ref,), agreement_id=row.agreement_id, result_count=1)
        return Outcome(told), local_pb2.ShowHitResponse(row=hit_row(row), record=record.message)

    return await desk.act(consult)


def _opened(row: Any, desk: Desk) -> ParsedRecord | None:  # noqa: ANN401 - a joined row
    try:
        return parse_record(open_row(row, desk.home.storage).record)
    except ErasedError:
        return None


def _newest(connection: sa.Connection, desk: Desk, reader: Reader, alert_id: str) -> Judged | None:
    row = connection.execute(
        select_alerts()
        .where(RECORD.c.alert_id == alert_id, RECORD.c.status.in_(_SHOWN))
        .order_by(RECORD.c.version.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    try:
        return judge_row(row, desk.home.storage, reader)
    except ErasedError:
        return None


def _refused(entry: AuditEntry, ref: RecordRef | None, refusal: MithaqError) -> tuple[Outcome, Any]:
    told = replace(entry, outcome=refusal.code, records=(ref,) if ref else ())
    return Outcome(told, refusal), None


def _answer(
    judged: Judged, shown: record_pb2.Record, reader: Reader
) -> local_pb2.ShowAlertResponse:
    alert = shown.alert
    cautions = [
        *stale_cautions(reader.registry, at=reader.at),
        *_retained(judged.row),
        *warnings_of(alert),
    ]
    if alert.HasField("person"):
        cautions.append(VERIFY_IDENTITY)
    return local_pb2.ShowAlertResponse(
        row=alert_row(judged.row),
        record=shown,
        action_to_be_taken=action_to_be_taken(alert, member=reader.member, now=seconds(reader.at)),
        cautions=cautions[:16],
        clause_ids=judged.decision.clause_ids,
    )


def _retained(row: Any) -> list[str]:  # noqa: ANN401 - a row of node_record
    if row.status != RecordStatus.RETAINED.value:
        return []
    return ["Withdrawn by its issuer; kept in this bureau's case file, not for action."]
