"""Following the registry: verified, made durable, and only then acted upon.

PROTOCOL 2.1 to 2.4. The registry comes before anything else on a connection. Leaves come
in pieces and count only with the registrar's checkpoint over them. The one rule: what was
verified once is never gone back on, whoever offers less.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from mithaq.certs.errors import RegistryWithheldError, TrustError
from mithaq.node.exchange.alarms import CLOCK_SKEW, Evidence, raise_alarm
from mithaq.node.exchange.calls import Call, messages
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.reception import note_announced
from mithaq.node.exchange.reconcile import reconcile
from mithaq.service.logging import declare, logger
from mithaq.v1 import exchange_pb2

FollowCall = Call[exchange_pb2.FollowRequest, exchange_pb2.FollowResponse]
GROWN: Final = declare("registry grown", "size")
REFUSED: Final = declare("registry refused", "code")


@dataclass(slots=True)
class RegistryFollow:
    """Keeps this node's registry as new as the hub can make it.

    `grown` learns of what own streams had to be told after each growth.
    """

    home: Home
    grown: Callable[[Sequence[Batch]], None]
    # Whether own streams may be opened and closed now (PROTOCOL 1.5).
    may_sign: Callable[[], bool]
    # Set while the registry is as long as the newest checkpoint that came.
    current: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, call: FollowCall) -> None:
        """Follow until the hub ends the call; raise TrustError for a registry that lies."""
        self.current.clear()
        await call.write(self._acknowledgement())
        leaves: list[bytes] = []
        first_index = self.home.registry.size
        async for response in messages(call):
            if not leaves:
                first_index = response.first_index
            leaves.extend(response.entries)
            if response.checkpoint:
                await self.take(first_index, leaves, response.checkpoint)
                leaves.clear()
                await call.write(self._acknowledgement())

    async def settle(self) -> None:
        """Bring own streams and keys in line with the registry as it is; at each start."""
        self.grown(await self.home.database.write(self._settle))

    def _acknowledgement(self) -> exchange_pb2.FollowRequest:
        return exchange_pb2.FollowRequest(verified_size=self.home.registry.size)

    async def take(self, first_index: int, leaves: Sequence[bytes], checkpoint: bytes) -> None:
        """Take leaves up to a checkpoint, whichever way they came; raise TrustError for a lie."""
        async with self._turn:
            await self._take(first_index, leaves, checkpoint)

    async def _take(self, first_index: int, leaves: Sequence[bytes], checkpoint: bytes) -> None:
        size = self.home.registry.size
        fresh = list(leaves[max(size - first_index, 0) :])
        time, live = self.home.registry.time, self.current.is_set()
        try:
            await self.home.database.write(
                lambda each: self.home.trust.extend(each, fresh, checkpoint)
            )
        except RegistryWithheldError as fault:
            await self.home.database.write(lambda each: self.home.trust.remember(each, checkpoint))
            await self._accuse(fault, checkpoint)
            raise
        except TrustError as fault:
            await self._accuse(fault, checkpoint)
            raise
        just_signed = live and self.home.registry.time != time
        await self._check_clock(checkpoint, just_signed=just_signed)
        if fresh:
            logger().info(GROWN, size=self.home.registry.size)
            await self.settle()
        self.current.set()

    async def _check_clock(self, checkpoint: bytes, *, just_signed: bool) -> None:
        """Raise `clock skew` where our clock and the registrar's lie apart (PROTOCOL 5.8).

        Behind us it may only be old: it counts if it came while we followed, and is new.
        """
        registry, now = self.home.registry, self.home.clock()
        limit = registry.policy.clock_skew_limit
        if registry.time is None:
            return
        if registry.time - now <= limit and not (just_signed and now - registry.time > limit):
            return
        evidence: Evidence = {"checkpoint": checkpoint, "own_clock": now.isoformat()}
        await self.home.database.write(
            lambda each: raise_alarm(
                each, self.home, CLOCK_SKEW, subject=registry.origin, evidence=evidence
            )
        )

    def _settle(self, connection: sa.Connection) -> Sequence[Batch]:
        if all(each.id != self.home.member for each in self.home.registry.members()):
            # Only the genesis entry came with the invitation; the rest is on its way.
            return []
        note_announced(connection, self.home)
        if not self.may_sign():
            return []
        return reconcile(connection, self.home, at=self.home.clock())

    async def _accuse(self, fault: TrustError, checkpoint: bytes) -> None:
        logger().error(REFUSED, code=fault.code)
        alarm = fault.alarm
        if alarm is None:
            return
        known = self.home.registry.checkpoint
        evidence: Evidence = {
            "offered_checkpoint": checkpoint,
            "known_checkpoint": known.note_bytes if known else b"",
            "fault": str(fault),
        }
        await self.home.database.write(
            lambda each: raise_alarm(
                each, self.home, alarm, subject=self.home.registry.origin, evidence=evidence
            )
        )
