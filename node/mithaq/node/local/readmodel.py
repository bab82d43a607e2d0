"""How the node is, read from its own rows: streams, readers, alarms, counts.

Every state of the exchange follows from rows, so nothing here asks a running task. The
rule: what is shown as a root is what is stored; `recomputed` shows what the entries give.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.cosignature import Role
from mithaq.ledger.entry import StreamRole
from mithaq.node.exchange.alarms import ALARM
from mithaq.node.exchange.answering import HIT
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.exchange.withdrawing import ASKED, ERASURE
from mithaq.node.tables import ReceiptRow, RecordStatus
from mithaq.store import log_store
from mithaq.store.tables import LOG, table_of
from mithaq.v1 import local_pb2

RECEIPT: Final = table_of(ReceiptRow)
ALARMS_MAX: Final = 1000
_ROLES: Final = {int(StreamRole.DISCLOSURE): "disclosure", int(StreamRole.RETURN): "return"}


def status_of(connection: sa.Connection) -> local_pb2.GetNodeStatusResponse:
    """Return what the rows say; who the node is and its connection are the caller's to add."""
    readers = list(_readers(connection))
    opened: dict[bytes, int] = {}
    for each in readers:
        opened[each.stream_id] = min(opened.get(each.stream_id, each.opened_size), each.opened_size)
    streams = [_stream_row(row, opened) for row in _streams(connection)]
    status = local_pb2.GetNodeStatusResponse(
        streams=streams, readers=readers, alarms=list(_alarms(connection))
    )
    status.outbox_entries = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(LOG.c.size - STREAM.c.accepted_size), 0))
        .join(STREAM, STREAM.c.log_no == LOG.c.log_no)
        .where(STREAM.c.own.is_(True))
    ).scalar_one()
    live = RECORD.c.status == RecordStatus.LIVE.value
    status.alerts_own = _count(connection, live, RECORD.c.own.is_(True))
    status.alerts_received = _count(connection, live, RECORD.c.own.is_(False))
    status.erased = _count(connection, RECORD.c.wrapped_key.is_(None), RECORD.c.own.is_(False))
    status.hits = connection.execute(sa.select(sa.func.count()).select_from(HIT)).scalar_one()
    status.erasure_receipts = connection.execute(
        sa.select(sa.func.count()).select_from(ERASURE).where(ERASURE.c.state != ASKED)
    ).scalar_one()
    return status


def recomputed(connection: sa.Connection) -> list[local_pb2.StreamRow]:
    """Return every stream with size and root recomputed from its stored entries.

    Raises:
        StoreDamagedError: entries of a stream are missing.

    """
    rows: list[local_pb2.StreamRow] = []
    for row in _streams(connection):
        frontier = log_store.recompute_frontier(connection, row.log_no)
        shown = _stream_row(row, {})
        shown.size, shown.root = frontier.size, frontier.root()
        rows.append(shown)
    return rows


def _count(connection: sa.Connection, *wanted: sa.ColumnElement[bool]) -> int:
    statement = sa.select(sa.func.count()).where(RECORD.c.kind == ALERT, *wanted)
    return int(connection.execute(statement).scalar_one())


def _streams(connection: sa.Connection) -> list[Any]:
    return list(
        connection.execute(
            sa.select(STREAM, LOG.c.size, LOG.c.root)
            .join(LOG, LOG.c.log_no == STREAM.c.log_no)
            .order_by(STREAM.c.log_no)
        )
    )


def _stream_row(
    row: Any,  # noqa: ANN401 - a joined row
    opened: Mapping[bytes, int],
) -> local_pb2.StreamRow:
    return local_pb2.StreamRow(
        stream_id=row.stream_id,
        sender=row.sender,
        audience=row.audience.split(),
        agreement_id=row.agreement_id,
        role=_ROLES[row.role],
        size=row.size,
        root=row.root,
        accepted_size=row.accepted_size,
        # Of an own stream: what every reader that has answered has opened.
        opened_size=opened.get(row.stream_id, 0) if row.own else row.opened_size,
        closed=row.closed,
    )


def _readers(connection: sa.Connection) -> Iterator[local_pb2.ReaderRow]:
    newest = connection.execute(
        sa.select(
            STREAM.c.stream_id,
            RECEIPT.c.reader,
            RECEIPT.c.role,
            sa.func.max(RECEIPT.c.size).label("size"),
        )
        .join(STREAM, STREAM.c.log_no == RECEIPT.c.log_no)
        .where(STREAM.c.own.is_(True))
        .group_by(STREAM.c.stream_id, RECEIPT.c.reader, RECEIPT.c.role)
        .order_by(STREAM.c.stream_id, RECEIPT.c.reader)
    )
    rows: dict[tuple[bytes, str], local_pb2.ReaderRow] = {}
    for row in newest:
        reader = rows.setdefault(
            (row.stream_id, row.reader),
            local_pb2.ReaderRow(stream_id=row.stream_id, reader=row.reader),
        )
        if row.role == Role.HELD.value:
            reader.held_size = row.size
        elif row.role == Role.OPENED.value:
            reader.opened_size = row.size
    yield from rows.values()


def _alarms(connection: sa.Connection) -> Iterator[local_pb2.AlarmRow]:
    standing = sa.select(ALARM).where(ALARM.c.lifted_at_ms.is_(None))
    rows = connection.execute(standing.order_by(ALARM.c.at_ms.desc()).limit(ALARMS_MAX))
    for row in rows:
        yield local_pb2.AlarmRow(
            name=row.name, at_ms=row.at_ms, subject=row.subject, evidence=row.evidence
        )
