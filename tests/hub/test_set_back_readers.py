"""A reader that was set back to an older backup, as the hub sees it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mithaq.ledger.cosignature import Role
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.v1 import exchange_pb2
from tests.hub.core import receipt_of
from tests.hub.running import RunningHub, prepare, running, three_members
from tests.hub.test_delivery import READER, cursor, publisher, reader, stored_bytes, stream


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Run a hub with three members."""
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as this:
        yield this


async def test_a_reader_that_was_set_back_is_shown_its_own_receipt_for_what_is_gone(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    writer.put(3)
    await publisher(hub).publish(writer)
    this = await reader(hub)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    await this.answer("bodies")
    await this.sign(writer, Role.OPENED)
    await hub.until(lambda: not stored_bytes(hub, writer))
    this.call.cancel()
    again = await reader(hub, READER, cursor(writer, held=0, opened=0))
    first = await again.next()
    # It can check the receipt only where it knows the root: the headers go out before.
    assert first.WhichOneof("message") == "headers"
    bodies = await again.answer("bodies")
    reason = exchange_pb2.OMISSION_REASON_OPENED
    assert [(each.sequence, each.reason) for each in bodies.omissions] == [
        (sequence, reason) for sequence in range(1, writer.size)
    ]
    assert (bodies.opened.reader, bodies.opened.size) == (READER, writer.size)
    assert bodies.opened.role == exchange_pb2.RECEIPT_ROLE_OPENED
    assert bodies.opened.root == writer.state.frontier.root()


async def test_what_a_reader_refuses_below_an_older_receipt_of_its_own_reaches_the_sender(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    writer.put(3)
    sender, this = publisher(hub), await reader(hub)
    await sender.publish(writer)
    await this.sign(writer, Role.HELD)
    await this.sign(writer, Role.OPENED)
    opened = await sender.receipt()
    while opened.role != exchange_pb2.RECEIPT_ROLE_OPENED:
        opened = await sender.receipt()
    (lost,) = sign_refusals(
        [Refusal(2, "LOST", 1)],
        stream_id=writer.stream_id,
        signer=READER,
        key=hub.federation.agencies[READER].opened,
    )
    receipt = receipt_of(hub.federation, READER, writer, Role.OPENED, refusals=[lost])
    await this.call.write(exchange_pb2.SubscribeRequest(receipt=receipt))
    told = await sender.answer("refusals")
    assert [each.reason for each in told.refusals] == ["LOST"]
