"""Two hub processes on one PostgreSQL database: whoever is connected to either sees the same."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mithaq.hub.config import HubIntervals
from mithaq.hub.replicas import locked_view
from mithaq.ledger.cosignature import Role
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.hub.core import Core
from tests.hub.running import FAST, Publisher, Reader, RunningHub, prepare, running, three_members
from tests.hub.test_registry_relay import Follower, announcement
from tests.streams import StreamWriter

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@dataclass
class Replicas:
    """Two hubs that share folder and database."""

    one: RunningHub
    two: RunningHub


async def both(folder: Path, url: str, intervals: HubIntervals) -> AsyncGenerator[Replicas]:
    federation = three_members()
    config = prepare(federation, folder, database=url, intervals=intervals)
    config = config.model_copy(update={"replicas": True})
    async with AsyncExitStack() as stack:
        hubs = [await stack.enter_async_context(running(federation, config)) for _ in range(2)]
        yield Replicas(*hubs)


@pytest.fixture
async def replicas(tmp_path: Path, postgres_url: str) -> AsyncGenerator[Replicas]:
    """Run two replicas that poll ten times a second."""
    intervals = FAST.model_copy(update={"poll_s": 0.1})
    async for each in both(tmp_path / "hub", postgres_url, intervals):
        yield each


@pytest.fixture
async def hinted(tmp_path: Path, postgres_url: str) -> AsyncGenerator[Replicas]:
    """Run two replicas that would poll once a minute."""
    intervals = FAST.model_copy(update={"poll_s": 60})
    async for each in both(tmp_path / "hub", postgres_url, intervals):
        yield each


async def exchange(replicas: Replicas) -> None:
    """Let a sender at one replica reach a reader at the other, and hear back from it."""
    federation = replicas.one.federation
    reader = Reader(federation, replicas.two.node(READER), READER)
    await reader.hello()
    writer = StreamWriter.to(federation, SENDER, READER)
    writer.epoch()
    writer.put(3)
    sender = Publisher(replicas.one.node(SENDER))
    await sender.publish(writer)
    await reader.answer("headers")
    await reader.sign(writer, Role.HELD)
    assert len((await reader.answer("bodies")).bodies) == 4
    assert (await sender.receipt()).size == writer.size


async def test_a_sender_at_one_replica_reaches_a_reader_at_the_other(replicas: Replicas) -> None:
    await exchange(replicas)


async def test_a_hint_makes_the_look_come_sooner_than_the_poll(hinted: Replicas) -> None:
    await hinted.two.until(lambda: hinted.two.hub.context.registry.size > 0)
    await exchange(hinted)


async def test_a_sender_that_changes_replicas_goes_on_where_it_was(replicas: Replicas) -> None:
    federation = replicas.one.federation
    writer = StreamWriter.to(federation, SENDER, READER)
    writer.epoch()
    await Publisher(replicas.one.node(SENDER)).publish(writer)
    for hub in (replicas.two, replicas.one, replicas.two):
        writer.put(2)
        accepted = await Publisher(hub.node(SENDER)).publish(writer)
        assert accepted.size == writer.size


async def test_the_registry_reaches_whoever_follows_at_the_other_replica(
    replicas: Replicas,
) -> None:
    federation = replicas.one.federation
    node = Follower(replicas.two, SENDER)
    await node.verified(0)
    await node.take()
    leaf = federation.suspend(OTHER)
    await replicas.one.order(leaf)
    assert list((await node.take()).entries) == [leaf]


async def test_a_member_revoked_at_one_replica_is_cut_at_the_other(replicas: Replicas) -> None:
    publisher = Publisher(replicas.two.node(SENDER))
    await replicas.two.until(lambda: len(replicas.two.hub.context.live) == 1)
    await replicas.one.order(replicas.one.federation.revoke(SENDER))
    assert (await publisher.answer("reject")).code == "MQ-IDENTITY-REVOKED"


async def test_a_submission_at_one_replica_reaches_the_registrar_at_the_other(
    replicas: Replicas,
) -> None:
    stub = exchange_pb2_grpc.RegistryServiceStub(replicas.one.node(SENDER))
    entry = announcement(replicas.one.federation, SENDER)
    await stub.SubmitEntry(exchange_pb2.SubmitEntryRequest(entry=entry))
    waiting = (await replicas.two.order()).submissions
    assert [each.entry for each in waiting] == [entry]


def test_a_transaction_sees_what_another_replica_committed_since_its_last_look(
    core_of_each: Core,
) -> None:
    core, other = core_of_each, Core(core_of_each.federation, core_of_each.database)
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    core.accept(writer)
    core.sign(READER, writer, Role.HELD)
    assert len(other.directory) == 0
    other.view = locked_view
    writer.put(1)
    assert other.accept(writer).size == writer.size
    core.view = locked_view
    writer.put(1)
    assert core.accept(writer).size == writer.size
    held = writer.state.open(writer.state.open_leaf)
    opened = other.sign(READER, writer, Role.OPENED, size=1, root=held.frontier.root())
    assert not isinstance(opened, Exception)
