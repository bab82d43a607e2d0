"""Own reception keys: replaced weekly, kept for the backlog, destroyed when spent."""

from datetime import timedelta

from mithaq.certs.acts import ReceptionKeyAnnounced
from mithaq.certs.entries import SignedEntry, parse_body
from mithaq.certs.keys import ReceptionKey
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.reception import (
    KEPT_AFTER_SUCCESSOR,
    RESUBMIT_AFTER,
    destroy_spent,
    due_announcement,
    keep_key,
    load_keys,
)
from mithaq.node.sealing.at_rest import StorageKey
from mithaq.node.sealing.errors import AtRestError
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, bodies_of, headers_of
from tests.exchange.test_outbox import renew
from tests.federation import Federation


def due(desk: Desk) -> bytes | None:
    return desk.home.database.write_sync(
        lambda each: due_announcement(each, desk.home, at=desk.clock())
    )


def destroyed(desk: Desk) -> list[bytes]:
    return desk.home.database.write_sync(
        lambda each: destroy_spent(each, desk.home, at=desk.clock())
    )


def at_age(desk: Desk, age: timedelta) -> None:
    """Move the clock to where the newest announced key has this age."""
    newest = desk.home.registry.reception_keys(desk.member)[-1]
    desk.clock.ahead = timedelta()
    desk.clock.ahead = newest.announced_at + age - desk.clock()


def test_a_new_key_is_announced_when_the_last_is_a_week_old(tunis: Desk) -> None:
    life = tunis.home.registry.policy.reception_key_life
    at_age(tunis, life - timedelta(seconds=5))
    assert due(tunis) is None
    at_age(tunis, life + timedelta(seconds=5))
    entry = due(tunis)
    assert entry is not None
    act = parse_body(SignedEntry.from_bytes(entry).body).act
    assert isinstance(act, ReceptionKeyAnnounced)
    assert act.member == "tn-dgsn"
    keys = tunis.home.database.read_sync(lambda each: load_keys(each, tunis.home))
    assert any(each.public == act.reception for each in keys.values()), "kept before announced"


def test_an_announcement_that_got_lost_is_made_again_with_the_same_key(tunis: Desk) -> None:
    at_age(tunis, tunis.home.registry.policy.reception_key_life + timedelta(seconds=5))
    first = due(tunis)
    assert due(tunis) is None
    tunis.clock.ahead += RESUBMIT_AFTER + timedelta(seconds=1)
    again = due(tunis)
    assert first is not None
    assert again is not None
    bodies = [parse_body(SignedEntry.from_bytes(each).body).act for each in (first, again)]
    assert bodies[0] == bodies[1]


def test_an_old_key_is_destroyed_24_hours_after_its_successor(
    tunis: Desk, federation: Federation
) -> None:
    old = federation.agencies["tn-dgsn"].reception
    new = ReceptionKey.generate()
    tunis.home.database.write_sync(lambda each: keep_key(each, tunis.home, new, at=tunis.clock()))
    federation.announce("tn-dgsn", new)
    tunis.learn()
    at_age(tunis, KEPT_AFTER_SUCCESSOR - timedelta(seconds=5))
    assert destroyed(tunis) == []
    at_age(tunis, KEPT_AFTER_SUCCESSOR + timedelta(seconds=5))
    assert destroyed(tunis) == [old.key_id]
    keys = tunis.home.database.read_sync(lambda each: load_keys(each, tunis.home))
    assert list(keys) == [new.key_id]


def test_a_reader_that_was_away_still_has_the_key_for_its_backlog(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    old = federation.agencies["tn-dgsn"].reception
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    batches = [
        each for each in cairo.take_batches() if "tn-dgsn" in each.segment.state.opening.audience
    ]
    tunis.hold(*(headers_of(federation, each) for each in batches))
    new = ReceptionKey.generate()
    tunis.home.database.write_sync(lambda each: keep_key(each, tunis.home, new, at=tunis.clock()))
    federation.announce("tn-dgsn", new)
    tunis.learn()
    at_age(tunis, KEPT_AFTER_SUCCESSOR + timedelta(days=3))
    assert destroyed(tunis) == [], "an entry sealed to it has not been opened"
    renew(tunis)
    for each in batches:
        tunis.open_bodies(bodies_of(each))
    assert tunis.number("SELECT count(*) FROM node_record") == 1
    assert destroyed(tunis) == [old.key_id]


def test_a_kept_key_that_does_not_open_is_held_against_nobody(cairo: Desk, tunis: Desk) -> None:
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    *before, batch = [
        each for each in cairo.take_batches() if "tn-dgsn" in each.segment.state.opening.audience
    ]
    tunis.receive(*before)
    tunis.hold(headers_of(tunis.federation, batch))
    right, tunis.home.storage = tunis.home.storage, StorageKey(bytes(32))
    unsealed = tunis.open_bodies(bodies_of(batch))
    assert isinstance(unsealed.failed[batch.stream_id], AtRestError)
    assert tunis.number("SELECT count(*) FROM node_refusal") == 0
    assert tunis.alarms() == []
    tunis.home.storage = right
    assert not tunis.open_bodies(bodies_of(batch)).failed


def test_no_reception_key_stands_in_the_database_in_the_clear(
    tunis: Desk, federation: Federation
) -> None:
    secret = federation.agencies["tn-dgsn"].reception.to_bytes()
    tunis.home.database.truncate_wal()
    for file in tunis.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert secret[:32] not in content
            assert secret[64:] not in content
