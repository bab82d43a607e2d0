"""A piece that the store itself will not take gives up its stream, and no other."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.node.exchange import subscriber
from mithaq.node.exchange.inbox import ArrivedHeaders
from mithaq.node.exchange.subscriber import REGISTRY_WAIT, Subscriber
from mithaq.store.errors import StoreConflictError
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import Node
from tests.exchange.relay import Desk
from tests.exchange.test_evil_sender import EvilSender
from tests.federation import Federation
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


# --- one transaction, without a network -------------------------------------------------


def refuse_streams(desk: Desk, *, but: bytes = b"") -> None:
    """Let the store take no new stream, but for one."""
    desk.home.database.write_sync(
        lambda each: each.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON node_stream "
            f"WHEN NEW.stream_id != x'{but.hex()}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    )


def take(taker: Subscriber, headers: list[ArrivedHeaders], *, views: int = 0) -> list[bytes]:
    """Let a subscriber take what came; return the streams whose headers wait."""
    arrived = subscriber._Arrived(headers, views=[exchange_pb2.Receipts()] * views)  # pyright: ignore[reportPrivateUsage] - what a connection makes of its messages
    taken = asyncio.run(taker._taken(arrived))  # pyright: ignore[reportPrivateUsage] - as above
    return [one.stream_id for each in taken for one in each.held.waiting]


def test_what_nothing_gets_through_is_no_fault_of_each(federation: Federation, tunis: Desk) -> None:
    refuse_streams(tunis)
    taker = Subscriber(tunis.home, lambda: None)
    with pytest.raises(StoreConflictError):
        take(taker, [EvilSender(federation, tunis, ordinal=each).headers() for each in (20, 21)])
    assert taker.failed_streams == frozenset()


def test_a_faulty_piece_beside_it_does_not_reset_how_long_a_stream_waits_for_the_registry(
    federation: Federation, tunis: Desk
) -> None:
    waits = EvilSender(federation, tunis)
    waits.behind_the_registry()
    waiting, stream_id = waits.headers(), waits.writer.stream_id
    refuse_streams(tunis, but=stream_id)
    taker = Subscriber(tunis.home, lambda: None)
    assert take(taker, [waiting]) == [stream_id]
    assert tunis.alarms() == []
    for ordinal in (20, 21):
        tunis.clock.ahead += REGISTRY_WAIT / 2 + timedelta(seconds=1)
        faulty = EvilSender(federation, tunis, ordinal=ordinal).headers()
        # Each comes in a transaction of its own, and the views after all of them.
        assert take(taker, [waiting, faulty], views=1) == [stream_id]
    assert tunis.alarms() == ["registry withheld"]
