"""Expiry by both clocks, and the end of an agreement."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner
from mithaq.node.exchange import expiring
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.expiring import expire
from mithaq.node.records.model import ParsedRecord
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, accept
from tests.federation import Federation, agreement, now

TICK = timedelta(seconds=1)


@pytest.fixture
def record(cairo: Desk, tunis: Desk) -> ParsedRecord:
    """Return an alert that both have."""
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    batches = cairo.take_batches()
    tunis.receive(*batches)
    accept(cairo, *batches)
    return record


def expired(desk: Desk, *, clock: datetime, registry: datetime) -> int:
    """Let time pass on both clocks and return how many records were erased."""
    newest = desk.home.registry.time
    if newest is None or registry > newest:
        note = desk.federation.checkpoint(at=registry)
        desk.home.database.write_sync(lambda each: desk.home.trust.extend(each, [], note))
    return desk.home.database.write_sync(lambda each: expire(each, desk.home, at=clock))


def test_a_record_lives_until_just_before_its_expiry(tunis: Desk, record: ParsedRecord) -> None:
    end = record.expiry
    assert expired(tunis, clock=end - TICK, registry=end - TICK) == 0
    assert expired(tunis, clock=end, registry=end) == 1
    assert tunis.rows("SELECT status, body, wrapped_key FROM node_record") == [
        ("erased", None, None)
    ]
    assert tunis.number("SELECT count(*) FROM node_lookup_page") == 0


def test_no_erasure_by_one_clock_alone(tunis: Desk, record: ParsedRecord) -> None:
    late = record.expiry + timedelta(days=9)
    assert expired(tunis, clock=late, registry=now()) == 0
    assert expired(tunis, clock=now(), registry=late) == 0
    assert expired(tunis, clock=late, registry=late) == 1


def test_the_senders_copy_and_its_sealed_body_go_as_well(cairo: Desk, record: ParsedRecord) -> None:
    assert cairo.number("SELECT count(*) FROM node_out_body") == 2
    assert expired(cairo, clock=record.expiry, registry=record.expiry) == 1
    assert cairo.number("SELECT count(*) FROM node_out_body") == 1, "the EPOCH is no record"
    assert cairo.rows("SELECT body FROM node_record") == [(None,)]


def test_an_expiry_is_in_the_audit_log(tunis: Desk, record: ParsedRecord) -> None:
    expired(tunis, clock=record.expiry, registry=record.expiry)
    entries = tunis.home.database.read_sync(lambda each: list(tunis.home.audit.entries(each)))
    assert entries[-1].outcome == "expired"
    assert [each.alert_id for each in entries[-1].records] == [record.alert_id]


def test_what_a_case_file_keeps_lives_until_its_own_end(tunis: Desk, record: ParsedRecord) -> None:
    until = record.expiry + timedelta(days=30)
    tunis.home.database.write_sync(
        lambda each: each.exec_driver_sql(
            "UPDATE node_record SET retain_ground = 'CPC 42',"  # noqa: S608
            f" retain_until = {int(until.timestamp())}"
        )
    )
    assert expired(tunis, clock=until - TICK, registry=until - TICK) == 0
    assert expired(tunis, clock=until, registry=until) == 1


def test_what_came_under_an_ended_agreement_goes_when_winding_down_is_over(
    tunis: Desk, record: ParsedRecord, federation: Federation
) -> None:
    federation.end_agreement("test-agreement")
    tunis.learn()
    over = tunis.home.registry.agreement("test-agreement").status.wind_down_until
    assert over is not None
    assert over < record.expiry
    assert expired(tunis, clock=over - TICK, registry=over - TICK) == 0
    assert expired(tunis, clock=over, registry=over) == 1


def test_of_any_number_of_ended_agreements_each_is_looked_at(
    tunis: Desk, record: ParsedRecord, federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of as many as SQLite takes conditions, 1,000, each costs 8 ms to make.
    monkeypatch.setattr(expiring, "CONDITIONS_AT_ONCE_MAX", 1)
    for other in ("a-before", "z-after"):
        federation.agree(agreement("eg-moi", "tn-dgsn", agreement_id=other))
    for each in ("a-before", "test-agreement", "z-after"):
        federation.end_agreement(each)
    tunis.learn()
    over = tunis.home.registry.agreement("z-after").status.wind_down_until
    assert over is not None
    assert over < record.expiry
    assert expired(tunis, clock=over, registry=over) == 1
    assert expired(tunis, clock=over, registry=over) == 0


def leave(federation: Federation, member: str) -> None:
    signatories = federation.agencies[member].signatories
    federation.enter(
        acts.AgreementEnded("test-agreement", acts.NarrowingReason.TERM_ENDED, member),
        [EntrySigner.signatory(member, name, pair) for name, pair in signatories.items()],
    )


@pytest.mark.parametrize("leaver", ["tn-dgsn", "eg-moi"])
def test_what_went_to_or_came_from_a_leaver_goes_at_the_end_of_its_own_wind_down(
    tunis: Desk, record: ParsedRecord, federation: Federation, leaver: str
) -> None:
    leave(federation, leaver)
    tunis.learn()
    over = tunis.home.registry.agreement("test-agreement").status.left[leaver]
    assert over < record.expiry
    assert expired(tunis, clock=over - TICK, registry=over - TICK) == 0
    assert expired(tunis, clock=over, registry=over) == 1
    assert tunis.rows("SELECT status, body, wrapped_key FROM node_record") == [
        ("erased", None, None)
    ]


def test_what_those_who_stay_gave_each_other_outlasts_a_leavers_wind_down(
    tunis: Desk, record: ParsedRecord, federation: Federation
) -> None:
    leave(federation, "int-iom")
    tunis.learn()
    assert expired(tunis, clock=record.expiry - TICK, registry=record.expiry - TICK) == 0


def test_who_comes_back_within_its_wind_down_keeps_what_it_had(
    tunis: Desk, record: ParsedRecord, federation: Federation
) -> None:
    leave(federation, "tn-dgsn")
    over = federation.registry.agreement("test-agreement").status.left["tn-dgsn"]
    federation.agree(replace(federation.registry.agreement("test-agreement").agreement, version=2))
    tunis.learn()
    assert over < record.expiry
    assert expired(tunis, clock=over, registry=over) == 0


def test_what_came_under_an_agreement_that_ran_out_goes_when_winding_down_is_over(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    agreement = federation.registry.agreement("test-agreement").agreement
    soon = replace(
        agreement, version=2, expires_at=now().replace(microsecond=0) + timedelta(days=9)
    )
    federation.agree(soon)
    for desk in (cairo, tunis):
        desk.learn()
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    tunis.receive(*cairo.take_batches())
    over = soon.expires_at + soon.wind_down
    assert expired(tunis, clock=over - TICK, registry=over - TICK) == 0
    assert expired(tunis, clock=over, registry=over) == 1


def test_tombstones_go_when_nothing_could_come_back(tunis: Desk, record: ParsedRecord) -> None:
    tunis.home.database.write_sync(
        lambda each: each.exec_driver_sql(
            "INSERT INTO node_tombstone VALUES (x'00', 1, 2, 1, "  # noqa: S608
            f"{int(record.expiry.timestamp())})"
        )
    )
    expired(tunis, clock=record.expiry - TICK, registry=record.expiry - TICK)
    assert tunis.number("SELECT count(*) FROM node_tombstone") == 1
    expired(tunis, clock=record.expiry, registry=record.expiry)
    assert tunis.number("SELECT count(*) FROM node_tombstone") == 0
