"""Which versions stand: each once, however often a peer names its alert."""

from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.versions import OWN_ALERTS, RECEIVED, Standing, Version
from mithaq.node.tables import RecordStatus
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk
from tests.exchange.test_evil_sender import EvilSender, alert, reasons
from tests.federation import Federation

MANY = 1000


def test_an_id_that_is_asked_for_a_thousand_times_is_answered_once(cairo: Desk) -> None:
    one, other = cairo.alert(), cairo.alert()
    for record in (one, other):
        cairo.done(IssueItem(record, None, None, OFFICER))
    wanted = [one.alert_id] * MANY + [other.alert_id]
    found = cairo.home.database.read_sync(lambda each: OWN_ALERTS.of(each, wanted))
    assert {item: len(versions) for item, versions in found.items()} == {
        one.alert_id: 1,
        other.alert_id: 1,
    }
    assert cairo.home.database.read_sync(lambda each: RECEIVED.of(each, wanted)) == {}


def test_many_versions_in_one_piece_leave_the_newest_live_and_alone_in_the_index(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    first = sender.put(record.raw, of=record)
    for _ in range(5):
        record = next_version(record)
        sender.put(record.raw, of=record, target=first)
    assert reasons(sender.deliver()) == []
    live = "SELECT version FROM node_record WHERE status = 'live'"
    assert tunis.rows(live) == [(6,)]
    record = next_version(record)
    sender.put(record.raw, of=record, target=first)
    assert reasons(sender.deliver()) == []
    assert tunis.rows(live) == [(7,)]
    assert tunis.number("SELECT count(*) FROM node_record WHERE status = 'superseded'") == 6


def test_what_stands_knows_its_newest_and_what_is_live() -> None:
    standing = Standing.of(
        [Version(7, 1, RecordStatus.SUPERSEDED), Version(9, 3, RecordStatus.LIVE)]
    )
    standing.add(Version(8, 2, RecordStatus.SUPERSEDED))
    assert (standing.newest, standing.live) == (3, [9])
    assert standing.by_number[2].record_no == 8
    assert Standing.of(()).newest == 0
