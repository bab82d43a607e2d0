"""What a hub hands to a node, and what a member has sealed for it.

The hub may be the attacker here, alone or with a member: what it says is signed anew by
the hub, by Cairo, whose streams they are, and by the readers that it quotes. A node takes
such a message or names what is wrong with it; nothing may break the transaction in which
its neighbours are taken.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import sqlalchemy as sa
from google.protobuf.message import DecodeError

from mithaq.certs.errors import TrustError
from mithaq.certs.registry import Registry
from mithaq.hub.receipts import parse_receipt, verify_receipt
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.lists import freeze_list_bytes, refusal_list_bytes
from mithaq.ledger.names import HUB, registry_origin, stream_origin
from mithaq.ledger.stream import StreamState
from mithaq.ledger.tree import Frontier, leaf_hash
from mithaq.node.exchange import subscriber
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import to_message
from mithaq.node.exchange.subscriber import Subscriber
from mithaq.v1 import exchange_pb2
from tests.exchange.relay import Desk, acceptance_of, headers_of
from tests.federation import FEDERATION
from tests.fuzz import stage, streams
from tests.fuzz.cast import AT, CAIRO, GENEVA, TUNIS, agency, federation, pair
from tests.fuzz.registry_targets import entries
from tests.fuzz.target import Exposure, Target, same

HASH = 32


# --- what comes to a reader -----------------------------------------------------------


def delivery(data: bytes) -> None:
    """One message of the subscription, as it came and signed anew."""
    try:
        message = exchange_pb2.SubscribeResponse.FromString(data)
    except DecodeError:
        return
    _take(message)
    _sign(message)
    _take(message)


def _take(message: exchange_pb2.SubscribeResponse) -> None:
    desk = _reader()
    arrived = subscriber._Arrived()  # pyright: ignore[reportPrivateUsage]
    kind = message.WhichOneof("message")
    if kind == "headers":
        arrived.headers.append(subscriber._headers(message.headers))  # pyright: ignore[reportPrivateUsage]
    elif kind == "bodies":
        arrived.bodies.append(subscriber._bodies(message.bodies))  # pyright: ignore[reportPrivateUsage]
    elif kind == "views":
        arrived.views.append(message.views)
    elif kind == "freeze_list":
        arrived.freeze_lists.append(message.freeze_list)
    taken = undone(
        desk,
        lambda each: Subscriber(desk.home, lambda: None)._write(each, arrived=arrived),  # pyright: ignore[reportPrivateUsage]
    )
    signed = [*taken.held.receipts, *(each.receipt for each in taken.unsealed.receipts)]
    for each in signed:
        # The hub has to be able to take what the node signs.
        parsed = parse_receipt(to_message(each), reader=TUNIS)
        origin = stream_origin(FEDERATION, each.stream_id)
        member = federation().registry.member(TUNIS)
        verify_receipt(parsed, federation=FEDERATION, origin=origin, member=member)


def undone(desk: Desk, act: Callable[[sa.Connection], stage.T]) -> stage.T:
    """Return what an act returns, with neither row, file nor memory of it left."""
    home: Home = desk.home
    signed = dict(home.signed_daily)
    try:
        return stage.undone(home.database, act)
    finally:
        # Looked up anew: as the rows say, of which none stayed.
        home.signed_daily, home.refusals_unanswered = signed, None
        shutil.rmtree(home.evidence, ignore_errors=True)


@cache
def _reader() -> Desk:
    """Return the node of Tunis, which holds the headers of what Cairo has sent, and no bodies."""
    desk = stage.node()
    for each in _sent():
        held = desk.hold(headers_of(federation(), each))
        assert not held.failed
    return desk


@cache
def _sent() -> tuple[Batch, ...]:
    _, batches = stage.sender()
    return tuple(each for each in batches if TUNIS in each.segment.state.opening.audience)


@cache
def _states() -> dict[bytes, StreamState]:
    """Return Cairo's streams to Tunis as far as they have been sent."""
    return {each.stream_id: each.segment.state for each in _sent()}


@cache
def _bodies() -> dict[tuple[bytes, int], bytes]:
    return {
        (each.stream_id, sequence): body
        for each in _sent()
        for sequence, body in each.segment.bodies
    }


def _sign(message: exchange_pb2.SubscribeResponse) -> None:
    kind = message.WhichOneof("message")
    if kind == "headers":
        _sign_headers(message.headers)
    elif kind == "bodies":
        _fill_bodies(message.bodies)
    elif kind == "views":
        for each in message.views.receipts:
            _sign_receipt(each, GENEVA)
    elif kind == "freeze_list":
        sign_list(message.freeze_list)


