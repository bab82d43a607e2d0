"""The three roles of the probe, each the whole of its process.

Batches are pipelined: what follows is read while what came before is made durable, and
answers leave in order, after the commit.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.certificates import CA, NODE, NODE_KEY, SERVER, SERVER_KEY
from bench.probe.durable import Durable
from bench.probe.frame import BATCH_RECORDS, Sealer, pack, unpack
from mithaq.service.channel import channel_options
from mithaq.service.server import server_options
from mithaq.v1 import local_pb2

WINDOW_BATCHES: Final = 16
SETTINGS_FILE: Final = "probe.json"
ACK: Final = b"\x01"
HUB: Final = "bench.Hub"
SENDER: Final = "bench.Sender"
DATABASES: Final = {"sender": "sender.db", "hub": "hub.db", "reader": "reader.db"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the probe's processes are, and the keys that they share."""

    folder: Path
    hub_port: int
    sender_port: int
    body_key: bytes

    def write(self) -> None:
        """Write them into the folder."""
        settings = {
            "hub_port": self.hub_port,
            "sender_port": self.sender_port,
            "body_key": self.body_key.hex(),
        }
        path = self.folder / SETTINGS_FILE
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Settings":
        """Read them from the folder."""
        read = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        key = bytes.fromhex(read["body_key"])
        return cls(folder, int(read["hub_port"]), int(read["sender_port"]), key)

    def pem(self, name: str) -> bytes:
        """Return a PEM file of the folder."""
        return (self.folder / f"{name}.pem").read_bytes()

    def database(self, role: str) -> Path:
        """Return the file that a role writes its rows into."""
        return self.folder / DATABASES[role]

    def channel(self, port: int) -> grpc.aio.Channel:
        """Open a channel as a client that shows its certificate."""
        credentials = grpc.ssl_channel_credentials(self.pem(CA), self.pem(NODE_KEY), self.pem(NODE))
        options = channel_options(())
        return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)

    def server(self, port: int, service: str, methods: "Methods") -> grpc.aio.Server:
        """Return a server that asks its callers for a certificate."""
        credentials = grpc.ssl_server_credentials(
            [(self.pem(SERVER_KEY), self.pem(SERVER))], self.pem(CA), require_client_auth=True
        )
        server = grpc.aio.server(options=server_options())
        handler = grpc.method_handlers_generic_handler(service, methods)
        server.add_generic_rpc_handlers((handler,))
        server.add_secure_port(f"127.0.0.1:{port}", credentials)
        return server


Methods = dict[str, "grpc.RpcMethodHandler[bytes, bytes]"]


async def in_turn(
    batches: AsyncIterator[bytes],
    begin: Callable[[bytes], Awaitable[None]],
    finish: Callable[[bytes], Awaitable[None]],
) -> None:
    """Begin each batch as it comes, and finish them in order as each is done."""
    begun: asyncio.Queue[tuple[bytes, Awaitable[None]] | None] = asyncio.Queue(WINDOW_BATCHES)

    async def finish_all() -> None:
        while (each := await begun.get()) is not None:
            batch, done = each
            await done
            await finish(batch)

    finishing = asyncio.create_task(finish_all())
    async for batch in batches:
        await begun.put((batch, begin(batch)))
    await begun.put(None)
    await finishing


