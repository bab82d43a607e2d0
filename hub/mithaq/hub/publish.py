"""What senders call: publish batches, ask for their own heads, read their own tail back.

A connection's batches are parsed as they come, wait for the registry that they were judged
by, and go to the committer in order; answers go out in the same order, each after its
commit. Between them the newest receipts of the sender's readers go back, at most every
250 ms. The rule: an answer is an acceptance, never a promise of delivery (PROTOCOL 5.2).
"""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from mithaq.hub.answers import LISTS_AT_ONCE_MAX, own_heads, reader_refusals
from mithaq.hub.batch import PublishedBatch, parse_batch, run_message
from mithaq.hub.committer import Accepted, Outcome
from mithaq.hub.connection import Inbox, Outbox, drain_message, rejection, run_until_over
from mithaq.hub.context import Context, HubContext
from mithaq.hub.directory import HeldStream, Listener
from mithaq.hub.errors import BatchFormatError, StreamUnknownError
from mithaq.hub.reading import own_range
from mithaq.hub.receipt_book import in_messages, tell
from mithaq.hub.receipts import parse_freeze_list
from mithaq.hub.refusals import parse_lists
from mithaq.service.identity import Draining, current_call
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

BACK_PRESSURE_MS = 1000
# So long at once for headers without bodies; then one more request is read.
HEADERS_WAIT_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class _Answerable:
    """A piece of work that is in line, and what a refusal of it would name."""

    done: "asyncio.Future[Outcome]"
    stream_id: bytes = b""
    sequence: int = 0
    # Entries that have no body.
    bare: int = 0


class PublishServicer(exchange_pb2_grpc.PublishServiceServicer):
    """Serves PublishService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub

    async def Publish(  # type: ignore[override]  # noqa: N802 - gRPC's name; it writes itself
        self, request_iterator: AsyncIterator[exchange_pb2.PublishRequest], context: Context
    ) -> None:
        """Publish batches; answers come after the hub's commit."""
        del request_iterator
        await Publication(self._hub, context, member=self._hub.member(context)).run()

    async def ListHeads(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.ListHeadsRequest, context: Context
    ) -> exchange_pb2.ListHeadsResponse:
        """List the heads of the caller's own streams, before it signs anything."""
        del request
        streams = self._hub.directory.sent_by(self._hub.member(context))
        heads = await self._hub.database.read(lambda each: own_heads(each, streams))
        return exchange_pb2.ListHeadsResponse(heads=heads)

    async def ReadOwn(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.ReadOwnRequest, context: Context
    ) -> exchange_pb2.ReadOwnResponse:
        """Read entries of the caller's own stream back, without their bodies."""
        stream = self._hub.directory.find(request.stream_id)
        if stream is None or stream.sender != self._hub.member(context):
            raise StreamUnknownError("a member reads back a stream that isn't its own")
        first, count = request.first_sequence, request.count
        if first >= stream.state.size:
            raise BatchFormatError(f"the stream has {stream.state.size} entries")
        piece = await self._hub.database.read(
            lambda each: own_range(each, log_no=stream.log_no, first=first, count=count)
        )
        return exchange_pb2.ReadOwnResponse(
            batch=exchange_pb2.Batch(
                stream_id=request.stream_id,
                first_sequence=first,
                runs=[run_message(run) for run in piece.runs],
                checkpoint=piece.checkpoint,
            ),
            refusals=parse_lists(piece.refusals),
        )


