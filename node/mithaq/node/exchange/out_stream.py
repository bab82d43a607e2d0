"""Own streams on disk: opening one, and appending what was drawn up.

PROTOCOL 3.1, 5.1. Headers, bodies and the checkpoint that signs them are written in the
caller's one transaction, each batch with a checkpoint of its own, because the hub takes
only what ends at a signed size. The one rule: what is signed here is what is written
here; nothing is sent before the caller's commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.agreements.status import AgreementStatus
from mithaq.ledger.checkpoint import sign_checkpoint
from mithaq.ledger.entry import (
    EntryKind,
    EpochReader,
    Opening,
    StreamRole,
    Terms,
    encode_terms,
    leaf,
    minute_of,
)
from mithaq.ledger.stream import Run, StreamState
from mithaq.ledger.tree import Frontier, leaf_hash
from mithaq.node.exchange.draft import (
    Drawer,
    Placed,
    PutDraft,
    Segment,
    WithdrawDraft,
)
from mithaq.node.exchange.epochs import (
    CurrentEpoch,
    Reader,
    current_epoch,
    entitled_readers,
    new_secret,
    save_epoch,
    seal_epoch,
)
from mithaq.node.exchange.errors import NoStreamError
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.sealing.body import ContentKey
from mithaq.node.sealing.epoch import EpochPlace
from mithaq.node.tables import (
    DisclosureRow,
    OutBodyRow,
    OwnCheckpointRow,
    StreamRow,
    WithdrawalRow,
)
from mithaq.store import log_store
from mithaq.store.engine import bulk_insert
from mithaq.store.rows import insert_tuples
from mithaq.store.statement import Statement
from mithaq.store.tables import table_of

STREAM: Final = table_of(StreamRow)
OUT_BODY: Final = table_of(OutBodyRow)
OWN_CHECKPOINT: Final = table_of(OwnCheckpointRow)
DISCLOSURE: Final = table_of(DisclosureRow)
WITHDRAWAL: Final = table_of(WithdrawalRow)
_OWN_SEQUENCE_ZERO: Final = bytes(8)


class _OwnColumns(NamedTuple):
    """What is read of an own stream."""

    log_no: int
    stream_id: bytes
    agreement_id: str
    role: int
    audience: str
    purposes: str
    ordinal: int
    closed: int


_ALL_OWN: Final = (
    sa.select(*(STREAM.c[name] for name in _OwnColumns._fields))
    .where(STREAM.c.own.is_(True))
    .order_by(STREAM.c.log_no)
)
_OWN: Final = Statement(_ALL_OWN)
_OWN_UNDER: Final = Statement(_ALL_OWN.where(STREAM.c.agreement_id == sa.bindparam("agreement")))


class StreamKey(NamedTuple):
    """What tells own streams apart, beside their ordinal."""

    agreement_id: str
    role: StreamRole
    audience: tuple[str, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnStream:
    """An own stream, as its row says."""

    log_no: int
    stream_id: bytes
    key: StreamKey
    ordinal: int
    closed: bool


class Batch(NamedTuple):
    """A batch as it was made durable: entries, bodies and the note that signs them."""

    log_no: int
    stream_id: bytes
    segment: Segment
    checkpoint: bytes


@dataclass(slots=True)
class Posting:
    """What shall be said in one own stream, in one transaction."""

    stream: OwnStream
    puts: list[PutDraft] = field(default_factory=list[PutDraft])
    withdrawals: list[WithdrawDraft] = field(default_factory=list[WithdrawDraft])
    # Closing: the successor's id, or None for an end without one.
    closing: bool = False
    successor: bytes | None = None


class Posted(NamedTuple):
    """What was written: the batches for the hub, and where records and WITHDRAWs stand."""

    batches: list[Batch]
    placed: list[Placed]
    # Sequences of the WITHDRAWs, by the first PUT that each names.
    withdrawn: dict[int, int]
    readers: tuple[str, ...]


def list_own(connection: sa.Connection, *, agreement_id: str | None = None) -> list[OwnStream]:
    """Return own streams, oldest first."""
    if agreement_id is None:
        rows = _OWN.run(connection).fetchall()
    else:
        rows = _OWN_UNDER.run(connection, agreement=agreement_id).fetchall()
    return [own_stream(_OwnColumns(*row)) for row in rows]


def own_stream(row: Any) -> OwnStream:  # noqa: ANN401 - a row of STREAM
    """Return the stream of a row."""
    key = StreamKey(
        row.agreement_id,
        StreamRole(row.role),
        tuple(row.audience.split()),
        tuple(row.purposes.split()),
    )
    return OwnStream(row.log_no, row.stream_id, key, row.ordinal, bool(row.closed))


def open_stream(
    connection: sa.Connection,
    home: Home,
    key: StreamKey,
    *,
    ordinal: int,
    predecessor: bytes | None,
    at: datetime,
) -> tuple[OwnStream, Batch]:
    """Open a stream and return it with the batch that tells the hub (PROTOCOL 3.1)."""
    registry = home.registry
    terms = Terms(
        kind=EntryKind.OPEN,
        registry_size=registry.size,
        agreement_version=registry.agreement(key.agreement_id).in_force(at=at).version,
        created_at=minute_of(at),
        opening=Opening(
            federation=home.federation,
            sender=home.member,
            agreement_id=key.agreement_id,
            audience=key.audience,
            purposes=key.purposes,
            registry_root=registry.root,
            role=key.role,
            predecessor=predecessor,
            ordinal=ordinal,
        ),
    )
    run = Run(encode_terms(terms), len(_OWN_SEQUENCE_ZERO), _OWN_SEQUENCE_ZERO)
    open_leaf = leaf(run.terms_bytes, run.own_bytes)
    state = StreamState.open(open_leaf)
    log_no = log_store.create_log(connection, state.origin)
    connection.execute(
        sa.insert(STREAM),
        stream_row(log_no, state, own=True),
    )
    segment = Segment(0, (run,), (), [leaf_hash(open_leaf)], state)
    batch = _write(connection, home, log_no, segment, before=Frontier.empty(), at=at)
    return OwnStream(log_no, state.stream_id, key, ordinal, closed=False), batch


def stream_row(log_no: int, state: StreamState, *, own: bool) -> dict[str, object]:
    """Return the row of a stream that was just opened."""
    opening = state.opening
    return {
        "log_no": log_no,
        "stream_id": state.stream_id,
        "sender": opening.sender,
        "agreement_id": opening.agreement_id,
        "role": int(opening.role),
        "ordinal": opening.ordinal,
        "audience": " ".join(opening.audience),
        "purposes": " ".join(opening.purposes),
        "own": own,
        "predecessor": opening.predecessor,
        "accepted_size": 0,
        "opened_size": 0,
        "refusals_head": b"",
        "closed": False,
    }


def post(
    connection: sa.Connection,
    home: Home,
    posting: Posting,
    *,
    status: AgreementStatus,
    at: datetime,
) -> Posted:
    """Write what shall be said in a stream, under an epoch for those who may read now.

    Raises:
        NoStreamError: a record for a stream that nobody may read now.

    """
    stream = posting.stream
    head = log_store.head(connection, stream.log_no)
    state = home.states.read(head.state)
    agreement = home.registry.agreement(stream.key.agreement_id).in_force(at=at)
    drawer = Drawer(
        state,
        agreement_version=agreement.version,
        registry_size=home.registry.size,
        at=at,
        random=home.random,
    )
    readers: tuple[Reader, ...] = ()
    placed: list[Placed] = []
    epoch = 0
    if posting.puts:
        readers = entitled_readers(
            home.registry,
            audience=stream.key.audience,
            role=stream.key.role,
            status=status,
            at=at,
        )
        current = _epoch(connection, home, drawer, posting, state=state, readers=readers, at=at)
        epoch = current.number
        key = ContentKey(
            stream_id=stream.stream_id, epoch=current.number, secret=current.secret.secret
        )
        placed = drawer.puts(posting.puts, epoch=current.number, key=key)
    withdrawn = {each.target: drawer.withdraw(each) for each in posting.withdrawals}
    _save_withdrawn(connection, posting, withdrawn, at=at)
    if posting.closing:
        drawer.close(successor=posting.successor)
        connection.execute(
            sa.update(STREAM).where(STREAM.c.log_no == stream.log_no).values(closed=True)
        )
    batches: list[Batch] = []
    before = head.frontier
    for segment in drawer.segments():
        batches.append(_write(connection, home, stream.log_no, segment, before=before, at=at))
        before = segment.state.frontier
    _save_placed(connection, stream.log_no, placed, epoch=epoch)
    return Posted(batches, placed, withdrawn, tuple(each.member for each in readers))


def _epoch(
    connection: sa.Connection,
    home: Home,
    drawer: Drawer,
    posting: Posting,
    *,
    state: StreamState,
    readers: tuple[Reader, ...],
    at: datetime,
) -> CurrentEpoch:
    if not readers:
        raise NoStreamError("nobody of the stream's audience may read now")
    stream = posting.stream
    current = current_epoch(
        connection,
        home,
        state,
        log_no=stream.log_no,
        readers=readers,
        bodies=len(posting.puts),
        at=at,
    )
    if current is not None:
        return current
    current = CurrentEpoch(state.epoch + 1, new_secret(home))
    place = EpochPlace(stream.stream_id, current.number, home.member)
    sealed = seal_epoch(current.secret, place=place, readers=readers)
    sequence = drawer.epoch(current.number, readers=_named(readers), sealed=sealed)
    save_epoch(
        connection,
        home,
        log_no=stream.log_no,
        stream_id=stream.stream_id,
        number=current.number,
        secret=current.secret,
        sequence=sequence,
        readers=(each.member for each in readers),
        at=at,
    )
    return current


def _named(readers: Iterable[Reader]) -> tuple[EpochReader, ...]:
    return tuple(EpochReader(each.member, each.key_id) for each in readers)


def _write(
    connection: sa.Connection,
    home: Home,
    log_no: int,
    segment: Segment,
    *,
    before: Frontier,
    at: datetime,
) -> Batch:
    state = segment.state
    note = sign_checkpoint(
        state.checkpoint(), ed25519=home.log.ed25519, mldsa=home.log.mldsa, at=at
    )
    log_store.append_runs(
        connection,
        log_no,
        segment.runs,
        before,
        state.frontier,
        hashes=segment.hashes,
        state=home.states.write(state),
        checkpoint=note,
    )
    insert_tuples(
        connection,
        OUT_BODY,
        ("log_no", "sequence", "body"),
        [(log_no, sequence, body) for sequence, body in segment.bodies],
    )
    insert_tuples(
        connection, OWN_CHECKPOINT, ("log_no", "size", "note"), [(log_no, state.size, note)]
    )
    home.signed_roots.note(connection, log_no, size=state.size, root=state.frontier.root())
    return Batch(log_no, state.stream_id, segment, note)


def _save_placed(
    connection: sa.Connection, log_no: int, placed: Sequence[Placed], *, epoch: int
) -> None:
    insert_tuples(
        connection,
        DISCLOSURE,
        ("log_no", "first_sequence", "sequence", "record_no", "epoch"),
        [(log_no, each.first_sequence, each.sequence, each.record_no, epoch) for each in placed],
    )


def _save_withdrawn(
    connection: sa.Connection, posting: Posting, withdrawn: Mapping[int, int], *, at: datetime
) -> None:
    bulk_insert(
        connection,
        WITHDRAWAL,
        [
            {
                "log_no": posting.stream.log_no,
                "target": each.target,
                "sequence": withdrawn[each.target],
                "scope": int(each.scope),
                "reason": int(each.reason),
                "at_ms": milliseconds(at),
            }
            for each in posting.withdrawals
        ],
    )
