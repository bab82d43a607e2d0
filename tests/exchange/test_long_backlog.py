"""A reader that was away: a withdrawal far behind what it takes back is reached all the same."""

from pathlib import Path

import pytest

from mithaq.hub.window import WINDOW_BYTES_MIN
from mithaq.ledger.entry import BODY_OWN_SIZE_BYTES, WithdrawReason
from mithaq.node.exchange import subscriber
from mithaq.store.parts import in_parts
from tests.exchange.nodes import Node
from tests.exchange.test_session import accepted
from tests.hub.running import prepare, running, three_members

# Headers of so many fill the window, and those of as many again come behind bodies.
# A batch is never split, and has to fit.
BATCH_ALERTS = 32
ALERTS = 2 * WINDOW_BYTES_MIN // BODY_OWN_SIZE_BYTES


async def test_bodies_that_wait_for_a_withdrawal_do_not_keep_its_header_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "WINDOW_BYTES", WINDOW_BYTES_MIN)
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    cairo, tunis = nodes = [
        Node(federation, member, tmp_path / member).open() for member in ("eg-moi", "tn-dgsn")
    ]
    try:
        async with running(federation, config) as hub, cairo.connected(hub):
            alerts = [cairo.alert() for _ in range(ALERTS)]
            for part in in_parts(alerts, at_once=BATCH_ALERTS):
                await cairo.issue(*part)
            await cairo.withdraw(alerts[0].alert_id, WithdrawReason.ERROR)
            await accepted(cairo)
            async with tunis.connected(hub):
                await tunis.until_counted("node_record", count=ALERTS - 1)
                assert await tunis.count("node_withdrawal") == 1
    finally:
        for node in nodes:
            node.close()
