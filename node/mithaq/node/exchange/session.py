"""The session with the hub: what runs on one connection, and coming back after it.

PROTOCOL 1.5, 2.3: the registry first, then own heads, then all else. Everything that the
tasks do is derived from the database, so a session may end anywhere. The one rule: the
node works without one; outbox and searches don't wait for the hub.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import grpc
import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError
from mithaq.node.config import NodeIntervals
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.accepting import Answers
from mithaq.node.exchange.acts import CatchUpItem, ResendItem
from mithaq.node.exchange.answering_erasures import ErasureAnswers
from mithaq.node.exchange.erasing import empty_log
from mithaq.node.exchange.errors import DrainedError, ExchangeError, SigningHaltedError
from mithaq.node.exchange.expiring import expire
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.late_joiner import next_chunk
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.outbox import Outbox
from mithaq.node.exchange.own_heads import OwnHeads, is_known_to_hub
from mithaq.node.exchange.publisher import PublishCall, Publisher
from mithaq.node.exchange.reception import destroy_spent, due_announcement
from mithaq.node.exchange.registry_follow import FollowCall, RegistryFollow
from mithaq.node.exchange.restoring import owed_withdrawals
from mithaq.node.exchange.retelling import next_retold
from mithaq.node.exchange.subscriber import SubscribeCall, Subscriber
from mithaq.node.exchange.views import check_overdue_lists, expected_senders, is_caught_up
from mithaq.node.exchange.witness_client import WitnessClient
from mithaq.node.sealing.errors import SealingError
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.service.logging import declare, logger
from mithaq.service.reconnect import Backoff, keep_connected
from mithaq.store.errors import StoreError
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

_EXPECTED: Final = (ExchangeError, TrustError, StoreError, LedgerError, SealingError)
MINUTE_S: Final = 60.0
OWED_RETRY_S: Final = 5.0
SUBMIT_DEADLINE_S: Final = 30.0
# How long a stop waits for the hub to witness the audit log once more. An answer that was cut
# off is learnt by the first try, and what is not in it shown by the second.
LAST_SHOWN_S_MAX: Final = 2.0
LAST_SHOWN_TRIES: Final = 3
CONNECTED: Final = declare("connected to the hub", "registry_size")
DISCONNECTED: Final = declare("connection to the hub lost", "code")
UPKEEP_FAILED: Final = declare("upkeep failed", "code")
HALTED: Final = declare("signing halted", "code")
NOT_SHOWN: Final = declare("end of the audit log not witnessed", "code")


@dataclass(slots=True)
class Session:
    """Everything that runs between this node and the hub.

    `open_channel` opens a fresh channel for each connection, so that a renewed
    certificate is used; `chance` returns a number from 0 up to, not including, 1.
    """

    home: Home
    open_channel: Callable[[], grpc.aio.Channel]
    chance: Callable[[], float]
    intervals: NodeIntervals = field(default_factory=NodeIntervals)
    # Told of each error of the hub's or the network's; the next connection waits for it.
    refused: "Callable[[RemoteError], Awaitable[None]] | None" = None
    outbox: Outbox = field(init=False)
    publisher: Publisher = field(init=False)
    subscriber: Subscriber = field(init=False)
    follow: RegistryFollow = field(init=False)
    heads: OwnHeads = field(init=False)
    witness: WitnessClient = field(init=False)
    erasures: ErasureAnswers = field(init=False)
    connected: bool = False
    # Nothing that came back with own heads is half done any more.
    _taken_back: bool = False
    _owed: asyncio.Event = field(default_factory=asyncio.Event)
    _joined: asyncio.Event = field(default_factory=asyncio.Event)
    _switched: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.publisher = Publisher(self.home, refused=self._joined.set)
        self.outbox = Outbox(self.home, self.publisher.offer)
        self.outbox.may_sign.clear()
        self.subscriber = Subscriber(self.home, self._owed.set)
        self.follow = RegistryFollow(
            self.home, self._registry_grown, may_sign=self.outbox.may_sign.is_set
        )
        self.heads = OwnHeads(self.home)
        self.witness = WitnessClient(self.home)
        self.erasures = ErasureAnswers(self.home, self.outbox)

    async def run(self) -> None:
        """Run until cancelled: what needs no hub at once, the rest whenever there is one."""
        if not await self.home.database.read(is_known_to_hub):
            # PROTOCOL 1.5: otherwise the database may be an older backup, and the hub is asked.
            self.outbox.may_sign.set()
        # A database that is held now will be had later: upkeep does it again.
        await _tried(self.follow.settle)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._upkeep())
            group.create_task(self._answer_erasures())
            group.create_task(self._catch_up())
            group.create_task(
                keep_connected(
                    self._connection,
                    backoff=Backoff(self.chance),
                    failed=_note_failure,
                    # No message may end the node's exchange.
                    survived=(Exception,),
                )
            )

    def switch(self) -> None:
        """Drain the connection and begin another, which shows the certificate of now."""
        self._switched.set()

    # --- one connection -------------------------------------------------------------

    async def _connection(self) -> None:
        """Run one connection until the hub ends it or something fails."""
        self._switched.clear()
        channel = self.open_channel()
        wait_s = 0.0
        try:
            await self._serve(channel)
        except grpc.RpcError as error:
            self.connected = False
            await channel.close()
            if self.refused is not None:
                await self.refused(from_rpc_error(error))
            raise
        except SigningHaltedError as fault:
            self.outbox.halted = True
            logger().error(HALTED, code=fault.code)
            # Nothing is signed any more; come back now and then, should a person mend it.
            wait_s = MINUTE_S
        except DrainedError as drained:
            wait_s = drained.retry_after_s
        finally:
            self.connected = False
            await channel.close()
        await asyncio.sleep(wait_s)

    async def _serve(self, channel: grpc.aio.Channel) -> None:
        registry = exchange_pb2_grpc.RegistryServiceStub(channel)
        publish = exchange_pb2_grpc.PublishServiceStub(channel)
        witness = exchange_pb2_grpc.WitnessServiceStub(channel)
        subscribe = exchange_pb2_grpc.SubscribeServiceStub(channel)
        following = asyncio.create_task(self.follow.run(cast("FollowCall", registry.Follow())))
        try:
            # PROTOCOL 2.3, 1.5: the registry before anything else, own heads before signing.
            await _first(following, self.follow.current.wait())
            heads = await self.heads.compare(publish)
            refusals = await self.heads.lost_refusals(publish, heads)
            await self.publisher.keep(_answers(heads, refusals))
            if not self.outbox.may_sign.is_set():
                self.outbox.may_sign.set()
                await self.follow.settle()
            await self.publisher.load({each.stream_id: each.size for each in heads})
            await self.witness.begin(witness)
            self.connected = True
            logger().info(CONNECTED, registry_size=self.home.registry.size)
            await _until_one_ends(
                following,
                self.publisher.run(cast("PublishCall", publish.Publish())),
                self.subscriber.run(cast("SubscribeCall", subscribe.Subscribe())),
                self._show_audit(witness),
                self._send_freeze_lists(),
                self._announce_keys(registry),
                self._until_switched(),
            )
        except asyncio.CancelledError:
            # An orderly stop, while the connection still stands.
            await self._show_last(witness)
            raise
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _until_switched(self) -> None:
        await self._switched.wait()
        raise DrainedError(0)

    async def _show_audit(self, stub: "exchange_pb2_grpc.WitnessServiceAsyncStub") -> None:
        while True:
            try:
                await self.witness.show(stub)
            except grpc.aio.AioRpcError as fault:
                # A hub with more to do than it can is no reason to make it begin anew with us.
                if fault.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
                logger().warning(UPKEEP_FAILED, code=fault.code().name)
            await asyncio.sleep(self.intervals.witness_s)

    async def _show_last(self, stub: "exchange_pb2_grpc.WitnessServiceAsyncStub") -> None:
        """Show what was logged since the audit log was last shown, if the hub still takes it.

        Otherwise it is shown at the next start: nothing else waits for it.
        """
        try:
            async with asyncio.timeout(LAST_SHOWN_S_MAX):
                for _ in range(LAST_SHOWN_TRIES):
                    if not await self.witness.show(stub):
                        break
        except (*_EXPECTED, grpc.aio.AioRpcError, TimeoutError) as fault:
            logger().info(NOT_SHOWN, code=type(fault).__name__)

    async def _send_freeze_lists(self) -> None:
        # From when on each sender is expected to be heard.
        since: dict[str, datetime] = {}
        while True:
            at = self.home.clock()
            for sender in await self.home.database.read(expected_senders):
                since.setdefault(sender, at)
            lists = await self.home.database.read(
                lambda each: housekeeping.freeze_lists(each, self.home, at=at)  # noqa: B023 - called at once
            )
            for each in lists:
                self.publisher.offer_freeze_list(each)
            await asyncio.sleep(self.intervals.freeze_s)
            checked_at = self.home.clock()
            await self.home.database.write(
                lambda each: check_overdue_lists(
                    each,
                    self.home,
                    since=since,
                    at=checked_at,  # noqa: B023 - called at once
                )
            )

    async def _announce_keys(self, stub: "exchange_pb2_grpc.RegistryServiceAsyncStub") -> None:
        while True:
            entry = await self.home.database.write(
                lambda each: due_announcement(each, self.home, at=self.home.clock())
            )
            if entry is not None:
                request = exchange_pb2.SubmitEntryRequest(entry=entry)
                await stub.SubmitEntry(request, timeout=SUBMIT_DEADLINE_S)
            await asyncio.sleep(self.intervals.keys_s)
            if await self.home.database.read(is_caught_up):
                await self.home.database.write(
                    lambda each: destroy_spent(each, self.home, at=self.home.clock())
                )

    # --- without a connection -------------------------------------------------------

    def _registry_grown(self, batches: Sequence[Batch]) -> None:
        self.publisher.offer(batches)
        self.publisher.retry()
        self.subscriber.nudge()
        self._joined.set()
        self._owed.set()

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(self.intervals.upkeep_s)
            await _tried(self.keep_up)

    async def keep_up(self) -> None:
        """Do what time alone brings, once."""
        home, at = self.home, self.home.clock()
        await home.database.write(lambda each: housekeeping.check_receipts(each, home, at=at))
        await home.database.write(lambda each: housekeeping.check_erasures(each, home, at=at))
        while await home.database.write(lambda each: expire(each, home, at=at)):
            await empty_log(home.database)
        await home.database.write(lambda each: housekeeping.drop_delivered(each, home, at=at))
        await home.database.write(housekeeping.drop_opened_secrets)
        await self.follow.settle()

    async def _answer_erasures(self) -> None:
        while True:
            await _tried(self._pay_all)
            self._owed.clear()
            try:
                async with asyncio.timeout(OWED_RETRY_S):
                    await self._owed.wait()
            except TimeoutError:
                continue

    async def _pay_all(self) -> None:
        while await self.erasures.pay():
            pass

    async def _catch_up(self) -> None:
        while True:
            # First, or what comes while it works would wait for the next time.
            self._joined.clear()
            await _tried(self._take_back_rest)
            await _tried(self._catch_up_all)
            await self._joined.wait()

    async def _take_back_rest(self) -> None:
        """Withdraw in all streams what a restored backup shows to be withdrawn in one (3.6)."""
        if self._taken_back or not self.outbox.may_sign.is_set():
            return
        while items := await self.home.database.read(owed_withdrawals):
            for outcome in await self.outbox.submit_all(items):
                if isinstance(outcome, Exception):
                    raise outcome
        # Own heads are completed once in a process: nothing more comes back.
        self._taken_back = True

    async def _catch_up_all(self) -> None:
        while (item := await self.home.database.read(self._next_to_tell)) is not None:
            await self.outbox.act(item)

    def _next_to_tell(self, connection: sa.Connection) -> CatchUpItem | ResendItem | None:
        return next_chunk(connection) or next_retold(connection, self.home)


def _answers(
    heads: Sequence[exchange_pb2.OwnHead],
    refusals: Mapping[bytes, Sequence[exchange_pb2.RefusalList]],
) -> Answers:
    """Return the acceptances that the hub's heads carry: the last ones may have been lost.

    `refusals` are the lists, by stream, that were lost with them.
    """
    answers = Answers()
    for head in heads:
        if head.acceptance:
            lists = refusals.get(head.stream_id) or (None,)
            answers.acceptances += [
                exchange_pb2.Acceptance(
                    stream_id=head.stream_id,
                    size=head.size,
                    cosignature=head.acceptance,
                    refusals=each,
                )
                for each in lists
            ]
    return answers


def _note_failure(fault: Exception) -> None:
    if isinstance(fault, RemoteError):
        logger().info(DISCONNECTED, code=fault.code)
        return
    known = isinstance(fault, _EXPECTED)
    code = getattr(fault, "code", "")
    logger().warning(DISCONNECTED, code=code, exc_info=None if known else fault)


async def _tried(act: Callable[[], Awaitable[None]]) -> None:
    """Do an act of upkeep; what fails is tried again later and harms nothing else."""
    try:
        await act()
    except (StoreError, TrustError, ExchangeError, OSError) as fault:
        # Of the system: the file of an alarm, on a disk that takes no more.
        logger().warning(UPKEEP_FAILED, code=getattr(fault, "code", "MQ-DISK"))


async def _first(task: "asyncio.Task[None]", event: Coroutine[Any, Any, Any]) -> None:
    """Wait for the event; if the task ends before it, raise why."""
    waiting = asyncio.create_task(event)
    try:
        done, _ = await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            task.result()
            raise ExchangeError("the hub ended the registry's stream")
    finally:
        waiting.cancel()


async def _until_one_ends(
    following: "asyncio.Task[None]", *coroutines: Coroutine[Any, Any, None]
) -> None:
    """Run all until one ends; then cancel the others and raise what it raised."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait([following, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
