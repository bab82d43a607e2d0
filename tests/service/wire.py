"""A server of ours with a small service behind the real interceptor, over real mutual TLS."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from prometheus_client import CollectorRegistry
from typing_extensions import override

from mithaq.service.channel import open_channel
from mithaq.service.errors import MithaqError, abort
from mithaq.service.identity import (
    KEY_EXCHANGE_GROUP,
    Draining,
    LiveCalls,
    current_call,
    peer_principal,
)
from mithaq.service.interceptor import CallInterceptor
from mithaq.service.metrics import CallMetrics
from mithaq.service.server import add_health_and_reflection, bind, build_server
from mithaq.service.tls import TlsMaterial, channel_credentials, server_credentials
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc, local_pb2
from tests.federation import Federation

# gRPC's handlers take any request type.
Request = Any
Response = Any
Context = Any
PUBLISH = "mithaq.v1.PublishService"
MEMBER = "eg-moi"


class Publish(exchange_pb2_grpc.PublishServiceServicer):
    """Answers with who called, fails as told, and ends streams as our services do."""

    def __init__(self, federation: Federation) -> None:
        self.lookup = federation.registry.by_tls_fingerprint
        self.failure: BaseException | None = None
        self.own_abort = False
        self.seen: list[str] = []
        self.groups: list[bytes] = []

    @override
    async def ListHeads(
        self, request: exchange_pb2.ListHeadsRequest, context: Context
    ) -> exchange_pb2.ListHeadsResponse:
        """Note the caller, or fail."""
        self.seen.append(peer_principal(context, self.lookup).member)
        self.groups += context.auth_context()[KEY_EXCHANGE_GROUP]
        if self.own_abort:
            own = MithaqError(code="MQ-OWN", grpc_status=grpc.StatusCode.NOT_FOUND)
            await abort(context, own)
        if self.failure is not None:
            raise self.failure
        return exchange_pb2.ListHeadsResponse()

    @override
    async def ReadOwn(
        self, request: exchange_pb2.ReadOwnRequest, context: Context
    ) -> exchange_pb2.ReadOwnResponse:
        """Answer what passed validation."""
        return exchange_pb2.ReadOwnResponse()

    @override
    async def Publish(
        self, request_iterator: AsyncIterator[exchange_pb2.PublishRequest], context: Context
    ) -> AsyncIterator[exchange_pb2.PublishResponse]:
        """Answer each message, until told to end; then say so in band."""
        call = current_call()
        while True:
            arriving = asyncio.ensure_future(anext(request_iterator, None))
            waited: set[asyncio.Future[Any]] = {arriving, call.ending}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if call.ending.done():
                arriving.cancel()
                yield last_word(call.ending.result())
                return
            if arriving.result() is None:
                return
            if self.failure is not None:
                raise self.failure
            yield exchange_pb2.PublishResponse(back_pressure_ms=1)


def last_word(ending: MithaqError | Draining) -> exchange_pb2.PublishResponse:
    """Return Reject or Drain, as a servicer says it before it ends a call."""
    if isinstance(ending, Draining):
        wait_ms = int(ending.retry_after.total_seconds() * 1000)
        return exchange_pb2.PublishResponse(drain=exchange_pb2.Drain(retry_after_ms=wait_ms))
    return exchange_pb2.PublishResponse(
        reject=exchange_pb2.Reject(code=ending.code, public_message=ending.public_message)
    )


async def write_and_wait(_requests: Request, context: Context) -> None:
    """Write one message and wait for ever: a stream that writes itself and heeds nothing."""
    await context.write(exchange_pb2.SubscribeResponse(drain=exchange_pb2.Drain()))
    await asyncio.Event().wait()


async def two_parts(_request: Request, _context: Context) -> AsyncIterator[Response]:
    """Answer one question in two parts."""
    for chunk in (b"a", b"b"):
        yield local_pb2.ExportAuditResponse(chunk=chunk)


async def count(requests: AsyncIterator[Request], _context: Context) -> exchange_pb2.Drain:
    """Answer once, with the number of questions."""
    return exchange_pb2.Drain(retry_after_ms=len([each async for each in requests]))


def handlers() -> tuple[grpc.GenericRpcHandler, ...]:
    """Return handlers of the three kinds that the publish service has none of."""
    subscribe = grpc.stream_stream_rpc_method_handler(
        write_and_wait,
        exchange_pb2.SubscribeRequest.FromString,
        exchange_pb2.SubscribeResponse.SerializeToString,
    )
    export = grpc.unary_stream_rpc_method_handler(
        two_parts,
        local_pb2.ExportAuditRequest.FromString,
        local_pb2.ExportAuditResponse.SerializeToString,
    )
    counting = grpc.stream_unary_rpc_method_handler(
        count,
        exchange_pb2.PublishRequest.FromString,
        exchange_pb2.Drain.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler
    return (
        generic("mithaq.v1.SubscribeService", {"Subscribe": subscribe}),
        generic("mithaq.v1.AuditService", {"ExportAudit": export}),
        generic("test.CountService", {"Count": counting}),
    )


@dataclass(slots=True)
class Wire:
    """A running server, and everything a test may look at or turn."""

    federation: Federation
    server: grpc.aio.Server
    port: int
    live: LiveCalls
    metrics: CollectorRegistry
    publish: Publish
    channels: list[grpc.aio.Channel] = field(default_factory=list[grpc.aio.Channel])

    def channel(self, member: str = MEMBER, *, server_name: str | None = None) -> grpc.aio.Channel:
        """Open a channel with a member's certificate."""
        return self.channel_with(self.federation.node_tls(member), server_name=server_name)

    def channel_with(
        self, material: TlsMaterial, *, server_name: str | None = None
    ) -> grpc.aio.Channel:
        """Open a channel with any certificate."""
        channel = open_channel(
            f"127.0.0.1:{self.port}", channel_credentials(material), server_name=server_name
        )
        self.channels.append(channel)
        return channel

    def stub(self, member: str = MEMBER) -> "exchange_pb2_grpc.PublishServiceAsyncStub":
        """Return a member's stub of the publish service."""
        return exchange_pb2_grpc.PublishServiceStub(self.channel(member))

    def counted(self, method: str, code: str) -> float:
        """Return how many calls of a method ended with a status."""
        labels = {"method": f"/{PUBLISH}/{method}", "code": code}
        return self.metrics.get_sample_value("mithaq_rpc_finished_total", labels) or 0


@asynccontextmanager
async def running(
    federation: Federation,
    *,
    material: Callable[[], TlsMaterial] | None = None,
    identified: bool = True,
    asks_for_certificate: bool | None = None,
) -> AsyncGenerator[Wire]:
    """Run a hub-like server on a free port until the block ends."""
    live, metrics, publish = LiveCalls(), CollectorRegistry(), Publish(federation)
    lookup = federation.registry.by_tls_fingerprint if identified else None
    interceptor = CallInterceptor(lookup=lookup, live=live, metrics=CallMetrics(metrics))
    server = build_server([interceptor])
    exchange_pb2_grpc.add_PublishServiceServicer_to_server(publish, server)
    server.add_generic_rpc_handlers(handlers())
    add_health_and_reflection(server, [PUBLISH])
    asks = identified if asks_for_certificate is None else asks_for_certificate
    credentials = server_credentials(material or federation.hub_tls, client_certificates=asks)
    port = bind(server, "127.0.0.1:0", credentials)
    await server.start()
    wire = Wire(federation, server, port, live, metrics, publish)
    try:
        yield wire
    finally:
        for channel in wire.channels:
            await channel.close()
        await server.stop(0)
