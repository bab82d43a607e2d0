"""The product as the measurement sees it: hub and node processes, asked over local APIs.

Records go in as `alert import` and national systems put them in, over the node's local
API; they are there when the reader has opened them, and they can be found.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from bench.calls import CALL_SECONDS, CALLERS_PER_CONNECTION, send_all
from bench.errors import MeasureError
from bench.federation import Members, Place, Site, found
from bench.records import Records
from bench.watch import Watch
from mithaq.cli.demo.processes import Process, stop_together
from mithaq.node.records.model import ParsedRecord
from mithaq.service.channel import channel_options
from mithaq.service.profile import read_profile
from mithaq.v1 import local_pb2, local_pb2_grpc

POLL_S: Final = 0.005
READY_SECONDS_MAX: Final = 60.0
ONE: Final = Members()
# In step with its index, which the same transaction grows (node/exchange/keeping.py).
RECEIVED: Final = "SELECT max(record_no) FROM node_record"
_ISSUE_MANY: Final = "/mithaq.v1.AlertService/IssueMany"


class Product:
    """A running federation of one sender and some readers."""

    name = "product"

    def __init__(self, site: Site) -> None:
        self.site = site
        self.records = Records.of(site.sender.member)
        self._channels: dict[tuple[str, int], grpc.aio.Channel] = {}

    @property
    def reader(self) -> Place:
        """The first reader."""
        return self.site.readers[0]

    @property
    def pids(self) -> dict[str, int]:
        """The three processes by role; of several readers the first."""
        return {
            "sender": self.site.sender.process.pid,
            "hub": self.site.hub.pid,
            "reader": self.reader.process.pid,
        }

    def start(self) -> None:
        """Start every process, and return when each is ready."""
        for process in self._processes():
            process.start()
        for process in self._processes():
            process.wait_ready()

    async def stop(self) -> None:
        """Stop every process."""
        for channel in self._channels.values():
            await channel.close()
        kept_back = (*self.site.others, *self.site.newcomers)
        hub, *nodes = [*self._processes(), *(each.process for each in kept_back)]
        await asyncio.to_thread(stop_together, nodes)
        await asyncio.to_thread(stop_together, [hub])

    def _processes(self) -> list[Process]:
        nodes = (self.site.sender, *self.site.readers)
        return [self.site.hub, *(each.process for each in nodes)]

    def restart_hub(self) -> None:
        """Stop the hub and start it anew."""
        stop_together([self.site.hub])
        self.site.hub.start()
        self.site.hub.wait_ready()

    async def start_others(self, places: Sequence[Place]) -> None:
        """Start nodes that were kept back, and return when each is ready."""
        for place in places:
            place.process.start()
        for place in places:
            await asyncio.to_thread(place.process.wait_ready)

    def channel(self, place: Place, number: int = 0) -> grpc.aio.Channel:
        """Return a channel to a node's local API; each number is a connection of its own."""
        if (place.member, number) not in self._channels:
            profile = read_profile(place.profile)
            credentials = grpc.ssl_channel_credentials(
                profile.server_ca, profile.key, profile.certificate
            )
            self._channels[place.member, number] = grpc.aio.secure_channel(
                f"127.0.0.1:{place.local_port}", credentials, options=channel_options(())
            )
        return self._channels[place.member, number]

    def watch(self, place: Place | None = None) -> Watch:
        """Return a count of the records that are durable and searchable at a reader."""
        return Watch((place or self.reader).database, RECEIVED)

    # --- issuing --------------------------------------------------------------------

    async def warm(self) -> None:
        """Send one record, so that streams and epochs are open at all ends."""
        async with asyncio.timeout(READY_SECONDS_MAX):
            (record,) = self.records.make(1)
            await self.issue(record.raw)
            for place in self.site.readers:
                with self.watch(place) as watch:
                    await watch.until(1, every_s=POLL_S)

    async def send(self, requests: Sequence[bytes]) -> None:
        """Issue in bulk; each request's answer is awaited before its place is given on."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel(
            self.site.sender
        ).unary_unary(_ISSUE_MANY)
        await send_all(call, requests, check=_check_issued)

    async def issue(self, raw: bytes, caller: int = 0) -> None:
        """Issue one record; answered when it is durable at the sender."""
        channel = self.channel(self.site.sender, caller // CALLERS_PER_CONNECTION)
        stub = local_pb2_grpc.AlertServiceStub(channel)
        answer = await stub.Issue(local_pb2.IssueRequest(record=raw), timeout=CALL_SECONDS)
        if not answer.disclosures:
            raise MeasureError(f"not issued: {answer.error.code}")

    # --- finding --------------------------------------------------------------------

    async def check_found(self, records: Sequence[ParsedRecord]) -> None:
        """Look some records up at the reader, by document; raise MeasureError for one missed."""
        stub = local_pb2_grpc.AlertServiceStub(self.channel(self.reader))
        for record in records:
            document = record.alert.person.documents[0]
            request = local_pb2.FindAlertsRequest(
                grounds=local_pb2.Grounds(
                    purpose="BORDER_CONTROL",
                    case_reference="BENCH",
                    justification="A record that was measured is looked up.",
                ),
                document_number=document.number,
                issuing_state=document.issuing_state.code,
            )
            answer = await stub.FindAlerts(request, timeout=CALL_SECONDS)
            if record.alert_id not in {each.row.alert_id for each in answer.matches}:
                raise MeasureError("a record that was opened is not found")


def _check_issued(answer: bytes) -> None:
    for item in local_pb2.IssueManyResponse.FromString(answer).items:
        if not item.disclosures:
            raise MeasureError(f"not issued: {item.error.code}")


@asynccontextmanager
async def running_product(folder: Path, members: Members = ONE) -> AsyncGenerator[Product]:
    """Found a federation and run its hub, sender and readers while the block lasts."""
    site = await asyncio.to_thread(found, folder, members)
    product = Product(site)
    try:
        await asyncio.to_thread(product.start)
        await product.warm()
        yield product
    finally:
        await product.stop()
