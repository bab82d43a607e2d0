"""What senders and readers are told beside headers and bodies, read from the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mithaq.hub.directory import HeldStream
from mithaq.hub.tables import BATCH, FREEZE, READER_REFUSAL
from mithaq.v1 import exchange_pb2

# So many of readers' lists are looked up at once: they are large, and all of them may be many.
LISTS_AT_ONCE_MAX = 256


def own_heads(
    connection: sa.Connection, streams: Sequence[HeldStream]
) -> list[exchange_pb2.OwnHead]:
    """Return the last accepted checkpoint of each stream, with its acceptance."""
    heads: list[exchange_pb2.OwnHead] = []
    for stream in streams:
        row = connection.execute(
            sa.select(BATCH.c.size, BATCH.c.checkpoint, BATCH.c.acceptance)
            .where(BATCH.c.log_no == stream.log_no)
            .order_by(BATCH.c.size.desc())
            .limit(1)
        ).one()
        heads.append(
            exchange_pb2.OwnHead(
                stream_id=stream.state.stream_id,
                size=row.size,
                checkpoint=row.checkpoint,
                acceptance=row.acceptance,
            )
        )
    return heads


@dataclass(frozen=True, slots=True)
class ReaderList:
    """A signed list of what a reader refused, and its number among all such lists."""

    serial: int
    reader: str
    list_bytes: bytes


def reader_refusals(
    connection: sa.Connection, *, log_no: int, after: int = 0
) -> Sequence[ReaderList]:
    """Return the first lists of what readers refused in a stream after a number, in order."""
    rows = connection.execute(
        sa.select(READER_REFUSAL.c.serial, READER_REFUSAL.c.reader, READER_REFUSAL.c.refusals)
        .where(READER_REFUSAL.c.log_no == log_no, READER_REFUSAL.c.serial > after)
        .order_by(READER_REFUSAL.c.serial)
        .limit(LISTS_AT_ONCE_MAX)
    )
    return [ReaderList(*row) for row in rows]


def freeze_lists(
    connection: sa.Connection, *, reader: str, senders: Collection[str] | None
) -> list[bytes]:
    """Return the newest lists for a reader, of all senders or of these."""
    wanted = sa.select(FREEZE.c.message).where(FREEZE.c.reader == reader)
    if senders is not None:
        wanted = wanted.where(FREEZE.c.sender.in_(list(senders)))
    return [bytes(each) for each in connection.scalars(wanted.order_by(FREEZE.c.sender))]
