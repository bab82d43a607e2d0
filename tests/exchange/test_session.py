"""The session: the hub goes and comes, members are cut off, keys turn up elsewhere."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from mithaq.hub.config import HubConfig
from mithaq.node.config import NodeIntervals
from mithaq.node.exchange import outbox
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.errors import HeadsUnknownError, SigningHaltedError
from tests.exchange.nodes import OFFICER, Node
from tests.federation import Federation
from tests.hub.running import prepare, running, three_members


@pytest.fixture
def federation() -> Federation:
    return three_members()


@pytest.fixture
def config(federation: Federation, tmp_path: Path) -> HubConfig:
    return prepare(federation, tmp_path / "hub")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def node(stack: AsyncExitStack, federation: Federation, member: str, tmp_path: Path) -> Node:
    one = Node(federation, member, tmp_path / member).open()
    stack.callback(one.close)
    return one


async def test_the_node_works_while_the_hub_is_away(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    address = "127.0.0.1:1"
    async with cairo.session_to(lambda: address), tunis.session_to(lambda: address):
        async with running(federation, config) as hub:
            address = hub.address
            await cairo.until(lambda: cairo.session.connected)
            await cairo.issue()
            await tunis.until_counted("node_record")
        # Nobody listens there: issuing is local, and waits for nobody.
        await cairo.issue(*(cairo.alert() for _ in range(3)))
        await cairo.until(lambda: not cairo.session.connected)
        await cairo.issue()
        async with running(federation, config) as hub:
            address = hub.address
            await tunis.until_counted("node_record", count=5)
    assert await cairo.count("node_alarm") == await tunis.count("node_alarm") == 0


async def test_after_a_start_nothing_is_signed_before_the_hub_was_asked(
    stack: AsyncExitStack,
    federation: Federation,
    config: HubConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "HEADS_WAIT_S", 0.2)
    cairo = node(stack, federation, "eg-moi", tmp_path)
    async with running(federation, config) as hub:
        async with cairo.connected(hub):
            await cairo.issue()
            await accepted(cairo)
        address = "127.0.0.1:1"
        async with cairo.session_to(lambda: address):
            with pytest.raises(HeadsUnknownError):
                await cairo.issue()
            address = hub.address
            await cairo.until(lambda: cairo.session.connected)
            await cairo.issue()


async def test_a_session_ends_within_a_second(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        began = asyncio.get_running_loop().time()
        cairo.running.cancel()
        await asyncio.gather(cairo.running, return_exceptions=True)
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_hub_that_restarts_is_found_again(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    address = "127.0.0.1:1"
    async with cairo.session_to(lambda: address), tunis.session_to(lambda: address):
        for count in (1, 2):
            async with running(federation, config) as hub:
                address = hub.address
                await cairo.until(lambda: cairo.session.connected)
                await cairo.issue()
                await tunis.until_counted("node_record", count=count)


async def test_a_narrowing_reaches_every_node_and_the_cut_member_is_gone(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    async with running(federation, config) as hub, cairo.connected(hub), tunis.connected(hub):
        await cairo.issue()
        await tunis.until_counted("node_record")
        await hub.order(federation.suspend("tn-dgsn"))
        await cairo.until(lambda: cairo.home.registry.size == federation.registry.size)
        await tunis.until(lambda: not tunis.session.connected)
        (result,) = await cairo.issue()
        assert {each for one in result.disclosures for each in one.recipients} == {"int-iom"}
        await asyncio.sleep(0.5)
        assert await tunis.count("node_record") == 1


async def test_a_restored_backup_gets_its_lost_tail_back_from_the_hub(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = Node(federation, "eg-moi", tmp_path / "eg-moi").open()
    async with running(federation, config) as hub:
        async with cairo.connected(hub):
            await cairo.issue()
            await accepted(cairo)
            backup = tmp_path / "backup.db"
            await cairo.query("SELECT 1")
            await asyncio.to_thread(cairo.home.database.truncate_wal)
            shutil.copy(cairo.folder / "node.db", backup)
            await cairo.issue()
            await accepted(cairo)
        cairo.close()
        for each in cairo.folder.glob("node.db*"):
            each.unlink()
        shutil.copy(backup, cairo.folder / "node.db")
        again = Node(federation, "eg-moi", cairo.folder, storage=cairo.storage).open()
        stack.callback(again.close)
        tunis = node(stack, federation, "tn-dgsn", tmp_path)
        async with again.connected(hub), tunis.connected(hub):
            # What comes next continues the stream as the hub and the readers know it.
            await again.issue()
            await tunis.until_counted("node_record", count=3)
        assert await tunis.count("node_alarm") == 0
        assert await again.count("node_alarm", "name = 'key used elsewhere'") == 0
        # The audit log was shorter than witnessed, and goes on under its next name.
        assert again.home.audit.origin.endswith("/2")
        assert await again.count("node_alarm", "name = 'audit shorter than witnessed'") == 1


async def accepted(sender: Node) -> None:
    """Return when the hub has accepted and witnessed all that the node has."""
    await sender.until(lambda: not sender.session.publisher.unaccepted_entries)
    async with asyncio.timeout(10):
        while True:
            shown = sender.session.witness.known_size
            if shown == (await sender.home.database.read(sender.home.audit.head)).size:
                return
            await asyncio.sleep(0.05)


async def test_a_contradicting_head_is_an_alarm_and_nothing_is_signed(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = Node(federation, "eg-moi", tmp_path / "eg-moi").open()
    async with running(federation, config) as hub:
        async with cairo.connected(hub):
            await cairo.issue()
            await accepted(cairo)
            backup = tmp_path / "backup.db"
            await asyncio.to_thread(cairo.home.database.truncate_wal)
            shutil.copy(cairo.folder / "node.db", backup)
            await cairo.issue()
            await accepted(cairo)
        cairo.close()
        for each in cairo.folder.glob("node.db*"):
            each.unlink()
        shutil.copy(backup, cairo.folder / "node.db")
        # Signed before anybody asked the hub: another history at the same size.
        again = Node(federation, "eg-moi", cairo.folder, storage=cairo.storage).open()
        stack.callback(again.close)
        item = IssueItem(again.alert(), None, None, OFFICER)
        await outbox.Outbox(again.home, lambda _: None).issue([item])
        async with again.session_to(lambda: hub.address):
            await again.until(lambda: again.session.outbox.halted)
            with pytest.raises(SigningHaltedError):
                await again.issue()
        assert await again.count("node_alarm", "name = 'key used elsewhere'") == 1


async def test_the_audit_log_is_witnessed_a_second_after_it_grew(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        await accepted(cairo)
        await cairo.until_counted("node_witnessed", "witness = 'hub'")
        ((size,),) = await cairo.query("SELECT size FROM node_witnessed WHERE witness = 'hub'")
        assert 0 < size <= cairo.session.witness.known_size


async def test_freeze_lists_reach_the_readers(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    async with running(federation, config) as hub:
        async with cairo.connected(hub):
            await accepted(cairo)
        async with cairo.connected(hub), tunis.connected(hub):
            await tunis.until_counted("node_freeze", "sender = 'eg-moi'")
            assert await tunis.count("node_alarm") == 0


async def test_views_of_other_readers_are_compared(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    iom = node(stack, federation, "int-iom", tmp_path)
    async with AsyncExitStack() as connections:
        hub = await connections.enter_async_context(running(federation, config))
        for each in (cairo, tunis, iom):
            await connections.enter_async_context(each.connected(hub))
        await cairo.issue()
        await tunis.until_counted("node_receipt", "reader = 'int-iom'")
        await iom.until_counted("node_receipt", "reader = 'tn-dgsn'")


async def test_a_hub_whose_clock_lags_behind_ours_is_an_alarm_and_nothing_more(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    async with running(federation, config) as hub:
        cairo.clock.ahead = cairo.home.registry.policy.clock_skew_limit + timedelta(seconds=30)
        async with cairo.connected(hub):
            await cairo.issue()
            await accepted(cairo)
            await cairo.until_counted("node_alarm", "name = 'clock skew'")
        assert await cairo.count("node_alarm") == 1


async def test_freeze_lists_come_as_often_as_the_settings_say(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    cairo.intervals = NodeIntervals(freeze_s=0.1)
    tunis = node(stack, federation, "tn-dgsn", tmp_path)
    async with running(federation, config) as hub, cairo.connected(hub), tunis.connected(hub):
        await tunis.until_counted("node_freeze", "sender = 'eg-moi'")
        ((first,),) = await tunis.query("SELECT at FROM node_freeze WHERE sender = 'eg-moi'")
        await tunis.until_counted("node_freeze", f"sender = 'eg-moi' AND at > {first}")


async def test_upkeep_runs_as_often_as_the_settings_say(
    stack: AsyncExitStack, federation: Federation, config: HubConfig, tmp_path: Path
) -> None:
    cairo = node(stack, federation, "eg-moi", tmp_path)
    cairo.intervals = NodeIntervals(upkeep_s=0.1)
    async with running(federation, config) as hub, cairo.connected(hub):
        await cairo.issue()
        await accepted(cairo)
        limit = cairo.home.registry.agreement("test-agreement").agreement.deadlines
        cairo.clock.ahead = limit.delivery_receipt + timedelta(seconds=5)
        # Both readers are away.
        await cairo.until_counted("node_alarm", "name = 'receipt overdue'", count=2)


@pytest.mark.parametrize("interval", ["freeze_s", "upkeep_s"])
def test_no_interval_is_longer_than_the_protocol_lets_it_be(interval: str) -> None:
    assert getattr(NodeIntervals(**{interval: 60}), interval) == 60
    with pytest.raises(ValidationError):
        NodeIntervals(**{interval: 61})
