"""Where the hub listens: the exchange, enrolment, the operator's own API, and the probes.

Each has its own port, because each asks something else of whoever calls: a certificate that
the registry lists, none at all, one of the hub's own authority, or the loopback alone.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import grpc
from grpc_health.v1 import health_pb2
from prometheus_client import CollectorRegistry

from mithaq.hub import subscribe
from mithaq.hub.admin import HubServicer
from mithaq.hub.context import HubContext
from mithaq.hub.enrolment import EnrolmentServicer
from mithaq.hub.ordering import OrderingServicer
from mithaq.hub.publish import PublishServicer
from mithaq.hub.registry_service import RegistryServicer
from mithaq.hub.subscribe import SubscribeServicer
from mithaq.hub.witness_service import WitnessServicer
from mithaq.hub.work_folder import hub_tls_files, local_api
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
from mithaq.v1 import exchange_pb2_grpc, hub_pb2_grpc

RETRY_AFTER = timedelta(seconds=2)
EXCHANGE_SERVICES = (
    "mithaq.v1.PublishService",
    "mithaq.v1.SubscribeService",
    "mithaq.v1.RegistryService",
    "mithaq.v1.OrderingService",
    "mithaq.v1.WitnessService",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running hub listens."""

    exchange: int
    enrolment: int
    local: int
    metrics: int


async def listen(hub: HubContext, collectors: CollectorRegistry, parts: AsyncExitStack) -> Ports:
    """Start all listeners, to be stopped with `parts`; return where they listen.

    Raise PortInUseError or AddressUnusableError.
    """
    calls = CallMetrics(collectors)
    files = ReloadedFiles(hub_tls_files(hub.config))
    own = ReloadedFiles(local_api(hub.config.directory, hub.federation).tls_files())
    exchange, enrolment, local = _exchange(hub, calls), _enrolment(hub, calls), _local(hub, calls)
    parts.push_async_callback(enrolment.stop, None)
    parts.push_async_callback(local.stop, None)
    grace = timedelta(seconds=hub.intervals.stop_grace_s)
    parts.push_async_callback(
        drain_and_stop, exchange, hub.live, retry_after=RETRY_AFTER, grace=grace
    )
    health = HealthServer(metrics=collectors, checks=lambda: _checks(hub))
    parts.push_async_callback(health.stop)
    strangers = server_credentials(files, client_certificates=False)
    ports = Ports(
        exchange=bind(exchange, hub.config.listen, server_credentials(files)),
        enrolment=bind(enrolment, hub.config.enrolment_listen, strangers),
        local=bind(local, hub.config.local_listen, server_credentials(own)),
        metrics=await health.start(hub.config.metrics_port),
    )
    serving = add_health_and_reflection(exchange, EXCHANGE_SERVICES)
    for server in (exchange, enrolment, local):
        await server.start()
    for service in ("", *EXCHANGE_SERVICES):
        await serving.set(service, health_pb2.HealthCheckResponse.SERVING)
    return ports


def _exchange(hub: HubContext, calls: CallMetrics) -> grpc.aio.Server:
    server = build_server([CallInterceptor(lookup=hub.known, live=hub.live, metrics=calls)])
    exchange_pb2_grpc.add_PublishServiceServicer_to_server(PublishServicer(hub), server)
    subscribe.add_to(server, SubscribeServicer(hub))
    exchange_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(hub), server)
    exchange_pb2_grpc.add_OrderingServiceServicer_to_server(OrderingServicer(hub), server)
    exchange_pb2_grpc.add_WitnessServiceServicer_to_server(WitnessServicer(hub), server)
    return server


def _enrolment(hub: HubContext, calls: CallMetrics) -> grpc.aio.Server:
    server = build_server([CallInterceptor(lookup=None, live=LiveCalls(), metrics=calls)])
    exchange_pb2_grpc.add_EnrolmentServiceServicer_to_server(EnrolmentServicer(hub), server)
    return server


def _local(hub: HubContext, calls: CallMetrics) -> grpc.aio.Server:
    # TLS has checked that the hub's own authority issued the operator's certificate.
    server = build_server([CallInterceptor(lookup=bytes.hex, live=LiveCalls(), metrics=calls)])
    hub_pb2_grpc.add_HubServiceServicer_to_server(HubServicer(hub), server)
    return server


def _checks(hub: HubContext) -> dict[str, bool]:
    return {
        "registry": hub.registry.time is not None,
        "committer": hub.committer.is_keeping_up,
    }
