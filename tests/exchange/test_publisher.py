"""The publisher: what is committed while it learns where its streams stand is sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mithaq.node.exchange.accepting import Answers
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.publisher import Publisher, patience_after
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import Node
from tests.exchange.relay import Desk, acceptance_of
from tests.exchange.test_answers import issued
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


async def test_what_the_hub_only_says_that_it_has_accepted_is_not_accepted(
    cairo_and_batch: tuple[Desk, Batch],
) -> None:
    cairo, batch = cairo_and_batch
    publisher = Publisher(cairo.home, refused=lambda: None)
    publisher.offer([batch])
    owed = publisher.unaccepted_entries
    for size in (batch.segment.state.size, 2**40):
        said = exchange_pb2.Acceptance(stream_id=batch.stream_id, size=size, cosignature="—")
        await publisher.keep(Answers([said]))
        assert publisher.unaccepted_entries == owed > 0
    signed = acceptance_of(cairo.federation, batch)
    said = exchange_pb2.Acceptance(
        stream_id=batch.stream_id, size=batch.segment.state.size, cosignature=signed
    )
    await publisher.keep(Answers([said]))
    assert publisher.unaccepted_entries == 0


@pytest.fixture
def cairo_and_batch(cairo: Desk) -> tuple[Desk, Batch]:
    return cairo, issued(cairo)


@pytest.mark.parametrize(
    ("receipts", "seconds"), [(0, 0.1), (2, 0.1), (6, 0.1), (7, 0.112), (31, 0.496), (5000, 0.5)]
)
def test_the_more_readers_sign_the_longer_their_receipts_wait_for_each_other(
    receipts: int, seconds: float
) -> None:
    assert patience_after(receipts) == pytest.approx(seconds)
