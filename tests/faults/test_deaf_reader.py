"""A reader that never answers: the hub keeps a cursor for it, and nothing in memory (5.3a)."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from mithaq.ledger.cosignature import Role
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.hub.core import receipt_of
from tests.hub.running import Publisher, Reader, prepare, three_members
from tests.hub.test_delivery import roots_of
from tests.hub.test_faults import channel, process
from tests.streams import StreamWriter

SENDER, READER, DEAF = "eg-moi", "tn-dgsn", "int-iom"
BODY_BYTES = 400_000
WARM_UP, BATCHES = 110, 220
# The newest batches (16 MiB), the database's cache (64 MiB) and one reader's window are filled
# by the warm-up; 88 MB more go through the hub and may leave a fraction of themselves.
GROWTH_BYTES_MAX = 24 * 1024**2
ANSWER_S_MAX = 5.0


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
async def links() -> AsyncIterator[list[grpc.aio.Channel]]:
    opened: list[grpc.aio.Channel] = []
    yield opened
    for each in opened:
        await each.close()


async def subscribe_and_read_nothing(
    federation: Federation, link: grpc.aio.Channel, writer: StreamWriter
) -> None:
    """Ask for everything, sign for all headers, and never take a body from the connection."""
    call = exchange_pb2_grpc.SubscribeServiceStub(link).Subscribe()
    hello = exchange_pb2.SubscribeHello(window_bytes=16 * 1024**2)
    await call.write(exchange_pb2.SubscribeRequest(hello=hello))
    receipt = receipt_of(federation, DEAF, writer, Role.HELD)
    await call.write(exchange_pb2.SubscribeRequest(receipt=receipt))


@pytest.mark.timeout(120)
async def test_a_reader_that_never_answers_costs_no_memory_and_delays_nobody(
    tmp_path: Path, links: list[grpc.aio.Channel]
) -> None:
    federation = three_members()
    folder = tmp_path / "hub"
    prepare(federation, folder)
    writer = StreamWriter.to(federation, SENDER, READER, DEAF)
    writer.epoch()
    async with process(folder) as (pid, port):
        links += [channel(federation, port, each) for each in (SENDER, READER, DEAF)]
        sender = Publisher(links[0])
        await sender.publish(writer)
        await subscribe_and_read_nothing(federation, links[2], writer)
        reader = Reader(federation, links[1], READER)
        await reader.hello()
        longest_s, warm = 0.0, 0
        loop = asyncio.get_running_loop()
        for number in range(BATCHES):
            began = loop.time()
            writer.put(2, size_bytes=BODY_BYTES)
            await sender.publish(writer)
            await reader.sign(writer, Role.HELD)
            while (await reader.answer("bodies")).through_size < writer.size:
                continue
            await reader.sign(writer, Role.OPENED)
            if number == WARM_UP:
                warm = resident_bytes(pid)
            if number > WARM_UP:
                longest_s = max(longest_s, loop.time() - began)
        assert resident_bytes(pid) - warm < GROWTH_BYTES_MAX
        assert longest_s < ANSWER_S_MAX
        assert roots_of(writer)[writer.size] == writer.state.frontier.root()
