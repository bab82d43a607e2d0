"""What readers call: one stream down with headers and bodies, one up with receipts.

The reader says where it stands and how much it can take; a ``Delivery`` does the sending.
Receipts go to the committer, and what they release is sent once they are durable. Beside
that go freeze lists as they come and, once a minute, the receipts of every stream's
audience (PROTOCOL 5.6, 5.7). The rule: a member has one subscription; a new one ends the
old, so that nobody can be made to read an older state beside the newer.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import grpc

from mithaq.hub.answers import freeze_lists
from mithaq.hub.batch import run_message
from mithaq.hub.committer import Outcome
from mithaq.hub.connection import Inbox, Outbox, drain_message, rejection, run_until_over
from mithaq.hub.context import Context, HubContext
from mithaq.hub.delivery import Delivery, Outlet, Release, Standing
from mithaq.hub.directory import HeldStream, Listener
from mithaq.hub.errors import ReceiptRefusedError
from mithaq.hub.pieces import OPENED as OPENED_BEFORE
from mithaq.hub.pieces import BodyPiece, HeaderPiece
from mithaq.hub.receipt_book import HeldReceipt, in_messages, tell
from mithaq.hub.receipts import OPENED, parse_receipt
from mithaq.hub.recent import Part
from mithaq.hub.refusals import parse_lists
from mithaq.service.identity import Draining, LiveCall, current_call
from mithaq.service.validation import check_message
from mithaq.v1 import exchange_pb2

SERVICE = exchange_pb2.DESCRIPTOR.services_by_name["SubscribeService"].full_name
HELLO_WAIT_S = 10.0
RECEIPTS_IN_FLIGHT_MAX = 64
REPLACED = Draining(timedelta(seconds=1))


class SubscribeServicer:
    """Serves SubscribeService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub
        self._running: dict[str, LiveCall] = {}

    async def Subscribe(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[exchange_pb2.SubscribeRequest], context: Context
    ) -> None:
        """Receive headers, return receipts, receive bodies."""
        del request_iterator
        member, call = self._hub.member(context), current_call()
        if (older := self._running.get(member)) is not None:
            older.end(REPLACED)
        self._running[member] = call
        try:
            await Subscription(self._hub, context, member=member).run(call)
        finally:
            if self._running.get(member) is call:
                del self._running[member]


def add_to(server: grpc.aio.Server, servicer: SubscribeServicer) -> None:
    """Serve SubscribeService by a handler that takes messages as objects and as bytes."""
    subscribe = grpc.stream_stream_rpc_method_handler(
        servicer.Subscribe,
        request_deserializer=exchange_pb2.SubscribeRequest.FromString,
        response_serializer=_serialized,
    )
    service = grpc.method_handlers_generic_handler(SERVICE, {"Subscribe": subscribe})
    server.add_generic_rpc_handlers((service,))


