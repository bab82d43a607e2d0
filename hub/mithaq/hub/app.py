"""The hub as a process: what is started, in which order, and how it stops.

Database and registry first, then the committer, then the chores, and the listeners last, so
that nobody is answered by half a hub. Stopping goes the other way: Drain to those who are
connected, a bounded grace, then the tasks, then the database. The rule: whatever was
answered is on disk, so a hub may be killed at any moment.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self

import grpc
from prometheus_client import CollectorRegistry

from mithaq.certs.keys import SigningPair
from mithaq.certs.keystore import Keystore
from mithaq.hub.admin import HubServicer
from mithaq.hub.commit import CommitRules, transact
from mithaq.hub.committer import Accepted, Committed, Committer
from mithaq.hub.config import HubConfig
from mithaq.hub.context import HubContext
from mithaq.hub.desk import RegistrarDesk
from mithaq.hub.directory import Directory
from mithaq.hub.enrolment import EnrolmentServicer
from mithaq.hub.evidence import write_evidence
from mithaq.hub.housekeeping import Housekeeping
from mithaq.hub.journal import Journal
from mithaq.hub.metrics import HubMetrics
from mithaq.hub.ordering import OrderingServicer
from mithaq.hub.publish import PublishServicer
from mithaq.hub.recall import recall
from mithaq.hub.registry_service import RegistryServicer
from mithaq.hub.relay import RegistryRelay
from mithaq.hub.subscribe import SubscribeServicer
from mithaq.hub.witness_service import WitnessServicer
from mithaq.hub.work_folder import (
    COSIGNING_KEY,
    hub_tls_files,
    keep_roots,
    load_config,
    local_api,
    open_hub_database,
    read_pin,
)
from mithaq.ledger.cosignature import Role, cosigner_name
from mithaq.ledger.names import HUB
from mithaq.service import logging, run
from mithaq.service.health import HealthServer
from mithaq.service.identity import LiveCalls
from mithaq.service.interceptor import CallInterceptor
from mithaq.service.metrics import CallMetrics
from mithaq.service.server import (
    add_health_and_reflection,
    bind,
    build_server,
    drain_and_stop,
)
from mithaq.service.tls import ReloadedFiles, server_credentials
from mithaq.store.audit import AuditLog
from mithaq.store.engine import Database
from mithaq.store.registry_store import RegistryStore
from mithaq.store.witness import WitnessStore
from mithaq.v1 import exchange_pb2_grpc, hub_pb2_grpc

STARTED = logging.declare("hub started", "exchange_port", "enrolment_port", "registry_size")
STOPPED = logging.declare("hub stopped")
ALARM = logging.declare("alarm", "alarm", "accused", "stream")
RETRY_AFTER = timedelta(seconds=2)
EXCHANGE_SERVICES = (
    "mithaq.v1.PublishService",
    "mithaq.v1.SubscribeService",
    "mithaq.v1.RegistryService",
    "mithaq.v1.OrderingService",
    "mithaq.v1.WitnessService",
)


def real_clock() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running hub listens."""

    exchange: int
    enrolment: int
    local: int
    metrics: int


