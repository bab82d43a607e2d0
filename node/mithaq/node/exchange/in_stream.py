"""Received streams on disk: headers as they are held, and the bodies that are awaited.

PROTOCOL 5.4. Which bodies are awaited is not written anywhere: it follows from how far
the stream is opened and from its headers. The one rule: headers are appended as judged,
and in one transaction with whatever they bring about.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from struct import Struct
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.entry import (
    BODY_OWN_SIZE_BYTES,
    BODY_TARGET_SIZE_BYTES,
    TARGET_SIZE_BYTES,
    StreamRole,
    Terms,
    parse_terms,
)
from mithaq.ledger.stream import Run, StreamState
from mithaq.node.exchange.errors import HeadersBehindError
from mithaq.node.exchange.judge import Judged, Known
from mithaq.node.exchange.out_stream import STREAM, stream_row
from mithaq.store import log_store
from mithaq.store.statement import Statement
from mithaq.store.tables import LOG

_FIRST: Final = Struct(">QI32s32s")
_NEXT: Final = Struct(">QQI32s32s")
_TARGETED: Final = Struct(">QQ")
_TERMS_CACHED_MAX: Final = 4096


class _Found(NamedTuple):
    """What is read of a stream and of its log's head."""

    log_no: int
    stream_id: bytes
    sender: str
    agreement_id: str
    role: int
    audience: str
    opened_size: int
    refusals_head: bytes
    own: int
    closed: int
    origin: str
    size: int
    root: bytes
    frontier: bytes
    checkpoint: bytes | None
    state: bytes


_BY_ID: Final = Statement(
    sa.select(*(STREAM.c[name] for name in _Found._fields[:10]), *log_store.HEAD_COLUMNS)
    .join(LOG, LOG.c.log_no == STREAM.c.log_no)
    .where(STREAM.c.stream_id == sa.bindparam("wanted"))
)

# Terms repeat from entry to entry and from batch to batch.
terms_of = lru_cache(maxsize=_TERMS_CACHED_MAX)(parse_terms)


@dataclass(frozen=True, slots=True)
class InStream:
    """A received stream, as its row says, and how far its headers are held."""

    log_no: int
    stream_id: bytes
    sender: str
    agreement_id: str
    role: StreamRole
    audience: tuple[str, ...]
    opened_size: int
    head: log_store.LogHead
    # The hash of our newest list of refusals in it; empty for none.
    refusals_head: bytes = b""


class Awaited(NamedTuple):
    """An entry with a body: its place, its terms, and what its header says of the body."""

    sequence: int
    first_sequence: int
    terms: Terms
    body_size: int
    body_hash: bytes
    commitment: bytes


class Withdrawn(NamedTuple):
    """A WITHDRAW: its place, the first PUT that it names, and its terms."""

    sequence: int
    target: int
    terms: Terms


def find(connection: sa.Connection, stream_id: bytes) -> InStream | None:
    """Return a received stream, or None; an own stream is none."""
    row = _found(connection, stream_id)
    if row is None or row.own:
        return None
    return InStream(
        row.log_no,
        row.stream_id,
        row.sender,
        row.agreement_id,
        StreamRole(row.role),
        tuple(row.audience.split()),
        row.opened_size,
        log_store.head_of(row),
        row.refusals_head,
    )


def _found(connection: sa.Connection, stream_id: bytes) -> _Found | None:
    row = _BY_ID.run(connection, wanted=stream_id).fetchone()
    return None if row is None else _Found(*row)


def known(connection: sa.Connection, stream: InStream) -> Known:
    """Return what judging its next headers needs."""
    log_no = stream.log_no
    return Known(
        StreamState.from_bytes(stream.head.state),
        log_store.kind_at(connection, log_no),
        partial(log_store.leaf_hashes_at, connection, log_no),
    )


def check_predecessor(connection: sa.Connection, predecessor: bytes | None) -> None:
    """Raise HeadersBehindError while the stream that is continued stands open here (3.5).

    A predecessor that is not here had another audience, or is still to come before us.
    """
    if predecessor is None:
        return
    row = _found(connection, predecessor)
    if row is not None and not row.own and not row.closed:
        raise HeadersBehindError("the predecessor's CLOSE has not come yet")


def hold(connection: sa.Connection, stream: InStream | None, judged: Judged, *, note: bytes) -> int:
    """Append judged headers and return the number of the stream's log."""
    state = judged.state
    if stream is None:
        log_no = log_store.create_log(connection, state.origin)
        connection.execute(sa.insert(STREAM), stream_row(log_no, state, own=False))
    else:
        log_no = stream.log_no
    log_store.append_runs(
        connection,
        log_no,
        judged.runs,
        judged.before,
        state.frontier,
        hashes=judged.hashes,
        state=state.to_bytes(),
        checkpoint=note,
    )
    if state.closed:
        connection.execute(sa.update(STREAM).where(STREAM.c.log_no == log_no).values(closed=True))
    return log_no


def awaited(connection: sa.Connection, log_no: int, start: int, end: int) -> list[Awaited]:
    """Return the entries with a body in [start, end), in order."""
    if start >= end:
        return []
    return [
        entry
        for _, run in log_store.read_runs(connection, log_no, start, end)
        for entry in with_bodies(run)
    ]


def with_bodies(run: Run) -> Iterator[Awaited]:
    """Yield the entries of a run that have a body."""
    if run.own_size == BODY_OWN_SIZE_BYTES:
        terms = terms_of(run.terms_bytes)
        for sequence, size, body_hash, commitment in _FIRST.iter_unpack(run.own_bytes):
            yield Awaited(sequence, sequence, terms, size, body_hash, commitment)
    elif run.own_size == BODY_TARGET_SIZE_BYTES:
        terms = terms_of(run.terms_bytes)
        for sequence, target, size, body_hash, commitment in _NEXT.iter_unpack(run.own_bytes):
            yield Awaited(sequence, target, terms, size, body_hash, commitment)


def withdrawals(runs: Iterable[Run]) -> Iterator[Withdrawn]:
    """Yield the WITHDRAWs of admitted headers."""
    for run in runs:
        if run.own_size == TARGET_SIZE_BYTES:
            terms = terms_of(run.terms_bytes)
            for sequence, target in _TARGETED.iter_unpack(run.own_bytes):
                yield Withdrawn(sequence, target, terms)
