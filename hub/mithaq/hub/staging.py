"""Rows that one transaction gathers and writes together, table by table.

What many batches ask to be kept is inserted in one go for each table, because a row in a
bulk costs a fraction of a row alone. The rule: bodies go in before withdrawals take them
out, so that the order of batches within a transaction doesn't matter.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import bindparam

from mithaq.hub.append import Appended
from mithaq.hub.pieces import REFUSED, WITHDRAWN
from mithaq.hub.tables import (
    AUDIENCE,
    BATCH,
    BODY,
    BODY_RUN,
    EPOCH,
    OMISSION,
    STREAM,
    VERSION,
)
from mithaq.hub.upsert import insert_into
from mithaq.ledger.stream import Run, StreamState
from mithaq.ledger.tree import Frontier
from mithaq.store.engine import bulk_insert
from mithaq.store.log_store import append_runs
from mithaq.store.parts import in_parts
from mithaq.store.rows import insert_tuples
from mithaq.store.statement import Statement

Row = Mapping[str, object]

_VERSIONS_OF = sa.select(VERSION.c.sequence).where(
    VERSION.c.log_no == bindparam("log"), VERSION.c.target == bindparam("first")
)
_WEIGHT_OF = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(BODY.c.body)), 0)).where(
    BODY.c.log_no == bindparam("log"), BODY.c.sequence.in_(bindparam("gone", expanding=True))
)
_DELETE = sa.delete(BODY).where(
    BODY.c.log_no == bindparam("log"), BODY.c.sequence.in_(bindparam("gone", expanding=True))
)
_SET_STREAM = Statement(
    sa.update(STREAM)
    .where(STREAM.c.log_no == bindparam("log"))
    .values(stored_bytes=STREAM.c.stored_bytes + bindparam("more"), closed=bindparam("is_closed"))
)
# The order of rows that are kept as tuples.
_BATCH_COLUMNS = tuple(BATCH.columns.keys())
_BODY_COLUMNS = tuple(BODY.columns.keys())
_BODY_RUN_COLUMNS = tuple(BODY_RUN.columns.keys())


@dataclass(slots=True)
class _Growth:
    """What the batches of one transaction have added to a log."""

    before: Frontier
    state: StreamState
    checkpoint: bytes
    runs: list[Run] = field(default_factory=list[Run])
    hashes: list[bytes] = field(default_factory=list[bytes])


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A WITHDRAW of a stream, and the first PUT that it names."""

    log_no: int
    sequence: int
    target: int


