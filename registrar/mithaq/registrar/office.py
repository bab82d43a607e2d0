"""The registrar at work: one act at a time, durable before it counts, counted before signed.

`Office` joins the pure logic of `mithaq.certs.registrar` with the database, and
wakes whoever waits for the registry to grow.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa

from mithaq.certs.authority import Authority
from mithaq.certs.registrar import CHECKPOINT_INTERVAL, REFUSALS_MAX, RegistrarLog
from mithaq.certs.registrar_state import Step
from mithaq.certs.tls import load_certificate, to_der
from mithaq.ledger.tree import leaf_hash
from mithaq.registrar import keeping
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.places import CA_KEY, REGISTRAR_KEY, Places
from mithaq.store.engine import Database

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the registrar's clock, to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Office:
    """The registrar's log, its database, and what nodes have verified."""

    def __init__(
        self, log: RegistrarLog, database: Database, *, now: Callable[[], datetime]
    ) -> None:
        self.log = log
        self.now = now
        # By member, or "hub": how far the registry is verified there.
        self.verified: dict[str, int] = {}
        self.hub_size = 0
        self._database = database
        self._turn = asyncio.Lock()
        self._changed = asyncio.Condition()

    @classmethod
    def open(
        cls, config: RegistrarConfig, database: Database, *, now: Callable[[], datetime]
    ) -> "Office":
        """Take up the work from keys and rows."""
        places = Places(config.directory)
        genesis = places.genesis.read_bytes()
        pin = leaf_hash(genesis)
        origin = f"{config.federation}/registry"

        def load(connection: sa.Connection) -> RegistrarLog:
            keeping.start_log(connection, origin=origin, genesis=genesis)
            return RegistrarLog(
                keeping.load_registry(connection, origin=origin, pin=pin),
                keeping.load_state(connection),
                key=places.keys.load_pair(REGISTRAR_KEY),
                authority=Authority(
                    config.federation,
                    places.keys.load_tls(CA_KEY),
                    to_der(load_certificate(places.ca.read_bytes())),
                ),
                own_certificate=to_der(load_certificate(places.tls.chain.read_bytes())),
            )

        return cls(database.write_sync(load), database, now=now)

    async def act(self, plan: Callable[[RegistrarLog], tuple[T, Step]]) -> T:
        """Carry out one act: plan it, make it durable, let it count, sign the new size.

        Raises what the plan raises; then nothing has changed.
        """
        async with self._turn:
            result, step = plan(self.log)
            origin = self.log.registry.origin
            if step != Step():
                await self._database.write(
                    lambda connection: keeping.write_step(connection, step, origin=origin)
                )
                self.log.commit(step)
            if step.leaf is not None:
                await self._sign()
        await self.wake()
        return result

    async def tidy(self, *, refusals_max: int = REFUSALS_MAX) -> set[bytes]:
        """Let what waited too long wait no longer, and forget what was decided long ago.

        Return the hashes of the requests that were forgotten.
        """
        at = self.now()
        while await self.act(lambda log: _first_expired(log, at)):
            pass
        async with self._turn:
            forgotten = self.log.forgettable(at=at, refusals_max=refusals_max)
            hashes = [each.request_hash for each in forgotten]
            if hashes:
                await self._database.write(
                    lambda connection: keeping.drop_decisions(connection, hashes)
                )
            for each in hashes:
                del self.log.state.decisions[each]
        return set(hashes)

    async def keep_time(self, *, interval: timedelta = CHECKPOINT_INTERVAL) -> None:
        """Sign the registry's time if it is due (PROTOCOL 2.2)."""
        async with self._turn:
            due = self.log.checkpoint_due(self.now(), interval=interval)
            if due:
                await self._sign()
        if due:
            await self.wake()

    async def _sign(self) -> None:
        origin, size = self.log.registry.origin, self.log.registry.size
        note = self.log.sign_checkpoint(self.now())
        await self._database.write(
            lambda connection: keeping.write_note(connection, origin=origin, size=size, note=note)
        )

    async def piece(self, start: int, *, entries_max: int) -> tuple[list[bytes], bytes]:
        """Return entries from `start` on, and the signed note that covers exactly them."""
        origin = self.log.registry.origin

        def read(connection: sa.Connection) -> tuple[list[bytes], bytes]:
            end, note = keeping.next_note(connection, after=start, entries_max=entries_max)
            return keeping.read_leaves(connection, origin=origin, start=start, end=end), note

        # In turn with the acts: a size counts a moment before its note is stored.
        async with self._turn:
            return await self._database.read(read)

    async def leaves(self, start: int, end: int) -> list[bytes]:
        """Return entries of the registry."""
        origin = self.log.registry.origin
        return await self._database.read(
            lambda connection: keeping.read_leaves(connection, origin=origin, start=start, end=end)
        )

    async def wake(self) -> None:
        """Tell whoever waits that something has changed."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Wait until a condition holds; return whether it does."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            return condition()
        return True


def _first_expired(log: RegistrarLog, at: datetime) -> tuple[bool, Step]:
    step = next(log.expire(at=at), None)
    return step is not None, step or Step()
