"""What is denied keeps its place: header kept, body dropped, refusal signed (PROTOCOL 5.2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mithaq.certs import acts
from mithaq.certs.keys import ReceptionKey, verify_ed25519
from mithaq.hub.bench import QuotaBook, RegistryBench
from mithaq.hub.committer import Accepted
from mithaq.hub.pieces import Wanted
from mithaq.hub.reading import next_bodies, next_headers, own_range
from mithaq.ledger.instants import day_from, minute_of
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole
from mithaq.ledger.lists import refusal_list_bytes
from mithaq.v1 import exchange_pb2
from tests.federation import Federation, agreement, clause
from tests.hub.core import LOG, Core
from tests.streams import CATEGORY, StreamWriter, open_terms

SENDER, READER = "eg-moi", "tn-dgsn"
TICK = timedelta(seconds=1)


def opened(core: Core, *audience: str) -> StreamWriter:
    """Return a stream with one epoch and three records, all admitted."""
    writer = StreamWriter.to(core.federation, SENDER, *(audience or (READER, "int-iom")))
    writer.epoch()
    writer.put(3)
    assert core.accept(writer).refused == ()
    return writer


def reasons(accepted: Accepted) -> dict[int, str]:
    return {each.sequence: each.reason for each in accepted.refused}


def bodies(core: Core, writer: StreamWriter, *, reader: str = READER) -> dict[int, object]:
    """Return what a reader gets for each entry with a body: bytes, or a reason's number."""
    piece = core.database.read_sync(
        lambda each: next_bodies(each, Wanted(reader, writer.size, 0), log_no=LOG, start=0)
    )
    assert piece is not None
    assert piece.size == writer.size
    assert piece.missing == ()
    sent: dict[int, object] = dict(zip(piece.sequences, piece.bodies, strict=True))
    return sent | {each.sequence: each.reason for each in piece.omitted}


def test_a_record_that_no_clause_permits_keeps_its_place_without_its_body(core: Core) -> None:
    writer = opened(core)
    denied = writer.put(2, category="HEALTH_EVENT")
    fine = writer.put(1)
    assert reasons(core.accept(writer)) == {denied: "NO_CLAUSE", denied + 1: "NO_CLAUSE"}
    got = bodies(core, writer)
    assert got[denied] == exchange_pb2.OMISSION_REASON_REFUSED
    assert got[fine] == writer.sent[fine]


def test_a_stream_goes_on_after_a_refusal_and_the_refused_record_can_be_withdrawn(
    core: Core,
) -> None:
    writer = opened(core)
    denied = writer.put(1, category="HEALTH_EVENT")
    core.accept(writer)
    writer.withdraw(denied)
    writer.put(1)
    assert core.accept(writer).refused == ()


def test_the_hub_signs_its_refusals_and_delivers_them_with_the_headers(core: Core) -> None:
    writer = opened(core)
    denied = writer.put(1, category="HEALTH_EVENT")
    accepted = core.accept(writer)
    piece = core.database.read_sync(lambda each: next_headers(each, log_no=LOG, start=0))
    assert piece is not None
    assert piece.refusals == (accepted.refusals,)
    # Its sender reads them back, too, should the answer have been lost (PROTOCOL 5.5).
    own = core.database.read_sync(
        lambda each: own_range(each, log_no=LOG, first=writer.size - 1, count=1)
    )
    assert own.refusals == (accepted.refusals,)
    refusals = exchange_pb2.RefusalList.FromString(accepted.refusals)
    assert [each.sequence for each in refusals.refusals] == [denied]
    assert refusals.refusals[0].registry_size == core.federation.registry.size
    public = core.federation.registry.hub.cosign_ed25519
    verify_ed25519(public, refusal_list_bytes(refusals), refusals.signature)


def test_an_epoch_for_a_suspended_reader_is_refused_and_so_are_its_records(core: Core) -> None:
    writer = opened(core)
    core.federation.suspend("int-iom")
    epoch = writer.epoch()
    record = writer.put(1)
    assert reasons(core.accept(writer)) == {epoch: "READER_INACTIVE", record: "EPOCH_REFUSED"}
    without = writer.epoch(READER)
    after = writer.put(1)
    assert core.accept(writer).refused == ()
    got = bodies(core, writer)
    assert got[without] == writer.sent[without]
    assert got[after] == writer.sent[after]


def test_a_refused_epoch_is_remembered_by_a_hub_that_starts_again(core: Core) -> None:
    writer = opened(core)
    core.federation.suspend("int-iom")
    writer.epoch()
    core.accept(writer)
    core.forget()
    record = writer.put(1)
    assert reasons(core.accept(writer)) == {record: "EPOCH_REFUSED"}


