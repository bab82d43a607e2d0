"""An evil hub: the real one, whose operator has put himself between it and the wire.

Code, database, TLS identity and cosigning keys are the honest hub's. A second listener hands
calls to the same services, but everything that they say, hear and answer goes through three
functions of a test. So each lie travels by mutual TLS to a real session of a real node.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from mithaq.hub import subscribe
from mithaq.hub.app import Hub
from mithaq.hub.config import HubConfig
from mithaq.hub.publish import PublishServicer
from mithaq.hub.registry_service import RegistryServicer
from mithaq.hub.subscribe import SubscribeServicer
from mithaq.hub.witness_service import WitnessServicer
from mithaq.hub.work_folder import hub_tls_files
from mithaq.service.interceptor import CallInterceptor
from mithaq.service.metrics import CallMetrics
from mithaq.service.server import bind, drain_and_stop, server_options
from mithaq.service.tls import ReloadedFiles, server_credentials
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.hub.running import RunningHub

# What is said to, or heard from, a member in place of a message.
Lie = Callable[[str, Any], Iterable[Any]]
# What a member is answered in place of a response.
Answer = Callable[[str, Any], Any]
ANSWER_S = 5.0


def truth(_: str, message: Any) -> list[Any]:  # noqa: ANN401 - messages of every service
    """Pass a message on as it is."""
    return [message]


@dataclass
class EvilHub(RunningHub):
    """A running hub that says, hears and answers whatever a test likes."""

    say: Lie = truth
    hear: Lie = truth
    answer: Answer = lambda _, response: response
    port: int = 0
    # Set when something else was said or heard than was true.
    lied: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[tuple[str, str], "BentContext"] = field(
        default_factory=dict[tuple[str, str], "BentContext"]
    )

    @property
    def front(self) -> str:
        """Where the lies are told; `address` is the honest listener's."""
        return f"127.0.0.1:{self.port}"

    async def has_lied(self) -> None:
        """Return when the lie that a test put in place has been told."""
        async with asyncio.timeout(ANSWER_S):
            await self.lied.wait()

    async def tell(self, member: str, message: Any) -> None:  # noqa: ANN401 - as above
        """Say something out of thin air on the call that carries such messages."""
        service = type(message).__name__.removesuffix("Response")
        await self.calls[member, service].utter([message])

    def bent(self, lie: Lie, member: str, message: Any) -> list[Any]:  # noqa: ANN401 - as above
        told = list(lie(member, message))
        if told != [message]:
            self.lied.set()
        return told


class BentContext:
    """The context of one streaming call, with the operator's hand on both directions."""

    def __init__(self, context: Any, evil: EvilHub, *, member: str) -> None:  # noqa: ANN401 - gRPC's own
        self._context = context
        self._evil = evil
        self._member = member
        self._heard: list[Any] = []
        self._turn = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever gRPC's has
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:  # noqa: ANN401 - as above
        if isinstance(message, bytes):
            # Made once for several readers; each may be lied to in another way.
            message = exchange_pb2.SubscribeResponse.FromString(message)
        await self.utter(self._evil.bent(self._evil.say, self._member, message))

    async def utter(self, messages: Iterable[Any]) -> None:
        async with self._turn:
            # Who has gone hears no lies.
            with suppress(grpc.aio.InternalError):
                for each in messages:
                    await self._context.write(each)

    async def read(self) -> Any:  # noqa: ANN401 - as above
        while not self._heard:
            message = await self._context.read()
            if message is grpc.aio.EOF:
                return message
            self._heard += self._evil.bent(self._evil.hear, self._member, message)
        return self._heard.pop(0)


class Operator(grpc.aio.ServerInterceptor):
    """Hands each call of a node to the honest service through a bent context."""

    def __init__(self, evil: EvilHub) -> None:
        self._evil = evil

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - gRPC names no type for a handler
        handler = await continuation(handler_call_details)
        codec = handler.request_deserializer, handler.response_serializer
        service = handler_call_details.method.rsplit("/", 1)[1]
        if handler.stream_stream:
            serve = self._streaming(handler.stream_stream, service)
            return grpc.stream_stream_rpc_method_handler(serve, *codec)
        return grpc.unary_unary_rpc_method_handler(self._answering(handler.unary_unary), *codec)

    def _streaming(self, honest: Callable[..., Awaitable[None]], service: str) -> Any:  # noqa: ANN401 - a handler
        async def serve(requests: Any, context: Any) -> None:  # noqa: ANN401 - gRPC's own
            member = self._evil.hub.context.member(context)
            bent = BentContext(context, self._evil, member=member)
            self._evil.calls[member, service] = bent
            await honest(requests, bent)

        return serve

    def _answering(self, honest: Callable[..., Awaitable[Any]]) -> Any:  # noqa: ANN401 - a handler
        async def serve(request: Any, context: Any) -> Any:  # noqa: ANN401 - gRPC's own
            member = self._evil.hub.context.member(context)
            (heard,) = self._evil.hear(member, request)
            return self._evil.answer(member, await honest(heard, context))

        return serve


@asynccontextmanager
async def evil_hub(
    federation: Federation, config: HubConfig, *, clock: Callable[[], datetime]
) -> AsyncGenerator[EvilHub]:
    """Run a hub with a second listener, which is evil, while the block lasts."""
    hub = await Hub.start(config, clock=clock)
    evil = EvilHub(federation, config.directory, hub)
    server = await _listen(evil, config)
    try:
        yield evil
    finally:
        for channel in evil.channels:
            await channel.close()
        await drain_and_stop(
            server, hub.context.live, retry_after=timedelta(seconds=1), grace=timedelta(seconds=1)
        )
        await hub.stop()


async def _listen(evil: EvilHub, config: HubConfig) -> grpc.aio.Server:
    hub = evil.hub.context
    metrics = CallMetrics(CollectorRegistry())
    guard = CallInterceptor(lookup=hub.known, live=hub.live, metrics=metrics)
    # What our own server would not send, an evil one does.
    options = {**dict(server_options()), "grpc.max_send_message_length": -1}
    server = grpc.aio.server(interceptors=[guard, Operator(evil)], options=tuple(options.items()))
    exchange_pb2_grpc.add_PublishServiceServicer_to_server(PublishServicer(hub), server)
    subscribe.add_to(server, SubscribeServicer(hub))
    exchange_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(hub), server)
    exchange_pb2_grpc.add_WitnessServiceServicer_to_server(WitnessServicer(hub), server)
    files = ReloadedFiles(hub_tls_files(config))
    evil.port = bind(server, "127.0.0.1:0", server_credentials(files))
    await server.start()
    return server
