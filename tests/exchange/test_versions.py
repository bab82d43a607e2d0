"""Which versions stand: each once, however often a peer names its alert."""

import sqlalchemy as sa

from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.reception import load_keys
from mithaq.node.exchange.unsealing import Unsealed, open_bodies
from mithaq.node.exchange.versions import Standing, Version, own_alerts, received
from mithaq.node.tables import RecordStatus
from tests.counting import statements_of
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
    found = cairo.home.database.read_sync(lambda each: own_alerts(each, wanted))
    assert {item: len(versions) for item, versions in found.items()} == {
        one.alert_id: 1,
        other.alert_id: 1,
    }
    asked = [(each, 1) for each in wanted]
    assert cairo.home.database.read_sync(lambda each: received(each, asked)) == {}


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


def test_of_versions_that_stand_the_newest_and_what_is_asked_for_is_looked_at(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    first, other = sender.put(record.raw, of=record), alert()
    sender.put(other.raw, of=other)
    for _ in range(6):
        record = next_version(record)
        sender.put(record.raw, of=record, target=first)
    sender.deliver()
    many = [(alert().alert_id, 1) for _ in range(70)]

    def seen(*asked: tuple[str, int]) -> dict[str, tuple[list[int], int, int]]:
        found = tunis.home.database.read_sync(lambda each: received(each, asked))
        return {
            item: (sorted(each.by_number), each.newest, len(each.live))
            for item, each in found.items()
        }

    assert seen((record.alert_id, 8)) == {record.alert_id: ([7], 7, 1)}
    assert seen((record.alert_id, 7)) == {record.alert_id: ([7], 7, 1)}
    assert seen((record.alert_id, 2)) == {record.alert_id: ([2, 7], 7, 1)}
    assert seen(*many, (record.alert_id, 3), (record.alert_id, 4), (other.alert_id, 2)) == {
        record.alert_id: ([3, 4, 7], 7, 1),
        other.alert_id: ([1], 1, 1),
    }


def test_a_version_alone_in_its_piece_costs_the_same_however_many_came_before(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    first = sender.put(record.raw, of=record)
    counts: list[int] = []
    for _ in range(12):
        unsealed, count = _counted(tunis, sender)
        assert reasons(unsealed) == []
        counts.append(count)
        record = next_version(record)
        sender.put(record.raw, of=record, target=first)
    # What the first pieces ask besides: the stream's epoch, and when a daily receipt was signed.
    assert len(set(counts[3:])) == 1, counts
    assert tunis.number("SELECT count(*) FROM node_lookup_run") == 1
    assert tunis.rows("SELECT version FROM node_record WHERE status = 'live'") == [(12,)]


def _counted(reader: Desk, sender: EvilSender) -> tuple[Unsealed, int]:
    """Deliver what a sender added; return how many statements its bodies took."""
    home, state = reader.home, sender.writer.state
    assert not reader.hold(sender.headers()).failed
    bodies = ArrivedBodies(state.stream_id, state.size, dict(sender.writer.sent), {})

    def act(connection: sa.Connection) -> tuple[Unsealed, int]:
        keys = load_keys(connection, home)
        with statements_of(connection) as seen:
            unsealed = open_bodies(connection, home, [bodies], reception=keys, at=reader.clock())
        return unsealed, len(seen)

    unsealed, count = home.database.write_sync(act)
    assert not unsealed.failed, unsealed.failed
    return unsealed, count


def test_what_stands_knows_its_newest_and_what_is_live() -> None:
    standing = Standing.of(
        [Version(7, 1, RecordStatus.SUPERSEDED), Version(9, 3, RecordStatus.LIVE)]
    )
    standing.add(Version(8, 2, RecordStatus.SUPERSEDED))
    assert (standing.newest, standing.live) == (3, [9])
    assert standing.by_number[2].record_no == 8
    assert Standing.of(()).newest == 0
