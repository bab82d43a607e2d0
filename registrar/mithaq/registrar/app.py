"""The registrar's process: database, clock, local API, and the connection to the hub."""

import asyncio
import random
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from mithaq.certs.errors import ClockSkewError, TrustError
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.link import HubLink
from mithaq.registrar.local_users import Users, renew_local
from mithaq.registrar.office import NOT_SIGNED, Office, utc_now
from mithaq.registrar.places import OWNER, Places
from mithaq.registrar.renewal import RENEWAL_FAILED, RENEWAL_INTERVAL_S, Renewal, own_certificate
from mithaq.registrar.trust_service import TrustService
from mithaq.service import logging as log_lines
from mithaq.service.channel import open_channel
from mithaq.service.health import HealthServer
from mithaq.service.identity import LiveCalls
from mithaq.service.interceptor import CallInterceptor
from mithaq.service.local_api import LocalApi
from mithaq.service.logging import declare, logger
from mithaq.service.metrics import CallMetrics
from mithaq.service.reconnect import WAIT_MAX, Backoff, keep_connected
from mithaq.service.run import run
from mithaq.service.server import add_health_and_reflection, bind, build_server, drain_and_stop
from mithaq.service.tls import ReloadedFiles, channel_credentials, server_credentials
from mithaq.store.engine import open_database
from mithaq.store.errors import StoreError
from mithaq.store.migrations import upgrade
from mithaq.v1 import exchange_pb2_grpc, trust_pb2, trust_pb2_grpc

MIGRATIONS: Final = Path(__file__).parent / "migrations"
STOP_SECONDS: Final = 3.0
HUB_WAIT_SECONDS: Final = 0.2
# After the store did not take the time, or the clock was behind it.
AGAIN_SECONDS: Final = 1.0

STARTED: Final = declare("registrar started", "federation", "port", "size")
NOT_TIDIED: Final = declare("not tidied up", "code")
HUB_LOST: Final = declare("hub not reached", "code")


def run_registrar(folder: Path) -> int:
    """Run the registrar of a folder until it is asked to stop; return the exit code."""
    log_lines.configure("registrar")
    config = RegistrarConfig.read(folder).value
    return run(lambda stop: serve(config, stop))


async def serve(config: RegistrarConfig, stop: asyncio.Event) -> int:
    """Serve until `stop` is set."""
    database = open_database(config.database)
    try:
        database.hold_exclusively()
        upgrade(database, MIGRATIONS)
        office = Office.open(config, database, now=utc_now)
        await office.keep_time()
        await _serve(config, office, stop)
    finally:
        database.close()
    return 0


async def _serve(config: RegistrarConfig, office: Office, stop: asyncio.Event) -> None:
    metrics, live = CollectorRegistry(), LiveCalls()
    places = Places(config.directory)
    api = LocalApi(places.local, config.federation, OWNER)
    interceptor = CallInterceptor(
        lookup=Users(places).lookup, live=live, metrics=CallMetrics(metrics)
    )
    server = build_server([interceptor])
    trust_pb2_grpc.add_TrustServiceServicer_to_server(TrustService(office), server)
    name = trust_pb2.DESCRIPTOR.services_by_name["TrustService"].full_name
    add_health_and_reflection(server, [name])
    port = bind(server, config.local_listen, server_credentials(ReloadedFiles(api.tls_files())))
    health = HealthServer(
        metrics=metrics, checks=lambda: {"registry": True, "store": not office.in_doubt}
    )
    await server.start()
    await health.start(config.metrics_port)
    logger().info(STARTED, federation=config.federation, port=port, size=office.log.registry.size)
    switched = asyncio.Event()
    renewal = Renewal(office, own_certificate(places), switched.set)
    renewal.own.take_up()
    tasks = [
        asyncio.create_task(_keep_time(config, office)),
        asyncio.create_task(_keep_linked(places, office, switched)),
        asyncio.create_task(_keep_up(config, office, renewal)),
    ]
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()
    finally:
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
        await drain_and_stop(
            server, live, retry_after=timedelta(seconds=1), grace=timedelta(seconds=STOP_SECONDS)
        )
        await health.stop()


async def _keep_time(config: RegistrarConfig, office: Office) -> None:
    while True:
        pause_s = config.checkpoint_seconds / 4
        try:
            await office.keep_time(interval=timedelta(seconds=config.checkpoint_seconds))
        except (StoreError, ClockSkewError) as fault:
            logger().warning(NOT_SIGNED, code=fault.code)
            pause_s = min(pause_s, AGAIN_SECONDS)
        await asyncio.sleep(pause_s)


async def _keep_up(config: RegistrarConfig, office: Office, renewal: Renewal) -> None:
    """Renew what ends soon, and forget what is old."""
    while True:
        await renewal.step()
        try:
            await office.tidy()
        except StoreError as fault:
            logger().warning(NOT_TIDIED, code=fault.code)
        try:
            await asyncio.to_thread(renew_local, config, at=office.now())
        except (TrustError, OSError) as fault:
            code = getattr(fault, "code", "MQ-CERT-FILE")
            logger().warning(RENEWAL_FAILED, code=code)
        await office.wait_for(renewal.is_answered, seconds=RENEWAL_INTERVAL_S)


async def _keep_linked(places: Places, office: Office, switched: asyncio.Event) -> None:
    while not office.log.registry.has_hub:
        await office.wait_for(lambda: office.log.registry.has_hub, seconds=HUB_WAIT_SECONDS)

    async def session() -> None:
        switched.clear()
        credentials = channel_credentials(places.tls.read())
        async with open_channel(office.log.registry.hub.exchange_address, credentials) as channel:
            link = HubLink(office, exchange_pb2_grpc.OrderingServiceStub(channel))
            await _until_either(link.run(), switched.wait())

    await keep_connected(
        session,
        # A refusal as well: until it was told of a new entry, the hub may not know us.
        backoff=Backoff(random.random, refused=WAIT_MAX),
        failed=_note_failure,
        survived=(StoreError, ClockSkewError),
    )


async def _until_either(*works: Coroutine[Any, Any, object]) -> None:
    """Return when one of them ends, or raise what it raised; the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _note_failure(error: Exception) -> None:
    logger().warning(HUB_LOST, code=getattr(error, "code", ""))