def _sign_headers(message: exchange_pb2.Headers) -> None:
    """Let Cairo sign what the headers give, and the hub accept it."""
    state = _states().get(message.stream_id)
    try:
        runs = streams.runs_of(message)
        before = state.frontier if state and message.first_sequence else Frontier.empty()
        after = before.extend([leaf for run in runs for leaf in run.leaf_hashes()])
        origin = stream_origin(FEDERATION, message.stream_id)
        head = Checkpoint(origin, after.size, after.root())
    except LedgerError:
        return
    message.checkpoint = sign_head(head, CAIRO)
    message.acceptance = accepted(head)
    for each in message.refusals:
        each.signature = pair("hub").ed25519.sign(refusal_list_bytes(each))


def sign_head(head: Checkpoint, member: str) -> bytes:
    key = pair(f"{member} log")
    return sign_checkpoint(head, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)


def accepted(head: Checkpoint) -> str:
    name = cosigner_name(FEDERATION, Role.HUB, HUB)
    return cosign_ed25519(head, name=name, signer=pair("hub").ed25519, at=AT).line()


def _fill_bodies(message: exchange_pb2.Bodies) -> None:
    """Put the right body where an empty one stands: they are other ones in each process."""
    for place, sequence in enumerate(message.sequences[: len(message.bodies)]):
        if not message.bodies[place]:
            message.bodies[place] = _bodies().get((message.stream_id, sequence), b"")
    if message.HasField("opened"):
        _sign_receipt(message.opened, TUNIS)


def _sign_receipt(message: exchange_pb2.Receipt, member: str) -> None:
    keys = agency(member)
    is_opened = message.role == exchange_pb2.RECEIPT_ROLE_OPENED
    role, key = (Role.OPENED, keys.opened) if is_opened else (Role.HELD, keys.held)
    state = _states().get(message.stream_id)
    if state is not None and message.root == bytes(HASH) and message.size == state.size:
        message.root = state.frontier.root()
    try:
        head = Checkpoint(
            f"{FEDERATION}/stream/{message.stream_id.hex()}", message.size, message.root
        )
    except LedgerError:
        return
    name = cosigner_name(FEDERATION, role, member)
    message.cosignature = cosign_ed25519(head, name=name, signer=key, at=AT).line()
    for each in message.refusals:
        each.signature = keys.opened.sign(refusal_list_bytes(each))


def sign_list(message: exchange_pb2.FreezeList) -> None:
    signature = pair(f"{CAIRO} log").sign(freeze_list_bytes(message))
    message.signature_ed25519, message.signature_mldsa = signature.ed25519, signature.mldsa44


# --- what comes to a sender -----------------------------------------------------------


def answer(data: bytes) -> None:
    """One message to a sender: an acceptance or readers' receipts."""
    try:
        message = exchange_pb2.PublishResponse.FromString(data)
    except DecodeError:
        return
    _keep(message)
    kind = message.WhichOneof("message")
    if kind == "receipts":
        for receipt in message.receipts.receipts[:1]:
            _sign_receipt(receipt, TUNIS)
    elif kind == "acceptance":
        _sign_acceptance(message.acceptance)
    _keep(message)


def _keep(message: exchange_pb2.PublishResponse) -> None:
    answers = Answers()
    kind = message.WhichOneof("message")
    if kind == "receipts":
        answers.receipts.extend(message.receipts.receipts)
    elif kind == "acceptance":
        answers.acceptances.append(message.acceptance)
    desk, _ = stage.sender()
    undone(desk, lambda each: keep_answers(each, desk.home, answers, at=AT))


def _sign_acceptance(message: exchange_pb2.Acceptance) -> None:
    state = _states().get(message.stream_id)
    if state is not None and message.size == state.size:
        message.cosignature = accepted(state.checkpoint())
    if message.HasField("refusals"):
        signed = refusal_list_bytes(message.refusals)
        message.refusals.signature = pair("hub").ed25519.sign(signed)


# --- the registry ---------------------------------------------------------------------


def follow(data: bytes) -> None:
    """Entries of the registry that a hub hands on, with a note that the registrar signs."""
    try:
        message = exchange_pb2.FollowResponse.FromString(data)
    except DecodeError:
        return
    _extend(message.entries, message.checkpoint)
    registry = federation().registry
    grown = registry.frontier.extend([leaf_hash(each) for each in message.entries])
    head = Checkpoint(registry_origin(FEDERATION), grown.size, grown.root())
    key = pair("registrar")
    note = sign_checkpoint(head, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)
    _extend(message.entries, note)


def _extend(leaves: Sequence[bytes], checkpoint: bytes) -> None:
    desk = stage.node()
    before: Registry = desk.home.registry
    size, root = before.size, before.root
    with suppress(TrustError):
        undone(desk, lambda each: desk.home.trust.extend(each, leaves, checkpoint))
    same((before.size, before.root), (size, root), "a registry grew before it was durable")


# --- seeds ----------------------------------------------------------------------------


