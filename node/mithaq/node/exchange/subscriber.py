"""The subscriber: takes what the hub delivers, and answers with receipts.

PROTOCOL 5.4 to 5.7. What came while the last transaction ran is taken together in the
next one: headers, then bodies, then receipts go out for what is durable. Where that fails
in a way that nobody foresaw, each stream is taken for itself, and the faulty one alone is
given up. The one rule: a receipt leaves this node only after the transaction that it
speaks of.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, TypeVar

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.stream import Run
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.accusing import sender_of
from mithaq.node.exchange.alarms import REGISTRY_WITHHELD, raise_alarm
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.calls import Call, messages
from mithaq.node.exchange.errors import (
    DrainedError,
    ExchangeError,
    StreamsFailedError,
    counted,
)
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.inbox import ArrivedHeaders, Held, hold_headers
from mithaq.node.exchange.judge import HeaderPiece
from mithaq.node.exchange.omissions import Omission
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.pieces import by_stream
from mithaq.node.exchange.receipts import Receipt, check_told_together, to_message
from mithaq.node.exchange.reception import load_keys
from mithaq.node.exchange.standing_receipts import standing_receipts
from mithaq.node.exchange.unsealing import OpenedReceipt, Unsealed, open_bodies
from mithaq.node.exchange.views import compare_views, take_freeze_list
from mithaq.service.logging import declare, logger
from mithaq.store.errors import DiskFullError, StoreBusyError, StoreUnreachableError
from mithaq.store.tables import LOG
from mithaq.v1 import exchange_pb2

WINDOW_BYTES: Final = 8 * 1024 * 1024
CURSORS_MAX: Final = 16_384
# PROTOCOL 2.4: how long headers may wait for the registry that they name.
REGISTRY_WAIT: Final = timedelta(seconds=60)
RETRY_S: Final = 1.0
# So long streams that failed stay given up; then they are asked for anew.
FAILED_STREAMS_S: Final = 60.0
STREAM_FAILED: Final = declare("received stream failed", "stream", "code")
VIEW_REFUSED: Final = declare("view refused", "code", "count")
COMMIT_FAILED: Final = declare("inbox commit failed", "stream")
# Nobody's piece is at fault: all of them come again with the next connection.
_OF_THE_STORE: Final = (DiskFullError, StoreBusyError, StoreUnreachableError)

P = TypeVar("P", ArrivedHeaders, ArrivedBodies)
SubscribeCall = Call[exchange_pb2.SubscribeRequest, exchange_pb2.SubscribeResponse]


@dataclass(slots=True)
class _Arrived:
    """What came since the last transaction, in order within its kind."""

    headers: list[ArrivedHeaders] = field(default_factory=list[ArrivedHeaders])
    bodies: list[ArrivedBodies] = field(default_factory=list[ArrivedBodies])
    views: list[exchange_pb2.Receipts] = field(default_factory=list[exchange_pb2.Receipts])
    freeze_lists: list[exchange_pb2.FreezeList] = field(
        default_factory=list[exchange_pb2.FreezeList]
    )
    size_bytes: int = 0

    def parts(self) -> Iterator["_Arrived"]:
        """Yield what came of each stream, and each message about others, for itself."""
        headers, bodies = by_stream(self.headers), by_stream(self.bodies)
        for stream_id in headers | bodies:
            yield _Arrived(headers.get(stream_id, []), bodies.get(stream_id, []))
        for views in self.views:
            yield _Arrived(views=[views])
        for message in self.freeze_lists:
            yield _Arrived(freeze_lists=[message])

    def given_up(self, fault: Exception) -> "_Taken":
        """Return what comes of a part that failed: of its stream no more is taken for now."""
        streams = by_stream(self.headers).keys() | by_stream(self.bodies).keys()
        failed = dict.fromkeys(streams, fault)
        return _Taken(Held(failed=failed), Unsealed(), [] if streams else [fault])


class _Taken(NamedTuple):
    """What one transaction made of it."""

    held: Held
    unsealed: Unsealed
    faults: list[Exception]


@dataclass(slots=True)
class Subscriber:
    """Receives streams on whatever connection there is.

    `owed` is called when receipts of erasure are owed.
    """

    home: Home
    owed: Callable[[], None]
    # What waits for the registry or for headers; kept across transactions, not connections.
    _arrived: _Arrived = field(default_factory=_Arrived)
    _waiting: _Arrived = field(default_factory=_Arrived)
    # What a transaction has at the moment of both.
    _taking_bytes: int = 0
    # Of streams that have waited for the registry since, without the time between connections.
    _waiting_since: dict[bytes, datetime] = field(default_factory=dict[bytes, datetime])
    _left_at: datetime | None = None
    _failed: set[bytes] = field(default_factory=set[bytes])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _roomy: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def failed_streams(self) -> frozenset[bytes]:
        """The streams that are given up for now."""
        return frozenset(self._failed)

    def nudge(self) -> None:
        """Try again what waits: the registry has grown."""
        self._news.set()

    async def run(self, call: SubscribeCall) -> None:
        """Receive until the hub ends the call; raise what the call raises."""
        self._arrived, self._waiting, self._taking_bytes = _Arrived(), _Arrived(), 0
        self._failed.clear()
        # The time without a connection counts for nobody; that of those before it does.
        away = self.home.clock() - (self._left_at or self.home.clock())
        self._waiting_since = {key: since + away for key, since in self._waiting_since.items()}
        await call.write(await self.home.database.read(_hello))
        tasks = [
            asyncio.create_task(each)
            for each in (self._receive(call), self._take(call), self._repeat())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._left_at = self.home.clock()

    async def _receive(self, call: SubscribeCall) -> None:
        for receipt in await self.home.database.read(
            lambda each: standing_receipts(each, self.home)
        ):
            await call.write(exchange_pb2.SubscribeRequest(receipt=receipt))
        async for response in messages(call):
            kind, weight = response.WhichOneof("message"), 0
            if kind == "headers":
                self._arrived.headers.append(_headers(response.headers))
                weight = self._arrived.headers[-1].size_bytes
            elif kind == "bodies":
                self._arrived.bodies.append(_bodies(response.bodies))
                weight = self._arrived.bodies[-1].size_bytes
            elif kind == "views":
                check_told_together(response.views.receipts)
                self._arrived.views.append(response.views)
            elif kind == "freeze_list":
                self._arrived.freeze_lists.append(response.freeze_list)
            elif kind == "reject":
                stream = response.reject.stream_id.hex()[:16]
                logger().warning(STREAM_FAILED, stream=stream, code=response.reject.code)
            elif kind == "drain":
                raise DrainedError(response.drain.retry_after_ms)
            self._arrived.size_bytes += max(response.ByteSize(), weight)
            self._news.set()
            # An honest hub keeps to the window; another one is read no further for now.
            while self._weight() > 2 * WINDOW_BYTES:
                self._roomy.clear()
                await self._roomy.wait()

    def _weight(self) -> int:
        """Return what is in memory, in bytes: what is being taken may have to wait again."""
        return self._arrived.size_bytes + self._taking_bytes + self._waiting.size_bytes

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        failed_at = None
        while True:
            await asyncio.sleep(RETRY_S)
            if self._waiting.headers or self._waiting.bodies:
                self._news.set()
            if self._failed and failed_at is None:
                failed_at = loop.time()
            if failed_at is not None and loop.time() - failed_at >= FAILED_STREAMS_S:
                raise StreamsFailedError(f"{len(self._failed)} streams")

    async def _take(self, call: SubscribeCall) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            arrived, self._arrived = self._arrived, _Arrived()
            waiting, self._waiting = self._waiting, _Arrived()
            self._taking_bytes = arrived.size_bytes + waiting.size_bytes
            arrived.headers = self._unfailed(waiting.headers + arrived.headers)
            arrived.bodies = self._unfailed(waiting.bodies + arrived.bodies)
            taken = await self._taken(arrived)
            self._settle(taken)
            for each in taken:
                await self._answer(call, each)

    async def _taken(self, arrived: _Arrived) -> list[_Taken]:
        """Take all in one transaction, or each stream in its own where that fails."""
        try:
            return [await self.home.database.write(partial(self._write, arrived=arrived))]
        except _OF_THE_STORE:
            raise
        except Exception as fault:  # noqa: BLE001 - one faulty piece must not stop the inbox
            logger().error(COMMIT_FAILED, stream="", exc_info=fault)
        return await self._taken_apart(list(arrived.parts()))

    async def _taken_apart(self, parts: Sequence[_Arrived]) -> list[_Taken]:
        """Take each part in a transaction of its own; raise what all of several fail with."""
        taken: list[_Taken] = []
        faults: list[Exception] = []
        for part in parts:
            try:
                taken.append(await self.home.database.write(partial(self._keep, arrived=part)))
            except _OF_THE_STORE:
                raise
            except Exception as fault:  # noqa: BLE001 - as above
                faults.append(fault)
                given_up = part.given_up(fault)
                stream = next(iter(given_up.held.failed), b"").hex()[:16]
                logger().error(COMMIT_FAILED, stream=stream, exc_info=fault)
                taken.append(given_up)
        if len(parts) > 1 and len(faults) == len(parts):
            # What nothing gets through is no fault of each.
            raise faults[-1]
        held = [each.held for each in taken]
        await self.home.database.write(lambda each: self._accuse_withheld(each, held))
        return taken

    async def _answer(self, call: SubscribeCall, taken: _Taken) -> None:
        for held in taken.held.receipts:
            await call.write(_receipt_request(held))
        for opened in taken.unsealed.receipts:
            await call.write(_opened_request(opened))
        if taken.held.withdrawn:
            # What was erased is off the disk before its receipt is signed: see there.
            self.owed()

    def _unfailed(self, pieces: Sequence[P]) -> list[P]:
        return [each for each in pieces if each.stream_id not in self._failed]

    def _write(self, connection: sa.Connection, *, arrived: _Arrived) -> _Taken:
        taken = self._keep(connection, arrived=arrived)
        self._accuse_withheld(connection, [taken.held])
        return taken

    def _keep(self, connection: sa.Connection, *, arrived: _Arrived) -> _Taken:
        home, at = self.home, self.home.clock()
        faults: list[Exception] = []
        held = hold_headers(connection, home, arrived.headers, at=at)
        unsealed = Unsealed()
        if arrived.bodies:
            keys = load_keys(connection, home)
            unsealed = open_bodies(connection, home, arrived.bodies, reception=keys, at=at)
        for views in arrived.views:
            faults += compare_views(connection, home, views)
        for message in arrived.freeze_lists:
            try:
                take_freeze_list(connection, home, message, at=at)
            except (ExchangeError, TrustError, LedgerError) as fault:
                faults.append(fault)
        return _Taken(held, unsealed, faults)

    def _settle(self, taken: Sequence[_Taken]) -> None:
        waiting = self._waiting
        waiting.headers = [one for each in taken for one in each.held.waiting] + waiting.headers
        waiting.bodies = [one for each in taken for one in each.unsealed.waiting] + waiting.bodies
        waiting.size_bytes = sum(each.size_bytes for each in waiting.headers) + sum(
            each.size_bytes for each in waiting.bodies
        )
        self._taking_bytes = 0
        self._roomy.set()
        for each in taken:
            for stream_id, fault in (each.held.failed | each.unsealed.failed).items():
                self._failed.add(stream_id)
                code = getattr(fault, "code", "")
                logger().warning(STREAM_FAILED, stream=stream_id.hex()[:16], code=code)
            for code, count in counted(each.faults):
                logger().warning(VIEW_REFUSED, code=code, count=count)

    def _accuse_withheld(self, connection: sa.Connection, all_held: Sequence[Held]) -> None:
        """Raise `registry withheld` for headers that wait too long for it (PROTOCOL 2.4).

        Those that wait for their predecessor's CLOSE don't: freeze lists tell of that.
        """
        at = self.home.clock()
        for held in all_held:
            for receipt in held.receipts:
                self._waiting_since.pop(receipt.stream_id, None)
        streams = {
            each.stream_id: each
            for held in all_held
            for each in held.waiting
            if each.stream_id in held.unreplayed
        }
        for stream_id, arrived in streams.items():
            since = self._waiting_since.setdefault(stream_id, at)
            if at - since >= REGISTRY_WAIT:
                piece = arrived.piece
                raise_alarm(
                    connection,
                    self.home,
                    REGISTRY_WITHHELD,
                    subject=f"{stream_id.hex()[:16]}/{piece.first_sequence}",
                    stream_id=stream_id,
                    evidence={
                        "sender": sender_of(piece, in_stream.find(connection, stream_id)),
                        "checkpoint": piece.checkpoint,
                        "acceptance": piece.acceptance.encode(),
                        "terms": piece.runs[-1].terms_bytes,
                        "registry_size": self.home.registry.size,
                    },
                )


def _hello(connection: sa.Connection) -> exchange_pb2.SubscribeRequest:
    rows = connection.execute(
        sa.select(STREAM.c.stream_id, LOG.c.size, STREAM.c.opened_size)
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(False))
        .order_by(STREAM.c.log_no)
        .limit(CURSORS_MAX)
    )
    return exchange_pb2.SubscribeRequest(
        hello=exchange_pb2.SubscribeHello(
            cursors=[
                exchange_pb2.StreamCursor(
                    stream_id=row.stream_id, held_size=row.size, opened_size=row.opened_size
                )
                for row in rows
            ],
            window_bytes=WINDOW_BYTES,
        )
    )


def _headers(message: exchange_pb2.Headers) -> ArrivedHeaders:
    piece = HeaderPiece(
        message.stream_id,
        message.first_sequence,
        _runs(message),
        message.checkpoint,
        message.acceptance,
    )
    return ArrivedHeaders(piece, tuple(message.refusals))


def _runs(message: exchange_pb2.Headers) -> tuple[Run, ...]:
    """Return the runs, or none of them where one is none: so its stream fails, and no other."""
    try:
        return tuple(Run(each.terms, each.own_size, each.own) for each in message.runs)
    except LedgerError:
        return ()


def _bodies(message: exchange_pb2.Bodies) -> ArrivedBodies:
    return ArrivedBodies(
        message.stream_id,
        message.through_size,
        # One without the other is no body that came: it is missed where it is awaited.
        dict(zip(message.sequences, message.bodies, strict=False)),
        {
            each.sequence: Omission(each.sequence, each.reason, each.withdrawn_by)
            for each in message.omissions
        },
        message.opened if message.HasField("opened") else None,
    )


def _receipt_request(receipt: Receipt) -> exchange_pb2.SubscribeRequest:
    return exchange_pb2.SubscribeRequest(receipt=to_message(receipt))


def _opened_request(opened: OpenedReceipt) -> exchange_pb2.SubscribeRequest:
    message = to_message(opened.receipt)
    message.refusals.extend(opened.lists)
    return exchange_pb2.SubscribeRequest(receipt=message)
