"""A gRPC server within our limits: bounded messages, streams and silence, one port.

What it serves is added by the room that runs it. The rule: a port that is taken is an
error, never shared, and a server that stops says Drain to those who are connected.
"""

import errno
import socket
from collections.abc import Sequence
from datetime import timedelta

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mithaq.service.errors import MithaqError
from mithaq.service.identity import LiveCalls

MESSAGE_SIZE_BYTES_MAX = 4 * 1024 * 1024
STREAMS_PER_CONNECTION_MAX = 256
CALLS_MAX = 4096
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
PING_INTERVAL_MIN_MS = 20_000
CONNECTION_AGE_MAX_MS = 24 * 3600 * 1000
METADATA_SIZE_BYTES_MAX = 16 * 1024


class PortInUseError(MithaqError):
    """Another process listens on the address."""

    code = "MQ-PORT-IN-USE"
    public_message = "The port is taken by another process."
    fix = "Stop the other process, or set another port in the configuration."
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, address: str) -> None:
        """Name the address: who reads it is this server's own operator."""
        super().__init__(public_message=f"Another process listens on {address}.")


class AddressUnusableError(MithaqError):
    """The address can't be listened on by this process."""

    code = "MQ-PORT-UNUSABLE"
    public_message = "The server can't listen on this address."
    fix = "Use an address of this machine and a port above 1023, as host:port."
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


def server_options() -> tuple[tuple[str, int], ...]:
    """Return the channel arguments of every server of ours, as LIMITS gives them."""
    return (
        ("grpc.max_send_message_length", MESSAGE_SIZE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        ("grpc.max_metadata_size", METADATA_SIZE_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
        # TLS checks certificates at the handshake only, so no connection is for ever.
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MAX_MS),
        # Two servers on one port would each get half of the calls.
        ("grpc.so_reuseport", 0),
    )


def build_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    *,
    calls_max: int = CALLS_MAX,
    lets_callers_wait: bool = False,
) -> grpc.aio.Server:
    """Return a server without services and without a port.

    By default a stream counts against its connection until the server has let go of it, so
    that a peer which resets its calls can't run up more than it is allowed; a caller in
    good faith is then refused now and then where it uses all of its streams. With
    `lets_callers_wait` it waits in its own process instead: for callers of our own agency.
    """
    options = server_options()
    if lets_callers_wait:
        options += (("grpc.http.overload_protection", 0),)
    return grpc.aio.server(
        interceptors=interceptors,
        options=options,
        maximum_concurrent_rpcs=calls_max,
    )


def bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> int:
    """Listen on `host:port` and return the port, which for port 0 is a free one.

    Raise PortInUseError or AddressUnusableError.
    """
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        raise reason_not_bound(address)
    return port


def reason_not_bound(address: str) -> MithaqError:
    """Return why an address can't be listened on; gRPC itself doesn't say."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, target = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.bind(target)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return PortInUseError(address)
        return AddressUnusableError(f"{address}: {error.strerror}")
    # It was free a moment later: whoever held it has let go.
    return PortInUseError(address)


def add_health_and_reflection(
    server: grpc.aio.Server, services: Sequence[str]
) -> health.aio.HealthServicer:
    """Serve grpc.health.v1 and reflection for full service names; return the health servicer."""
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (
        *services,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    )
    reflection.enable_server_reflection(names, server)
    return servicer


async def drain_and_stop(
    server: grpc.aio.Server, live: LiveCalls, *, retry_after: timedelta, grace: timedelta
) -> None:
    """Say Drain to the calls that last, take no new ones, stop when all ended or after `grace`.

    Without Drain an open stream would make every stop take all of its grace (LIMITS).
    """
    live.drain(retry_after)
    await server.stop(grace.total_seconds())
