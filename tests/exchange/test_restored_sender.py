"""A sender that was set back to a backup from before a withdrawal, with a real hub."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawReason, WithdrawScope
from mithaq.node.exchange.disclosures import live_disclosures
from mithaq.node.exchange.draft import WithdrawDraft
from mithaq.node.exchange.transaction import Transaction
from mithaq.node.exchange.versions import own_alerts
from mithaq.node.records.model import ParsedRecord
from tests.exchange.lost_time import is_found
from tests.exchange.nodes import Node
from tests.exchange.test_session import accepted
from tests.federation import Federation, agreement
from tests.hub.running import MEMBERS, RunningHub, prepare, running, three_members

NEWCOMER = "it-int"


@dataclass
class League:
    """A hub, its members' nodes, and a backup of Cairo's."""

    federation: Federation
    hub: RunningHub
    folder: Path
    stack: AsyncExitStack
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])

    async def begin(self, member: str) -> Node:
        node = Node(self.federation, member, self.folder / member).open()
        self.stack.callback(node.close)
        await self.stack.enter_async_context(node.connected(self.hub))
        self.nodes[member] = node
        return node

    async def admit(self, member: str) -> Node:
        """Enrol a member, let it into the agreement, and begin its node."""
        known = self.federation.registry.size
        self.federation.enrol(member)
        self.federation.agree(agreement(*MEMBERS, member, version=2))
        await self.hub.order(*self.federation.leaves[known:])
        return await self.begin(member)

    async def back_up(self, node: Node) -> Path:
        await accepted(node)
        await asyncio.to_thread(node.home.database.truncate_wal)
        backup = self.folder / "backup.db"
        shutil.copy(node.folder / "node.db", backup)
        return backup

    def restored(self, node: Node, backup: Path) -> Node:
        """Return a node, whose session has ended, as its backup remembers it."""
        node.home.database.close()
        for each in node.folder.glob("node.db*"):
            each.unlink()
        shutil.copy(backup, node.folder / "node.db")
        again = Node(self.federation, node.member, node.folder, storage=node.storage).open()
        self.stack.callback(again.close)
        return again


@pytest.fixture
async def league(tmp_path: Path) -> AsyncIterator[League]:
    federation = three_members()
    async with AsyncExitStack() as stack:
        config = prepare(federation, tmp_path / "hub")
        hub = await stack.enter_async_context(running(federation, config))
        league = League(federation, hub, tmp_path, stack)
        for member in ("int-iom", "tn-dgsn"):
            await league.begin(member)
        yield league


def cairo_of(league: League) -> Node:
    return Node(league.federation, "eg-moi", league.folder / "eg-moi").open()


async def found(node: Node, record: ParsedRecord) -> bool:
    return await node.home.database.read(lambda each: is_found(each, node.home, record))


async def alarms(node: Node) -> list[str]:
    return [str(name) for (name,) in await node.query("SELECT name FROM node_alarm")]


def live(record: ParsedRecord) -> str:
    return f"alert_id = '{record.alert_id}' AND status = 'live' AND body IS NOT NULL"


async def test_a_restored_sender_holds_and_tells_nothing_that_it_had_withdrawn(
    league: League,
) -> None:
    cairo = cairo_of(league)
    gone, kept = cairo.alert(), cairo.alert()
    readers = dict(league.nodes)
    async with cairo.connected(league.hub):
        await cairo.issue(gone, kept)
        for each in readers.values():
            await each.until_counted("node_record", "status = 'live'", count=2)
        backup = await league.back_up(cairo)
        await cairo.withdraw(gone.alert_id, WithdrawReason.EXECUTED)
        await cairo.until_counted("node_erasure", "state = 'ERASED'", count=len(readers))
        await accepted(cairo)
    again = league.restored(cairo, backup)
    assert await again.count("node_record", live(gone)) == 1, "as the backup has it"
    async with again.connected(league.hub):
        assert await again.count("node_record", live(gone)) == 0
        assert await again.count("node_record", "wrapped_key IS NULL") == 1
        assert not await found(again, gone)
        assert await found(again, kept)
        # What the readers had answered was lost with the backup, and they answer again.
        await again.until_counted("node_erasure", "state = 'ERASED'", count=len(readers))
        rome = await league.admit(NEWCOMER)
        await rome.until_counted("node_record", live(kept))
        (later,) = await again.issue()
        await rome.until_counted("node_record", f"alert_id = '{later.alert_id}'")
        assert await rome.count("node_record") == 2
        for each in readers.values():
            await each.until_counted("node_record", f"alert_id = '{later.alert_id}'")
            assert await each.count("node_record", "status = 'erased' AND body IS NULL") == 1
            assert await each.count("node_record", live(kept)) == 1
            assert await each.count("node_withdrawal") == 1
        assert await alarms(again) == ["audit shorter than witnessed"]
        assert [await alarms(each) for each in league.nodes.values()] == [[], [], []]


async def test_a_stream_that_was_never_told_is_told_by_the_restored_sender(
    league: League,
) -> None:
    """As after a node that died between what it sent of one act."""
    cairo, tunis = cairo_of(league), league.nodes["tn-dgsn"]
    gone = cairo.alert()
    async with cairo.connected(league.hub):
        await cairo.issue(gone)
        for each in league.nodes.values():
            await each.until_counted("node_record", live(gone))
        rome = await league.admit(NEWCOMER)
        await rome.until_counted("node_record", live(gone))
        backup = await league.back_up(cairo)
    await cairo.home.database.write(lambda each: _withdraw_from_one(each, cairo, gone))
    async with cairo.connected(league.hub):
        await tunis.until_counted("node_withdrawal")
        await accepted(cairo)
    again = league.restored(cairo, backup)
    async with again.connected(league.hub):
        await rome.until_counted("node_record", "status = 'erased' AND body IS NULL")
        await tunis.until_counted("node_record", "status = 'erased' AND body IS NULL")
        await again.until_counted("node_erasure", "state = 'ERASED'", count=3)
        # Each stream has said it once.
        assert await again.count("node_withdrawal") == 2
        assert await tunis.count("node_withdrawal") == await rome.count("node_withdrawal") == 1
        assert await alarms(rome) == await alarms(tunis) == []


def _withdraw_from_one(connection: sa.Connection, node: Node, record: ParsedRecord) -> None:
    """Take an alert back in the stream that carries it to most, and in no other."""
    ids = own_alerts(connection, [record.alert_id])[record.alert_id]
    standing = live_disclosures(connection, [each.record_no for each in ids])
    assert len(standing) == 2
    widest = max(standing, key=lambda each: len(each.stream.key.audience))
    tx = Transaction(connection, node.home, node.clock())
    status = node.home.registry.agreement(widest.stream.key.agreement_id).status
    draft = WithdrawDraft(widest.first_sequence, WithdrawReason.ERROR, WithdrawScope.RECORD)
    tx.withdraw(widest.stream, status, draft)
    tx.finish()