def _deliveries() -> list[bytes]:
    response = exchange_pb2.SubscribeResponse
    made = (
        response(headers=_next_headers()),
        response(headers=_opening()),
        response(bodies=_all_bodies()),
        response(bodies=_opened_before()),
        response(views=exchange_pb2.Receipts(receipts=[_receipt(GENEVA)])),
        response(freeze_list=_freeze_list()),
    )
    return [each.SerializeToString(deterministic=True) for each in made]


def _next_headers() -> exchange_pb2.Headers:
    put = _sent()[-1]
    run, size = put.segment.runs[-1], put.segment.state.size
    next_run = exchange_pb2.EntryRun(
        terms=run.terms_bytes,
        own_size=run.own_size,
        own=size.to_bytes(8, "big") + run.own_bytes[8:],
    )
    return exchange_pb2.Headers(
        stream_id=put.stream_id, first_sequence=size, runs=[next_run], refusals=[_refused(HUB)]
    )


def _refused(signer: str) -> exchange_pb2.RefusalList:
    refusal = exchange_pb2.Refusal(sequence=2, reason="REASON", registry_size=6)
    return exchange_pb2.RefusalList(
        stream_id=_sent()[-1].stream_id, signer=signer, refusals=[refusal]
    )


def _all_bodies() -> exchange_pb2.Bodies:
    put = _sent()[-1]
    sequences = [sequence for key, sequence in _bodies() if key == put.stream_id]
    return exchange_pb2.Bodies(
        stream_id=put.stream_id,
        through_size=put.segment.state.size,
        sequences=sequences,
        bodies=[b"" for _ in sequences],
    )


def _opened_before() -> exchange_pb2.Bodies:
    """Return bodies that are left out because the reader has signed that it opened them."""
    whole, reason = _all_bodies(), exchange_pb2.OMISSION_REASON_OPENED
    return exchange_pb2.Bodies(
        stream_id=whole.stream_id,
        through_size=whole.through_size,
        omissions=[exchange_pb2.Omission(sequence=each, reason=reason) for each in whole.sequences],
        opened=_receipt(TUNIS, exchange_pb2.RECEIPT_ROLE_OPENED),
    )


def _receipt(
    reader: str, role: exchange_pb2.ReceiptRole.ValueType = exchange_pb2.RECEIPT_ROLE_HELD
) -> exchange_pb2.Receipt:
    put = _sent()[-1]
    return exchange_pb2.Receipt(
        stream_id=put.stream_id,
        reader=reader,
        role=role,
        size=put.segment.state.size,
        root=bytes(HASH),
    )


def _freeze_list() -> exchange_pb2.FreezeList:
    heads = [
        exchange_pb2.StreamHead(stream_id=key, size=each.size, root=bytes(HASH))
        for key, each in sorted(_states().items())
    ]
    return exchange_pb2.FreezeList(
        federation=FEDERATION,
        sender=CAIRO,
        reader=TUNIS,
        at=int(AT.timestamp()),
        streams=heads,
    )


def _opening() -> exchange_pb2.Headers:
    """Return the beginning of a stream that the reader has not seen."""
    writer = streams.begun(streams.new(TUNIS, ordinal=1))
    batch = streams.batch(writer)
    return exchange_pb2.Headers(stream_id=writer.stream_id, runs=batch.runs)


def _answers() -> list[bytes]:
    last = _sent()[-1]
    receipt = _receipt(TUNIS, exchange_pb2.RECEIPT_ROLE_OPENED)
    receipt.refusals.append(_refused(TUNIS))
    acceptance = exchange_pb2.Acceptance(
        stream_id=last.stream_id,
        size=last.segment.state.size,
        cosignature=acceptance_of(federation(), last),
        refusals=_refused(HUB),
    )
    made = (
        exchange_pb2.PublishResponse(receipts=exchange_pb2.Receipts(receipts=[receipt])),
        exchange_pb2.PublishResponse(acceptance=acceptance),
    )
    return [each.SerializeToString(deterministic=True) for each in made]


def _follows() -> list[bytes]:
    made = (
        exchange_pb2.FollowResponse(first_index=6, entries=entries()[:1]),
        exchange_pb2.FollowResponse(first_index=6, checkpoint=federation().checkpoint(at=AT)),
    )
    return [each.SerializeToString(deterministic=True) for each in made]


TARGETS = (
    Target(
        "delivery",
        Exposure.HUB,
        delivery,
        _deliveries,
        message=exchange_pb2.SubscribeResponse,
    ),
    Target("answer", Exposure.HUB, answer, _answers, message=exchange_pb2.PublishResponse),
    Target(
        "follow",
        Exposure.HUB,
        follow,
        _follows,
        message=exchange_pb2.FollowResponse,
        size_bytes_max=64 * 1024,
    ),
)
