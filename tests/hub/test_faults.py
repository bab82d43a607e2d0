"""A hub that is killed, and what is left on its disk of what was taken back."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from mithaq.hub.config import HubConfig
from mithaq.hub.receipts import HELD
from mithaq.ledger.cosignature import Role
from mithaq.service.channel import open_channel
from mithaq.service.tls import channel_credentials
from mithaq.store.log_store import check_log
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.hub.running import Publisher, Reader, prepare, running, three_members
from tests.streams import StreamWriter

SENDER, READER = "eg-moi", "tn-dgsn"
RUN = """
import pathlib, sys
from mithaq.hub.app import run_hub
sys.exit(run_hub(pathlib.Path(sys.argv[1])))
"""
START_S = 30


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[tuple[int, int]]:
    """Run the hub of a folder in a process of its own; yield its pid and its port."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(folder), stderr=asyncio.subprocess.PIPE
    )
    assert started.stderr is not None
    try:
        async with asyncio.timeout(START_S):
            line = json.loads(await started.stderr.readline())
        assert line["event"] == "hub started"
        yield started.pid, line["exchange_port"]
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


def channel(federation: Federation, port: int, member: str) -> grpc.aio.Channel:
    return open_channel(f"127.0.0.1:{port}", channel_credentials(federation.node_tls(member)))


async def test_what_a_killed_hub_had_answered_it_still_has_and_the_sender_goes_on(
    tmp_path: Path,
) -> None:
    federation = three_members()
    folder = tmp_path / "hub"
    config = prepare(federation, folder)
    writer = StreamWriter.to(federation, SENDER, READER)
    writer.epoch()
    unsent = [writer.batch()]
    accepted = 0
    for _ in range(3):
        for _ in range(8):
            writer.put(16)
            unsent.append(writer.batch())
        async with process(folder) as (pid, port):
            link = channel(federation, port, SENDER)
            stub = exchange_pb2_grpc.PublishServiceStub(link)
            heads = (await stub.ListHeads(exchange_pb2.ListHeadsRequest())).heads
            size = heads[0].size if heads else 0
            assert size >= accepted
            unsent = [each for each in unsent if end_of(each) > size]
            sender = Publisher(link)
            for each in unsent:
                await sender.send(each)
            for _ in range(4):
                accepted = (await sender.answer("acceptance")).size
            # With batches on their way, at any moment.
            os.kill(pid, signal.SIGKILL)
            await link.close()
    await finish(federation, config, unsent, writer)


def end_of(batch: exchange_pb2.Batch) -> int:
    entries = sum(len(run.own) // run.own_size for run in batch.runs)
    return batch.first_sequence + entries


async def finish(
    federation: Federation,
    config: HubConfig,
    unsent: list[exchange_pb2.Batch],
    writer: StreamWriter,
) -> None:
    """Send all that is left, and read the whole stream as a reader does."""
    async with running(federation, config) as hub:
        sender = Publisher(hub.node(SENDER))
        for each in unsent:
            await sender.send(each)
            await sender.answer("acceptance")
        stream = hub.hub.context.directory.find(writer.stream_id)
        assert stream is not None
        assert stream.state.frontier == writer.state.frontier
        hub.hub.context.database.read_sync(lambda each: check_log(each, stream.log_no))
        reader = Reader(federation, hub.node(READER), READER)
        await reader.hello()
        await reader.answer("headers")
        await reader.sign(writer, Role.HELD)
        got: dict[int, bytes] = {}
        through = 0
        while through < writer.size:
            piece = await reader.answer("bodies")
            through = piece.through_size
            got.update(zip(piece.sequences, piece.bodies, strict=True))
        assert got == writer.sent
        assert hub.hub.context.directory.signed_size(stream.log_no, READER, HELD) == writer.size


async def test_a_withdrawn_body_is_nowhere_in_the_hubs_files(tmp_path: Path) -> None:
    federation = three_members()
    folder = tmp_path / "hub"
    async with running(federation, prepare(federation, folder)) as hub:
        writer = StreamWriter.to(federation, SENDER, READER)
        writer.epoch()
        record = writer.put(3)
        sender = Publisher(hub.node(SENDER))
        await sender.publish(writer)
        canary = writer.sent[record]
        assert found(folder, canary)
        writer.withdraw(record)
        await sender.publish(writer)
        await hub.until(lambda: not hub.hub.context.erased and not found(folder, canary))
        # What wasn't withdrawn is still there: the search does find bodies.
        assert found(folder, writer.sent[record + 1])


def found(folder: Path, canary: bytes) -> list[str]:
    """Return the files that hold some of a body."""
    piece = canary[200:264]
    return [
        path.name for path in folder.rglob("*") if path.is_file() and piece in path.read_bytes()
    ]
