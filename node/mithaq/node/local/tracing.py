"""The way of an own alert: sealed, accepted, held, opened, refused, withdrawn, erased.

Each step is a row that somebody signed, and names who. Receipts are cumulative, so the
first one over a size beyond the entry is the one that covers it. The rule: a step that
nobody signed is not shown, and none stands before the one that it follows: cosignatures
hold whole seconds, and clocks differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.cosignature import Cosignature
from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.inbox import ACCEPTANCE
from mithaq.node.exchange.out_stream import DISCLOSURE, STREAM, WITHDRAWAL
from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.exchange.withdrawing import ASKED, ERASURE
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.readmodel import RECEIPT
from mithaq.node.local.showing import AlertMissingError
from mithaq.node.tables import RefusalRow
from mithaq.store.audit_entry import DONE, Operation, RecordRef
from mithaq.store.tables import table_of
from mithaq.v1 import local_pb2

REFUSAL: Final = table_of(RefusalRow)
STEPS_MAX: Final = 10_000
# What each step follows, in the order of a record's life.
_FOLLOWS: Final = {
    "sealed": (),
    "accepted": ("sealed",),
    "held": ("accepted",),
    "opened": ("held",),
    "refused": ("held", "accepted"),
    "withdrawn": ("sealed",),
    "erased": ("withdrawn", "opened"),
    "retained": ("withdrawn", "opened"),
}
_LIFE: Final = {step: place for place, step in enumerate(_FOLLOWS)}
_ERASED: Final = {"ERASED": "erased", "RETAINED_IN_CASE_FILE": "retained"}


async def trace_alert(
    desk: Desk, caller: Caller, request: local_pb2.TraceAlertRequest
) -> local_pb2.TraceAlertResponse:
    """Return the steps of an own alert, by time; raise AlertMissingError."""
    steps = await desk.home.database.read(lambda each: _steps(each, desk, request.alert_id))
    entry = entry_of(
        actor_of(caller),
        Operation.CONSULT,
        at=desk.now(),
        certificate=caller.tls_fingerprint,
        outcome=DONE if steps else AlertMissingError.code,
        subject="trace" if steps else f"trace of {request.alert_id}",
        result_count=len(steps),
    )
    await desk.log(replace(entry, records=(RecordRef(request.alert_id),) if steps else ()))
    if not steps:
        raise AlertMissingError("no own alert of this id was disclosed")
    return local_pb2.TraceAlertResponse(steps=in_order(steps)[:STEPS_MAX])


def in_order(steps: Sequence[local_pb2.TraceStep]) -> list[local_pb2.TraceStep]:
    """Return steps by time, to the second; within one, and against a clock, by their life."""
    seconds: dict[tuple[int, bytes, int, str, str], int] = {}
    living = sorted(steps, key=lambda each: (_LIFE[each.step], each.at_ms))
    for each in living:
        place = (each.version, each.stream_id, each.sequence)
        before = [
            seconds.get((*place, reader, step), 0)
            for step in _FOLLOWS[each.step]
            for reader in ("", each.reader)
        ]
        at = max(each.at_ms // 1000, *before, 0)
        seconds[(*place, each.reader, each.step)] = at
    return sorted(
        living,
        key=lambda each: (
            seconds[each.version, each.stream_id, each.sequence, each.reader, each.step],
            each.version,
            _LIFE[each.step],
            each.reader,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a version stands in an own stream."""

    row: Any
    signer: str

    def step(
        self, step: str, *, at_ms: int, reader: str = "", signer: str = "", detail: str = ""
    ) -> local_pb2.TraceStep:
        return local_pb2.TraceStep(
            version=self.row.version,
            stream_id=self.row.stream_id,
            sequence=self.row.sequence,
            reader=reader,
            step=step,
            at_ms=at_ms,
            signer=signer or self.signer,
            detail=detail[:200],
        )


