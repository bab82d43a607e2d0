"""The publisher: what is committed while it learns where its streams stand is sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.exchange.nodes import Node
from tests.hub.running import prepare, running, three_members


async def test_a_batch_that_is_committed_while_a_connection_begins_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    cairo, tunis = nodes = [
        Node(federation, member, tmp_path / member).open() for member in ("eg-moi", "tn-dgsn")
    ]
    read, sizes_read, go_on = cairo.home.database.read, asyncio.Event(), asyncio.Event()

    async def read_and_wait(look: Callable[[sa.Connection], Any]) -> Any:  # noqa: ANN401 - rows
        rows = await read(look)
        if getattr(look, "__name__", "") == "_own_sizes":
            sizes_read.set()
            await go_on.wait()
        return rows

    try:
        async with running(federation, config) as hub, tunis.connected(hub):
            async with cairo.connected(hub):
                await cairo.issue()
                await tunis.until_counted("node_record")
            monkeypatch.setattr(cairo.home.database, "read", read_and_wait)
            async with cairo.session_to(lambda: hub.address):
                await sizes_read.wait()
                await cairo.issue()
                go_on.set()
                await tunis.until_counted("node_record", count=2)
    finally:
        for node in nodes:
            node.close()
