"""The whole of the exchange on SQLite and on PostgreSQL: one contract."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import AnswerItem, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.node.exchange.expiring import expire
from mithaq.node.exchange.late_joiner import next_chunk
from mithaq.node.exchange.refusals import Refusal
from mithaq.node.exchange.restoring import owed_withdrawals
from mithaq.node.records.model import seal_in
from mithaq.store import log_store
from mithaq.v1 import record_pb2
from tests.exchange.lost_time import HubOf, compare, do_and_lose
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk, accept, desk
from tests.exchange.test_answers import refusals, take
from tests.exchange.test_late_joiner import catch_up, join
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


def test_what_a_backup_lost_of_a_withdrawal_is_carried_out(
    pair: tuple[Desk, Desk], federation: Federation
) -> None:
    cairo, _ = pair
    gone, kept = cairo.alert(), cairo.alert()
    cairo.do(*(IssueItem(each, None, None, OFFICER) for each in (gone, kept)))
    join(cairo, federation)
    assert catch_up(cairo) == 1
    item = WithdrawItem(gone.alert_id, WithdrawReason.EXECUTED, OFFICER)
    sent = do_and_lose(cairo, item)
    assert len(sent) == 2
    compare(cairo, HubOf(federation, sent[:1]))
    assert live(cairo) == [(kept.alert_id, 1)]
    (owed,) = cairo.home.database.read_sync(owed_withdrawals)
    assert (owed.alert_id, owed.reason) == (gone.alert_id, WithdrawReason.EXECUTED)
    cairo.done(owed)
    assert cairo.home.database.read_sync(owed_withdrawals) == []
    assert cairo.number("SELECT count(*) FROM node_withdrawal") == 2
    assert cairo.number("SELECT count(*) FROM node_erasure") == 3


def test_a_nul_in_what_a_reader_says_stops_no_sender(
    pair: tuple[Desk, Desk], federation: Federation
) -> None:
    cairo, tunis = pair
    alert = cairo.alert()
    (told,) = cairo.done(IssueItem(alert, None, None, OFFICER)).disclosures
    cairo.done(WithdrawItem(alert.alert_id, WithdrawReason.ERROR, OFFICER))
    said = record_pb2.ErasureReceipt(
        disclosure=record_pb2.DisclosureName(stream_id=told.stream_id, sequence=told.sequence),
        member=tunis.member,
        outcome=record_pb2.ERASURE_OUTCOME_RETAINED_IN_CASE_FILE,
        done_at=1,
        ground="Article 9\x00",
        retained_until=2,
    )
    record = seal_in(record_pb2.Record(erasure_receipt=said))
    tunis.done(AnswerItem(cairo.member, "test-agreement", record, OFFICER))
    cairo.receive(*tunis.take_batches())
    grounds = cairo.rows("SELECT ground FROM node_erasure WHERE reader = 'tn-dgsn'")
    assert grounds == [("Article 9\N{REPLACEMENT CHARACTER}",)]
    batch = cairo.take_batches()[-1]
    lists = refusals(federation, batch, Refusal(1, "NO\x00CLAUSE", 7))
    (fault,) = take(cairo, lists=lists)
    assert isinstance(fault, ProofRefusedError)
