"""A party's audit log: with the act or not at all, found again, signed, and never shorter."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.errors import SignatureMissingError
from mithaq.ledger.tree import leaf_hash, root_of
from mithaq.store import audit as audit_module
from mithaq.store.audit import AuditFilter, AuditLog, party_of
from mithaq.store.audit_entry import AuditEntry, Loss, Operation, RecordRef
from mithaq.store.engine import Database
from mithaq.store.errors import (
    AuditFormatError,
    AuditShortenedError,
    LogExistsError,
    LogMissingError,
    StoreDamagedError,
)
from mithaq.store.pages import pack_leaves
from mithaq.store.tables import LOG_PAGE

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIGNER = SigningPair.generate()


def open_log(database: Database) -> AuditLog:
    return database.write_sync(
        lambda c: AuditLog.open(c, federation="test.example", party="eg-moi")
    )


def acts(count: int, *, start: int = 0) -> list[AuditEntry]:
    """Return consultations one hour apart, of two officers in turn, one alert each."""
    return [
        AuditEntry(
            at=AT + number * HOUR,
            actor=("m.hassan", "l.trabelsi")[number % 2],
            role="officer",
            operation=(Operation.CONSULT, Operation.CONSULT, Operation.SEARCH)[number % 3],
            records=(RecordRef(f"eg-moi-{number:05}", 1),),
        )
        for number in range(start, start + count)
    ]


def append(database: Database, log: AuditLog, entries: list[AuditEntry]) -> None:
    database.write_sync(lambda c: log.append(c, entries))


@pytest.fixture
def log(database: Database) -> AuditLog:
    """A log of 12 entries in pages of one and more."""
    opened = open_log(database)
    for start, count in ((0, 1), (1, 5), (6, 1), (7, 5)):
        append(database, opened, acts(count, start=start))
    return opened


@pytest.fixture
def found(database: Database, log: AuditLog) -> Callable[[AuditFilter], list[int]]:
    """Return the indexes of what a filter finds."""
    return lambda wanted: [
        index for index, _ in database.read_sync(lambda c: log.read(c, wanted)).rows
    ]


class TestEveryAuditLog:
    """The contract of AuditLog."""

    def test_an_entry_is_there_with_its_act_or_not_at_all(
        self, database: Database, log: AuditLog
    ) -> None:
        def act_fails(connection: sa.Connection) -> None:
            log.append(connection, acts(1))
            raise ValueError("the act failed")

        with pytest.raises(ValueError, match="act failed"):
            database.write_sync(act_fails)
        assert database.read_sync(log.head).size == 12

    def test_appending_nothing_changes_nothing(self, database: Database, log: AuditLog) -> None:
        append(database, log, [])
        assert database.read_sync(log.head).size == 12

    def test_opening_again_finds_the_same_log(self, database: Database, log: AuditLog) -> None:
        assert open_log(database) == log

    def test_reading_goes_from_the_newest_to_the_oldest(
        self, database: Database, log: AuditLog
    ) -> None:
        rows = database.read_sync(lambda c: log.read(c, AuditFilter()))
        assert rows.next_before is None
        assert rows.rows == tuple(reversed(list(enumerate(acts(12)))))

    @pytest.mark.parametrize(
        ("wanted", "indexes"),
        [
            (AuditFilter(actor="l.trabelsi"), [11, 9, 7, 5, 3, 1]),
            (AuditFilter(alert_id="eg-moi-00004"), [4]),
            (AuditFilter(alert_id="eg-moi-0000"), []),
            (AuditFilter(operation=Operation.SEARCH), [11, 8, 5, 2]),
            (AuditFilter(since=AT + 9 * HOUR), [11, 10, 9]),
            (AuditFilter(until=AT + 2 * HOUR), [1, 0]),
            (
                AuditFilter("m.hassan", "", Operation.SEARCH, AT + HOUR, AT + 9 * HOUR),
                [8, 2],
            ),
            (AuditFilter(actor="nobody"), []),
        ],
    )
    def test_filters_find_what_they_name(
        self,
        found: Callable[[AuditFilter], list[int]],
        wanted: AuditFilter,
        indexes: list[int],
    ) -> None:
        assert found(wanted) == indexes

    def test_long_answers_come_in_parts(self, database: Database, log: AuditLog) -> None:
        indexes: list[int] = []
        before: int | None = None
        while True:
            look = partial(log.read, wanted=AuditFilter(), before=before, limit=5)
            rows = database.read_sync(look)
            indexes += [index for index, _ in rows.rows]
            before = rows.next_before
            if before is None:
                break
        assert indexes == list(range(11, -1, -1))

    def test_a_search_that_finds_little_stops_in_time(
        self, database: Database, log: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit_module, "SCANNED_PER_ANSWER_MAX", 4)
        wanted = AuditFilter(alert_id="eg-moi-00004")
        rows = database.read_sync(lambda c: log.read(c, wanted))
        assert (rows.rows, rows.next_before) == ((), 8)
        rows = database.read_sync(lambda c: log.read(c, wanted, before=8))
        assert [index for index, _ in rows.rows] == [4]

    def test_a_checkpoint_signs_what_is_on_disk(self, database: Database, log: AuditLog) -> None:
        note = database.write_sync(lambda c: log.checkpoint(c, signer=SIGNER, at=AT))
        signed = open_checkpoint(
            note,
            origin="test.example/audit/eg-moi",
            ed25519_public=SIGNER.public.ed25519,
            mldsa_public=SIGNER.public.mldsa44,
        )
        expected = root_of([leaf_hash(each.to_bytes()) for each in acts(12)])
        assert signed.checkpoint == Checkpoint(log.origin, 12, expected)
        assert database.read_sync(log.head).checkpoint == note

    def test_a_whole_log_passes_its_check(self, database: Database, log: AuditLog) -> None:
        database.read_sync(lambda c: log.check(c, keys=SIGNER.public))
        database.write_sync(lambda c: log.checkpoint(c, signer=SIGNER, at=AT))
        append(database, log, acts(1, start=12))
        head = database.read_sync(lambda c: log.check(c, keys=SIGNER.public))
        assert head.size == 13

    def test_an_edited_row_fails_the_check(self, database: Database, log: AuditLog) -> None:
        forged = replace(acts(1)[0], actor="someone.else")
        payload = pack_leaves([forged.to_bytes()])
        database.write_sync(
            lambda c: c.execute(
                sa.update(LOG_PAGE).where(LOG_PAGE.c.start == 0).values(payload=payload)
            )
        )
        with pytest.raises(StoreDamagedError):
            database.read_sync(lambda c: log.check(c, keys=SIGNER.public))

    def test_a_checkpoint_under_a_strangers_key_fails_the_check(
        self, database: Database, log: AuditLog
    ) -> None:
        stranger = SigningPair.generate()
        database.write_sync(lambda c: log.checkpoint(c, signer=stranger, at=AT))
        with pytest.raises(SignatureMissingError):
            database.read_sync(lambda c: log.check(c, keys=SIGNER.public))

    def test_an_entry_beyond_a_limit_stops_the_act(self, database: Database, log: AuditLog) -> None:
        with pytest.raises(AuditFormatError):
            append(database, log, [replace(acts(1)[0], actor="x" * 65)])
        assert database.read_sync(log.head).size == 12


class TestAShortenedLog:
    """PROTOCOL 1.5: what witnesses saw can't be undone by restoring an old database."""

    @pytest.mark.parametrize("size", [0, 1, 11, 12])
    def test_a_log_that_reaches_what_was_seen_goes_on(
        self, database: Database, log: AuditLog, size: int
    ) -> None:
        hashes = [leaf_hash(each.to_bytes()) for each in acts(size)]
        seen = Checkpoint(log.origin, size, root_of(hashes))
        database.read_sync(lambda c: log.check_continues(c, seen))

    def test_a_log_shorter_than_witnessed_is_an_alarm(
        self, database: Database, log: AuditLog
    ) -> None:
        with pytest.raises(AuditShortenedError) as caught:
            database.read_sync(
                lambda c: log.check_continues(c, Checkpoint(log.origin, 13, bytes(32)))
            )
        assert caught.value.alarm == "audit shorter than witnessed"

    def test_a_log_rewritten_since_it_was_seen_is_an_alarm(
        self, database: Database, log: AuditLog
    ) -> None:
        with pytest.raises(AuditShortenedError, match="another root"):
            database.read_sync(
                lambda c: log.check_continues(c, Checkpoint(log.origin, 5, bytes(32)))
            )

    def test_it_continues_under_the_next_origin_whose_first_entry_names_the_loss(
        self, database: Database, log: AuditLog
    ) -> None:
        seen = Checkpoint(log.origin, 20, bytes(32))
        following = database.write_sync(
            lambda c: log.continue_after_loss(c, seen, at=AT, actor="node")
        )
        assert following.origin == "test.example/audit/eg-moi/2"
        assert open_log(database) == following
        ((index, entry),) = database.read_sync(lambda c: following.read(c, AuditFilter())).rows
        assert (index, entry.operation) == (0, Operation.CONTINUE)
        assert entry.loss == Loss(log.origin, 20, bytes(32), 12)
        with pytest.raises(LogExistsError):
            database.write_sync(lambda c: log.continue_after_loss(c, seen, at=AT, actor="node"))


def test_an_origin_names_its_party_and_number() -> None:
    assert party_of("test.example/audit/eg-moi") == ("eg-moi", 1)
    assert party_of("test.example/audit/hub/7") == ("hub", 7)
    with pytest.raises(LogMissingError):
        party_of("test.example/registry")
