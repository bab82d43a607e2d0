"""The registrar at work: one act at a time, durable before it counts, counted before signed.

`Office` joins the pure logic of `mithaq.certs.registrar` with the database, and
wakes whoever waits for the registry to grow. A database that is away, held or full refuses
acts and time for as long as it is; the process goes on.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import sqlalchemy as sa

from mithaq.certs.authority import Authority
from mithaq.certs.errors import ClockSkewError
from mithaq.certs.registrar import CHECKPOINT_INTERVAL, REFUSALS_MAX, RegistrarLog
from mithaq.certs.registrar_state import Step
from mithaq.certs.tls import load_certificate, to_der
from mithaq.ledger.tree import leaf_hash
from mithaq.registrar import keeping
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.places import CA_KEY, REGISTRAR_KEY, Places
from mithaq.service.logging import declare, logger
from mithaq.store.engine import Database
from mithaq.store.errors import StoreError

T = TypeVar("T")

NOT_SIGNED: Final = declare("registry not signed", "code")


def utc_now() -> datetime:
    """Return the registrar's clock, to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Office:
    """The registrar's log, its database, and what nodes have verified."""

    def __init__(
        self,
        log: RegistrarLog,
        database: Database,
        *,
        load: Callable[[sa.Connection], RegistrarLog],
        now: Callable[[], datetime],
    ) -> None:
        self.log = log
        self.now = now
        # By member, or "hub": how far the registry is verified there.
        self.verified: dict[str, int] = {}
        self.hub_size = 0
        # A write failed or was cut off: whether it is durable, only the database can say.
        self.in_doubt = False
        self._database = database
        self._load = load
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
        key = places.keys.load_pair(REGISTRAR_KEY)
        authority = Authority(
            config.federation,
            places.keys.load_tls(CA_KEY),
            to_der(load_certificate(places.ca.read_bytes())),
        )

        def load(connection: sa.Connection) -> RegistrarLog:
            keeping.start_log(connection, origin=origin, genesis=genesis)
            return RegistrarLog(
                keeping.load_registry(connection, origin=origin, pin=pin),
                keeping.load_state(connection),
                key=key,
                authority=authority,
                own_certificate=to_der(load_certificate(places.tls.chain.read_bytes())),
            )

        return cls(database.write_sync(load), database, load=load, now=now)

    async def act(self, plan: Callable[[RegistrarLog], tuple[T, Step]]) -> T:
        """Carry out one act: plan it, make it durable, let it count, sign the new size.

        Where the store does not take the signature, the entry counts all the same, and
        ``keep_time`` signs it later.

        Raises what the plan raises, StoreError, and ClockSkewError for an entry that could
        not be signed now; then nothing has changed.
        """
        async with self._turn:
            await self._settle()
            result, step = plan(self.log)
            if step.leaf is not None:
                self.log.check_clock(self.now())
            origin = self.log.registry.origin
            if step != Step():
                await self._write(
                    lambda connection: keeping.write_step(connection, step, origin=origin)
                )
                self.log.commit(step)
            if step.leaf is not None:
                try:
                    await self._sign()
                except (StoreError, ClockSkewError) as fault:
                    logger().warning(NOT_SIGNED, code=fault.code)
        await self.wake()
        return result

    async def tidy(self, *, refusals_max: int = REFUSALS_MAX) -> set[bytes]:
        """Let what waited too long wait no longer, and forget what was decided long ago.

        Return the hashes of the requests that were forgotten; raise StoreError.
        """
        at = self.now()
        while await self.act(lambda log: _first_expired(log, at)):
            pass
        async with self._turn:
            await self._settle()
            forgotten = self.log.forgettable(at=at, refusals_max=refusals_max)
            hashes = [each.request_hash for each in forgotten]
            if hashes:
                await self._write(lambda connection: keeping.drop_decisions(connection, hashes))
            for each in hashes:
                del self.log.state.decisions[each]
        return set(hashes)

    async def keep_time(self, *, interval: timedelta = CHECKPOINT_INTERVAL) -> None:
        """Sign the registry's time if it is due (PROTOCOL 2.2).

        Raises StoreError, and ClockSkewError while the clock is behind what was signed.
        """
        async with self._turn:
            await self._settle()
            due = self.log.checkpoint_due(self.now(), interval=interval)
            if due:
                await self._sign()
        if due:
            await self.wake()

    def is_signed(self) -> bool:
        """Tell whether the registrar's newest note is over all entries."""
        signed = self.log.registry.checkpoint
        return signed is not None and signed.checkpoint.size == self.log.registry.size

    async def _sign(self) -> None:
        registry = self.log.registry
        note = self.log.sign_checkpoint(self.now())
        await self._write(
            lambda connection: keeping.write_note(
                connection, origin=registry.origin, size=registry.size, note=note
            )
        )
        # Only now may it leave: after a crash nobody would know that it was given.
        registry.observe_checkpoint(note)

    async def _write(self, act: Callable[[sa.Connection], None]) -> None:
        try:
            await self._database.write(act)
        except BaseException:
            # Cut off too, where whoever asked has gone: it may be written after that.
            self.in_doubt = True
            raise

    async def _settle(self) -> None:
        """After a write of which nobody knows whether it stands, begin from what stands.

        Raises StoreError while the database is away, and RegistryRolledBackError and its
        kin if it holds less than was signed.
        """
        if not self.in_doubt:
            return
        # By the one thread that writes: what was cut off here may have to be written yet.
        log = await self._database.write(self._load)
        signed = self.log.registry.checkpoint
        if signed is not None:
            log.registry.observe_checkpoint(signed.note_bytes)
        self.log, self.in_doubt = log, False

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
