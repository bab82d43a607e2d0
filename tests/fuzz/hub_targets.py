"""What members send to the hub: batches, receipts, freeze lists, checkpoints to be cosigned.

Each is judged twice: as it came, and with its signatures made anew, for a member that
lies has its own keys. What the hub takes, a reader has to be able to take as well.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from google.protobuf.message import DecodeError

from mithaq.certs.errors import TrustError
from mithaq.hub.batch import parse_batch, to_message
from mithaq.hub.committer import Accepted, Committed
from mithaq.hub.errors import HubError
from mithaq.hub.receipts import (
    HELD,
    OPENED,
    SignedReceipt,
    parse_freeze_list,
    parse_receipt,
    receipt_message,
)
from mithaq.ledger.checkpoint import Checkpoint, parse_checkpoint_text, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.lists import freeze_list_bytes, refusal_list_bytes
from mithaq.ledger.names import audit_origin
from mithaq.ledger.note import parse_note
from mithaq.ledger.proof import consistency_proof
from mithaq.ledger.stream import Slot
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tree import leaf_hash, root_of
from mithaq.node.exchange.errors import NotInAudienceError
from mithaq.node.exchange.judge import HeaderPiece, Known, judge_headers
from mithaq.service.errors import InvalidRequestError
from mithaq.service.validation import check_message
from mithaq.store.errors import WitnessConflictError
from mithaq.store.log_store import read_leaves
from mithaq.store.witness import Continuation, WitnessStore
from mithaq.v1 import exchange_pb2
from tests.federation import FEDERATION
from tests.fuzz import stage, streams
from tests.fuzz.cast import AT, CAIRO, GENEVA, TUNIS, agency, federation, pair
from tests.fuzz.target import Exposure, Finding, Target, holds, same
from tests.streams import StreamWriter

REFUSALS = (HubError, LedgerError, TrustError)
AUDIT = audit_origin(FEDERATION, CAIRO)
AUDITED = [leaf_hash(b"act %d" % number) for number in range(40)]
AUDITED_TILES = TileMap(AUDITED)
WITNESSED = 13


# --- batches --------------------------------------------------------------------------


def batch(data: bytes) -> None:
    """A batch as the edge reads it: nothing is lost between message and bytes."""
    try:
        message = exchange_pb2.Batch.FromString(data)
    except DecodeError:
        return
    try:
        parsed = parse_batch(message, sender=CAIRO)
    except REFUSALS:
        return
    message.DiscardUnknownFields()
    for each in message.runs:
        each.DiscardUnknownFields()
    same(to_message(parsed), message, "a batch comes out as another")
    leaves = [each for run in parsed.runs for each in run.leaves()]
    same(parsed.end - parsed.first_sequence, len(leaves), "a batch counts its entries wrongly")


def publish(data: bytes) -> None:
    """A batch at the hub's commit, and what a reader says of what was taken."""
    try:
        message = exchange_pb2.Batch.FromString(data)
    except DecodeError:
        return
    _publish(message)
    _, writer = stage.hub()
    streams.mend(message, writer.state if message.stream_id == writer.stream_id else None)
    _publish(message)


def _publish(message: exchange_pb2.Batch) -> None:
    core, writer = stage.hub()
    try:
        parsed = parse_batch(message, sender=CAIRO)
    except REFUSALS:
        return

    def look(connection: sa.Connection, done: Committed) -> None:
        if done.changes.streams:
            _check_written(connection, done)

    outcome = stage.committed(core, parsed, look=look)
    if isinstance(outcome, Accepted):
        _check_readable(message, outcome, writer)
    elif not isinstance(outcome, REFUSALS):
        raise Finding("a batch was answered with another kind of error") from (
            outcome if isinstance(outcome, Exception) else None
        )


def _check_written(connection: sa.Connection, done: Committed) -> None:
    """What the database has gives the root that was accepted."""
    for log_no, held in done.changes.streams.items():
        leaves = read_leaves(connection, log_no, 0, held.state.size)
        root = root_of([leaf_hash(each) for each in leaves])
        same(root, held.state.frontier.root(), "what was written gives another root")


