"""A hub that is killed under 32 connected members: all are back by themselves, none is left out.

Real nodes, in step with each other (the same half of each wait is chance), so that they
do come at once. The hub is a process of its own, and its memory is looked at each time.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.exchange.nodes import Node
from tests.faults.test_deaf_reader import resident_bytes
from tests.federation import Federation, agreement, clause
from tests.hub.running import prepare
from tests.hub.test_faults import process

READERS = tuple(f"tn-agency-{number}" for number in range(31))
SENDER = "eg-moi"
RESTARTS = 2
ALERTS = 4
# Two busy processors begin 32 mutual TLS connections, and open what was missed.
BACK_S_MAX = 90.0
# Of the hub's memory, which holds what 32 connections and as many cursors need.
GROWTH_MAX = 1.15


@dataclass(slots=True)
class Members:
    """All 32, and where the hub is now."""

    sender: Node
    readers: Sequence[Node]
    port: int = 0
    issued: set[str] = field(default_factory=set[str])

    async def issue(self, count: int) -> None:
        for record in [self.sender.alert() for _ in range(count)]:
            await self.sender.issue(record)
            self.issued.add(record.alert_id)

    async def until_back(self) -> None:
        """Wait until all are connected and every reader has stored all that was issued."""
        every = (self.sender, *self.readers)
        await self._until(lambda: all(each.session.connected for each in every))
        async with asyncio.timeout(BACK_S_MAX):
            for reader in self.readers:
                while await reader.count("node_record") < len(self.issued):  # noqa: ASYNC110 - rows don't tell
                    await asyncio.sleep(0.05)

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(BACK_S_MAX):
            while not true():  # noqa: ASYNC110 - sessions ring no bell
                await asyncio.sleep(0.05)


def thirty_two() -> Federation:
    """Return a federation in which one discloses to 31, by an agreement with each.

    One agreement of all would have 92 streams: what is asked for here is connections.
    """
    federation = Federation.found()
    federation.enrol(SENDER, *READERS)
    for number, reader in enumerate(READERS):
        grant = clause("C1", senders=(SENDER,), recipients=(reader,))
        terms = agreement(SENDER, reader, clauses=(grant,), agreement_id=f"with-{number}")
        federation.agree(terms)
    return federation


@asynccontextmanager
async def at_work(federation: Federation, folder: Path) -> AsyncGenerator[Members]:
    """Run 32 nodes, whether or not there is a hub."""
    nodes = [Node(federation, each, folder / each).open() for each in (SENDER, *READERS)]
    members = Members(nodes[0], nodes[1:])
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.callback(node.close)
            await stack.enter_async_context(node.session_to(lambda: f"127.0.0.1:{members.port}"))
        yield members


@pytest.mark.timeout(400)
async def test_all_32_are_back_after_each_restart_and_memory_stays_flat(tmp_path: Path) -> None:
    federation = thirty_two()
    folder = tmp_path / "hub"
    prepare(federation, folder)
    resident: list[int] = []
    async with at_work(federation, tmp_path) as members:
        for _ in range(1 + RESTARTS):
            async with process(folder) as (pid, members.port):
                await members.until_back()
                await members.issue(ALERTS)
                await members.until_back()
                resident.append(resident_bytes(pid))
            # Killed. What is issued now waits in the sender's outbox.
            await members.issue(ALERTS)
        for reader in members.readers:
            rows = await reader.query("SELECT alert_id FROM node_record ORDER BY record_no")
            # What waited for a hub that did not come again is not here, and nothing twice.
            assert len(rows) == len(set(rows)) == len(members.issued) - ALERTS
    assert max(resident[1:]) < resident[0] * GROWTH_MAX, resident
