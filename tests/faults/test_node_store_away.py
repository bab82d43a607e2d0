"""A node whose database is held while it starts, or whose alarms cannot be written to a file."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from mithaq.node.config import NodeIntervals
from tests.exchange.nodes import Node
from tests.hub.running import prepare, running, three_members

# The store waits 5 s for the lock.
HELD_S = 6.5
SOON_S = 20.0
OFTEN = NodeIntervals(upkeep_s=0.2)


async def test_a_database_that_is_held_while_a_node_starts_does_not_end_it(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        cairo = Node(federation, "eg-moi", tmp_path / "eg-moi", intervals=OFTEN).open()
        path = tmp_path / "eg-moi" / "node.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with cairo.session_to(lambda: hub.address):
                await asyncio.sleep(HELD_S)
                assert not cairo.running.done()
                other.execute("ROLLBACK")
                await cairo.until(lambda: cairo.session.connected, within_s=SOON_S)
                await cairo.issue()
        cairo.close()


async def test_an_alarm_whose_file_cannot_be_written_ends_nothing_and_is_raised_later(
    tmp_path: Path,
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        cairo = Node(federation, "eg-moi", tmp_path / "eg-moi", intervals=OFTEN).open()
        async with cairo.connected(hub):
            await cairo.issue()
            await cairo.until(lambda: cairo.session.publisher.unaccepted_entries == 0)
            evidence = cairo.home.evidence
            cairo.home.evidence = Path("/dev/null/evidence")
            # By then every reader owes a receipt, and that is an alarm with a file.
            cairo.clock.ahead = timedelta(hours=2)
            await asyncio.sleep(10 * OFTEN.upkeep_s)
            assert not cairo.running.done()
            assert await cairo.count("node_alarm") == 0
            cairo.home.evidence = evidence
            await cairo.until_counted("node_alarm", "name = 'receipt overdue'")
        cairo.close()