def _check_readable(message: exchange_pb2.Batch, accepted: Accepted, writer: StreamWriter) -> None:
    known = None
    if message.stream_id == writer.stream_id:
        known = _known(writer)
    piece = HeaderPiece(
        message.stream_id,
        message.first_sequence,
        tuple(streams.runs_of(message)),
        message.checkpoint,
        accepted.acceptance,
    )
    try:
        judged = judge_headers([piece], known, registry=federation().registry, reader=TUNIS)
    except NotInAudienceError:
        return
    except REFUSALS as fault:
        raise Finding("the hub takes what no reader can take") from fault
    if known is None or judged.hashes:
        same(judged.state.size, accepted.size, "hub and reader count differently")


def _known(writer: StreamWriter) -> Known:
    """Return the stream as a reader has it that holds all of it."""

    def kind_at(wanted: Sequence[int]) -> list[Slot]:
        return [writer.slots[each] for each in wanted]

    def hashes_at(start: int, end: int) -> list[bytes]:
        return writer.hashes[start:end]

    return Known(writer.state, kind_at, hashes_at)


# --- receipts and lists ---------------------------------------------------------------


def receipt(data: bytes) -> None:
    try:
        message = exchange_pb2.Receipt.FromString(data)
    except DecodeError:
        return
    _receipt(message)
    _sign_receipt(message)
    _receipt(message)
    _, writer = stage.hub()
    if 0 < message.size <= writer.size and len(message.stream_id) == 32:
        message.root = root_of(writer.hashes[: message.size])
        _sign_receipt(message)
        _receipt(message)


def _receipt(message: exchange_pb2.Receipt) -> None:
    try:
        parsed = parse_receipt(message, reader=TUNIS)
    except REFUSALS:
        return
    again = parse_receipt(receipt_message(parsed), reader=TUNIS)
    same(receipt_message(again), receipt_message(parsed), "a receipt comes out as another")
    core, writer = stage.hub()
    outcome = stage.committed(core, *_before(parsed), parsed)
    if isinstance(outcome, Exception):
        if not isinstance(outcome, REFUSALS):
            raise Finding("a receipt was answered with another kind of error") from outcome
    elif message.root != root_of(writer.hashes[: message.size]):
        raise Finding("a receipt over another root was taken")


def _before(parsed: SignedReceipt) -> list[SignedReceipt]:
    """Return what a reader has to have signed before: it holds what it says that it opened."""
    if parsed.role != OPENED:
        return []
    _, writer = stage.hub()
    held = exchange_pb2.Receipt(
        stream_id=writer.stream_id,
        reader=TUNIS,
        role=exchange_pb2.RECEIPT_ROLE_HELD,
        size=writer.size,
        root=writer.state.frontier.root(),
    )
    _sign_receipt(held)
    return [parse_receipt(held, reader=TUNIS)]


def _sign_receipt(message: exchange_pb2.Receipt) -> None:
    """Sign as Tunis whatever the receipt says, and the lists in it."""
    tunis = agency(TUNIS)
    role, key = (Role.OPENED, tunis.opened) if message.role == OPENED else (Role.HELD, tunis.held)
    try:
        origin = f"{FEDERATION}/stream/{message.stream_id.hex()}"
        head = Checkpoint(origin, message.size, message.root)
    except LedgerError:
        return
    name = cosigner_name(FEDERATION, role, TUNIS)
    message.cosignature = cosign_ed25519(head, name=name, signer=key, at=AT).line()
    for each in message.refusals:
        each.signature = tunis.opened.sign(refusal_list_bytes(each))


def freeze_list(data: bytes) -> None:
    try:
        message = exchange_pb2.FreezeList.FromString(data)
    except DecodeError:
        return
    _freeze_list(message)
    key = pair(f"{CAIRO} log").sign(freeze_list_bytes(message))
    message.signature_ed25519, message.signature_mldsa = key.ed25519, key.mldsa44
    _freeze_list(message)


def _freeze_list(message: exchange_pb2.FreezeList) -> None:
    try:
        parsed = parse_freeze_list(message, sender=CAIRO, federation=FEDERATION)
    except REFUSALS:
        return
    core, _ = stage.hub()
    outcome = stage.committed(core, parsed)
    if isinstance(outcome, Exception) and not isinstance(outcome, REFUSALS):
        raise Finding("a freeze list was answered with another kind of error") from outcome


# --- witnessing -----------------------------------------------------------------------


