"""An orderly stop shows the hub the end of the audit log, and waits for no hub that is away."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithaq.hub.config import HubConfig
from mithaq.node.config import NodeIntervals
from mithaq.node.exchange import session
from tests.exchange.nodes import WAIT_S, Node
from tests.federation import Federation
from tests.hub.running import prepare, running, three_members

# Shown once, at the beginning of each connection, and then not for an hour.
SELDOM = NodeIntervals().model_copy(update={"witness_s": 3600.0})
AN_HOUR_S = 3600.0


@pytest.fixture
def federation() -> Federation:
    return three_members()


@pytest.fixture
def config(federation: Federation, tmp_path: Path) -> HubConfig:
    return prepare(federation, tmp_path / "hub")


@pytest.fixture
def cairo(federation: Federation, tmp_path: Path) -> Iterator[Node]:
    node = Node(federation, "eg-moi", tmp_path / "eg-moi", intervals=SELDOM).open()
    yield node
    node.close()


async def unwitnessed(node: Node) -> int:
    """Return how many entries of the audit log the hub has not cosigned."""
    head = await node.home.database.read(node.home.audit.head)
    ((size,),) = await node.query("SELECT coalesce(max(size), 0) FROM node_witnessed")
    return head.size - int(size)


async def stop(node: Node) -> None:
    """Stop the session, soon, as the process does when it is asked to."""
    node.running.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(node.running, return_exceptions=True)


async def test_what_was_logged_last_is_witnessed_before_an_orderly_stop(
    cairo: Node, federation: Federation, config: HubConfig
) -> None:
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        assert await unwitnessed(cairo) > 0
        await stop(cairo)
        assert await unwitnessed(cairo) == 0
        shown = await hub.hub.context.database.read(
            lambda each: each.exec_driver_sql("SELECT count(*) FROM log_witness").scalar()
        )
        assert shown


async def test_an_answer_that_a_stop_cuts_off_is_learnt_and_the_rest_is_shown(
    cairo: Node, federation: Federation, config: HubConfig
) -> None:
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        await stop(cairo)
        async with cairo.connected(hub):
            await cairo.issue()
            # As where the answer to what was shown before has not come.
            cairo.session.witness.known_size = 1
            await stop(cairo)
        assert await unwitnessed(cairo) == 0


async def test_a_stop_waits_for_no_hub_that_is_away(
    cairo: Node, federation: Federation, config: HubConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were it to wait, it would not end within the test.
    monkeypatch.setattr(session, "LAST_SHOWN_S_MAX", AN_HOUR_S)
    async with cairo.session_to(lambda: "127.0.0.1:1"):
        await stop(cairo)
    async with running(federation, config) as hub:
        address = hub.address
        async with cairo.session_to(lambda: address):
            await cairo.until(lambda: cairo.session.connected)
            await hub.hub.stop()
            await cairo.until(lambda: not cairo.session.connected)
            await cairo.issue()
            await stop(cairo)
    assert await unwitnessed(cairo) > 0


async def test_a_stop_waits_so_long_for_a_hub_that_does_not_answer_and_no_longer(
    cairo: Node, federation: Federation, config: HubConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LAST_SHOWN_S_MAX", 0.2)
    monkeypatch.setattr("mithaq.node.exchange.witness_client.DEADLINE_S", AN_HOUR_S)
    answering = threading.Event()
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        await cairo.until(lambda: not cairo.session.publisher.unaccepted_entries)
        # All that the hub would write waits behind this.
        held = asyncio.create_task(hub.hub.context.database.write(lambda _: answering.wait()))
        try:
            await stop(cairo)
            assert await unwitnessed(cairo) > 0
        finally:
            answering.set()
            await held
