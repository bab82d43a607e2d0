"""What accuses whom: from a fault in what was delivered to its alarm and the file that proves it.

PROTOCOL 6. Headers come with the hub's word and the sender's, bodies with neither: what
either has signed goes into the file, with what this node computed beside it, so that
`store.evidence_check` finds out anew who is wrong. The one rule: a fault stops its own
stream, and the alarm says what was signed and not what was said.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.errors import ForkError, LedgerError, RootMismatchError
from mithaq.ledger.names import HUB, stream_origin
from mithaq.ledger.proof import inclusion_proof
from mithaq.ledger.terms import parse_terms
from mithaq.ledger.tiles import frontier_at
from mithaq.ledger.tlog_proof import TlogProof
from mithaq.ledger.tree import Frontier
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.alarms import ALARM, raise_alarm
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.errors import (
    AcceptanceMissingError,
    ExchangeError,
    HeadersUnsignedError,
)
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.exchange.in_stream import InStream
from mithaq.node.exchange.judge import HeaderPiece, check_signed, member_of
from mithaq.node.exchange.opening import Refused
from mithaq.store import log_store
from mithaq.v1 import exchange_pb2

# Of a piece of bodies; the signed list of refusals names the rest.
ALARMS_PER_PIECE_MAX: Final = 16
# Of one name, about streams of which nothing is held here.
STRANGE_STREAMS_PER_DAY_MAX: Final = 64
UNSIGNED: Final = "`checkpoint` came with `entries` and is not signed by the stream's sender; \
`acceptance`, where it holds, shows that the hub accepted them nevertheless."
UNACCEPTED: Final = "The stream's sender signed `entries` in `checkpoint`, and the hub handed \
them on under an `acceptance` that is not its cosignature over them."
MALFORMED: Final = "`entries` are none that may stand there, though the hub handed them on; \
where they give another root than `checkpoint`, it has altered what their sender signed."
TWO_TEXTS: Final = "`entry` and `other_entry` were signed by one sender, and commit to two \
texts of one version of a record; `refusals` is what their reader signed about it."
AFTER_WITHDRAWAL: Final = "`entry` and `withdrawal_entry` were signed by one sender in one \
stream: it took a record back for good and sent a version of it again afterwards, as the \
reader of `entry` signed in `refusals`."
REFUSED_ENTRY: Final = "`entry` was signed by its sender; what was sealed to it does not hold, \
as its reader signed in `refusals`."
_EXPLANATIONS: Final[dict[type[Exception], str]] = {
    HeadersUnsignedError: UNSIGNED,
    AcceptanceMissingError: UNACCEPTED,
}
_Parts = dict[str, bytes | str | int]


def accuse_headers(
    connection: sa.Connection, home: Home, piece: HeaderPiece, fault: Exception
) -> None:
    """Raise the alarm that a fault in headers stands for, if it stands for one."""
    stream = in_stream.find(connection, piece.stream_id)
    after = _head_after(connection, piece, stream)
    sender = sender_of(piece, stream)
    alarm, accused, explanation = _accusation(home, piece, fault, sender=sender, after=after)
    if alarm is None or (stream is None and not _has_room(connection, home, alarm)):
        return
    parts: _Parts = {
        "first_sequence": piece.first_sequence,
        "sender": sender,
        "checkpoint": piece.checkpoint,
        "acceptance": piece.acceptance.encode(),
        "entries": _entries(piece),
        "fault": str(fault),
    }
    if after is not None:
        before, head = after
        parts |= {"frontier": before.to_bytes(), "size": head.size, "root": head.root().hex()}
    if stream is not None:
        parts["known_checkpoint"] = stream.head.checkpoint or b""
        if isinstance(fault, ForkError) and fault.sequence is not None:
            parts |= _proof_of(connection, stream.log_no, fault.sequence, name="known_entry")
    raise_alarm(
        connection,
        home,
        alarm,
        subject=f"{piece.stream_id.hex()[:16]}/{piece.first_sequence}",
        evidence=parts,
        stream_id=piece.stream_id,
        accused=accused,
        explanation=explanation,
    )


def _has_room(connection: sa.Connection, home: Home, alarm: str) -> bool:
    """Tell whether another stream that nobody has here may be made an alarm today.

    A hub can make up streams without end; each alarm has its file.
    """
    since = milliseconds(home.clock() - timedelta(days=1))
    raised = sa.select(sa.func.count()).where(ALARM.c.name == alarm, ALARM.c.at_ms > since)
    return (connection.execute(raised).scalar() or 0) < STRANGE_STREAMS_PER_DAY_MAX


def _accusation(
    home: Home,
    piece: HeaderPiece,
    fault: Exception,
    *,
    sender: str,
    after: tuple[Frontier, Frontier] | None,
) -> tuple[str | None, str, str]:
    """Return the alarm of a fault in headers, whom it accuses, and what its file shows."""
    alarm: str | None = getattr(fault, "alarm", None)
    if isinstance(fault, ForkError) and not _is_signed(home, piece, sender, after):
        # PROTOCOL 1.6: only its owner can fork a stream. Others have altered it.
        return RootMismatchError.alarm, HUB, UNSIGNED
    if isinstance(fault, LedgerError) and alarm is None:
        # No entry of a stream is like this; the hub has altered it, or let it in (5.2).
        return RootMismatchError.alarm, HUB, MALFORMED
    explanation = _EXPLANATIONS.get(type(fault), "")
    return alarm, HUB if explanation else "", explanation


def _is_signed(
    home: Home, piece: HeaderPiece, sender: str, after: tuple[Frontier, Frontier] | None
) -> bool:
    """Tell whether a sender signed the head that these entries lead to."""
    if after is None:
        return False
    origin = stream_origin(home.federation, piece.stream_id)
    head = Checkpoint(origin, after[1].size, after[1].root())
    try:
        check_signed(head, piece.checkpoint, sender=member_of(home.registry, sender))
    except (LedgerError, ExchangeError):
        return False
    return True


def accuse_bodies(
    connection: sa.Connection, home: Home, arrived: ArrivedBodies, fault: Exception
) -> None:
    """Raise the alarm that a fault in delivered bodies stands for, if it stands for one."""
    alarm: str | None = getattr(fault, "alarm", None)
    if alarm is None:
        return
    stream = in_stream.find(connection, arrived.stream_id)
    parts: _Parts = {
        "through_size": arrived.through_size,
        "sequences": " ".join(map(str, arrived.bodies)),
        "omissions": " ".join(
            f"{each.sequence}:{each.reason}:{each.withdrawn_by}"
            for each in arrived.omissions.values()
        ),
        "fault": str(fault),
    }
    if arrived.opened is not None:
        parts["opened_receipt"] = arrived.opened.SerializeToString(deterministic=True)
    if stream is not None:
        parts["sender"] = stream.sender
        parts["checkpoint"] = stream.head.checkpoint or b""
    raise_alarm(
        connection,
        home,
        alarm,
        subject=f"{arrived.stream_id.hex()[:16]}/{arrived.through_size}",
        evidence=parts,
        stream_id=arrived.stream_id,
        accused=HUB,
    )


def accuse_sender(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    refused: Sequence[Refused],
    *,
    signed: Sequence[exchange_pb2.RefusalList],
) -> None:
    """Raise the alarms of refused entries that accuse their sender."""
    accusing = [each for each in refused if each.alarm is not None]
    for each in accusing[:ALARMS_PER_PIECE_MAX]:
        parts: _Parts = {
            "sender": stream.sender,
            "sequence": each.entry.sequence,
            "reason": each.reason,
            **_proof_of(connection, stream.log_no, each.entry.sequence, name="entry"),
        }
        for listed in signed:
            if each.entry.sequence in {one.sequence for one in listed.refusals}:
                parts["refusals"] = listed.SerializeToString(deterministic=True)
        if each.other is not None:
            parts |= _proof_of(connection, *each.other, name="other_entry")
        if each.withdrawn_at is not None:
            at = each.withdrawn_at
            parts |= _proof_of(connection, stream.log_no, at, name="withdrawal_entry")
        raise_alarm(
            connection,
            home,
            each.alarm or "",
            subject=f"{stream.stream_id.hex()[:16]}/{each.entry.sequence}",
            evidence=parts,
            stream_id=stream.stream_id,
            accused=stream.sender,
            explanation=_explanation(each),
        )


def _explanation(refused: Refused) -> str:
    if refused.other is not None:
        return TWO_TEXTS
    return REFUSED_ENTRY if refused.withdrawn_at is None else AFTER_WITHDRAWAL


def sender_of(piece: HeaderPiece, stream: InStream | None) -> str:
    """Return whose stream headers say they are of, empty where nothing says it."""
    if stream is not None:
        return stream.sender
    if not piece.runs:
        return ""
    try:
        opening = parse_terms(piece.runs[0].terms_bytes).opening
    except LedgerError:
        return ""
    return "" if opening is None else opening.sender


def _entries(piece: HeaderPiece) -> bytes:
    return exchange_pb2.Batch(
        stream_id=piece.stream_id,
        first_sequence=piece.first_sequence,
        runs=[
            exchange_pb2.EntryRun(terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes)
            for run in piece.runs
        ],
    ).SerializeToString(deterministic=True)


def _head_after(
    connection: sa.Connection, piece: HeaderPiece, stream: InStream | None
) -> tuple[Frontier, Frontier] | None:
    """Return the frontiers before and after the entries, where we know the one before."""
    first = piece.first_sequence
    if stream is None:
        before = Frontier.empty() if first == 0 else None
    else:
        held = log_store.head(connection, stream.log_no).size
        tiles = log_store.StoredTiles(connection, stream.log_no)
        before = frontier_at(tiles, first) if first <= held else None
    if before is None:
        return None
    return before, before.extend([each for run in piece.runs for each in run.leaf_hashes()])


def _proof_of(connection: sa.Connection, log_no: int, sequence: int, *, name: str) -> _Parts:
    """Return an entry that is held, and its inclusion in the sender's newest signed head."""
    head = log_store.head(connection, log_no)
    ((_, run),) = log_store.read_runs(connection, log_no, sequence, sequence + 1)
    entry = exchange_pb2.Batch(
        first_sequence=sequence,
        runs=[
            exchange_pb2.EntryRun(terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes)
        ],
    )
    hashes = inclusion_proof(log_store.StoredTiles(connection, log_no), sequence, head.size)
    proof = TlogProof(sequence, tuple(hashes), head.checkpoint or b"")
    return {
        name: entry.SerializeToString(deterministic=True),
        f"{name}_proof": proof.to_bytes(),
    }
