"""The hub's own audit log: written with the act, signed once it is durable."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.bench import forget_old_quotas
from mithaq.hub.errors import BodyMismatchError
from mithaq.hub.reading import next_headers
from mithaq.ledger.checkpoint import open_checkpoint, sign_checkpoint
from mithaq.store.audit_entry import Operation
from mithaq.store.errors import AuditFormatError, StoreError
from tests.hub.core import LOG, Core
from tests.streams import StreamWriter

SENDER, READER = "eg-moi", "tn-dgsn"


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream with an epoch and three records."""
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    writer.put(3)
    core.accept(writer)
    return writer


def test_what_is_admitted_leaves_no_entry_for_the_streams_prove_it(
    core: Core, writer: StreamWriter
) -> None:
    assert writer.size
    assert core.audited() == []


def test_refused_entries_are_recorded_with_their_reasons(core: Core, writer: StreamWriter) -> None:
    denied = writer.put(2, category="HEALTH_EVENT")
    core.accept(writer)
    (entry,) = core.audited()
    assert (entry.operation, entry.counterparts) == (Operation.REFUSE, (SENDER,))
    assert [(each.stream_id, each.sequence) for each in entry.records] == [
        (writer.stream_id, denied),
        (writer.stream_id, denied + 1),
    ]
    assert {each.decision.reason for each in entry.records if each.decision} == {"NO_CLAUSE"}


def test_bodies_that_a_withdrawal_erased_are_recorded_version_by_version(
    core: Core, writer: StreamWriter
) -> None:
    version = writer.put(1, target=2)
    writer.withdraw(2)
    core.accept(writer)
    (entry,) = core.audited()
    assert entry.operation is Operation.ERASE
    assert [each.sequence for each in entry.records] == [2, version]


def test_an_entry_and_its_act_are_there_together_or_not_at_all(
    core: Core, writer: StreamWriter
) -> None:
    writer.put(1, category="HEALTH_EVENT")
    batch = writer.batch()
    fault = (
        "CREATE TRIGGER fault BEFORE INSERT ON log_page WHEN NEW.log_no = 1 "
        "BEGIN SELECT RAISE(ABORT, 'the audit log cannot be written'); END"
    )
    core.database.write_sync(lambda each: each.exec_driver_sql(fault))
    with pytest.raises(StoreError):
        core.publish(batch, sender=SENDER)
    head = core.database.read_sync(lambda each: next_headers(each, log_no=LOG, start=4))
    assert head is not None
    assert head.size == 5


def test_what_waits_is_kept_until_its_transaction_is_durable(core: Core) -> None:
    journal = core.journal()
    journal.refused(BodyMismatchError("spoilt"), member=SENDER)

    def fail(connection: sa.Connection) -> None:
        journal.write(connection)
        raise RuntimeError("the transaction fails")

    with pytest.raises(RuntimeError):
        core.database.write_sync(fail)
    assert journal.has_waiting
    core.database.write_sync(journal.write)
    assert not journal.has_waiting
    (entry,) = core.audited()
    assert (entry.operation, entry.outcome) == (Operation.ALARM, "MQ-HUB-BODY-MISMATCH")


def test_an_entry_that_is_not_of_its_form_is_refused_where_it_is_made(core: Core) -> None:
    journal = core.journal()
    with pytest.raises(AuditFormatError):
        journal.note(journal.entry(Operation.ADMINISTER, counterparts=["No Member"]))
    assert not journal.has_waiting


def test_the_log_is_signed_once_for_each_growth(core: Core) -> None:
    journal, hub = core.journal(), core.federation.hub
    assert hub is not None
    core.database.write_sync(
        lambda each: journal.write(each, [journal.entry(Operation.ADMINISTER)])
    )
    assert core.database.read_sync(journal.has_grown)
    core.database.write_sync(lambda each: journal.sign(each, keys=hub.cosigning))
    assert not core.database.read_sync(journal.has_grown)
    head = core.database.read_sync(journal.log.head)
    assert head.checkpoint is not None
    keys = core.federation.registry.hub.cosigning
    signed = open_checkpoint(
        head.checkpoint,
        origin=head.origin,
        ed25519_public=keys.ed25519,
        mldsa_public=keys.mldsa44,
    )
    assert (signed.checkpoint.size, signed.checkpoint.root) == (1, head.root)


def alarms(core: Core) -> list[str]:
    return core.database.read_sync(
        lambda each: list(each.scalars(sa.select(tables.EVIDENCE.c.alarm)))
    )


@pytest.mark.parametrize(("beyond_s", "raised"), [(0, []), (2, ["clock skew"])])
def test_a_note_dated_further_ahead_than_clocks_may_differ_is_an_alarm_and_is_admitted(
    core: Core, writer: StreamWriter, beyond_s: int, raised: list[str]
) -> None:
    core.now = datetime.now(UTC).replace(microsecond=0)
    limit = core.federation.registry.policy.clock_skew_limit
    agency = core.federation.agencies[SENDER]
    writer.put(1)
    note = sign_checkpoint(
        writer.state.checkpoint(),
        ed25519=agency.log.ed25519,
        mldsa=agency.log.mldsa,
        at=core.now + limit + timedelta(seconds=beyond_s),
    )
    outcome = core.publish(writer.batch(checkpoint=note), sender=SENDER)
    assert not isinstance(outcome, Exception)
    assert alarms(core) == raised


def test_counts_of_quotas_are_forgotten_when_their_day_is_long_over(core: Core) -> None:
    today = int(datetime.now(UTC).timestamp()) // 86_400
    rows = [
        {"agreement_id": "a", "clause_id": "C1", "sender": SENDER, "day": day, "count": 1}
        for day in (today, today - 7, today - 8)
    ]
    core.database.write_sync(lambda each: each.execute(sa.insert(tables.QUOTA), rows))
    core.database.write_sync(lambda each: forget_old_quotas(each, at=datetime.now(UTC)))
    left = core.database.read_sync(lambda each: list(each.scalars(sa.select(tables.QUOTA.c.day))))
    assert sorted(left) == [today - 7, today]
