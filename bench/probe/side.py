"""The probe as the measurement sees it: three processes, started and asked from outside."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc.aio

from bench.calls import send_all
from bench.certificates import write_certificates
from bench.errors import MeasureError
from bench.probe.roles import ACK, SENDER, Settings
from bench.watch import Watch
from mithaq.cli.demo.processes import free_ports
from mithaq.v1 import local_pb2

ROOT: Final = Path(__file__).parents[2]
# A reader and a sender find the hub there when they start.
ROLES: Final = ("hub", "reader", "sender")
COUNT: Final = "SELECT max(number) FROM record"
STOP_SECONDS_MAX: Final = 5.0


class Probe:
    """The three processes, and a channel to the sender's local API."""

    name = "probe"

    def __init__(self, folder: Path) -> None:
        hub_port, sender_port = free_ports(2)
        self._settings = Settings(folder, hub_port, sender_port, secrets.token_bytes(32))
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._channel: grpc.aio.Channel | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The processes by role."""
        return {role: process.pid for role, process in self._processes.items()}

    @property
    def channel(self) -> grpc.aio.Channel:
        """The sender's local API."""
        if self._channel is None:
            self._channel = self._settings.channel(self._settings.sender_port)
        return self._channel

    def start(self) -> None:
        """Write settings and certificates, and start the three."""
        self._settings.folder.mkdir(parents=True)
        self._settings.write()
        write_certificates(self._settings.folder)
        for role in ROLES:
            process = subprocess.Popen(  # noqa: S603 (our own module)
                [sys.executable, "-m", "bench.probe", role, str(self._settings.folder)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes[role] = process
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise MeasureError(f"the probe's {role} did not start")

    async def stop(self) -> None:
        """End what was started."""
        if self._channel is not None:
            await self._channel.close()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.communicate(timeout=STOP_SECONDS_MAX)

    def watch(self) -> Watch:
        """Return a count of the records that are durable at the reader."""
        return Watch(self._settings.database("reader"), COUNT)

    async def load(self, records: Sequence[bytes]) -> None:
        """Give the sender what it sends over and over."""
        load: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = self.channel.stream_unary(
            f"/{SENDER}/Load"
        )
        await load(iter(records))

    async def send_from_memory(self, *, count: int) -> None:
        """Have so many records sent, from the sender's own memory."""
        await self._method("Make")(count.to_bytes(4))

    async def send(self, requests: Sequence[bytes]) -> None:
        """Have the records of IssueMany requests sent, asked as the product is."""
        await send_all(self._method("IssueMany"), requests, check=_check_taken)

    async def issue(self, raw: bytes) -> None:
        """Have one record sent that the caller hands over."""
        request = local_pb2.IssueRequest(record=raw)
        await self._method("Issue")(request.SerializeToString())

    def _method(self, name: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
        return self.channel.unary_unary(f"/{SENDER}/{name}")


def _check_taken(answer: bytes) -> None:
    if answer != ACK:
        raise MeasureError("the probe answered something else")


@asynccontextmanager
async def running_probe(folder: Path) -> AsyncGenerator[Probe]:
    """Run the probe while the block lasts."""
    probe = Probe(folder)
    try:
        await asyncio.to_thread(probe.start)
        yield probe
    finally:
        await probe.stop()
