"""The inbox's first half: headers are judged, held and answered by a receipt.

PROTOCOL 5.4. Pieces of headers that came together are kept in one transaction, each
judged for itself. A withdrawal takes effect when its header is held, not later. The one
rule: `held` is signed over what this transaction made durable, and sent after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Cosignature, Role
from mithaq.ledger.names import HUB
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.accusing import accuse_headers
from mithaq.node.exchange.errors import (
    HeadersBehindError,
    RegistryBehindError,
)
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.judge import HeaderPiece, end_of, judge_headers
from mithaq.node.exchange.pieces import FAULTS, by_stream, grouped, in_turn, writing
from mithaq.node.exchange.receipts import HELD, Receipt, sign_receipt
from mithaq.node.exchange.refusal_lists import check_raw_weight, check_weight, save_refusals
from mithaq.node.exchange.refusals import RefusalList, check_refusals
from mithaq.node.exchange.taking_back import take_back_all
from mithaq.node.tables import AcceptanceRow, ReceiptRow
from mithaq.store.engine import after_commit
from mithaq.store.rows import insert_tuples
from mithaq.store.tables import table_of
from mithaq.v1 import exchange_pb2

RECEIPT: Final = table_of(ReceiptRow)
ACCEPTANCE: Final = table_of(AcceptanceRow)
MLDSA_INTERVAL: Final = timedelta(days=1)
# What a run takes in memory beside its bytes.
RUN_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class ArrivedHeaders:
    """Headers as they came, with the hub's refusals among them, not yet judged."""

    piece: HeaderPiece
    refusals: tuple[exchange_pb2.RefusalList, ...]

    @property
    def stream_id(self) -> bytes:
        """The stream that they are of."""
        return self.piece.stream_id

    @property
    def size_bytes(self) -> int:
        """What they take in memory while they wait, all that came with them included."""
        piece = self.piece
        runs = sum(len(run.terms_bytes) + len(run.own_bytes) + RUN_BYTES for run in piece.runs)
        lists = sum(each.ByteSize() for each in self.refusals)
        return runs + len(piece.checkpoint) + len(piece.acceptance) + lists


@dataclass(slots=True)
class Held:
    """What a transaction held: receipts to send, pieces that wait, streams that failed."""

    receipts: list[Receipt] = field(default_factory=list[Receipt])
    waiting: list[ArrivedHeaders] = field(default_factory=list[ArrivedHeaders])
    failed: dict[bytes, Exception] = field(default_factory=dict[bytes, Exception])
    # Whether a WITHDRAW was carried out, so that an answer is owed.
    withdrawn: bool = False
    # Of those that wait, the streams that wait for the registry (PROTOCOL 2.4).
    unreplayed: set[bytes] = field(default_factory=set[bytes])


def hold_headers(
    connection: sa.Connection, home: Home, arrived: Sequence[ArrivedHeaders], *, at: datetime
) -> Held:
    """Judge and keep pieces of headers; a stream that fails leaves its neighbours alone.

    Raises HalfWrittenError for what only the whole transaction can undo.
    """
    held = Held()
    newest: dict[bytes, tuple[int, Checkpoint]] = {}

    def keep(group: Sequence[ArrivedHeaders]) -> None:
        newest[group[-1].stream_id] = _hold(connection, home, group, held, at=at)

    for stream_id, pieces in by_stream(arrived).items():
        done = 0
        try:
            for group in grouped(pieces, weight=_entries, follows=_follows):
                for count, _ in in_turn(group, keep):
                    done += count
        except (RegistryBehindError, HeadersBehindError) as fault:
            held.waiting += pieces[done:]
            if isinstance(fault, RegistryBehindError):
                held.unreplayed.add(stream_id)
        except FAULTS as fault:
            held.failed[stream_id] = fault
            accuse_headers(connection, home, pieces[done].piece, fault)
    # Signed once all is held: of two receipts, the daily one could be the one that is dropped.
    receipts = [
        (log_no, _sign_held(connection, home, stream_id, log_no, checkpoint, at=at))
        for stream_id, (log_no, checkpoint) in newest.items()
    ]
    save_receipts(connection, receipts)
    held.receipts = [receipt for _, receipt in receipts]
    return held


def _entries(arrived: ArrivedHeaders) -> int:
    return sum(map(len, arrived.piece.runs))


def _follows(last: ArrivedHeaders, following: ArrivedHeaders) -> bool:
    """Tell whether a piece begins where the last ends; one with refusals stands alone.

    The hub's refusals are believed below the size that they came with, and no further.
    """
    if last.refusals or following.refusals:
        return False
    return following.piece.first_sequence == end_of(last.piece)