def _steps(connection: sa.Connection, desk: Desk, alert_id: str) -> list[local_pb2.TraceStep]:
    places = connection.execute(
        sa.select(
            RECORD.c.version,
            RECORD.c.stored_at_ms,
            STREAM.c.log_no,
            STREAM.c.stream_id,
            STREAM.c.audience,
            DISCLOSURE.c.sequence,
            DISCLOSURE.c.first_sequence,
        )
        .select_from(RECORD)
        .join(DISCLOSURE, DISCLOSURE.c.record_no == RECORD.c.record_no)
        .join(STREAM, STREAM.c.log_no == DISCLOSURE.c.log_no)
        .where(
            RECORD.c.item_id == alert_id,
            RECORD.c.kind == ALERT,
            RECORD.c.own.is_(True),
            STREAM.c.own.is_(True),
        )
        .order_by(RECORD.c.version, STREAM.c.log_no)
    )
    return [
        step
        for row in places.all()
        for step in _of_place(connection, _Place(row, desk.home.member))
    ]


def _of_place(connection: sa.Connection, place: _Place) -> Iterator[local_pb2.TraceStep]:
    yield place.step("sealed", at_ms=place.row.stored_at_ms)
    yield from _accepted(connection, place)
    yield from _received(connection, place)
    yield from _refused(connection, place)
    if place.row.sequence == place.row.first_sequence:
        yield from _taken_back(connection, place)


def _accepted(connection: sa.Connection, place: _Place) -> Iterator[local_pb2.TraceStep]:
    row = connection.execute(
        sa.select(ACCEPTANCE)
        .where(ACCEPTANCE.c.log_no == place.row.log_no, ACCEPTANCE.c.size > place.row.sequence)
        .order_by(ACCEPTANCE.c.size)
        .limit(1)
    ).one_or_none()
    if row is not None:
        signer = Cosignature.parse(row.cosignature).name
        yield place.step("accepted", at_ms=row.at_ms, signer=signer, detail=f"size {row.size}")


def _received(connection: sa.Connection, place: _Place) -> Iterator[local_pb2.TraceStep]:
    rows = connection.execute(
        sa.select(RECEIPT)
        .where(RECEIPT.c.log_no == place.row.log_no, RECEIPT.c.size > place.row.sequence)
        .order_by(RECEIPT.c.size)
    )
    covered: set[tuple[str, str]] = set()
    for row in rows:
        if (row.reader, row.role) in covered:
            continue
        covered.add((row.reader, row.role))
        yield place.step(
            row.role,
            at_ms=row.at_ms,
            reader=row.reader,
            signer=Cosignature.parse(row.cosignature).name,
            detail=f"size {row.size}",
        )


def _refused(connection: sa.Connection, place: _Place) -> Iterator[local_pb2.TraceStep]:
    rows = connection.execute(
        sa.select(REFUSAL).where(
            REFUSAL.c.log_no == place.row.log_no, REFUSAL.c.sequence == place.row.sequence
        )
    )
    audience = place.row.audience.split()
    for row in rows:
        reader = row.signer if row.signer in audience else ""
        yield place.step(
            "refused", at_ms=row.at_ms, reader=reader, signer=row.signer, detail=row.reason
        )


def _taken_back(connection: sa.Connection, place: _Place) -> Iterator[local_pb2.TraceStep]:
    log_no, target = place.row.log_no, place.row.first_sequence
    withdrawal = connection.execute(
        sa.select(WITHDRAWAL).where(WITHDRAWAL.c.log_no == log_no, WITHDRAWAL.c.target == target)
    ).first()
    if withdrawal is not None:
        reason = WithdrawReason(withdrawal.reason).name.lower()
        yield place.step("withdrawn", at_ms=withdrawal.at_ms, detail=reason)
    answers = connection.execute(
        sa.select(ERASURE).where(
            ERASURE.c.log_no == log_no, ERASURE.c.sequence == target, ERASURE.c.state != ASKED
        )
    )
    for row in answers:
        yield place.step(
            _ERASED[row.state],
            at_ms=(row.done_at or 0) * 1000,
            reader=row.reader,
            signer=row.reader,
            detail=row.ground,
        )
