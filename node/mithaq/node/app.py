"""The node's process: work folder, exchange with the hub, local API, health page.

Everything is opened before anything is served, and what can't be opened is an error with
a code. The local API and the outbox work while the hub is away. The rule: one process on
a folder, and what it has answered is on disk when it ends, however it ends.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import grpc
from prometheus_client import CollectorRegistry

from mithaq.certs.errors import TrustError
from mithaq.node.config import NodeConfig
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.session import SUBMIT_DEADLINE_S, Session
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import Keyring
from mithaq.node.local.acting import Acts
from mithaq.node.local.agreements import AgreementService
from mithaq.node.local.alerts import AlertService
from mithaq.node.local.audit import AuditService
from mithaq.node.local.bulk import BulkWatch, recent_looks
from mithaq.node.local.desk import Desk
from mithaq.node.local.hits import HitService
from mithaq.node.local.node_status import NodeService
from mithaq.node.local.officers import OfficerBook
from mithaq.node.local.renewal import RENEWAL_INTERVAL_S, renew_due
from mithaq.node.lookup.index import merge_step
from mithaq.node.opening import Clockwork, open_home, open_node_database
from mithaq.node.renewing import Renewal, fingerprint_of, own_certificate
from mithaq.node.standing import Standing
from mithaq.service import logging as log_lines
from mithaq.service.channel import open_channel
from mithaq.service.errors import from_rpc_error
from mithaq.service.health import HealthServer
from mithaq.service.identity import LiveCalls
from mithaq.service.interceptor import CallInterceptor
from mithaq.service.local_api import LocalApi
from mithaq.service.logging import declare, logger
from mithaq.service.metrics import CallMetrics
from mithaq.service.run import run
from mithaq.service.server import add_health_and_reflection, bind, build_server, drain_and_stop
from mithaq.service.tls import (
    ReloadedFiles,
    TlsFiles,
    channel_credentials,
    channel_credentials_without_certificate,
    server_credentials,
)
from mithaq.store.errors import StoreError
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc, local_pb2, local_pb2_grpc

DRAIN_RETRY: Final = timedelta(seconds=1)
SERVICES: Final = (
    "AlertService",
    "HitService",
    "AuditService",
    "AgreementService",
    "NodeService",
)
STARTED: Final = declare("node started", "member", "port", "registry_size")
STOPPED: Final = declare("node stopped", "member")
UPKEEP_FAILED: Final = declare("node upkeep failed", "code")


def run_node(folder: Path) -> int:
    """Run the node of a folder until it is asked to stop; return the exit code.

    Raises:
        ConfigError, FolderVersionError: the folder can't be used by this version.
        StoreInUseError: another process runs on it.
        StoreError, TrustError: what is stored can't be trusted.

    """
    log_lines.configure("node")
    NodeFolder(folder).check_layout()
    config = NodeConfig.read(folder).value
    return run(lambda stop: serve(config, stop))


async def serve(
    config: NodeConfig,
    stop: asyncio.Event,
    *,
    clockwork: Clockwork | None = None,
    started: "asyncio.Future[Running] | None" = None,
) -> int:
    """Serve until `stop` is set; `started` learns the ports once calls are taken."""
    database = await asyncio.to_thread(open_node_database, config)
    try:
        home = await asyncio.to_thread(open_home, config, database, clockwork or Clockwork())
        app = await _composed(config, home)
        await app.serve(stop, started)
    finally:
        await asyncio.to_thread(database.close)
    logger().info(STOPPED, member=config.member)
    return 0


@dataclass(frozen=True, slots=True)
class Running:
    """A node that takes calls, and where."""

    local_port: int
    metrics_port: int
    session: Session
    desk: Desk
    renewal: Renewal


async def _composed(config: NodeConfig, home: Home) -> "_App":
    folder = NodeFolder(config.directory)
    session = Session(
        home,
        lambda: _hub_channel(config.hub_address, folder.tls),
        random.random,
        config.intervals,
    )
    standing = Standing(
        home,
        session.follow,
        open_enrolment=lambda: _enrolment_channel(home, folder.tls),
        own_certificate=lambda: fingerprint_of(folder.tls.chain),
    )
    renewal = Renewal(
        own_certificate(folder, standing), standing, folder.tls.roots, switch=session.switch
    )
    # What was issued before the last end of the process, if anything.
    renewal.own.take_up()

    session.refused = standing.refused
    book = OfficerBook()
    await home.database.read(book.load)
    looks = await home.database.read(lambda each: recent_looks(each, home.audit, at=home.clock()))
    desk = Desk(
        home=home,
        config=config,
        outbox=session.outbox,
        acts=Acts(home),
        submit_entry=lambda entry: _submit(session, entry),
        is_connected=lambda: session.connected,
        authority=LocalApi(folder.local, config.federation, config.member),
        officers=book,
        watch=BulkWatch(config.limits, looks),
        live=LiveCalls(),
        terms_key=Keyring.load(folder.keys, folder.credentials).terms,
    )
    return _App(config, session, desk, renewal)


def _hub_channel(address: str, files: TlsFiles) -> grpc.aio.Channel:
    # Read anew for each connection: a renewed certificate is used from the next one on.
    return open_channel(address, channel_credentials(files.read()))


def _enrolment_channel(home: Home, files: TlsFiles) -> grpc.aio.Channel:
    roots = files.roots.read_bytes()
    address = home.registry.hub.enrolment_address
    return open_channel(address, channel_credentials_without_certificate(roots))


async def _submit(session: Session, entry: bytes) -> bytes:
    """Hand a signed entry to the registrar through the hub; raise RemoteError."""
    async with session.open_channel() as channel:
        stub = exchange_pb2_grpc.RegistryServiceStub(channel)
        request = exchange_pb2.SubmitEntryRequest(entry=entry)
        try:
            answer = await stub.SubmitEntry(request, timeout=SUBMIT_DEADLINE_S)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return answer.body_hash


@dataclass(frozen=True, slots=True)
class _App:
    config: NodeConfig
    session: Session
    desk: Desk
    renewal: Renewal

    async def serve(self, stop: asyncio.Event, started: "asyncio.Future[Running] | None") -> None:
        metrics = CollectorRegistry()
        server = self._server(metrics)
        port = bind(server, self.config.local_listen, self._credentials())
        health = HealthServer(metrics=metrics, checks=self._checks)
        await server.start()
        metrics_port = await health.start(self.config.metrics_port)
        logger().info(
            STARTED,
            member=self.config.member,
            port=port,
            registry_size=self.desk.home.registry.size,
        )
        if started is not None:
            started.set_result(Running(port, metrics_port, self.session, self.desk, self.renewal))
        async with _running(
            self.session.run(), self._merge_index(), self._renew(), self.renewal.run()
        ) as tasks:
            try:
                await _until(stop, tasks)
            finally:
                grace = timedelta(seconds=self.config.intervals.stop_grace_s)
                await drain_and_stop(server, self.desk.live, retry_after=DRAIN_RETRY, grace=grace)
                # The session ends last: it shows the hub what was logged until here.
                await self.session.outbox.settled()
                await health.stop()

    def _server(self, metrics: CollectorRegistry) -> grpc.aio.Server:
        interceptor = CallInterceptor(
            lookup=self.desk.officers.lookup, live=self.desk.live, metrics=CallMetrics(metrics)
        )
        server = build_server([interceptor], lets_callers_wait=True)
        local_pb2_grpc.add_AlertServiceServicer_to_server(AlertService(self.desk), server)
        local_pb2_grpc.add_HitServiceServicer_to_server(HitService(self.desk), server)
        local_pb2_grpc.add_AuditServiceServicer_to_server(AuditService(self.desk), server)
        local_pb2_grpc.add_AgreementServiceServicer_to_server(AgreementService(self.desk), server)
        local_pb2_grpc.add_NodeServiceServicer_to_server(
            NodeService(self.desk, self.renewal.status), server
        )
        described = local_pb2.DESCRIPTOR.services_by_name
        add_health_and_reflection(server, [described[name].full_name for name in SERVICES])
        return server

    def _credentials(self) -> grpc.ServerCredentials:
        return server_credentials(ReloadedFiles(self.desk.authority.tls_files()))

    def _checks(self) -> Mapping[str, bool]:
        # Ready to serve officers: the hub may be away, and is counted in `status`.
        return {"database": True, "registry": self.desk.home.registry.size > 0}

    async def _renew(self) -> None:
        while True:
            try:
                await renew_due(self.desk)
            except (StoreError, TrustError, OSError) as fault:
                code = getattr(fault, "code", "MQ-CERT-RENEWAL")
                logger().warning(UPKEEP_FAILED, code=code)
            await asyncio.sleep(RENEWAL_INTERVAL_S)

    async def _merge_index(self) -> None:
        while True:
            await asyncio.sleep(self.config.intervals.index_merge_s)
            try:
                # One bounded step at a time: what arrives is never kept waiting for long.
                await self.desk.home.database.write(merge_step)
            except StoreError as fault:
                logger().warning(UPKEEP_FAILED, code=fault.code)


@asynccontextmanager
async def _running(
    *coroutines: Coroutine[Any, Any, None],
) -> AsyncGenerator[Sequence["asyncio.Task[None]"]]:
    """Run tasks until the block ends, and wait for their ends."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        yield tasks
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(stop: asyncio.Event, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until asked to stop; a task that ends by itself ends this with what it raised."""
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        stopped.cancel()