class Publication:
    """One sender's Publish call."""

    def __init__(self, hub: HubContext, context: Context, *, member: str) -> None:
        self._hub = hub
        self._member = member
        self._listener = Listener(member)
        self._answers: asyncio.Queue[_Answerable | None] = asyncio.Queue(
            hub.limits.batches_in_flight_max
        )
        # The newest list of refusals that was sent of each stream.
        self._listed: dict[int, int] = {}
        # The number of the newest receipt that there was when it was told, by stream.
        self._told: dict[int, int] = {}
        # On the loop's clock: no further request is read before.
        self._held_until = 0.0
        self._inbox = Inbox(context.read)
        self._outbox = Outbox(context.write, counted=hub.metrics.count_sent)

    async def run(self) -> None:
        """Serve the call until it is over."""
        for stream in self._hub.directory.sent_by(self._member):
            self._listener.touch(stream.log_no)
        self._hub.directory.listen_as_sender(self._listener)
        try:
            over = await run_until_over(
                current_call(), [self._serve_batches(), self._send_receipts()]
            )
            await self._say_goodbye(over)
        finally:
            self._hub.directory.forget(self._listener)
            self._inbox.close()

    async def _serve_batches(self) -> None:
        reading = asyncio.ensure_future(self._read_requests())
        try:
            while (answerable := await self._answers.get()) is not None:
                await self._answer(answerable)
            await reading
        finally:
            reading.cancel()

    async def _read_requests(self) -> None:
        try:
            # A member that begins anew for each batch is as far ahead as it was.
            self._count_bare(0)
            await self._hold_back()
            while (request := await self._inbox.next()) is not None:
                self._hub.metrics.count_received(request)
                await self._answers.put(await self._taken(request))
                await self._hold_back()
        finally:
            await self._answers.put(None)

    async def _taken(self, request: exchange_pb2.PublishRequest) -> _Answerable:
        """Put a request in line; one that is not of its form ends the call."""
        if request.WhichOneof("message") == "freeze_list":
            freeze_list = parse_freeze_list(
                request.freeze_list, sender=self._member, federation=self._hub.federation
            )
            return _Answerable(await self._hub.committer.enqueue(freeze_list))
        batch = parse_batch(request.batch, sender=self._member)
        await self._hub.await_registry(batch.registry_size)
        return await self._in_line(batch)

    async def _in_line(self, batch: PublishedBatch) -> _Answerable:
        done = await self._hub.committer.enqueue(batch)
        bare = batch.end - batch.first_sequence - len(batch.bodies)
        return _Answerable(done, batch.stream_id, batch.first_sequence, bare)

    async def _hold_back(self) -> None:
        """Read on only after a while if this sender's readers are far behind (PROTOCOL 5.3a)."""
        if self._hub.backlog_is_full(self._member):
            await self._ask_to_wait(BACK_PRESSURE_MS)
        # PROTOCOL 5.2: headers are never refused for their number, only slowed down.
        ahead_s = self._held_until - asyncio.get_running_loop().time()
        if ahead_s > 0:
            await self._ask_to_wait(min(math.ceil(ahead_s * 1000), HEADERS_WAIT_MS_MAX))

    async def _ask_to_wait(self, wait_ms: int) -> None:
        await self._outbox.send(exchange_pb2.PublishResponse(back_pressure_ms=wait_ms))
        await asyncio.sleep(wait_ms / 1000)

    async def _answer(self, answerable: _Answerable) -> None:
        outcome = await answerable.done
        refused = len(outcome.refused) if isinstance(outcome, Accepted) else 0
        if answerable.bare + refused:
            self._count_bare(answerable.bare + refused)
        if isinstance(outcome, Exception):
            self._hub.note_refusal(outcome, member=self._member)
            message = rejection(
                outcome, stream_id=answerable.stream_id, sequence=answerable.sequence
            )
            await self._outbox.send(exchange_pb2.PublishResponse(reject=message))
        elif isinstance(outcome, Accepted):
            await self._outbox.send(exchange_pb2.PublishResponse(acceptance=acceptance(outcome)))

    def _count_bare(self, headers: int) -> None:
        """Count headers that no body is kept for; whoever adds too many reads answers late."""
        now = asyncio.get_running_loop().time()
        wait_s = self._hub.allowance.take(self._member, headers, now=now)
        self._held_until = max(self._held_until, now + wait_s)

    async def _send_receipts(self) -> None:
        while True:
            await self._listener.news.wait()
            for log_no in sorted(self._listener.take()):
                await self._send_receipts_of(self._hub.directory.stream(log_no))
            # PROTOCOL 5.5: the newest, at most every 250 ms, is enough.
            await asyncio.sleep(self._hub.intervals.receipts_s)

    async def _send_receipts_of(self, stream: HeldStream) -> None:
        """Send the receipts not sent here yet, after the lists of refusals that they name."""
        # Taken before the lists are read: so every list that one of them names is among those.
        book = self._hub.directory.receipts
        receipts = book.since(stream.log_no, self._told.get(stream.log_no, 0))
        self._told[stream.log_no] = book.number
        if self._hub.directory.has_refusals(stream.log_no):
            await self._send_lists_of(stream)
        for portion in in_messages(receipts):
            message = exchange_pb2.PublishResponse()
            tell(message.receipts.receipts, portion)
            await self._outbox.send(message)

    async def _send_lists_of(self, stream: HeldStream) -> None:
        more = True
        while more:
            after = self._listed.get(stream.log_no, 0)
            lists = await self._hub.database.read(
                partial(reader_refusals, log_no=stream.log_no, after=after)
            )
            for message in parse_lists(each.list_bytes for each in lists):
                await self._outbox.send(exchange_pb2.PublishResponse(refusals=message))
            # Each list goes out once a connection; they only ever become more.
            self._listed[stream.log_no] = max([after, *(each.serial for each in lists)])
            more = len(lists) == LISTS_AT_ONCE_MAX

    async def _say_goodbye(self, over: BaseException | Draining | None) -> None:
        if over is None:
            return
        if isinstance(over, Draining):
            await self._outbox.send(exchange_pb2.PublishResponse(drain=drain_message(over)))
            return
        self._hub.note_refusal(over, member=self._member)
        await self._outbox.send(exchange_pb2.PublishResponse(reject=rejection(over)))
        await self._inbox.discard()
        raise over


def acceptance(accepted: Accepted) -> exchange_pb2.Acceptance:
    """Return an acceptance as it travels."""
    message = exchange_pb2.Acceptance(
        stream_id=accepted.stream_id, size=accepted.size, cosignature=accepted.acceptance
    )
    if accepted.refusals:
        message.refusals.MergeFromString(accepted.refusals)
    return message
