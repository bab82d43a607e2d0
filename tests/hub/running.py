"""A real hub on the loopback, and the members, registrar and strangers that call it."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from mithaq.hub import setup
from mithaq.hub.app import Hub, real_clock
from mithaq.hub.config import HubConfig, HubIntervals, HubLimits
from mithaq.hub.work_folder import load_config
from mithaq.ledger.cosignature import Role
from mithaq.service.channel import open_channel
from mithaq.service.errors import from_rpc_error
from mithaq.service.tls import (
    TlsMaterial,
    channel_credentials,
    channel_credentials_without_certificate,
)
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation, agreement
from tests.hub.core import receipt_of
from tests.streams import StreamWriter

ANSWER_S = 5.0
FAST = HubIntervals(
    receipts_s=0.02,
    views_s=0.1,
    sweep_s=0.05,
    clear_s=0.05,
    prune_s=0.1,
    audit_checkpoint_s=0.05,
    registry_wait_s=0.3,
    stop_grace_s=1,
)
MEMBERS = ("eg-moi", "tn-dgsn", "int-iom")


@dataclass
class RunningHub:
    """A hub that listens, and the federation that it serves."""

    federation: Federation
    folder: Path
    hub: Hub
    channels: list[grpc.aio.Channel] = field(default_factory=list[grpc.aio.Channel])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.hub.ports.exchange}"

    def channel(self, tls: TlsMaterial) -> grpc.aio.Channel:
        channel = open_channel(self.address, channel_credentials(tls))
        self.channels.append(channel)
        return channel

    def node(self, member: str) -> grpc.aio.Channel:
        return self.channel(self.federation.node_tls(member))

    def registrar(self) -> grpc.aio.Channel:
        return self.channel(self.federation.registrar_material())

    def stranger(self) -> grpc.aio.Channel:
        """Return a channel without a certificate, to the enrolment listener."""
        roots = self.federation.authority.certificate.pem
        channel = open_channel(
            f"127.0.0.1:{self.hub.ports.enrolment}", channel_credentials_without_certificate(roots)
        )
        self.channels.append(channel)
        return channel

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something has become true at the hub; it must soon."""
        async with asyncio.timeout(ANSWER_S):
            while not true():  # noqa: ASYNC110 - the hub rings no bell for tests
                await asyncio.sleep(0.02)

    async def order(self, *leaves: bytes) -> exchange_pb2.OrderResponse:
        """Hand leaves, which the federation has entered, to the hub as the registrar does."""
        registry = exchange_pb2.FollowResponse(
            first_index=self.federation.registry.size - len(leaves),
            entries=leaves,
            checkpoint=self.federation.checkpoint(),
        )
        channel = self.registrar()
        pump = Pump(exchange_pb2_grpc.OrderingServiceStub(channel).Order())
        await pump.call.write(exchange_pb2.OrderRequest(registry=registry))
        response: exchange_pb2.OrderResponse = await pump.next()
        await pump.call.done_writing()
        return response


