"""What a reader is sent next, read from the database in one bounded piece.

Headers end at a size that the sender signed, and so do bodies: a reader can only sign
where it can check. Small batches are joined up to 256 entries or 1 MiB, so that a reader
that was away checks few checkpoints. The rule: a body that isn't sent is named with its
reason (PROTOCOL 5.4), and a piece never holds more than one largest batch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import sqlalchemy as sa

from mithaq.hub.directory import HeldStream
from mithaq.hub.tables import (
    BATCH,
    BODY,
    BODY_RUN,
    EPOCH,
    FREEZE,
    OMISSION,
    READER_REFUSAL,
)
from mithaq.ledger.entry import BATCH_ENTRIES_MAX, BATCH_SIZE_BYTES_MAX
from mithaq.ledger.stream import Run
from mithaq.store.errors import LogRangeError
from mithaq.store.log_store import read_runs
from mithaq.v1 import exchange_pb2

EXPIRED = int(exchange_pb2.OMISSION_REASON_EXPIRED)
NOT_A_READER = int(exchange_pb2.OMISSION_REASON_NOT_A_READER)


@dataclass(frozen=True, slots=True)
class HeaderPiece:
    """Entries from `first_sequence` up to `size`, with the note and cosignature over that size."""

    first_sequence: int
    size: int
    runs: tuple[Run, ...]
    checkpoint: bytes
    acceptance: str
    refusals: tuple[bytes, ...]

    @property
    def weight_bytes(self) -> int:
        """What it counts in a reader's window."""
        return sum(len(run.terms_bytes) + len(run.own_bytes) for run in self.runs)


@dataclass(frozen=True, slots=True)
class OmittedBody:
    """A body that is not sent, its reason's number, and the WITHDRAW that took it back."""

    sequence: int
    reason: int
    withdrawn_by: int = 0


@dataclass(frozen=True, slots=True)
class BodyPiece:
    """All bodies below `size` that were not sent yet, or why they aren't."""

    size: int
    sequences: tuple[int, ...]
    bodies: tuple[bytes, ...]
    omitted: tuple[OmittedBody, ...]
    # Bodies that should be here and are not: the hub's own fault, and an alarm at the reader.
    missing: tuple[int, ...] = ()

    @property
    def weight_bytes(self) -> int:
        """What it counts in a reader's window."""
        return sum(map(len, self.bodies))


@dataclass(frozen=True, slots=True)
class _Boundary:
    size: int
    header_bytes: int
    body_bytes: int


def next_headers(
    connection: sa.Connection, *, log_no: int, start: int, room_bytes: int = BATCH_SIZE_BYTES_MAX
) -> HeaderPiece | None:
    """Return the entries from `start` to a signed size, or None if there are none yet.

    As much as fits `room_bytes`, but always one batch.
    """
    ends = _boundaries(connection, log_no=log_no, start=start)
    if not ends:
        return None
    weights = [each.header_bytes for each in ends]
    size = _furthest(ends, start=start, weights=weights, room_bytes=room_bytes)
    row = connection.execute(
        sa.select(BATCH.c.checkpoint, BATCH.c.acceptance).where(
            BATCH.c.log_no == log_no, BATCH.c.size == size
        )
    ).one()
    refusals = connection.scalars(
        sa.select(BATCH.c.refusals)
        .where(BATCH.c.log_no == log_no, BATCH.c.size > start, BATCH.c.size <= size)
        .where(sa.func.length(BATCH.c.refusals) > 0)
        .order_by(BATCH.c.size)
    )
    return HeaderPiece(
        first_sequence=start,
        size=size,
        runs=joined([run for _, run in read_runs(connection, log_no, start, size)]),
        checkpoint=row.checkpoint,
        acceptance=row.acceptance,
        refusals=tuple(refusals),
    )