def test_records_judged_before_their_agreement_was_suspended_are_refused(core: Core) -> None:
    writer = opened(core)
    record = writer.put(1)
    core.federation.suspend_agreement("test-agreement", READER)
    assert reasons(core.accept(writer)) == {record: "NARROWED_SINCE"}


def test_records_judged_before_a_suspension_that_was_lifted_since_are_refused(core: Core) -> None:
    writer = opened(core)
    record = writer.put(1)
    core.federation.suspend_agreement("test-agreement", READER)
    core.federation.lift_agreement("test-agreement", READER)
    assert reasons(core.accept(writer)) == {record: "NARROWED_SINCE"}
    writer.put(1)
    assert core.accept(writer).refused == ()


def test_records_judged_before_a_reader_of_their_epoch_was_suspended_are_refused(
    core: Core,
) -> None:
    writer = opened(core)
    record = writer.put(1)
    core.federation.suspend("int-iom")
    assert reasons(core.accept(writer)) == {record: "READER_INACTIVE"}


def test_a_narrowing_of_a_member_outside_the_epoch_changes_nothing(core: Core) -> None:
    writer = opened(core)
    writer.epoch(READER)
    writer.put(1)
    core.federation.suspend("int-iom")
    assert core.accept(writer).refused == ()


def test_a_withdrawal_is_admitted_while_the_agreement_is_suspended(core: Core) -> None:
    writer = opened(core)
    core.federation.suspend_agreement("test-agreement", READER)
    writer.withdraw(2)
    writer.close()
    assert core.accept(writer).refused == ()
    assert bodies(core, writer)[2] == exchange_pb2.OMISSION_REASON_WITHDRAWN


def test_an_epoch_sealed_to_a_key_that_nobody_announced_is_refused(core: Core) -> None:
    writer = opened(core, READER)
    known = core.federation.agencies[READER].reception
    core.federation.agencies[READER].reception = ReceptionKey.generate()
    epoch = writer.epoch()
    assert reasons(core.accept(writer)) == {epoch: "RECEPTION_KEY_UNKNOWN"}
    core.federation.agencies[READER].reception = known
    writer.epoch()
    assert core.accept(writer).refused == ()


def test_an_epoch_sealed_to_a_key_that_was_revoked_is_refused(core: Core) -> None:
    writer = opened(core, READER)
    federation = core.federation
    old = federation.agencies[READER].reception
    federation.announce(READER, ReceptionKey.generate())
    revoked = acts.KeyRevoked(old.key_id, acts.NarrowingReason.KEY_COMPROMISED)
    federation.enter(revoked, federation.by_administrators(1))
    federation.agencies[READER].reception = old
    epoch = writer.epoch()
    assert reasons(core.accept(writer)) == {epoch: "RECEPTION_KEY_UNKNOWN"}


@pytest.mark.parametrize(
    ("beyond", "refused"),
    [(timedelta(0), False), (timedelta(minutes=1), True)],
    ids=["at the limit", "a minute later"],
)
def test_a_reader_that_announced_no_key_for_too_long_is_in_no_new_epoch(
    core: Core, beyond: timedelta, *, refused: bool
) -> None:
    writer = opened(core, READER)
    registry = core.federation.registry
    announced_at = registry.reception_key(READER).announced_at
    limit = registry.policy.catch_up_limit
    # Whole minutes, as headers have them.
    late = minute_of(announced_at + limit) + beyond
    core.now = late
    epoch = writer.epoch(created_at=late)
    expected = {epoch: "READER_LAPSED"} if refused else {}
    assert reasons(core.accept(writer)) == expected


def test_an_epoch_may_be_sealed_to_a_readers_newly_announced_key(core: Core) -> None:
    writer = opened(core, READER)
    core.federation.announce(READER, ReceptionKey.generate())
    writer.epoch()
    assert core.accept(writer).refused == ()


def test_a_record_that_would_be_kept_longer_than_its_clause_lets_is_refused(core: Core) -> None:
    writer = opened(core)
    fits = writer.put(1, valid=timedelta(days=365))
    too_long = writer.put(1, valid=timedelta(days=367))
    assert reasons(core.accept(writer)) == {too_long: "RETENTION_TOO_LONG"}
    assert fits


def test_a_record_that_has_expired_on_its_way_is_refused(core: Core) -> None:
    writer = opened(core)
    record = writer.put(1, valid=timedelta(days=1))
    core.now = datetime.now(UTC) + timedelta(days=3)
    assert reasons(core.accept(writer)) == {record: "RECORD_EXPIRED"}


