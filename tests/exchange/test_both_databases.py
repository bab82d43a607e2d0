"""The whole of the exchange on SQLite and on PostgreSQL: one contract."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.expiring import expire
from mithaq.node.exchange.late_joiner import next_chunk
from mithaq.store import log_store
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk, accept, desk
from tests.federation import Federation, agreement, now


@pytest.fixture(params=["sender", "reader", "none"])
def pair(
    request: pytest.FixtureRequest, federation: Federation, tmp_path: Path
) -> Iterator[tuple[Desk, Desk]]:
    """Yield two nodes, one of them, or none, on PostgreSQL."""
    urls = {"sender": "", "reader": ""}
    if request.param in urls:
        urls[request.param] = request.getfixturevalue("postgres_url")
    cairo = desk(federation, "eg-moi", tmp_path, url=urls["sender"])
    tunis = desk(federation, "tn-dgsn", tmp_path, url=urls["reader"])
    yield cairo, tunis
    cairo.close()
    tunis.close()


def live(node: Desk) -> list[tuple[object, ...]]:
    return node.rows(
        "SELECT alert_id, version FROM node_record WHERE status = 'live' ORDER BY alert_id"
    )


def test_issue_update_and_withdraw_arrive(pair: tuple[Desk, Desk]) -> None:
    cairo, tunis = pair
    kept, changed, withdrawn = (cairo.alert() for _ in range(3))
    cairo.do(*(IssueItem(each, None, None, OFFICER) for each in (kept, changed, withdrawn)))
    cairo.done(UpdateItem(next_version(changed), OFFICER))
    cairo.done(WithdrawItem(withdrawn.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    batches = cairo.take_batches()
    tunis.receive(*batches)
    assert accept(cairo, *batches) == []
    assert live(tunis) == live(cairo) == sorted([(kept.alert_id, 1), (changed.alert_id, 2)])
    for node in pair:
        node.home.database.read_sync(
            lambda each: [
                log_store.check_log(each, log) for log in log_store.list_logs(each).values()
            ]
        )
        node.home.database.truncate_wal(tables=["node_record"])


def test_a_newcomer_and_a_quota_and_an_expiry(
    pair: tuple[Desk, Desk], federation: Federation
) -> None:
    cairo, tunis = pair
    cairo.do(IssueItem(cairo.alert(), None, None, OFFICER))
    tunis.receive(*cairo.take_batches())
    federation.enrol("it-int")
    federation.agree(agreement("eg-moi", "int-iom", "it-int", "tn-dgsn", version=2))
    cairo.learn()
    tunis.learn()
    item = cairo.home.database.read_sync(next_chunk)
    assert item is not None
    cairo.done(item)
    tunis.receive(*cairo.take_batches())
    assert len(live(tunis)) == 1
    tunis.clock.ahead = timedelta(days=400)
    note = federation.checkpoint(at=now() + timedelta(days=400))
    tunis.home.database.write_sync(lambda each: tunis.home.trust.extend(each, [], note))
    expired = tunis.home.database.write_sync(
        lambda each: expire(each, tunis.home, at=tunis.clock())
    )
    assert expired == 1
    assert tunis.rows("SELECT status, body FROM node_record") == [("erased", None)]
