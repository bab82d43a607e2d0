"""The hub as a process: what is started, in which order, and how it stops.

Database and registry first, then the committer, then the chores, and the listeners last, so
that nobody is answered by half a hub. Stopping goes the other way: Drain to those who are
connected, a bounded grace, then the tasks, then the database. The rule: whatever was
answered is on disk, so a hub may be killed at any moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry

from mithaq.certs.keys import SigningPair
from mithaq.certs.keystore import Keystore
from mithaq.hub.commit import CommitRules, transact
from mithaq.hub.committer import Accepted, Committed, Committer
from mithaq.hub.config import HubConfig
from mithaq.hub.context import HubContext
from mithaq.hub.desk import RegistrarDesk
from mithaq.hub.directory import Directory
from mithaq.hub.evidence import write_evidence
from mithaq.hub.housekeeping import Housekeeping
from mithaq.hub.journal import Journal
from mithaq.hub.listeners import Ports, listen
from mithaq.hub.metrics import HubMetrics
from mithaq.hub.recall import recall
from mithaq.hub.relay import RegistryRelay
from mithaq.hub.renewal import Renewal, own_certificate
from mithaq.hub.replicas import Replication, locked_view
from mithaq.hub.work_folder import (
    COSIGNING_KEY,
    keep_roots,
    load_config,
    open_hub_database,
    read_pin,
)
from mithaq.ledger.cosignature import Role, cosigner_name
from mithaq.ledger.names import HUB
from mithaq.service import logging, run
from mithaq.service.identity import LiveCalls
from mithaq.store.audit import AuditLog
from mithaq.store.engine import Database
from mithaq.store.registry_store import RegistryStore
from mithaq.store.witness import WitnessStore

STARTED = logging.declare("hub started", "exchange_port", "enrolment_port", "registry_size")
STOPPED = logging.declare("hub stopped")
ALARM = logging.declare("alarm", "alarm", "accused", "stream")


def real_clock() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


class Hub:
    """A running hub."""

    def __init__(
        self,
        context: HubContext,
        ports: Ports,
        *,
        tasks: Sequence[asyncio.Future[None]],
        parts: AsyncExitStack,
    ) -> None:
        self.context = context
        self.ports = ports
        self._tasks = tasks
        self._parts = parts

    @classmethod
    async def start(cls, config: HubConfig, *, clock: Callable[[], datetime] = real_clock) -> Self:
        """Start a complete hub.

        Raises:
            HubFolderError, StoreError, TrustError: the folder holds no hub that could run.
            PortInUseError, AddressUnusableError: it can't listen where it should.

        """
        async with AsyncExitStack() as parts:
            database = open_hub_database(config)
            parts.push_async_callback(asyncio.to_thread, database.close)
            collectors = CollectorRegistry()
            context = await _context(config, database, collectors, clock=clock)
            parts.push_async_callback(database.write, context.journal.write)
            keep_roots(config, context.registry.ca_certificates)
            renewal = Renewal(context, own_certificate(config))
            renewal.own.take_up()
            loops = [context.committer.run(), *Housekeeping(context).loops()]
            if config.renews_certificate:
                loops.append(_again(renewal.step, every_s=config.intervals.renewal_s))
            if config.replicas:
                loops += Replication(context).loops()
            tasks = [asyncio.ensure_future(each) for each in loops]
            parts.push_async_callback(_cancelled, tasks)
            ports = await listen(context, collectors, parts)
            logging.logger().info(
                STARTED,
                exchange_port=ports.exchange,
                enrolment_port=ports.enrolment,
                registry_size=context.registry.size,
            )
            return cls(context, ports, tasks=tasks, parts=parts.pop_all())

    async def stop(self) -> None:
        """Say Drain, let running calls end for a bounded time, and close the database."""
        await self._parts.aclose()
        logging.logger().info(STOPPED)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Return when asked to stop, or raise if a part of the hub has failed for good."""
        asked = asyncio.ensure_future(_set(stop))
        done, _ = await asyncio.wait([asked, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        for task in done:
            task.result()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _again(step: Callable[[], Awaitable[None]], *, every_s: float) -> None:
    while True:
        await step()
        await asyncio.sleep(every_s)


async def _cancelled(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _context(
    config: HubConfig,
    database: Database,
    collectors: CollectorRegistry,
    *,
    clock: Callable[[], datetime],
) -> HubContext:
    keys = Keystore(config.keys).load_pair(COSIGNING_KEY)
    pin = read_pin(config.directory)
    store = await database.write(
        lambda each: RegistryStore.load(each, federation=config.federation, genesis_hash=pin)
    )
    log = await database.write(
        lambda each: AuditLog.open(each, federation=config.federation, party=HUB)
    )
    relay = RegistryRelay(database, store, keys=keys, clock=clock)
    journal = Journal(log, clock, lambda: relay.registry.size)
    directory = Directory()
    await database.read(lambda each: recall(each, directory))
    desk = RegistrarDesk(database, journal, config.limits)
    await database.read(desk.load)
    metrics = HubMetrics(collectors)
    rules = CommitRules(
        federation=config.federation,
        keys=keys,
        directory=directory,
        registry=lambda: relay.registry,
        journal=journal,
        clock=clock,
        streams_per_member_max=config.limits.streams_per_member_max,
        view=locked_view if config.replicas else None,
    )
    after = _After(config.evidence, metrics)
    committer = Committer(
        database,
        directory,
        transact=partial(transact, rules),
        after=after,
        timed=metrics.commit_seconds.observe,
    )
    metrics.watch_queue(lambda: committer.queue_length)
    hub = HubContext(
        config=config,
        database=database,
        directory=directory,
        committer=committer,
        relay=relay,
        journal=journal,
        desk=desk,
        witness=_witness(config, keys),
        metrics=metrics,
        live=LiveCalls(),
        clock=clock,
        keys=keys,
    )
    after.hub = hub
    return hub


def _witness(config: HubConfig, keys: SigningPair) -> WitnessStore:
    return WitnessStore(cosigner_name(config.federation, Role.HUB, HUB), keys.ed25519)


@dataclass(slots=True)
class _After:
    """What follows a transaction: counters, and evidence files."""

    evidence: Path
    metrics: HubMetrics
    hub: HubContext | None = None

    def __call__(self, committed: Committed) -> None:
        """Count outcomes, write the evidence out, and remember what was erased."""
        for outcome in committed.outcomes:
            if isinstance(outcome, Accepted):
                self.metrics.count_accepted(
                    entries=outcome.entries, refused=[each.reason for each in outcome.refused]
                )
        for each in committed.evidence:
            logging.logger().warning(
                ALARM, alarm=each.alarm, accused=each.accused, stream=each.stream_id.hex()
            )
        write_evidence(self.evidence, committed.evidence)
        if self.hub is not None:
            self.hub.erased = self.hub.erased or committed.erased
            self.hub.changed.set()


def run_hub(folder: Path) -> int:
    """Run the hub of a folder until it is asked to stop; return the exit code."""
    logging.configure(HUB)
    config = load_config(folder).value

    async def main(stop: asyncio.Event) -> int:
        hub = await Hub.start(config)
        try:
            await hub.run_until(stop)
        finally:
            await hub.stop()
        return 0

    return run.run(main)