def witness(data: bytes) -> None:
    """A checkpoint of an audit log that is to be cosigned: only what continues the last one."""
    try:
        request = exchange_pb2.AddCheckpointRequest.FromString(data)
        check_message(request)
    except (DecodeError, InvalidRequestError):
        return
    _witness(request)
    try:
        claimed = parse_checkpoint_text(parse_note(request.checkpoint).text)
    except LedgerError:
        return
    request.checkpoint = _audit_note(claimed)
    _witness(request)


def _witness(request: exchange_pb2.AddCheckpointRequest) -> None:
    core, _ = stage.hub()
    store = WitnessStore(f"{FEDERATION}/hub/hub", pair("hub").ed25519)
    owner = pair(f"{CAIRO} log").public

    def act(connection: sa.Connection) -> None:
        first = Continuation(_audit_note(_audited(WITNESSED)), 0, [])
        store.cosign(connection, first, origin=AUDIT, owner=owner, at=AT)
        offered = Continuation(request.checkpoint, request.old_size, list(request.proof))
        store.cosign(connection, offered, origin=AUDIT, owner=owner, at=AT)
        claimed = parse_checkpoint_text(parse_note(request.checkpoint).text)
        known = claimed.size <= len(AUDITED) and claimed == _audited(claimed.size)
        holds(known, "a checkpoint was cosigned that continues nothing")

    try:
        stage.undone(core.database, act)
    except (LedgerError, WitnessConflictError):
        return


def _audited(size: int) -> Checkpoint:
    return Checkpoint(AUDIT, size, root_of(AUDITED[:size]))


def _audit_note(checkpoint: Checkpoint) -> bytes:
    key = pair(f"{CAIRO} log")
    return sign_checkpoint(checkpoint, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)


# --- seeds ----------------------------------------------------------------------------


def _batches() -> list[bytes]:
    opening = streams.batch(streams.begun(streams.new(TUNIS)))
    opening.checkpoint = b""
    return [
        each.SerializeToString(deterministic=True) for each in (*streams.next_batches(), opening)
    ]


def _receipts() -> list[bytes]:
    writer = streams.writer()
    refused = exchange_pb2.RefusalList(
        stream_id=writer.stream_id,
        signer=TUNIS,
        refusals=[exchange_pb2.Refusal(sequence=2, reason="REASON", registry_size=6)],
    )
    made = [
        exchange_pb2.Receipt(
            stream_id=writer.stream_id,
            reader=TUNIS,
            role=exchange_pb2.ReceiptRole.ValueType(role),
            size=size,
            root=bytes(32),
            refusals=[refused] if role == OPENED else [],
        )
        for role, size in ((HELD, 6), (HELD, 3), (OPENED, 6))
    ]
    for each in made:
        _sign_receipt(each)
    return [each.SerializeToString(deterministic=True) for each in made]


def _freeze_lists() -> list[bytes]:
    writer = streams.writer()
    heads = [
        exchange_pb2.StreamHead(stream_id=stream_id, size=6, root=bytes(32))
        for stream_id in sorted((writer.stream_id, bytes(32)))
    ]
    made = exchange_pb2.FreezeList(
        federation=FEDERATION, sender=CAIRO, reader=GENEVA, at=int(AT.timestamp()), streams=heads
    )
    return [made.SerializeToString(deterministic=True)]


def _checkpoints() -> list[bytes]:
    return [
        exchange_pb2.AddCheckpointRequest(
            old_size=WITNESSED,
            proof=consistency_proof(AUDITED_TILES, WITNESSED, size),
            checkpoint=_audit_note(_audited(size)),
        ).SerializeToString(deterministic=True)
        for size in (13, 14, 40)
    ]


TARGETS = (
    Target("batch", Exposure.MEMBER, batch, _batches, message=exchange_pb2.Batch),
    Target("publish", Exposure.MEMBER, publish, _batches, message=exchange_pb2.Batch),
    Target("receipt", Exposure.MEMBER, receipt, _receipts, message=exchange_pb2.Receipt),
    Target(
        "freeze_list",
        Exposure.MEMBER,
        freeze_list,
        _freeze_lists,
        message=exchange_pb2.FreezeList,
    ),
    Target(
        "witness",
        Exposure.MEMBER,
        witness,
        _checkpoints,
        message=exchange_pb2.AddCheckpointRequest,
        size_bytes_max=8192,
    ),
)
