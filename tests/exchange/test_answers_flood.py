"""A hub that answers faster than its answers are kept: no more waits in memory than has room."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest

from mithaq.ledger.lists import RECEIPTS_PER_MESSAGE_MAX
from mithaq.node.exchange import publisher
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.node.exchange.publisher import ANSWER_BYTES, ANSWERS_BYTES_MAX, Publisher
from mithaq.node.exchange.subscriber import Subscriber
from mithaq.v1 import exchange_pb2
from tests.exchange.relay import Desk, acceptance_of
from tests.exchange.test_answers import issued, receipt
from tests.federation import Federation

Response = exchange_pb2.PublishResponse


class Flood:
    """A call that answers at once and for ever, or so often and then ends."""

    def __init__(self, answers: Sequence[Response], *, ends: bool) -> None:
        self.answers = answers
        self.ends = ends
        self.told = 0

    async def read(self) -> Response:
        if self.told == len(self.answers):
            if self.ends:
                # What ends a call of gRPC's.
                return grpc.aio.EOF  # type: ignore[return-value]  # as gRPC ends a call
            await asyncio.Event().wait()
        self.told += 1
        return self.answers[self.told - 1]

    async def write(self, request: exchange_pb2.PublishRequest, /) -> None:
        del request


def heavy(kind: str, size_bytes: int) -> Response:
    """Return an answer of some kind that says nothing, at length."""
    junk = bytes(size_bytes)
    if kind == "acceptance":
        return Response(acceptance=exchange_pb2.Acceptance(stream_id=junk))
    if kind == "refusals":
        return Response(refusals=exchange_pb2.RefusalList(signature=junk))
    return Response(receipts=exchange_pb2.Receipts(receipts=[exchange_pb2.Receipt(root=junk)]))


async def settled() -> None:
    """Let every task go on as far as it can without waiting."""
    for _ in range(64):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["acceptance", "refusals", "receipts"])
async def test_what_waits_to_be_kept_is_bounded(
    cairo: Desk, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(publisher, "KEEP_PATIENCE_S", 600.0)
    half = heavy(kind, ANSWERS_BYTES_MAX // 2)
    call = Flood([half] * 64, ends=False)
    running = asyncio.create_task(Publisher(cairo.home, refused=lambda: None).run(call))
    await settled()
    # The second goes beyond: it is taken, and nothing more is read.
    assert call.told == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_answers_of_nothing_are_counted_too(
    cairo: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "KEEP_PATIENCE_S", 600.0)
    empty = [exchange_pb2.Receipt()] * RECEIPTS_PER_MESSAGE_MAX
    many = Response(receipts=exchange_pb2.Receipts(receipts=empty))
    call = Flood([many] * 4096, ends=False)
    running = asyncio.create_task(Publisher(cairo.home, refused=lambda: None).run(call))
    await settled()
    assert call.told * RECEIPTS_PER_MESSAGE_MAX <= ANSWERS_BYTES_MAX // ANSWER_BYTES
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_whoever_waited_for_room_reads_on_and_loses_nothing(
    cairo_and_receipt: tuple[Desk, Response, Response],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cairo, acceptance, opened = cairo_and_receipt
    monkeypatch.setattr(publisher, "KEEP_PATIENCE_S", 0.0)
    junk = heavy("receipts", ANSWERS_BYTES_MAX)
    call = Flood([acceptance, junk, junk, opened, junk, junk, junk], ends=True)
    await Publisher(cairo.home, refused=lambda: None).run(call)
    assert call.told == len(call.answers)
    rows = await cairo.query("SELECT count(*) FROM node_receipt")
    assert rows == [(1,)]


@pytest.fixture
def cairo_and_receipt(cairo: Desk, federation: Federation) -> tuple[Desk, Response, Response]:
    """Return Cairo with something sent, and what the hub and a reader say to it."""
    batch = issued(cairo)
    acceptance = exchange_pb2.Acceptance(
        stream_id=batch.stream_id,
        size=batch.segment.state.size,
        cosignature=acceptance_of(federation, batch),
    )
    opened = exchange_pb2.Receipts(receipts=[receipt(federation, batch)])
    return cairo, Response(acceptance=acceptance), Response(receipts=opened)


@pytest.mark.parametrize("beyond", [0, 1])
async def test_more_receipts_than_a_message_may_have_end_the_call(cairo: Desk, beyond: int) -> None:
    told = exchange_pb2.Receipts(
        receipts=[exchange_pb2.Receipt()] * (RECEIPTS_PER_MESSAGE_MAX + beyond)
    )
    running = Publisher(cairo.home, refused=lambda: None).run(
        Flood([Response(receipts=told)], ends=True)
    )
    if beyond:
        with pytest.raises(ProofRefusedError):
            await running
    else:
        await running


class Views:
    """A call that tells a reader views once, and ends."""

    def __init__(self, told: exchange_pb2.Receipts) -> None:
        self.views = [exchange_pb2.SubscribeResponse(views=told)]

    async def read(self) -> exchange_pb2.SubscribeResponse:
        if not self.views:
            return grpc.aio.EOF  # type: ignore[return-value]  # as gRPC ends a call
        return self.views.pop()

    async def write(self, request: exchange_pb2.SubscribeRequest, /) -> None:
        del request


@pytest.mark.parametrize("beyond", [0, 1])
async def test_more_views_than_a_message_may_have_end_the_call(cairo: Desk, beyond: int) -> None:
    told = exchange_pb2.Receipts(
        receipts=[exchange_pb2.Receipt()] * (RECEIPTS_PER_MESSAGE_MAX + beyond)
    )
    running = Subscriber(cairo.home, owed=lambda: None).run(Views(told))
    if beyond:
        with pytest.raises(ProofRefusedError):
            await running
    else:
        await running