class Pump:
    """Reads a call's messages in a task of its own: a cancelled read would end the call."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 - a call of any service
        self.call = call
        self.error: grpc.aio.AioRpcError | None = None
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        # Of receipts, which may come together, those that nobody has asked for yet.
        self._receipts: list[exchange_pb2.Receipt] = []
        self._reading = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while (message := await self.call.read()) is not grpc.aio.EOF:
                self._messages.put_nowait(message)
        except grpc.aio.AioRpcError as error:
            self.error = error
        except asyncio.CancelledError:
            pass
        self._messages.put_nowait(None)

    async def next(self, *, within_s: float = ANSWER_S) -> Any:  # noqa: ANN401 - as above
        """Return the next message, None at the end of the call; raise TimeoutError."""
        async with asyncio.timeout(within_s):
            return await self._messages.get()

    async def answer(self, kind: str | None = None) -> Any:  # noqa: ANN401 - one of several messages
        """Return the next answer, or the next one of a kind; the call must not have ended."""
        while True:
            message = await self.next()
            assert message is not None, f"the call has ended: {self.call}"
            name = message.WhichOneof("message")
            if kind is None or name == kind:
                return getattr(message, name)

    async def receipt(self) -> exchange_pb2.Receipt:
        """Return the next receipt that a sender is told of."""
        while not self._receipts:
            self._receipts += (await self.answer("receipts")).receipts
        return self._receipts.pop(0)

    async def all_receipts(self) -> list[exchange_pb2.Receipt]:
        """Return those that a sender is told of until nothing comes for a moment."""
        return [each for told in await self.all_of("receipts") for each in told.receipts]

    async def silence(self, seconds: float = 0.25) -> list[str]:
        """Return the kinds of messages that come within a moment."""
        kinds: list[str] = []
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                message = await self.next(within_s=left)
                if message is None:
                    return [*kinds, "end"]
                kinds.append(message.WhichOneof("message"))
        except TimeoutError:
            pass
        return kinds

    async def all_of(self, kind: str) -> list[Any]:
        """Return the messages of a kind that come until nothing comes for a moment."""
        found: list[Any] = []
        while True:
            try:
                message = await self.next(within_s=0.3)
            except TimeoutError:
                return found
            if message is None:
                return found
            if message.WhichOneof("message") == kind:
                found.append(getattr(message, kind))

    async def end(self) -> grpc.StatusCode:
        """Return the status with which the call ends."""
        async with asyncio.timeout(ANSWER_S):
            while await self.next() is not None:
                pass
            status: grpc.StatusCode = await self.call.code()
            return status

    async def refused(self) -> tuple[grpc.StatusCode, str]:
        """Return the status and the stable code with which the call ends."""
        status = await self.end()
        assert self.error is not None
        return status, from_rpc_error(self.error).code


class Publisher(Pump):
    """A sender's Publish call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(exchange_pb2_grpc.PublishServiceStub(channel).Publish())

    async def send(self, batch: exchange_pb2.Batch) -> None:
        await self.call.write(exchange_pb2.PublishRequest(batch=batch))

    async def publish(self, writer: StreamWriter) -> exchange_pb2.Acceptance:
        """Send what a writer has added, and return its acceptance."""
        await self.send(writer.batch())
        accepted: exchange_pb2.Acceptance = await self.answer("acceptance")
        return accepted


class Reader(Pump):
    """A reader's Subscribe call."""

    def __init__(self, federation: Federation, channel: grpc.aio.Channel, member: str) -> None:
        super().__init__(exchange_pb2_grpc.SubscribeServiceStub(channel).Subscribe())
        self.federation = federation
        self.member = member

    async def hello(
        self, *cursors: exchange_pb2.StreamCursor, window_bytes: int = 4 * 1024 * 1024
    ) -> None:
        hello = exchange_pb2.SubscribeHello(cursors=cursors, window_bytes=window_bytes)
        await self.call.write(exchange_pb2.SubscribeRequest(hello=hello))

    async def sign(self, writer: StreamWriter, role: Role, **fields: Any) -> None:  # noqa: ANN401 - see receipt_of
        receipt = receipt_of(self.federation, self.member, writer, role, **fields)
        await self.call.write(exchange_pb2.SubscribeRequest(receipt=receipt))


def prepare(
    federation: Federation,
    folder: Path,
    *,
    database: str = "",
    intervals: HubIntervals = FAST,
    limits: HubLimits | None = None,
) -> HubConfig:
    """Set a hub up in a folder as an operator would; its ports are free ones."""
    request = setup.init(
        folder,
        federation=federation.name,
        exchange_address="127.0.0.1:7443",
        enrolment_address="127.0.0.1:7444",
        listen="127.0.0.1:0",
        enrolment_listen="127.0.0.1:0",
        local_listen="127.0.0.1:0",
        metrics_port=0,
        database_url=database,
        at=real_clock(),
    )
    approval = federation.approve_hub(request.read_bytes())
    setup.complete(folder, approval.to_bytes(), root_pin=federation.pin)
    settings = load_config(folder).value
    return settings.model_copy(update={"intervals": intervals, "limits": limits or settings.limits})


@asynccontextmanager
async def running(federation: Federation, config: HubConfig) -> AsyncGenerator[RunningHub]:
    """Run a hub while the block lasts."""
    hub = await Hub.start(config)
    this = RunningHub(federation, config.directory, hub)
    try:
        yield this
    finally:
        for channel in this.channels:
            await channel.close()
        await hub.stop()
        # A gRPC server that is collected after its loop has closed complains.
        gc.collect()


def three_members(*, members: Sequence[str] = MEMBERS) -> Federation:
    """Return a federation of agencies with one agreement, whose hub is still to come."""
    federation = Federation.found()
    federation.enrol(*members)
    federation.agree(agreement(*members))
    return federation
