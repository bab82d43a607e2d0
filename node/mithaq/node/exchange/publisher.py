"""The publisher: tells the hub what is durable here, and keeps what it answers.

PROTOCOL 5.1 to 5.3a. Several batches are in flight; answers are kept in groups, and no
more of them are read than have room. The one rule: a stream is sent in order, from where
the hub says that it stands, so a connection that breaks anywhere repeats nothing that
matters and loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from mithaq.node.exchange.accepting import Answers, accepted_sizes, keep_answers
from mithaq.node.exchange.calls import Call, messages
from mithaq.node.exchange.errors import DrainedError, OutOfStepError, counted
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import STREAM, Batch
from mithaq.node.exchange.receipts import check_told_together
from mithaq.node.exchange.sending import Fresh, Sendable, read_sendable
from mithaq.service.logging import declare, logger
from mithaq.store.tables import LOG
from mithaq.v1 import exchange_pb2

WINDOW_BATCHES: Final = 16
WINDOW_BYTES: Final = 8 * 1024 * 1024
# So long answers wait for others: a transaction for each would take the processor from
# the readers of what they answer. Where many readers sign, one after the other, longer: by
# so much for each receipt that the last transaction kept, up to a bound.
KEEP_PATIENCE_S: Final = 0.1
RECEIPT_PATIENCE_S: Final = 0.016
KEEP_PATIENCE_S_MAX: Final = 0.5
# What answers may weigh that wait to be kept, and what each takes beside its bytes.
ANSWERS_BYTES_MAX: Final = 4 * 1024 * 1024
ANSWER_BYTES: Final = 256
ANSWER_REFUSED: Final = declare("answer of the hub refused", "code", "count")
UNSENDABLE: Final = declare("stream cannot be sent again", "stream", "sequence")
BATCH_REJECTED: Final = declare("batch rejected by the hub", "code", "stream", "sequence")


# The hub is at another place than we think: begin anew, with its heads.
_OUT_OF_STEP: Final = frozenset({"MQ-HUB-SEQUENCE", "MQ-HUB-FORK", "MQ-HUB-ROOT-MISMATCH"})
# The hub could not keep it, which says nothing about it: the same.
_NOT_KEPT: Final = ("MQ-STORE-", "MQ-DISK-")
PublishCall = Call[exchange_pb2.PublishRequest, exchange_pb2.PublishResponse]


@dataclass(slots=True)
class _Progress:
    """How far one own stream is durable here, sent, and accepted."""

    stream_id: bytes
    size: int
    sent_size: int
    accepted_size: int
    # In flight: the sizes that batches end at, and what each weighs.
    in_flight: dict[int, int] = field(default_factory=dict[int, int])
    # The hub would not take it on this connection.
    is_rejected: bool = False


@dataclass(slots=True)
class Publisher:
    """Sends own streams on whatever connection there is.

    `refused` is called when hub or readers have refused something of them.
    """

    home: Home
    refused: Callable[[], None]
    _progress: dict[int, _Progress] = field(default_factory=dict[int, _Progress])
    _by_id: dict[bytes, int] = field(default_factory=dict[bytes, int])
    _fresh: Fresh = field(default_factory=Fresh)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: Answers = field(default_factory=Answers)
    _roomy: asyncio.Event = field(default_factory=asyncio.Event)
    _lists: list[exchange_pb2.FreezeList] = field(default_factory=list[exchange_pb2.FreezeList])
    _pause_s: float = 0.0

    def offer(self, batches: Sequence[Batch]) -> None:
        """Learn of batches that were just committed; called on the event loop."""
        self._fresh.add(batches)
        for batch in batches:
            progress = self._progress.get(batch.log_no)
            if progress is None:
                progress = _Progress(batch.stream_id, 0, 0, 0)
                self._progress[batch.log_no] = progress
                self._by_id[batch.stream_id] = batch.log_no
            progress.size = max(progress.size, batch.segment.state.size)
        self._news.set()

    def offer_freeze_list(self, message: exchange_pb2.FreezeList) -> None:
        """Send a freeze list with the next batches."""
        self._lists.append(message)
        self._news.set()

    @property
    def unaccepted_entries(self) -> int:
        """How many entries the hub has not accepted yet."""
        return sum(each.size - each.accepted_size for each in self._progress.values())

    async def load(self, heads: Mapping[bytes, int]) -> None:
        """Learn from the database how far own streams are; before each connection.

        `heads` are the sizes that the hub has: a hub that lost some is sent them again.
        """
        rows = await self.home.database.read(_own_sizes)
        for log_no, stream_id, size_read, accepted_size in rows:
            known = self._progress.get(log_no)
            # What was committed since the rows were read has been offered already.
            size = size_read if known is None else max(size_read, known.size)
            at_hub = min(heads.get(stream_id, 0), size)
            self._progress[log_no] = _Progress(stream_id, size, at_hub, accepted_size)
            self._by_id[stream_id] = log_no
        self._pause_s = 0.0
        self._news.set()

    def retry(self) -> None:
        """Send again what the hub would not take: the registry has grown since."""
        for progress in self._progress.values():
            if progress.is_rejected:
                progress.is_rejected = False
                progress.sent_size = progress.accepted_size
        self._news.set()

    async def run(self, call: PublishCall) -> None:
        """Send and keep answers until the hub ends the call; raise what the call raises."""
        tasks = [
            asyncio.create_task(each)
            for each in (self._send(call), self._receive(call), self._keep())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- sending --------------------------------------------------------------------

    async def _send(self, call: PublishCall) -> None:
        while True:
            self._news.clear()
            while self._lists:
                await call.write(exchange_pb2.PublishRequest(freeze_list=self._lists.pop(0)))
            async for piece in self._due():
                await call.write(exchange_pb2.PublishRequest(batch=piece.to_message()))
            await self._news.wait()
            if self._pause_s:
                pause, self._pause_s = self._pause_s, 0.0
                await asyncio.sleep(pause)

    async def _due(self) -> AsyncIterator[Sendable]:
        """Yield what may be sent now, one piece a stream in turn, while the window is open.

        In turn, so that a withdrawal never waits behind another stream's backlog.
        """
        went = True
        while went:
            went = False
            for log_no, progress in list(self._progress.items()):
                if not self._is_open() or self._pause_s:
                    return
                if progress.sent_size >= progress.size or progress.is_rejected:
                    continue
                # Behind the others next time, also if the window closes in between.
                self._progress[log_no] = self._progress.pop(log_no)
                piece = await self._next(log_no, progress)
                if piece is not None:
                    progress.sent_size = piece.size
                    progress.in_flight[piece.size] = piece.size_bytes
                    went = True
                    yield piece

    def _is_open(self) -> bool:
        flights = [
            each for progress in self._progress.values() for each in progress.in_flight.values()
        ]
        return len(flights) < WINDOW_BATCHES and sum(flights) < WINDOW_BYTES

    async def _next(self, log_no: int, progress: _Progress) -> Sendable | None:
        start, stream_id = progress.sent_size, progress.stream_id
        piece = self._fresh.take(log_no, start)
        if piece is None:
            piece = await self.home.database.read(
                lambda each: read_sendable(
                    each, self.home, log_no, stream_id=stream_id, start=start
                )
            )
        if piece is None:
            logger().warning(UNSENDABLE, stream=stream_id.hex()[:16], sequence=start)
            progress.is_rejected = True
        return piece

    # --- answers --------------------------------------------------------------------

    async def _receive(self, call: PublishCall) -> None:
        takers: dict[str, Callable[[exchange_pb2.PublishResponse], None]] = {
            "acceptance": self._take_acceptance,
            "receipts": self._take_receipts,
            "refusals": self._take_refusals,
            "reject": self._take_reject,
            "back_pressure_ms": self._take_back_pressure,
        }
        async for response in messages(call):
            kind = response.WhichOneof("message")
            if kind == "drain":
                raise DrainedError(response.drain.retry_after_ms)
            if kind is not None:
                takers[kind](response)
            # An honest hub tells what was signed; one that tells more is read no further for now.
            while self._answers.size_bytes > ANSWERS_BYTES_MAX:
                self._roomy.clear()
                await self._roomy.wait()

    def _take_acceptance(self, response: exchange_pb2.PublishResponse) -> None:
        self._answers.acceptances.append(response.acceptance)
        self._weigh(response)
        log_no = self._by_id.get(response.acceptance.stream_id)
        if log_no is None:
            return
        progress = self._progress[log_no]
        for size in [each for each in progress.in_flight if each <= response.acceptance.size]:
            del progress.in_flight[size]
        self._news.set()

    def _take_receipts(self, response: exchange_pb2.PublishResponse) -> None:
        receipts = response.receipts.receipts
        check_told_together(receipts)
        self._answers.receipts.extend(receipts)
        self._weigh(response, count=len(receipts))

    def _take_refusals(self, response: exchange_pb2.PublishResponse) -> None:
        self._answers.lists.append(response.refusals)
        self._weigh(response)

    def _weigh(self, response: exchange_pb2.PublishResponse, *, count: int = 1) -> None:
        self._answers.size_bytes += response.ByteSize() + count * ANSWER_BYTES
        self._answered.set()

    def _take_reject(self, response: exchange_pb2.PublishResponse) -> None:
        reject = response.reject
        stream = reject.stream_id.hex()[:16]
        logger().warning(BATCH_REJECTED, code=reject.code, stream=stream, sequence=reject.sequence)
        log_no = self._by_id.get(reject.stream_id)
        if log_no is None:
            return
        if reject.code in _OUT_OF_STEP or reject.code.startswith(_NOT_KEPT):
            raise OutOfStepError(f"{reject.code} at {reject.sequence}")
        progress = self._progress[log_no]
        progress.is_rejected = True
        progress.in_flight.clear()
        self._news.set()

    def _take_back_pressure(self, response: exchange_pb2.PublishResponse) -> None:
        self._pause_s = response.back_pressure_ms / 1000
        self._news.set()

    async def _keep(self) -> None:
        patience_s = KEEP_PATIENCE_S
        while True:
            await self._answered.wait()
            # Nobody waits for it: what was on disk is in the hub's hands, and asked for anew.
            await asyncio.sleep(patience_s)
            self._answered.clear()
            answers, self._answers = self._answers, Answers()
            self._roomy.set()
            if answers:
                patience_s = patience_after(len(answers.receipts))
                await self.keep(answers)

    async def keep(self, answers: Answers) -> None:
        """Verify answers of the hub and make them durable."""
        at = self.home.clock()
        faults, accepted = await self.home.database.write(
            lambda each: _kept(each, self.home, answers, at=at)
        )
        for code, count in counted(faults):
            logger().warning(ANSWER_REFUSED, code=code, count=count)
        if answers.refuse:
            self.refused()
        for log_no, size in accepted.items():
            progress = self._progress.get(log_no)
            if progress is not None:
                progress.accepted_size = max(progress.accepted_size, size)


def _kept(
    connection: sa.Connection, home: Home, answers: Answers, *, at: datetime
) -> tuple[list[Exception], dict[int, int]]:
    """Keep answers; return what was wrong with some, and how far the hub has proven to be."""
    faults = keep_answers(connection, home, answers, at=at)
    streams = {each.stream_id for each in answers.acceptances}
    return faults, accepted_sizes(connection, streams)


def patience_after(receipts: int) -> float:
    """Return how long answers are waited for, in seconds, once so many receipts came together."""
    return max(KEEP_PATIENCE_S, min(receipts * RECEIPT_PATIENCE_S, KEEP_PATIENCE_S_MAX))


def _own_sizes(connection: sa.Connection) -> Sequence[tuple[int, bytes, int, int]]:
    rows = connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.stream_id, LOG.c.size, STREAM.c.accepted_size)
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(True))
        .order_by(STREAM.c.log_no)
    )
    return [(row.log_no, row.stream_id, row.size, row.accepted_size) for row in rows]
