"""A hub whose database is away while it does what it does by itself: nothing of it ends it."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from mithaq.hub.renewal import Renewal, own_certificate
from tests.federation import now
from tests.hub.running import prepare, running, three_members

DUE = timedelta(days=61)


async def test_a_database_that_is_held_while_a_certificate_is_due_does_not_end_the_hub(
    tmp_path: Path,
) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config) as hub:
        context = hub.hub.context
        context.clock = lambda: now() + DUE
        renewal = Renewal(context, own_certificate(context.config))
        path = tmp_path / "hub" / "hub.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await renewal.step()
            other.execute("ROLLBACK")
        assert await context.desk.waiting() == []
        await renewal.step()
        assert len(await context.desk.waiting()) == 1