def _hold(
    connection: sa.Connection,
    home: Home,
    group: Sequence[ArrivedHeaders],
    held: Held,
    *,
    at: datetime,
) -> tuple[int, Checkpoint]:
    """Keep consecutive pieces and return the stream's log number and what is held of it."""
    pieces = [each.piece for each in group]
    piece = pieces[-1]
    stream = in_stream.find(connection, piece.stream_id)
    known = None if stream is None else in_stream.known(connection, stream)
    judged = judge_headers(pieces, known, registry=home.registry, reader=home.member)
    if stream is None:
        in_stream.check_predecessor(connection, judged.state.opening.predecessor)
    if stream is not None and not judged.hashes:
        # Said before (1.6): the lists that come with it are not looked at again.
        return stream.log_no, judged.state.checkpoint()
    lists = _check_hub_refusals(home, group[-1], size=judged.state.size)
    # A stream that is held for the first time has no list yet, and no number.
    check_weight(connection, stream.log_no if stream else 0, lists, size=judged.state.size)
    withdrawn = list(in_stream.withdrawals(judged.runs))
    fresh = [each for each in pieces if end_of(each) > judged.before.size]
    with writing():
        log_no = in_stream.hold(connection, stream, judged, note=piece.checkpoint)
        _save_acceptances(connection, log_no, fresh)
        save_refusals(connection, log_no, lists, at=at)
        if withdrawn:
            take_back_all(connection, home, log_no, withdrawn, at=at)
            held.withdrawn = True
    return log_no, judged.state.checkpoint()


def _sign_held(
    connection: sa.Connection,
    home: Home,
    stream_id: bytes,
    log_no: int,
    checkpoint: Checkpoint,
    *,
    at: datetime,
) -> Receipt:
    return sign_receipt(
        checkpoint,
        stream_id=stream_id,
        role=HELD,
        name=(home.federation, home.member),
        keys=home.receipts,
        at=at,
        with_mldsa=is_mldsa_due(connection, home, log_no, HELD, at=at),
    )


def _check_hub_refusals(home: Home, arrived: ArrivedHeaders, *, size: int) -> list[RefusalList]:
    # Before any signature is verified: a message may hold thousands of lists.
    check_raw_weight(arrived.refusals, size=size)
    return [
        check_refusals(
            each,
            stream_id=arrived.piece.stream_id,
            signer=HUB,
            size=size,
            public=home.registry.hub.cosign_ed25519,
        )
        for each in arrived.refusals
    ]


def is_mldsa_due(
    connection: sa.Connection, home: Home, log_no: int, role: Role, *, at: datetime
) -> bool:
    """Tell whether a receipt of type 0x06 is due: once a day per stream (PROTOCOL 1.4).

    Who asks signs one: the answer is remembered once that is durable, so that it is not
    looked up each time.
    """
    known = last = home.signed_daily.get((log_no, role))
    if last is None:
        found = connection.execute(
            sa.select(sa.func.max(RECEIPT.c.at_ms)).where(
                RECEIPT.c.log_no == log_no,
                RECEIPT.c.reader == home.member,
                RECEIPT.c.role == str(role),
                RECEIPT.c.cosignature_mldsa != "",
            )
        ).scalar()
        last = None if found is None else instant(found)
    is_due = last is None or at - last >= MLDSA_INTERVAL
    newest = at if last is None or is_due else last
    if newest != known:
        after_commit(connection, lambda: home.signed_daily.update({(log_no, role): newest}))
    return is_due


_ACCEPTANCE_COLUMNS: Final = ("log_no", "size", "at_ms", "cosignature")
_RECEIPT_COLUMNS: Final = (
    "log_no",
    "reader",
    "role",
    "size",
    "root",
    "at_ms",
    "cosignature",
    "cosignature_mldsa",
    "refusals_head",
)


def save_receipts(connection: sa.Connection, receipts: Sequence[tuple[int, Receipt]]) -> None:
    """Keep receipts by log number; one of the same reader, role and size is kept once."""
    rows = [
        (
            log_no,
            each.reader,
            str(each.role),
            each.size,
            each.root,
            milliseconds(each.at),
            each.cosignature,
            each.cosignature_mldsa,
            each.refusals_head,
        )
        for log_no, each in receipts
    ]
    insert_tuples(connection, RECEIPT, _RECEIPT_COLUMNS, rows, once=True)


def _save_acceptances(
    connection: sa.Connection, log_no: int, pieces: Sequence[HeaderPiece]
) -> None:
    rows = [
        (log_no, end_of(each), milliseconds(Cosignature.parse(each.acceptance).at), each.acceptance)
        for each in pieces
    ]
    insert_tuples(connection, ACCEPTANCE, _ACCEPTANCE_COLUMNS, rows)
