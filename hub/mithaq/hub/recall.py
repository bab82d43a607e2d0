"""What the hub remembers at start: its streams, receipts and counters, from the database.

Nothing is trusted that can be recomputed cheaply: a stream's state is parsed anew, and its
frontier has to give the root that the log's row has. The rule: a hub that starts knows
exactly what it had committed, and nothing that was only in memory.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from mithaq.hub.directory import Directory, HeldStream
from mithaq.hub.receipt_book import HeldReceipt, held_receipt
from mithaq.hub.tables import EPOCH, READER_REFUSAL, RECEIPT, STREAM
from mithaq.ledger.kinds import EntryKind
from mithaq.ledger.stream import StreamState
from mithaq.ledger.terms import parse_terms
from mithaq.store.errors import StoreDamagedError
from mithaq.store.log_store import LogHead, head, read_runs

CLOSE_SEARCHED_MAX = 4096


def recall(connection: sa.Connection, directory: Directory) -> None:
    """Fill an empty directory."""
    rows = connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.stored_bytes).order_by(STREAM.c.log_no)
    ).all()
    streams = [recall_stream(connection, row.log_no) for row in rows]
    directory.add(streams, recall_receipts(connection))
    directory.note_refused(connection.scalars(sa.select(READER_REFUSAL.c.log_no).distinct()))
    directory.note_stored({row.log_no: row.stored_bytes for row in rows})


def recall_stream(connection: sa.Connection, log_no: int) -> HeldStream:
    """Return a stream as it is committed; raise StoreDamagedError if its rows contradict."""
    log = head(connection, log_no)
    state = StreamState.from_bytes(log.state)
    if state.frontier != log.frontier or state.frontier.root() != log.root:
        raise StoreDamagedError(f"{log.origin}: its state is not that of its entries")
    return HeldStream(
        log_no=log_no,
        state=state,
        readers=_readers(connection, log_no, epoch=state.epoch),
        closed_at=_closed_at(connection, log_no, log) if state.closed else None,
    )


def _readers(connection: sa.Connection, log_no: int, *, epoch: int) -> tuple[str, ...]:
    readers = connection.scalar(
        sa.select(EPOCH.c.readers).where(EPOCH.c.log_no == log_no, EPOCH.c.epoch == epoch)
    )
    return tuple((readers or "").split())


def _closed_at(connection: sa.Connection, log_no: int, log: LogHead) -> int:
    """Return where CLOSE stands: near the end, for only withdrawals may follow it."""
    end = log.size
    while end:
        start = max(0, end - CLOSE_SEARCHED_MAX)
        for first, run in reversed(read_runs(connection, log_no, start, end)):
            if parse_terms(run.terms_bytes).kind is EntryKind.CLOSE:
                return first
        end = start
    raise StoreDamagedError(f"{log.origin} is closed without CLOSE")


def recall_receipts(
    connection: sa.Connection, *where: sa.ColumnElement[bool]
) -> Iterator[HeldReceipt]:
    """Yield each reader's newest receipts, all of them or those that fulfil a condition."""
    columns = (
        RECEIPT.c.log_no,
        RECEIPT.c.reader,
        RECEIPT.c.role,
        RECEIPT.c.size,
        STREAM.c.stream_id,
        RECEIPT.c.root,
        RECEIPT.c.cosignature,
        RECEIPT.c.refusals_head,
    )
    wanted = sa.select(*columns).join(STREAM, STREAM.c.log_no == RECEIPT.c.log_no).where(*where)
    for row in connection.execute(wanted):
        yield held_receipt(
            row.log_no,
            row.reader,
            row.role,
            row.size,
            stream_id=row.stream_id,
            root=row.root,
            cosignature=row.cosignature,
            refusals_head=row.refusals_head,
        )