def _serialized(message: exchange_pb2.SubscribeResponse | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


class Subscription:
    """One reader's Subscribe call."""

    def __init__(self, hub: HubContext, context: Context, *, member: str) -> None:
        self._hub = hub
        self._member = member
        self._listener = Listener(member)
        self._inbox = Inbox(context.read)
        # Messages, or the bytes of one that several readers are sent.
        self._outbox: Outbox[exchange_pb2.SubscribeResponse | bytes] = Outbox(
            context.write, counted=hub.metrics.count_sent
        )
        # The number of the newest receipt that there was when views were last sent.
        self._seen = 0

    async def run(self, call: LiveCall) -> None:
        """Serve the call until it is over."""
        try:
            await self._serve(call, await self._hello())
        finally:
            self._hub.directory.forget(self._listener)
            self._inbox.close()

    async def _serve(self, call: LiveCall, hello: exchange_pb2.SubscribeHello) -> None:
        self._hub.directory.listen_as_reader(self._listener)
        self._listener.news.set()
        delivery = Delivery(
            self._listener,
            directory=self._hub.directory,
            database=self._hub.database,
            outlet=Outlet(self._send_headers, self._send_bodies),
            release=Release(self._hub.may_release, self._hub.expired_at),
            window_bytes=min(hello.window_bytes, self._hub.limits.window_bytes_max),
            standing={
                each.stream_id: Standing(each.held_size, each.opened_size) for each in hello.cursors
            },
        )
        over = await run_until_over(
            call, [self._take_receipts(), self._deliver(delivery), self._send_views()]
        )
        await self._say_goodbye(over)

    async def _hello(self) -> exchange_pb2.SubscribeHello:
        async with asyncio.timeout(HELLO_WAIT_S):
            request = await self._inbox.next()
        if request is None or request.WhichOneof("message") != "hello":
            raise ReceiptRefusedError("a reader says first where it stands")
        check_message(request)
        hello: exchange_pb2.SubscribeHello = request.hello
        return hello

    async def _deliver(self, delivery: Delivery) -> None:
        await self._send_freeze_lists(None)
        while True:
            await self._listener.news.wait()
            await delivery.deliver_all()
            senders, self._listener.freezes = self._listener.freezes, set()
            if senders:
                await self._send_freeze_lists(senders)

    async def _take_receipts(self) -> None:
        waiting: set[asyncio.Future[Any]] = set()
        room = asyncio.Semaphore(RECEIPTS_IN_FLIGHT_MAX)

        def over(done: "asyncio.Future[Any]") -> None:
            waiting.discard(done)
            room.release()

        def settle(stream_id: bytes, done: "asyncio.Future[Outcome]") -> None:
            if done.cancelled() or not isinstance(outcome := done.result(), Exception):
                # Nearly always: what was taken is answered by what it releases.
                over(done)
                return
            rejecting = asyncio.ensure_future(self._reject(outcome, stream_id))
            waiting.add(rejecting)
            waiting.discard(done)
            rejecting.add_done_callback(over)

        try:
            while (request := await self._inbox.next()) is not None:
                self._hub.metrics.count_received(request)
                receipt = parse_receipt(request.receipt, reader=self._member)
                await room.acquire()
                done = await self._hub.committer.enqueue(receipt)
                waiting.add(done)
                done.add_done_callback(partial(settle, receipt.stream_id))
            while waiting:
                await asyncio.wait(waiting)
        finally:
            for each in tuple(waiting):
                each.cancel()

    async def _reject(self, outcome: Exception, stream_id: bytes) -> None:
        self._hub.note_refusal(outcome, member=self._member)
        message = rejection(outcome, stream_id=stream_id)
        await self._outbox.send(exchange_pb2.SubscribeResponse(reject=message))

    async def _send_headers(self, stream: HeldStream, piece: HeaderPiece) -> None:
        part = Part("headers", stream.log_no, piece.first_sequence, piece.size)
        message = partial(_headers_message, stream, piece)
        await self._outbox.send(self._hub.directory.recent.shared(part, message))

    async def _send_bodies(self, stream: HeldStream, piece: BodyPiece, start: int) -> None:
        if piece.missing:
            self._hub.note_missing(stream, piece.missing)
        opened = None
        if any(each.reason == OPENED_BEFORE for each in piece.omitted):
            opened = self._hub.directory.receipts.one(stream.log_no, self._member, OPENED)
        message = partial(_bodies_message, stream, piece, opened)
        if not piece.is_whole:
            # What is left out, and why, is this reader's own.
            await self._outbox.send(message())
            return
        part = Part("bodies", stream.log_no, start, piece.size)
        await self._outbox.send(self._hub.directory.recent.shared(part, message))

    async def _send_freeze_lists(self, senders: set[str] | None) -> None:
        messages = await self._hub.database.read(
            lambda each: freeze_lists(each, reader=self._member, senders=senders)
        )
        for message in messages:
            freeze_list = exchange_pb2.FreezeList.FromString(message)
            await self._outbox.send(exchange_pb2.SubscribeResponse(freeze_list=freeze_list))

    async def _send_views(self) -> None:
        while True:
            for portion in in_messages(self._new_views()):
                message = exchange_pb2.SubscribeResponse()
                tell(message.views.receipts, portion)
                await self._outbox.send(message)
            await asyncio.sleep(self._hub.intervals.views_s)

    def _new_views(self) -> list[HeldReceipt]:
        """Return what other readers have signed since it was last sent here (PROTOCOL 5.6)."""
        directory = self._hub.directory
        news = [
            receipt
            for stream in directory.read_by(self._member)
            for receipt in directory.receipts.since(stream.log_no, self._seen)
            if receipt.reader != self._member
        ]
        self._seen = directory.receipts.number
        return news

    async def _say_goodbye(self, over: BaseException | Draining | None) -> None:
        if over is None:
            return
        if isinstance(over, Draining):
            await self._outbox.send(exchange_pb2.SubscribeResponse(drain=drain_message(over)))
            return
        self._hub.note_refusal(over, member=self._member)
        await self._outbox.send(exchange_pb2.SubscribeResponse(reject=rejection(over)))
        await self._inbox.discard()
        raise over


def _headers_message(stream: HeldStream, piece: HeaderPiece) -> bytes:
    message = exchange_pb2.SubscribeResponse(
        headers=exchange_pb2.Headers(
            stream_id=stream.state.stream_id,
            first_sequence=piece.first_sequence,
            runs=[run_message(run) for run in piece.runs],
            checkpoint=piece.checkpoint,
            acceptance=piece.acceptance,
            refusals=parse_lists(piece.refusals),
        )
    )
    return message.SerializeToString()


def _bodies_message(stream: HeldStream, piece: BodyPiece, opened: HeldReceipt | None) -> bytes:
    message = exchange_pb2.SubscribeResponse(
        bodies=exchange_pb2.Bodies(
            stream_id=stream.state.stream_id,
            through_size=piece.size,
            sequences=piece.sequences,
            bodies=piece.bodies,
            omissions=[
                exchange_pb2.Omission(
                    sequence=each.sequence,
                    reason=exchange_pb2.OmissionReason.ValueType(each.reason),
                    withdrawn_by=each.withdrawn_by,
                )
                for each in piece.omitted
            ],
            opened=exchange_pb2.Receipt.FromString(opened.message) if opened else None,
        )
    )
    return message.SerializeToString()