def messages(call: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - grpc's calls have no common type
    """Yield what a call brings."""

    async def read() -> AsyncIterator[bytes]:
        while (message := await call.read()) is not grpc.aio.EOF:
            yield message

    return read()


# --- hub ------------------------------------------------------------------------------


class Hub:
    """Keeps each body and hands the batch on."""

    def __init__(self, settings: Settings) -> None:
        self._rows = Durable(settings.database("hub"))
        self._readers: list[asyncio.Queue[bytes]] = []

    def methods(self) -> Methods:
        """Return what is called."""
        return {
            "Publish": grpc.stream_stream_rpc_method_handler(self.publish),
            "Subscribe": grpc.stream_stream_rpc_method_handler(self.subscribe),
        }

    async def publish(self, batches: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401
        """Acknowledge each batch once it is durable."""

        async def finish(batch: bytes) -> None:
            for reader in self._readers:
                reader.put_nowait(batch)
            await context.write(ACK)

        await in_turn(batches, lambda batch: self._rows.add(unpack(batch)), finish)

    async def subscribe(self, acks: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401
        """Send batches, a window of them before their acknowledgements."""
        waiting: asyncio.Queue[bytes] = asyncio.Queue()
        window = asyncio.Semaphore(WINDOW_BATCHES)
        self._readers.append(waiting)
        # Tells the reader that nothing will pass it by.
        await context.send_initial_metadata(())

        async def send() -> None:
            while True:
                batch = await waiting.get()
                await window.acquire()
                await context.write(batch)

        sending = asyncio.create_task(send())
        try:
            async for _ in acks:
                window.release()
        finally:
            self._readers.remove(waiting)
            sending.cancel()


# --- reader ---------------------------------------------------------------------------


async def read_all(settings: Settings) -> None:
    """Open each body and keep the record, until killed."""
    rows, sealer = Durable(settings.database("reader")), Sealer(settings.body_key)
    subscribe: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = settings.channel(
        settings.hub_port
    ).stream_stream(f"/{HUB}/Subscribe")
    call = subscribe()

    async def finish(_batch: bytes) -> None:
        await call.write(ACK)

    await call.initial_metadata()
    say_ready()
    await in_turn(
        messages(call),
        lambda batch: rows.add([sealer.open(body) for body in unpack(batch)]),
        finish,
    )


# --- sender ---------------------------------------------------------------------------


class Sender:
    """Seals, signs and keeps records, and publishes what is durable."""

    def __init__(self, settings: Settings) -> None:
        self._rows = Durable(settings.database("sender"))
        self._sealer = Sealer(settings.body_key)
        self._key = Ed25519PrivateKey.generate()
        self._window = asyncio.Semaphore(WINDOW_BATCHES)
        channel = settings.channel(settings.hub_port)
        self._call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(
            f"/{HUB}/Publish"
        )()
        self._writing = asyncio.Lock()
        self._records: list[bytes] = []

    def methods(self) -> Methods:
        """Return what the local API is called with."""
        return {
            "Load": grpc.stream_unary_rpc_method_handler(self.load),
            "Make": grpc.unary_unary_rpc_method_handler(self.make),
            "Issue": grpc.unary_unary_rpc_method_handler(self.issue),
            "IssueMany": grpc.unary_unary_rpc_method_handler(self.issue_many),
        }

    async def acknowledged(self) -> None:
        """Open the window as the hub answers."""
        async for _ in messages(self._call):
            self._window.release()

    async def load(self, records: AsyncIterator[bytes], context: Any) -> bytes:  # noqa: ANN401
        """Take the records that `Make` sends over and over."""
        del context
        self._records = [each async for each in records]
        return ACK

    async def make(self, request: bytes, context: Any) -> bytes:  # noqa: ANN401
        """Send so many records, from memory: nothing of the caller is in the way."""
        del context
        pipeline: asyncio.Queue[tuple[bytes, asyncio.Future[None]] | None] = asyncio.Queue(4)
        left = int.from_bytes(request)

        async def publish() -> None:
            while (each := await pipeline.get()) is not None:
                batch, durable = each
                await durable
                await self._publish(batch)

        publishing = asyncio.create_task(publish())
        while left > 0:
            records = self._records[: min(BATCH_RECORDS, left)]
            left -= len(records)
            await pipeline.put((self._sealed(records), self._rows.add(records)))
            # The writer thread's answers are let in.
            await asyncio.sleep(0)
        await pipeline.put(None)
        await publishing
        return ACK

    async def issue(self, request: bytes, context: Any) -> bytes:  # noqa: ANN401
        """Send the record of an IssueRequest."""
        del context
        return await self._issued([local_pb2.IssueRequest.FromString(request).record])

    async def issue_many(self, request: bytes, context: Any) -> bytes:  # noqa: ANN401
        """Send the records of an IssueManyRequest."""
        del context
        items = local_pb2.IssueManyRequest.FromString(request).items
        return await self._issued([each.record for each in items])

    async def _issued(self, records: list[bytes]) -> bytes:
        """Return an answer when the records are durable here, as the product does."""
        batch, durable = self._sealed(records), self._rows.add(records)
        await durable
        await self._publish(batch)
        return ACK

    def _sealed(self, records: list[bytes]) -> bytes:
        return pack(self._sealer.seal(records), self._key)

    async def _publish(self, batch: bytes) -> None:
        await self._window.acquire()
        async with self._writing:
            await self._call.write(batch)


# --- processes ------------------------------------------------------------------------


def say_ready() -> None:
    """Tell whoever started this process that it is ready."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def run(role: str, folder: Path) -> None:
    """Be one of the three, until killed."""
    settings = Settings.read(folder)
    if role == "reader":
        await read_all(settings)
    elif role == "hub":
        server = settings.server(settings.hub_port, HUB, Hub(settings).methods())
        await server.start()
        say_ready()
        await server.wait_for_termination()
    else:
        sender = Sender(settings)
        server = settings.server(settings.sender_port, SENDER, sender.methods())
        await server.start()
        say_ready()
        await sender.acknowledged()