def next_bodies(
    connection: sa.Connection,
    *,
    log_no: int,
    reader: str,
    start: int,
    end: int,
    expired_at: int,
    room_bytes: int = BATCH_SIZE_BYTES_MAX,
) -> BodyPiece | None:
    """Return the bodies from `start` to a signed size of at most `end`, or None.

    As much as fits `room_bytes`, but always one batch. `expired_at` is the earlier of
    both clocks, in seconds since 1970 (PROTOCOL 5.8).
    """
    ends = [
        each for each in _boundaries(connection, log_no=log_no, start=start) if each.size <= end
    ]
    if not ends:
        return None
    weights = [each.body_bytes for each in ends]
    size = _furthest(ends, start=start, weights=weights, room_bytes=room_bytes)
    bodies = _bodies(connection, log_no=log_no, start=start, end=size)
    omitted = _omissions(connection, log_no=log_no, start=start, end=size)
    sent: dict[int, bytes] = {}
    left_out: list[OmittedBody] = []
    missing: list[int] = []
    for span in _spans(connection, log_no=log_no, start=start, end=size):
        why = _why_none(span, reader=reader, expired_at=expired_at)
        for sequence in range(max(span.first, start), min(span.end, size)):
            if sequence in omitted:
                left_out.append(omitted[sequence])
            elif why:
                left_out.append(OmittedBody(sequence, why))
            elif sequence in bodies:
                sent[sequence] = bodies[sequence]
            else:
                missing.append(sequence)
    return BodyPiece(
        size, tuple(sent), tuple(sent.values()), tuple(left_out), missing=tuple(missing)
    )


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs with neighbours of the same terms and width made one."""
    together: list[Run] = []
    for run in runs:
        last = together[-1] if together else None
        if last and (last.terms_bytes, last.own_size) == (run.terms_bytes, run.own_size):
            together[-1] = Run(run.terms_bytes, run.own_size, last.own_bytes + run.own_bytes)
        else:
            together.append(run)
    return tuple(together)


def _boundaries(connection: sa.Connection, *, log_no: int, start: int) -> list[_Boundary]:
    """Return the next signed sizes after `start`: at most as many as one piece may join."""
    rows = connection.execute(
        sa.select(BATCH.c.size, BATCH.c.header_bytes, BATCH.c.body_bytes)
        .where(BATCH.c.log_no == log_no, BATCH.c.size > start)
        .order_by(BATCH.c.size)
        .limit(BATCH_ENTRIES_MAX)
    )
    return [_Boundary(*row) for row in rows]


def _furthest(
    ends: Sequence[_Boundary], *, start: int, weights: Sequence[int], room_bytes: int
) -> int:
    """Return the last size within the limits of a piece; always at least the first one."""
    limit_bytes = min(room_bytes, BATCH_SIZE_BYTES_MAX)
    furthest, weight_bytes = ends[0].size, weights[0]
    for (_, end), each in zip(pairwise(ends), weights[1:], strict=True):
        weight_bytes += each
        if end.size - start > BATCH_ENTRIES_MAX or weight_bytes > limit_bytes:
            break
        furthest = end.size
    return furthest


@dataclass(frozen=True, slots=True)
class _Span:
    """Consecutive entries with bodies, of one epoch and expiry."""

    first: int
    end: int
    readers: frozenset[str]
    expires_at: int


def _why_none(span: _Span, *, reader: str, expired_at: int) -> int:
    """Return why a reader gets no body of these entries at all; 0 if it does."""
    if reader not in span.readers:
        return NOT_A_READER
    # PROTOCOL 5.8: both clocks have to have passed it. Below zero: erased since.
    return EXPIRED if span.expires_at and abs(span.expires_at) <= expired_at else 0


def _spans(connection: sa.Connection, *, log_no: int, start: int, end: int) -> list[_Span]:
    rows = connection.execute(
        sa.select(
            BODY_RUN.c.first_sequence, BODY_RUN.c.count, BODY_RUN.c.expires_at, EPOCH.c.readers
        )
        .join(EPOCH, (EPOCH.c.log_no == BODY_RUN.c.log_no) & (EPOCH.c.epoch == BODY_RUN.c.epoch))
        # A run is of one batch, so it is no longer than one.
        .where(BODY_RUN.c.log_no == log_no)
        .where(BODY_RUN.c.first_sequence > start - BATCH_ENTRIES_MAX)
        .where(BODY_RUN.c.first_sequence < end)
        .order_by(BODY_RUN.c.first_sequence)
    )
    return [
        _Span(first, first + count, frozenset(readers.split()), expires_at)
        for first, count, expires_at, readers in rows
    ]


def _bodies(connection: sa.Connection, *, log_no: int, start: int, end: int) -> Mapping[int, bytes]:
    rows = connection.execute(
        sa.select(BODY.c.sequence, BODY.c.body)
        .where(BODY.c.log_no == log_no, BODY.c.sequence >= start, BODY.c.sequence < end)
        .order_by(BODY.c.sequence)
    )
    return {row.sequence: row.body for row in rows}


def _omissions(
    connection: sa.Connection, *, log_no: int, start: int, end: int
) -> Mapping[int, OmittedBody]:
    rows = connection.execute(
        sa.select(OMISSION.c.sequence, OMISSION.c.reason, OMISSION.c.withdrawn_by).where(
            OMISSION.c.log_no == log_no, OMISSION.c.sequence >= start, OMISSION.c.sequence < end
        )
    )
    return {row.sequence: OmittedBody(*row) for row in rows}


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


def own_range(connection: sa.Connection, *, log_no: int, first: int, count: int) -> HeaderPiece:
    """Return at most `count` entries from `first`, with a note that signs at least them."""
    piece = next_headers(connection, log_no=log_no, start=first)
    if piece is None:
        raise LogRangeError(f"log number {log_no} has no entry {first}")
    end = min(piece.size, first + count)
    runs = [run for _, run in read_runs(connection, log_no, first, end)]
    return replace(piece, runs=joined(runs), size=end)


def reader_refusals(connection: sa.Connection, *, log_no: int) -> Mapping[str, list[bytes]]:
    """Return the signed lists of what readers refused in a stream, by reader, oldest first."""
    rows = connection.execute(
        sa.select(READER_REFUSAL.c.reader, READER_REFUSAL.c.refusals)
        .where(READER_REFUSAL.c.log_no == log_no)
        .order_by(READER_REFUSAL.c.serial)
    )
    lists: dict[str, list[bytes]] = {}
    for reader, refusals in rows:
        lists.setdefault(reader, []).append(refusals)
    return lists


def freeze_lists(
    connection: sa.Connection, *, reader: str, senders: Collection[str] | None
) -> list[bytes]:
    """Return the newest lists for a reader, of all senders or of these."""
    wanted = sa.select(FREEZE.c.message).where(FREEZE.c.reader == reader)
    if senders is not None:
        wanted = wanted.where(FREEZE.c.sender.in_(list(senders)))
    return [bytes(each) for each in connection.scalars(wanted.order_by(FREEZE.c.sender))]
