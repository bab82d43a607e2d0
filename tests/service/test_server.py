"""A server takes a port or says why not, and both ends stay within their limits."""

import asyncio
import socket
from collections.abc import Iterator
from typing import cast

import grpc
import pytest

from mithaq.service.channel import (
    IdempotentMethod,
    channel_options,
    open_channel,
    service_config,
)
from mithaq.service.server import (
    STREAMS_PER_CONNECTION_MAX,
    AddressUnusableError,
    PortInUseError,
    bind,
    build_server,
    reason_not_bound,
    server_options,
)
from mithaq.service.tls import channel_credentials, server_credentials
from tests.federation import Federation


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port of the loopback that somebody listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


async def test_a_taken_port_is_a_coded_error(federation: Federation, taken: int) -> None:
    server = build_server([])
    with pytest.raises(PortInUseError, match=str(taken)):
        bind(server, f"127.0.0.1:{taken}", server_credentials(federation.hub_tls))
    await server.stop(0)


async def test_two_servers_never_share_a_port(federation: Federation) -> None:
    first, second = build_server([]), build_server([])
    credentials = server_credentials(federation.hub_tls)
    port = bind(first, "127.0.0.1:0", credentials)
    assert port > 0
    await first.start()
    with pytest.raises(PortInUseError):
        bind(second, f"127.0.0.1:{port}", credentials)
    await second.stop(0)
    await first.stop(0)


@pytest.mark.parametrize("address", ["192.0.2.1:7443", "127.0.0.1:no-port", "no host:1"])
async def test_an_address_that_is_not_ours_is_a_coded_error(
    federation: Federation, address: str
) -> None:
    server = build_server([])
    with pytest.raises(AddressUnusableError):
        bind(server, address, server_credentials(federation.hub_tls))
    await server.stop(0)


def test_a_port_that_was_let_go_meanwhile_was_in_use() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert isinstance(reason_not_bound(f"127.0.0.1:{port}"), PortInUseError)


def test_both_ends_have_the_limits_that_were_measured() -> None:
    server, channel = dict(server_options()), dict(channel_options(()))
    for options in (server, channel):
        assert options["grpc.max_receive_message_length"] == 4 * 1024 * 1024
        assert options["grpc.keepalive_permit_without_calls"] == 1
    assert server["grpc.so_reuseport"] == 0
    # A client may ping twice in the time that a server asks for, not more often.
    assert server["grpc.http2.min_ping_interval_without_data_ms"] == 20_000
    assert channel["grpc.keepalive_time_ms"] == 30_000
    assert channel["grpc.keepalive_timeout_ms"] == 10_000


async def test_callers_of_one_connection_wait_where_they_are_more_than_its_streams(
    federation: Federation,
) -> None:
    """Each call lasts, so that the limit is met over and over, and none is refused."""
    callers, calls = STREAMS_PER_CONNECTION_MAX + 100, 3
    running = most = 0

    async def answer(request: bytes, _context: object) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return request

    server = build_server([], lets_callers_wait=True)
    handler = cast(
        "grpc.RpcMethodHandler[bytes, bytes]", grpc.unary_unary_rpc_method_handler(answer)
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("a.Desk", {"Ask": handler}),)
    )
    port = bind(server, "127.0.0.1:0", server_credentials(federation.hub_tls))
    await server.start()
    async with open_channel(
        f"127.0.0.1:{port}", channel_credentials(federation.node_tls("eg-moi"))
    ) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/a.Desk/Ask")

        async def caller(number: int) -> set[bytes]:
            name = number.to_bytes(2, "big")
            return {await ask(name, timeout=30) for _ in range(calls)} ^ {name}

        assert not set().union(*await asyncio.gather(*map(caller, range(callers))))
    assert most <= STREAMS_PER_CONNECTION_MAX
    await server.stop(0)


def test_only_methods_that_are_named_are_retried() -> None:
    assert service_config(()) == "{}"
    config = service_config([IdempotentMethod("mithaq.v1.PublishService", "ListHeads")])
    assert '"service": "mithaq.v1.PublishService", "method": "ListHeads"' in config
    assert "UNAVAILABLE" in config
