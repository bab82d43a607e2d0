"""What is still to be sent of own streams: from memory while it is fresh, else from disk.

PROTOCOL 5.1. Batches end at signed sizes, so small ones are joined up to the next signed
size that still fits. Pure apart from reading. The one rule: what is sent is byte for byte
what was signed, in the order of its sequences.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.entry import BATCH_ENTRIES_MAX, BATCH_SIZE_BYTES_MAX, has_body
from mithaq.ledger.names import stream_origin
from mithaq.ledger.stream import Run
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import OUT_BODY, OWN_CHECKPOINT, Batch
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.v1 import exchange_pb2

FRESH_BYTES_MAX: Final = 16 * 1024 * 1024


class Sendable(NamedTuple):
    """Entries of one stream that end at a signed size."""

    stream_id: bytes
    first_sequence: int
    size: int
    runs: tuple[Run, ...]
    bodies: tuple[bytes, ...]
    checkpoint: bytes

    @property
    def size_bytes(self) -> int:
        """What it weighs, counted as a batch's limit is."""
        headers = sum(len(run.terms_bytes) + len(run.own_bytes) for run in self.runs)
        return headers + sum(map(len, self.bodies))

    def to_message(self) -> exchange_pb2.Batch:
        """Return it as it travels."""
        return exchange_pb2.Batch(
            stream_id=self.stream_id,
            first_sequence=self.first_sequence,
            runs=[
                exchange_pb2.EntryRun(
                    terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes
                )
                for run in self.runs
            ],
            bodies=self.bodies,
            checkpoint=self.checkpoint,
        )


def sendable(batch: Batch) -> Sendable:
    """Return a batch that was just written."""
    segment = batch.segment
    return Sendable(
        batch.stream_id,
        segment.first_sequence,
        segment.state.size,
        segment.runs,
        tuple(body for _, body in segment.bodies),
        batch.checkpoint,
    )


class Fresh:
    """Batches that were just written, by log, so that they needn't be read back."""

    def __init__(self) -> None:
        self._batches: dict[int, deque[Sendable]] = {}
        self._bytes = 0

    def add(self, batches: Sequence[Batch]) -> None:
        """Keep batches as long as there is room; what isn't kept is read from disk."""
        for batch in batches:
            piece = sendable(batch)
            if self._bytes + piece.size_bytes > FRESH_BYTES_MAX:
                self._forget(batch.log_no)
                continue
            self._batches.setdefault(batch.log_no, deque()).append(piece)
            self._bytes += piece.size_bytes

    def take(self, log_no: int, start: int) -> Sendable | None:
        """Return what begins at `start`, joined as far as one batch goes, or None."""
        waiting = self._batches.get(log_no)
        while waiting and waiting[0].first_sequence < start:
            self._drop(waiting)
        if not waiting or waiting[0].first_sequence != start:
            return None
        joined = self._drop(waiting)
        while waiting and fits(joined, waiting[0]):
            joined = join(joined, self._drop(waiting))
        return joined

    def _drop(self, waiting: deque[Sendable]) -> Sendable:
        piece = waiting.popleft()
        self._bytes -= piece.size_bytes
        return piece

    def _forget(self, log_no: int) -> None:
        waiting = self._batches.pop(log_no, deque())
        while waiting:
            self._drop(waiting)


def fits(one: Sendable, following: Sendable) -> bool:
    """Tell whether two pieces may travel as one batch (PROTOCOL 5.1)."""
    return (
        one.size == following.first_sequence
        and following.size - one.first_sequence <= BATCH_ENTRIES_MAX
        and one.size_bytes + following.size_bytes <= BATCH_SIZE_BYTES_MAX
    )


def join(one: Sendable, following: Sendable) -> Sendable:
    """Return two pieces as one: it ends where the second is signed."""
    return Sendable(
        one.stream_id,
        one.first_sequence,
        following.size,
        joined_runs((*one.runs, *following.runs)),
        one.bodies + following.bodies,
        following.checkpoint,
    )


def joined_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs with neighbours of the same terms and width made one."""
    together: list[Run] = []
    for run in runs:
        last = together[-1] if together else None
        if last and (last.terms_bytes, last.own_size) == (run.terms_bytes, run.own_size):
            together[-1] = Run(run.terms_bytes, run.own_size, last.own_bytes + run.own_bytes)
        else:
            together.append(run)
    return tuple(together)


def read_sendable(
    connection: sa.Connection, home: Home, log_no: int, *, stream_id: bytes, start: int
) -> Sendable | None:
    """Return from disk what begins at `start` and ends at the furthest signed size that fits.

    Where the signed sizes were forgotten, because the hub had accepted them before it lost
    them, one is signed again. None where a body is gone, which every reader has opened.
    """
    rows = connection.execute(
        sa.select(OWN_CHECKPOINT.c.size, OWN_CHECKPOINT.c.note)
        .where(OWN_CHECKPOINT.c.log_no == log_no)
        .where(OWN_CHECKPOINT.c.size > start, OWN_CHECKPOINT.c.size <= start + BATCH_ENTRIES_MAX)
        .order_by(OWN_CHECKPOINT.c.size)
    ).all()
    if not rows:
        return _sign_again(connection, home, log_no, stream_id=stream_id, start=start)
    piece: Sendable | None = None
    at = start
    for size, note in rows:
        following = _read(connection, log_no, stream_id, (at, size), note)
        if piece is not None and not fits(piece, following):
            break
        piece = following if piece is None else join(piece, following)
        at = size
    return piece


def _sign_again(
    connection: sa.Connection, home: Home, log_no: int, *, stream_id: bytes, start: int
) -> Sendable | None:
    size = log_store.head(connection, log_no).size
    if start >= size:
        return None
    end = min(start + BATCH_ENTRIES_MAX, size)
    piece = _read(connection, log_no, stream_id, (start, end), b"")
    while piece.size_bytes > BATCH_SIZE_BYTES_MAX:
        end = start + max((end - start) // 2, 1)
        piece = _read(connection, log_no, stream_id, (start, end), b"")
    wanted = sum(len(run) for run in piece.runs if has_body(run.own_size))
    if len(piece.bodies) != wanted:
        return None
    origin = stream_origin(home.federation, stream_id)
    note = sign_checkpoint(
        Checkpoint(origin, end, root_at(connection, log_no, end)),
        ed25519=home.log.ed25519,
        mldsa=home.log.mldsa,
        at=home.clock(),
    )
    return piece._replace(checkpoint=note)


def _read(
    connection: sa.Connection, log_no: int, stream_id: bytes, span: tuple[int, int], note: bytes
) -> Sendable:
    start, end = span
    bodies = connection.scalars(
        sa.select(OUT_BODY.c.body)
        .where(OUT_BODY.c.log_no == log_no)
        .where(OUT_BODY.c.sequence >= start, OUT_BODY.c.sequence < end)
        .order_by(OUT_BODY.c.sequence)
    )
    runs = tuple(run for _, run in log_store.read_runs(connection, log_no, start, end))
    return Sendable(stream_id, start, end, joined_runs(runs), tuple(bodies), note)
