"""Erasing bodies that nobody needs: opened by all who are entitled, or expired.

Runs beside the exchange, in small transactions, so that it never holds up a batch. The
rules: a body goes only when each entitled reader of its own epoch has signed ``opened``
beyond it, or when both clocks have passed its expiry (PROTOCOL 5.8); headers stay for ever.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from mithaq.agreements.status import AgreementState
from mithaq.certs.errors import TrustError
from mithaq.certs.participants import MemberState
from mithaq.certs.registry import Registry
from mithaq.hub.directory import Directory, HeldStream
from mithaq.hub.receipts import OPENED
from mithaq.hub.tables import BATCH, BODY, BODY_RUN, EPOCH, STREAM
from mithaq.ledger.kinds import StreamRole

BODIES_PER_SWEEP_MAX = 2048
RUNS_PER_SWEEP_MAX = 256

_WITHIN = (
    BODY.c.log_no == sa.bindparam("log"),
    BODY.c.sequence >= sa.bindparam("low"),
    BODY.c.sequence < sa.bindparam("high"),
)
_FIRST = (
    sa.select(BODY.c.sequence, sa.func.length(BODY.c.body).label("weight"))
    .where(*_WITHIN)
    .order_by(BODY.c.sequence)
    .limit(sa.bindparam("most"))
    .subquery()
)
_WEIGHED = sa.select(
    sa.func.max(_FIRST.c.sequence),
    sa.func.coalesce(sa.func.sum(_FIRST.c.weight), 0),
    sa.func.count(),
)
_DELETE = sa.delete(BODY).where(*_WITHIN)


@dataclass(frozen=True, slots=True)
class Span:
    """Sequences of one stream, from `first` up to, not including, `end`."""

    log_no: int
    first: int
    end: int


class Swept(NamedTuple):
    """The bytes that were set free, and the sequence below which all that was erased lies."""

    freed_bytes: int
    end: int


def is_entitled(registry: Registry, stream: HeldStream, reader: str) -> bool:
    """Tell whether a reader may still get bodies of a stream some day.

    A suspended member or agreement may be taken up again; what was revoked, left or
    ended is over. Answers go on while an agreement is wound down (PROTOCOL 3.7).
    """
    try:
        if registry.member(reader).state is MemberState.REVOKED:
            return False
        status = registry.agreement(stream.state.opening.agreement_id).status
    except TrustError:
        return False
    if stream.role is StreamRole.RETURN:
        return True
    return status.state is not AgreementState.ENDED and reader not in status.left


def opened_spans(
    connection: sa.Connection, stream: HeldStream, *, directory: Directory, registry: Registry
) -> Iterator[Span]:
    """Yield what every entitled reader has opened, one span for each epoch that has some."""
    epochs = connection.execute(
        sa.select(EPOCH.c.sequence, EPOCH.c.readers)
        .where(EPOCH.c.log_no == stream.log_no)
        .order_by(EPOCH.c.epoch)
    ).all()
    starts = [row.sequence for row in epochs]
    for row, end in zip(epochs, [*starts[1:], stream.state.size], strict=True):
        opened = [
            directory.signed_size(stream.log_no, reader, OPENED)
            for reader in row.readers.split()
            if is_entitled(registry, stream, reader)
        ]
        floor = min([end, *opened])
        if floor > row.sequence:
            yield Span(stream.log_no, row.sequence, floor)


def erase_opened(
    connection: sa.Connection, stream: HeldStream, *, directory: Directory, registry: Registry
) -> Swept:
    """Erase some of what every entitled reader has opened."""
    freed, end, left = 0, 0, BODIES_PER_SWEEP_MAX
    for span in opened_spans(connection, stream, directory=directory, registry=registry):
        erased, count = _erase(connection, span, limit=left)
        freed, left = freed + erased, left - count
        if count:
            end = span.end
        if left <= 0:
            break
    return Swept(_counted(connection, stream.log_no, freed), end)


def has_expired(connection: sa.Connection, *, expired_at: int) -> bool:
    """Tell whether anything has expired that isn't erased yet."""
    expired = sa.select(BODY_RUN.c.log_no).where(
        BODY_RUN.c.expires_at > 0, BODY_RUN.c.expires_at <= expired_at
    )
    return connection.execute(expired.limit(1)).first() is not None


def erase_expired(connection: sa.Connection, *, expired_at: int) -> Counter[int]:
    """Erase some of what has expired by both clocks; return the bytes set free, by log."""
    freed: Counter[int] = Counter()
    rows = connection.execute(
        sa.select(BODY_RUN.c.log_no, BODY_RUN.c.first_sequence, BODY_RUN.c.count)
        .where(BODY_RUN.c.expires_at > 0, BODY_RUN.c.expires_at <= expired_at)
        .order_by(BODY_RUN.c.expires_at)
        .limit(RUNS_PER_SWEEP_MAX)
    ).all()
    for log_no, first, count in rows:
        erased, _ = _erase(connection, Span(log_no, first, first + count), limit=count)
        freed[log_no] += _counted(connection, log_no, erased)
        connection.execute(
            sa.update(BODY_RUN)
            .where(BODY_RUN.c.log_no == log_no, BODY_RUN.c.first_sequence == first)
            .values(expires_at=-BODY_RUN.c.expires_at)
        )
    return freed


def oldest_body_at(connection: sa.Connection, log_no: int) -> int | None:
    """Return when the oldest body kept for a stream's readers was admitted, or None."""
    first = connection.scalar(
        sa.select(sa.func.min(BODY.c.sequence)).where(BODY.c.log_no == log_no)
    )
    if first is None:
        return None
    return connection.scalar(
        sa.select(BATCH.c.accepted_at)
        .where(BATCH.c.log_no == log_no, BATCH.c.size > first)
        .order_by(BATCH.c.size)
        .limit(1)
    )


def _erase(connection: sa.Connection, span: Span, *, limit: int) -> tuple[int, int]:
    """Delete at most `limit` bodies of a span; return their bytes and their number."""
    values = {"log": span.log_no, "low": span.first, "high": span.end}
    last, weight, count = connection.execute(_WEIGHED, {**values, "most": limit}).one()
    if count:
        connection.execute(_DELETE, {**values, "high": last + 1})
    return weight, count


def _counted(connection: sa.Connection, log_no: int, freed: int) -> int:
    if freed:
        connection.execute(
            sa.update(STREAM)
            .where(STREAM.c.log_no == log_no)
            .values(stored_bytes=STREAM.c.stored_bytes - freed)
        )
    return freed
