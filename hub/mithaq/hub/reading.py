"""What a reader is sent next, read from the database in one bounded piece.

Small batches are joined up to 256 entries or 1 MiB, so that a reader that was away checks
few checkpoints. The rule: a piece is as large as fits, and always at least one batch, which
is never larger than PROTOCOL 5.1 lets it be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import bindparam

from mithaq.hub.pieces import (
    BodyPiece,
    End,
    HeaderPiece,
    OmittedBody,
    Span,
    Wanted,
    furthest,
    joined,
    sort_out,
)
from mithaq.hub.tables import BATCH, BODY, BODY_RUN, EPOCH, OMISSION
from mithaq.ledger.entry import BATCH_ENTRIES_MAX, BATCH_SIZE_BYTES_MAX
from mithaq.store.errors import LogRangeError
from mithaq.store.log_store import read_runs

# Built once: SQLAlchemy finds a statement's compiled form faster by the same object.
_LOG: sa.BindParameter[int] = bindparam("log")
_LOW: sa.BindParameter[int] = bindparam("low")
_HIGH: sa.BindParameter[int] = bindparam("high")
_BOUNDARIES = (
    sa.select(BATCH.c.size, BATCH.c.header_bytes, BATCH.c.body_bytes)
    .where(BATCH.c.log_no == _LOG, BATCH.c.size > _LOW, BATCH.c.size <= _HIGH)
    .order_by(BATCH.c.size)
)
_SIGNED = sa.select(BATCH.c.checkpoint, BATCH.c.acceptance).where(
    BATCH.c.log_no == _LOG, BATCH.c.size == _HIGH
)
_REFUSALS = (
    sa.select(BATCH.c.refusals)
    .where(BATCH.c.log_no == _LOG, BATCH.c.size > _LOW, BATCH.c.size <= _HIGH)
    .where(sa.func.length(BATCH.c.refusals) > 0)
    .order_by(BATCH.c.size)
)
_SPANS = (
    sa.select(BODY_RUN.c.first_sequence, BODY_RUN.c.count, BODY_RUN.c.expires_at, EPOCH.c.readers)
    .join(EPOCH, (EPOCH.c.log_no == BODY_RUN.c.log_no) & (EPOCH.c.epoch == BODY_RUN.c.epoch))
    .where(BODY_RUN.c.log_no == _LOG)
    .where(BODY_RUN.c.first_sequence > _LOW, BODY_RUN.c.first_sequence < _HIGH)
    .order_by(BODY_RUN.c.first_sequence)
)
_BODIES = (
    sa.select(BODY.c.sequence, BODY.c.body)
    .where(BODY.c.log_no == _LOG, BODY.c.sequence >= _LOW, BODY.c.sequence < _HIGH)
    .order_by(BODY.c.sequence)
)
_OMISSIONS = sa.select(OMISSION.c.sequence, OMISSION.c.reason, OMISSION.c.withdrawn_by).where(
    OMISSION.c.log_no == _LOG, OMISSION.c.sequence >= _LOW, OMISSION.c.sequence < _HIGH
)


@dataclass(frozen=True, slots=True)
class _Boundary:
    """A size that the sender signed, and what the batch that ends there weighs."""

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
    weighed = [End(each.size, each.header_bytes) for each in ends]
    size = ends[furthest(weighed, start=start, room_bytes=room_bytes) - 1].size
    within = {"log": log_no, "low": start, "high": size}
    signed = connection.execute(_SIGNED, {"log": log_no, "high": size}).one()
    return HeaderPiece(
        first_sequence=start,
        size=size,
        runs=joined([run for _, run in read_runs(connection, log_no, start, size)]),
        checkpoint=signed.checkpoint,
        acceptance=signed.acceptance,
        refusals=tuple(connection.scalars(_REFUSALS, within)),
    )


def next_bodies(
    connection: sa.Connection,
    wanted: Wanted,
    *,
    log_no: int,
    start: int,
    room_bytes: int = BATCH_SIZE_BYTES_MAX,
) -> BodyPiece | None:
    """Return the bodies from `start` to a signed size of at most what is wanted, or None.

    As much as fits `room_bytes`, but always one batch.
    """
    ends = _boundaries(connection, log_no=log_no, start=start)
    ends = [each for each in ends if each.size <= wanted.size]
    if not ends:
        return None
    weighed = [End(each.size, each.body_bytes) for each in ends]
    size = ends[furthest(weighed, start=start, room_bytes=room_bytes) - 1].size
    return sort_out(
        replace(wanted, size=size),
        _spans(connection, log_no=log_no, start=start, end=size),
        _bodies(connection, log_no=log_no, start=start, end=size),
        _omissions(connection, log_no=log_no, start=start, end=size),
    )


def own_range(connection: sa.Connection, *, log_no: int, first: int, count: int) -> HeaderPiece:
    """Return at most `count` entries from `first`, with a note that signs at least them."""
    piece = next_headers(connection, log_no=log_no, start=first)
    if piece is None:
        raise LogRangeError(f"log number {log_no} has no entry {first}")
    end = min(piece.size, first + count)
    runs = [run for _, run in read_runs(connection, log_no, first, end)]
    return replace(piece, runs=joined(runs), size=end)


def _boundaries(connection: sa.Connection, *, log_no: int, start: int) -> list[_Boundary]:
    """Return the signed sizes that a piece from `start` may end at.

    A batch has at most 256 entries, so at least one lies within as many from anywhere.
    """
    within = {"log": log_no, "low": start, "high": start + BATCH_ENTRIES_MAX}
    return [_Boundary(*row) for row in connection.execute(_BOUNDARIES, within).all()]


def _spans(connection: sa.Connection, *, log_no: int, start: int, end: int) -> list[Span]:
    # A run is of one batch, so one that reaches into the range begins no further before it.
    within = {"log": log_no, "low": start - BATCH_ENTRIES_MAX, "high": end}
    return [
        Span(max(first, start), min(first + count, end), frozenset(readers.split()), expires_at)
        for first, count, expires_at, readers in connection.execute(_SPANS, within).all()
        if first + count > start
    ]


def _bodies(connection: sa.Connection, *, log_no: int, start: int, end: int) -> Mapping[int, bytes]:
    rows = connection.execute(_BODIES, {"log": log_no, "low": start, "high": end}).all()
    return {sequence: body for sequence, body in rows}  # noqa: C416 - rows aren't typed as pairs


def _omissions(
    connection: sa.Connection, *, log_no: int, start: int, end: int
) -> Mapping[int, OmittedBody]:
    rows = connection.execute(_OMISSIONS, {"log": log_no, "low": start, "high": end}).all()
    return {row.sequence: OmittedBody(*row) for row in rows}