@dataclass(slots=True)
class Staging:
    """Rows by table, in the order in which they have to be written."""

    # By log number, what isn't in the database yet.
    growths: dict[int, _Growth] = field(default_factory=dict[int, _Growth])
    batches: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    streams: list[Row] = field(default_factory=list[Row])
    audiences: list[Row] = field(default_factory=list[Row])
    bodies: list[tuple[int, int, bytes]] = field(default_factory=list[tuple[int, int, bytes]])
    body_runs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    epochs: list[Row] = field(default_factory=list[Row])
    versions: list[Row] = field(default_factory=list[Row])
    omissions: list[Row] = field(default_factory=list[Row])
    withdrawals: list[Withdrawal] = field(default_factory=list[Withdrawal])
    # The sequences that were erased, by log; known once everything is written.
    withdrawn: dict[int, list[int]] = field(default_factory=dict[int, list[int]])

    def open_stream(self, log_no: int, state: StreamState, *, at: int) -> None:
        """Keep a new stream and its audience."""
        opening = state.opening
        self.streams.append(
            {
                "log_no": log_no,
                "stream_id": state.stream_id,
                "sender": opening.sender,
                "agreement_id": opening.agreement_id,
                "role": int(opening.role),
                "predecessor": opening.predecessor,
                "closed": False,
                "stored_bytes": 0,
                "opened_at": at,
            }
        )
        self.audiences += [{"log_no": log_no, "member": each} for each in opening.audience]

    def grow(self, log_no: int, before: Frontier, appended: Appended) -> None:
        """Keep a batch's entries, which follow `before`."""
        state, note = appended.stream.state, appended.signed.note_bytes
        growth = self.growths.get(log_no)
        if growth is None:
            growth = self.growths[log_no] = _Growth(before, state, note)
        growth.state, growth.checkpoint = state, note
        growth.runs += appended.runs
        growth.hashes += appended.hashes

    def settle(self, connection: sa.Connection) -> None:
        """Write entries and batches now, for whoever looks at them within the transaction."""
        for log_no, growth in self.growths.items():
            append_runs(
                connection,
                log_no,
                growth.runs,
                growth.before,
                growth.state.frontier,
                hashes=growth.hashes,
                state=growth.state.to_bytes(),
                checkpoint=growth.checkpoint,
            )
        self.growths.clear()
        insert_tuples(connection, BATCH, _BATCH_COLUMNS, self.batches)
        self.batches.clear()

    def take(self, log_no: int, appended: Appended) -> None:
        """Keep what a batch's entries ask for."""
        gains = appended.gains
        self.bodies += [(log_no, sequence, body) for sequence, body in gains.bodies]
        self.body_runs += [
            (log_no, span.first, span.count, int(span.kind), span.epoch, span.expires_at)
            for span in gains.spans
        ]
        self.epochs += [
            {
                "log_no": log_no,
                "epoch": each.epoch,
                "sequence": each.sequence,
                "readers": " ".join(each.readers),
            }
            for each in gains.epochs
        ]
        self.versions += [
            {"log_no": log_no, "target": target, "sequence": sequence}
            for target, sequence in gains.versions
        ]
        self.omissions += [
            {"log_no": log_no, "sequence": each.sequence, "reason": REFUSED, "withdrawn_by": 0}
            for each in gains.refusals
        ]
        self.withdrawals += [Withdrawal(log_no, *each) for each in gains.withdrawals]

    def write(self, connection: sa.Connection) -> Counter[int]:
        """Write everything; return the bytes of bodies that withdrawals erased, by log."""
        self.settle(connection)
        insert_tuples(connection, BODY, _BODY_COLUMNS, self.bodies)
        insert_tuples(connection, BODY_RUN, _BODY_RUN_COLUMNS, self.body_runs)
        for table, rows in (
            (STREAM, self.streams),
            (AUDIENCE, self.audiences),
            (EPOCH, self.epochs),
            (VERSION, self.versions),
        ):
            bulk_insert(connection, table, rows)
        add_omissions(connection, self.omissions)
        erased: Counter[int] = Counter()
        for each in self.withdrawals:
            gone = _versions(connection, each)
            erased[each.log_no] += _withdraw(connection, each, gone)
            self.withdrawn.setdefault(each.log_no, []).extend(gone)
        return erased


def write_stream(connection: sa.Connection, log_no: int, *, more_bytes: int, closed: bool) -> None:
    """Keep what changes about a stream from batch to batch."""
    _SET_STREAM.run(connection, log=log_no, more=more_bytes, is_closed=closed)


def add_omissions(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Keep why bodies are left out; the first reason stands."""
    if rows:
        connection.execute(insert_into(connection, OMISSION).on_conflict_do_nothing(), rows)


def _versions(connection: sa.Connection, withdrawal: Withdrawal) -> list[int]:
    """Return all versions of a record up to its withdrawal, the first one included."""
    values = {"log": withdrawal.log_no, "first": withdrawal.target}
    later = connection.scalars(_VERSIONS_OF, values)
    return [withdrawal.target, *(each for each in later if each < withdrawal.sequence)]


def _withdraw(connection: sa.Connection, withdrawal: Withdrawal, gone: Sequence[int]) -> int:
    """Erase the bodies of these versions; return the bytes set free."""
    freed = 0
    for part in in_parts(gone):
        values = {"log": withdrawal.log_no, "gone": part}
        freed += connection.scalar(_WEIGHT_OF, values) or 0
        connection.execute(_DELETE, values)
    add_omissions(
        connection,
        [
            {
                "log_no": withdrawal.log_no,
                "sequence": sequence,
                "reason": WITHDRAWN,
                "withdrawn_by": withdrawal.sequence,
            }
            for sequence in gone
        ],
    )
    return freed