def test_records_are_admitted_until_just_before_the_agreements_end(core: Core) -> None:
    federation = core.federation
    end = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    federation.agree(agreement(*sorted(federation.agencies), agreement_id="short", expires_at=end))
    writer = StreamWriter(
        federation, open_terms(federation, SENDER, [READER], agreement_id="short")
    )
    writer.epoch()
    core.accept(writer)
    writer.put(1)
    core.now = end - TICK
    assert core.accept(writer).refused == ()
    late = writer.put(1)
    core.now = end
    assert reasons(core.accept(writer)) == {late: "AGREEMENT_EXPIRED"}


def with_quota(federation: Federation, quota: int) -> None:
    members = sorted(federation.agencies)
    limited = clause("C1", senders=members, recipients=members, quota_per_day=quota)
    federation.agree(agreement(*members, agreement_id="limited", clauses=[limited]))


@pytest.mark.parametrize("batches", [1, 2], ids=["in one batch", "in two batches"])
def test_a_clauses_quota_of_the_day_is_used_up_exactly(core: Core, batches: int) -> None:
    with_quota(core.federation, 6)
    terms = open_terms(core.federation, SENDER, [READER], agreement_id="limited")
    writer = StreamWriter(core.federation, terms)
    writer.epoch()
    core.accept(writer)
    refused: dict[int, str] = {}
    for _ in range(batches):
        writer.put(8 // batches)
        refused |= reasons(core.accept(writer))
    last = writer.size
    assert refused == {last - 2: "QUOTA_USED_UP", last - 1: "QUOTA_USED_UP"}


def test_a_quota_is_new_on_the_next_day(core: Core) -> None:
    with_quota(core.federation, 2)
    terms = open_terms(core.federation, SENDER, [READER], agreement_id="limited")
    writer = StreamWriter(core.federation, terms)
    writer.epoch()
    writer.put(2)
    assert core.accept(writer).refused == ()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    core.now = midnight - TICK
    over = writer.put(1)
    assert reasons(core.accept(writer)) == {over: "QUOTA_USED_UP"}
    core.now = midnight
    writer.put(2)
    assert core.accept(writer).refused == ()


def test_answers_to_a_peer_use_up_no_quota(core: Core) -> None:
    with_quota(core.federation, 1)
    terms = open_terms(
        core.federation, READER, [SENDER], agreement_id="limited", role=StreamRole.RETURN
    )
    writer = StreamWriter(core.federation, terms)
    writer.epoch()
    writer.put(5, category="RETURN_MESSAGE")
    assert core.accept(writer).refused == ()


def test_erasures_are_answered_while_the_agreement_is_wound_down(core: Core) -> None:
    federation = core.federation
    answers = StreamWriter(
        federation, open_terms(federation, READER, [SENDER], role=StreamRole.RETURN)
    )
    answers.epoch()
    core.accept(answers)
    federation.end_agreement("test-agreement")
    answers.epoch()
    receipt = answers.put(1, category="ERASURE_RECEIPT")
    hit = answers.put(1, category="RETURN_MESSAGE")
    assert reasons(core.accept(answers)) == {hit: "AGREEMENT_ENDED"}
    assert receipt


def test_terms_are_judged_once_and_anew_for_other_readers_or_another_registry(core: Core) -> None:
    writer = opened(core)
    terms = writer.terms(
        EntryKind.PUT,
        epoch=1,
        category=CATEGORY,
        priority=Priority.ROUTINE,
        expires_at=day_from(datetime.now(UTC) + timedelta(days=30)),
    )
    stream = core.directory.stream(LOG)

    def look(connection: sa.Connection) -> None:
        at = datetime.now(UTC)

        def bench() -> RegistryBench:
            quotas = QuotaBook(connection, at=at)
            return RegistryBench(core.federation.registry, quotas, at=at)

        this = bench()
        assert this.judge(terms, [7], stream=stream) == {}
        core.federation.suspend(READER)
        # Of one transaction: the registry doesn't change within it.
        assert this.judge(terms, [8], stream=stream) == {}
        of_others = replace(stream, readers=("int-iom",))
        assert this.judge(terms, [8], stream=of_others) == {}
        suspended = bench().judge(terms, [8], stream=stream)
        assert list(suspended) == [8]
        assert bench().judge(terms, [8], stream=of_others) == {}
        # The same one, asked of both.
        last = bench()
        assert last.judge(terms, [8], stream=of_others) == {}
        assert last.judge(terms, [8], stream=stream) == suspended
        assert last.judge(terms, [8], stream=of_others) == {}

    core.database.read_sync(look)