class Hub:
    """A running hub."""

    def __init__(
        self, context: HubContext, servers: "_Servers", tasks: list[asyncio.Task[None]]
    ) -> None:
        self.context = context
        self._servers = servers
        self._tasks = tasks

    @classmethod
    async def start(cls, config: HubConfig, *, clock: Callable[[], datetime] = real_clock) -> Self:
        """Start a complete hub; raise HubFolderError, StoreError or TrustError if it can't be."""
        database = open_hub_database(config)
        try:
            collectors = CollectorRegistry()
            context = await _context(config, database, collectors, clock=clock)
            keep_roots(config, context.registry.ca_certificates)
            tasks = [
                asyncio.create_task(context.committer.run()),
                *(asyncio.ensure_future(each) for each in Housekeeping(context).loops()),
            ]
            servers = await _Servers.start(context, collectors)
        except BaseException:
            database.close()
            raise
        logging.logger().info(
            STARTED,
            exchange_port=servers.ports.exchange,
            enrolment_port=servers.ports.enrolment,
            registry_size=context.registry.size,
        )
        return cls(context, servers, tasks)

    @property
    def ports(self) -> Ports:
        """Where it listens."""
        return self._servers.ports

    async def stop(self) -> None:
        """Say Drain, let running calls end for a bounded time, and close the database."""
        await self._servers.stop(grace=timedelta(seconds=self.context.intervals.stop_grace_s))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.context.database.write(self.context.journal.write)
        await asyncio.to_thread(self.context.database.close)
        logging.logger().info(STOPPED)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Return when asked to stop, or raise if a part of the hub has failed for good."""
        asked = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait([asked, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        for task in done - {asked}:
            task.result()


@dataclass(slots=True)
class _Servers:
    """The listeners of a hub."""

    exchange: grpc.aio.Server
    enrolment: grpc.aio.Server
    local: grpc.aio.Server
    health: HealthServer
    live: LiveCalls
    ports: Ports

    @classmethod
    async def start(cls, hub: HubContext, collectors: CollectorRegistry) -> Self:
        """Bind and start all of them; raise PortInUseError or AddressUnusableError."""
        calls = CallMetrics(collectors)
        files = ReloadedFiles(hub_tls_files(hub.config))
        exchange = build_server([_guard(hub, calls)])
        _serve_exchange(exchange, hub)
        enrolment = build_server([CallInterceptor(lookup=None, live=LiveCalls(), metrics=calls)])
        exchange_pb2_grpc.add_EnrolmentServiceServicer_to_server(EnrolmentServicer(hub), enrolment)
        # TLS has checked that the hub's own authority issued the operator's certificate.
        local = build_server([CallInterceptor(lookup=bytes.hex, live=LiveCalls(), metrics=calls)])
        hub_pb2_grpc.add_HubServiceServicer_to_server(HubServicer(hub), local)
        health = HealthServer(metrics=collectors, checks=lambda: _checks(hub))
        own = ReloadedFiles(local_api(hub.config.directory, hub.federation).tls_files())
        ports = Ports(
            exchange=bind(exchange, hub.config.listen, server_credentials(files)),
            enrolment=bind(
                enrolment,
                hub.config.enrolment_listen,
                server_credentials(files, client_certificates=False),
            ),
            local=bind(local, hub.config.local_listen, server_credentials(own)),
            metrics=await health.start(hub.config.metrics_port),
        )
        for server in (exchange, enrolment, local):
            await server.start()
        return cls(exchange, enrolment, local, health, hub.live, ports)

    async def stop(self, *, grace: timedelta) -> None:
        """Stop listening and drain the calls that run."""
        await drain_and_stop(self.exchange, self.live, retry_after=RETRY_AFTER, grace=grace)
        await self.enrolment.stop(0)
        await self.local.stop(0)
        await self.health.stop()


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
        clock=clock,
        streams_per_member_max=config.limits.streams_per_member_max,
    )
    after = _After(config.evidence, metrics)
    committer = Committer(database, directory, transact=partial(transact, rules), after=after)
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
        if committed.erased and self.hub is not None:
            self.hub.erased = True


def _guard(hub: HubContext, calls: CallMetrics) -> CallInterceptor:
    return CallInterceptor(
        lookup=hub.registry.by_tls_fingerprint,
        live=hub.live,
        metrics=calls,
    )


def _serve_exchange(server: grpc.aio.Server, hub: HubContext) -> None:
    exchange_pb2_grpc.add_PublishServiceServicer_to_server(PublishServicer(hub), server)
    exchange_pb2_grpc.add_SubscribeServiceServicer_to_server(SubscribeServicer(hub), server)
    exchange_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(hub), server)
    exchange_pb2_grpc.add_OrderingServiceServicer_to_server(OrderingServicer(hub), server)
    exchange_pb2_grpc.add_WitnessServiceServicer_to_server(WitnessServicer(hub), server)
    add_health_and_reflection(server, EXCHANGE_SERVICES)


def _checks(hub: HubContext) -> dict[str, bool]:
    return {
        "registry": hub.registry.time is not None,
        "committer": hub.committer.is_keeping_up,
    }


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
