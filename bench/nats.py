"""NATS JetStream, as durable as the product: each message is synced before it is acknowledged.

A server of our own on the loopback interface, with mutual TLS, a stream in files and
`sync_interval: always`, which Debian's nats-server (2.9) does not know yet.
"""

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig
from nats.js.client import JetStreamContext

from bench.calls import CALL_SECONDS, CALLERS_PER_CONNECTION
from bench.certificates import CA, NODE, NODE_KEY, SERVER, SERVER_KEY, write_certificates
from bench.errors import MeasureError, NotInstalledError
from bench.tools import BENCH_TOOLS
from mithaq.cli.demo.processes import free_ports, is_free

STREAM: Final = "bench"
SUBJECT: Final = "bench.record"
READY_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 10.0
CONFIGURATION: Final = """\
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/store", sync_interval: always }}
tls {{
  cert_file: "{folder}/{server}.pem", key_file: "{folder}/{server_key}.pem"
  ca_file: "{folder}/{ca}.pem", verify: true
}}
"""


class Nats:
    """A running server, and connections to it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
        self._process = process
        self._address = f"tls://127.0.0.1:{port}"
        self._tls = ssl.create_default_context(cafile=folder / f"{CA}.pem")
        self._tls.load_cert_chain(folder / f"{NODE}.pem", folder / f"{NODE_KEY}.pem")
        self._clients: list[Client] = []
        self._streams: list[JetStreamContext] = []

    @property
    def pid(self) -> int:
        """The server."""
        return self._process.pid

    async def connect(self, *, callers: int) -> None:
        """Open as many connections as the product's callers have."""
        while len(self._clients) * CALLERS_PER_CONNECTION < callers:
            client = Client()
            await client.connect(self._address, tls=self._tls, allow_reconnect=False)
            self._clients.append(client)
            self._streams.append(JetStreamContext(client))

    async def add_stream(self) -> None:
        """Make the stream that keeps what is published."""
        await self.connect(callers=1)
        stream = StreamConfig(
            name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE, num_replicas=1
        )
        # Its further arguments, of which none is given, have no types.
        await self._streams[0].add_stream(stream)  # pyright: ignore[reportUnknownMemberType]

    async def issue(self, raw: bytes, caller: int) -> None:
        """Publish a record, and return when the server has acknowledged it."""
        stream = self._streams[caller // CALLERS_PER_CONNECTION]
        await stream.publish(SUBJECT, raw, timeout=CALL_SECONDS)

    async def stored(self) -> int:
        """Return how many messages the stream has."""
        return (await self._streams[0].stream_info(STREAM)).state.messages

    async def stop(self) -> None:
        """Close the connections and end the server."""
        for client in self._clients:
            await client.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, STOP_SECONDS_MAX)


@asynccontextmanager
async def running_nats(folder: Path) -> AsyncGenerator[Nats]:
    """Run a server while the block lasts; raise NotInstalledError where there is none."""
    (port,) = free_ports(1)
    server = Nats(await asyncio.to_thread(_start, folder, port), folder, port)
    try:
        await server.add_stream()
        yield server
    finally:
        await server.stop()


def binary() -> Path:
    """Return nats-server: that of `make bench-tools`, or else the system's."""
    ours = BENCH_TOOLS / "bin" / "nats-server"
    found = str(ours) if ours.exists() else shutil.which("nats-server")
    if found is None:
        raise NotInstalledError("nats-server is not installed (make bench-tools)")
    return Path(found)


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    server = binary()
    folder.mkdir(parents=True)
    write_certificates(folder)
    configuration = folder / "nats.conf"
    names = {"server": SERVER, "server_key": SERVER_KEY, "ca": CA}
    configuration.write_text(
        CONFIGURATION.format(port=port, folder=folder, **names), encoding="utf-8"
    )
    _check_known(server, configuration)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (the server that was found)
            [server, "-c", configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    deadline = time.monotonic() + READY_SECONDS_MAX
    while is_free(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise MeasureError("nats-server did not start")
        time.sleep(0.05)
    return process


def _check_known(server: Path, configuration: Path) -> None:
    """Raise NotInstalledError where a server does not know what it is asked for."""
    tried = subprocess.run(  # noqa: S603 (as above)
        [server, "-t", "-c", configuration], capture_output=True, check=False, text=True
    )
    if tried.returncode != 0:
        raise NotInstalledError(
            f"this nats-server does not know sync_interval: always (make bench-tools); "
            f"it says: {tried.stderr.strip()[-200:]}"
        )
