"""A hub whose database was held for a moment: senders come again by themselves, and soon."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.exchange.nodes import Node
from tests.hub.running import prepare, running, three_members

# The store waits 5 s for the lock, so what was sent meanwhile is rejected.
HELD_S = 8.0
# Upkeep comes once a minute; nobody should have to wait for it.
SOON_S = 20.0


async def test_what_a_hub_could_not_store_is_sent_again_soon(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config) as hub:
        cairo = Node(federation, "eg-moi", tmp_path / "eg-moi").open()
        async with cairo.connected(hub):
            await cairo.issue()
            await cairo.until(lambda: cairo.session.publisher.unaccepted_entries == 0)
            path = tmp_path / "hub" / "hub.db"
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await cairo.issue()
                await asyncio.sleep(HELD_S)
                other.execute("ROLLBACK")
            await cairo.until(
                lambda: cairo.session.publisher.unaccepted_entries == 0, within_s=SOON_S
            )
        cairo.close()
