"""A piece that the store itself will not take gives up its stream, and no other."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.node.exchange import subscriber
from tests.exchange.nodes import Node
from tests.hub.running import prepare, running, three_members

REFUSE = """
    CREATE TRIGGER refuse BEFORE INSERT ON node_record
    WHEN NEW.own = 0 AND NEW.log_no IN (SELECT log_no FROM node_stream WHERE sender = 'eg-moi')
    BEGIN SELECT RAISE(ABORT, 'not this one'); END
"""


async def test_one_stream_that_the_store_refuses_leaves_the_others_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "FAILED_STREAMS_S", 2.0)
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    cairo, rome, tunis = nodes = [
        Node(federation, member, tmp_path / member).open()
        for member in ("eg-moi", "int-iom", "tn-dgsn")
    ]
    await tunis.home.database.write(lambda each: each.execute(sa.text(REFUSE)))
    dialled: list[str] = []

    def dial() -> str:
        dialled.append(hub.address)
        return hub.address

    try:
        async with running(federation, config) as hub, cairo.connected(hub), rome.connected(hub):
            refused = await cairo.issue()
            await rome.issue()
            async with tunis.session_to(dial):
                await tunis.until_counted("node_record")
                await tunis.until(lambda: tunis.session.subscriber.failed_streams)
                await rome.issue()
                await tunis.until_counted("node_record", count=2)
                assert dialled == [hub.address]
                senders = await tunis.query(
                    "SELECT DISTINCT sender FROM node_record JOIN node_stream USING (log_no)"
                )
                assert senders == [("int-iom",)]
                # What the store takes again later comes later, of its own.
                await tunis.home.database.write(
                    lambda each: each.execute(sa.text("DROP TRIGGER refuse"))
                )
                await tunis.until_counted("node_record", f"item_id = '{refused[0].alert_id}'")
                assert await tunis.count("node_alarm") == 0
    finally:
        for node in nodes:
            node.close()
