"""Logs on disk: what was appended comes back byte for byte, and any change shows."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.entry import Own
from mithaq.ledger.proof import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from mithaq.ledger.run import Run
from mithaq.ledger.stream import StreamState, trim_overlap
from mithaq.ledger.tree import Frontier, leaf_hash, root_of
from mithaq.store import log_store, pages
from mithaq.store.engine import Database, open_database
from mithaq.store.errors import (
    LogExistsError,
    LogMissingError,
    LogMovedError,
    LogRangeError,
    StoreDamagedError,
)
from mithaq.store.tables import LOG_PAGE, LOG_TILE
from tests.ledger.builders import (
    OPEN_TERMS,
    OPENED,
    Log,
    close_run,
    epoch_run,
    next_version_run,
    put_run,
    run_of,
    withdraw_run,
)

ORIGIN = "euroarab.example/audit/eg-moi"


def make_leaves(count: int, *, start: int = 0) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, start + count)]


def make_log(database: Database, origin: str = ORIGIN) -> int:
    return database.write_sync(lambda connection: log_store.create_log(connection, origin))


def append(database: Database, log: int, leaves: list[bytes]) -> Frontier:
    def act(connection: sa.Connection) -> Frontier:
        before = log_store.head(connection, log).frontier
        hashes = [leaf_hash(leaf) for leaf in leaves]
        return log_store.append(connection, log, leaves, hashes, before)

    return database.write_sync(act)


def append_patiently(database: Database, log: int, leaf: bytes) -> None:
    """Append a leaf, again and again while another writer was faster."""
    while True:
        try:
            append(database, log, [leaf])
        except LogMovedError:
            continue
        return


class TestEveryLogStore:
    """The contract of stored logs."""

    def test_a_new_log_is_empty(self, database: Database) -> None:
        log = make_log(database)
        head = database.read_sync(lambda c: log_store.head(c, log))
        assert head == log_store.LogHead(
            ORIGIN, 0, hashlib.sha256(b"").digest(), Frontier.empty(), None, b""
        )

    def test_a_log_is_created_once(self, database: Database) -> None:
        make_log(database)
        with pytest.raises(LogExistsError):
            make_log(database)

    def test_a_log_is_found_by_its_origin_or_missed_by_name(self, database: Database) -> None:
        log = make_log(database)
        assert database.read_sync(lambda c: log_store.log_no(c, ORIGIN)) == log
        with pytest.raises(LogMissingError):
            database.read_sync(lambda c: log_store.log_no(c, "another.example/registry"))
        with pytest.raises(LogMissingError):
            database.read_sync(lambda c: log_store.head(c, log + 1))

    def test_logs_are_listed_by_the_beginning_of_their_origin(self, database: Database) -> None:
        first, second = make_log(database, "a_b/stream/1"), make_log(database, "axb/stream/2")
        assert database.read_sync(log_store.list_logs) == {
            "a_b/stream/1": first,
            "axb/stream/2": second,
        }
        found = database.read_sync(lambda c: log_store.list_logs(c, prefix="a_b/"))
        assert found == {"a_b/stream/1": first}

    @pytest.mark.parametrize("sizes", [(1,), (255, 1, 1), (256, 256), (3, 300, 700, 1), (600,)])
    def test_what_was_appended_comes_back_and_gives_its_root(
        self, database: Database, sizes: tuple[int, ...]
    ) -> None:
        log = make_log(database)
        written: list[bytes] = []
        for size in sizes:
            fresh = make_leaves(size, start=len(written))
            written += fresh
            append(database, log, fresh)
        expected = root_of([leaf_hash(leaf) for leaf in written])

        def look(connection: sa.Connection) -> None:
            head = log_store.check_log(connection, log)
            assert (head.size, head.root) == (len(written), expected)
            assert log_store.recompute_root(connection, log) == expected
            assert log_store.read_leaves(connection, log, 0, len(written)) == written
            middle = len(written) // 2
            part = log_store.read_leaves(connection, log, middle, len(written))
            assert part == written[middle:]
            assert [leaf for page in log_store.pages_from(connection, log) for leaf in page] == (
                written
            )
            hashes = log_store.leaf_hashes_at(connection, log, middle, len(written))
            assert hashes == [leaf_hash(leaf) for leaf in written[middle:]]

        database.read_sync(look)

    def test_proofs_from_stored_tiles_verify(self, database: Database) -> None:
        log, sizes, roots = make_log(database), [200, 457, 700], list[bytes]()
        leaves = make_leaves(700)
        for start, end in pairwise([0, *sizes]):
            roots.append(append(database, log, leaves[start:end]).root())

        def look(connection: sa.Connection) -> None:
            reader = log_store.StoredTiles(connection, log)
            verify_inclusion(
                leaf=leaf_hash(leaves[456]),
                index=456,
                size=700,
                proof=inclusion_proof(reader, 456, 700),
                root=roots[2],
            )
            verify_consistency(
                old_size=200,
                new_size=700,
                old_root=roots[0],
                new_root=roots[2],
                proof=consistency_proof(reader, 200, 700),
            )

        database.read_sync(look)

    def test_a_second_writer_loses_and_leaves_nothing(self, database: Database) -> None:
        log = make_log(database)
        append(database, log, make_leaves(3))

        def stale(connection: sa.Connection) -> None:
            leaves = make_leaves(1)
            hashes = [leaf_hash(leaves[0])]
            log_store.append(connection, log, leaves, hashes, Frontier.empty())

        with pytest.raises(LogMovedError):
            database.write_sync(stale)
        assert database.read_sync(lambda c: log_store.check_log(c, log)).size == 3

    def test_writers_of_two_processes_take_turns_and_lose_nothing(
        self, database: Database, database_url: str
    ) -> None:
        log, other = make_log(database), open_database(database_url)

        def add(to: Database, word: str) -> None:
            for number in range(20):
                append_patiently(to, log, f"{word} {number}".encode())

        with ThreadPoolExecutor(2) as both:
            for done in [both.submit(add, database, "one"), both.submit(add, other, "two")]:
                done.result(30)
        other.close()
        assert database.read_sync(lambda c: log_store.check_log(c, log)).size == 40
        leaves = database.read_sync(lambda c: log_store.read_leaves(c, log, 0, 40))
        assert len(set(leaves)) == 40
        assert [leaf for leaf in leaves if leaf.startswith(b"one")] == [
            b"one %d" % number for number in range(20)
        ]

    def test_an_append_of_nothing_is_a_mistake(self, database: Database) -> None:
        log = make_log(database)
        with pytest.raises(LogRangeError):
            append(database, log, [])

    @pytest.mark.parametrize(("start", "end"), [(0, 4), (3, 4), (2, 2), (-1, 1), (0, 70_000)])
    def test_a_range_beyond_the_log_is_refused(
        self, database: Database, start: int, end: int
    ) -> None:
        log = make_log(database)
        append(database, log, make_leaves(3))
        for read in (log_store.read_leaves, log_store.leaf_hashes_at):
            with pytest.raises(LogRangeError):
                database.read_sync(partial(read, log=log, start=start, end=end))

    def test_checkpoint_and_state_stand_beside_the_log(self, database: Database) -> None:
        log = make_log(database)

        def act(connection: sa.Connection) -> None:
            leaves = make_leaves(1)
            log_store.append(
                connection,
                log,
                leaves,
                [leaf_hash(leaves[0])],
                Frontier.empty(),
                state=b"first",
                checkpoint=b"note 1",
            )

        database.write_sync(act)
        head = database.read_sync(lambda c: log_store.head(c, log))
        assert (head.state, head.checkpoint) == (b"first", b"note 1")
        append(database, log, make_leaves(1, start=1))
        database.write_sync(lambda c: log_store.set_checkpoint(c, log, b"note 2"))
        database.write_sync(lambda c: log_store.set_state(c, log, b"second"))
        head = database.read_sync(lambda c: log_store.head(c, log))
        assert (head.state, head.checkpoint, head.size) == (b"second", b"note 2", 2)
        for change in (
            partial(log_store.set_checkpoint, log=log + 1, note=b""),
            partial(log_store.set_state, log=log + 1, state=b""),
        ):
            with pytest.raises(LogMissingError):
                database.write_sync(change)

    def test_a_changed_entry_shows_though_tiles_and_head_are_whole(
        self, database: Database
    ) -> None:
        log = make_log(database)
        append(database, log, make_leaves(300))
        forged = pages.pack_leaves([b"forged", *make_leaves(299, start=1)])
        database.write_sync(lambda c: c.execute(sa.update(LOG_PAGE).values(payload=forged)))
        with pytest.raises(StoreDamagedError, match="don't give"):
            database.read_sync(lambda c: log_store.check_log(c, log))

    def test_a_missing_page_shows(self, database: Database) -> None:
        log = make_log(database)
        for start in range(3):
            append(database, log, make_leaves(1, start=start))
        database.write_sync(lambda c: c.execute(sa.delete(LOG_PAGE).where(LOG_PAGE.c.start == 1)))
        with pytest.raises(StoreDamagedError, match="gap at 1"):
            database.read_sync(lambda c: log_store.recompute_root(c, log))
        with pytest.raises(StoreDamagedError, match="gap at 1"):
            database.read_sync(lambda c: list(log_store.pages_from(c, log)))
        with pytest.raises(LogRangeError):
            database.read_sync(lambda c: log_store.read_leaves(c, log, 0, 3))

    def test_a_missing_tile_stops_the_next_append(self, database: Database) -> None:
        log = make_log(database)
        append(database, log, make_leaves(3))
        database.write_sync(lambda c: c.execute(sa.delete(LOG_TILE)))
        with pytest.raises(StoreDamagedError):
            append(database, log, make_leaves(1, start=3))


@pytest.fixture
def stream(database: Database) -> tuple[int, Log]:
    """A stored stream of 6 pages: OPEN, EPOCH with PUTs, next versions, PUTs, WITHDRAWs, CLOSE."""
    kept = Log()
    log = make_log(database, OPENED.origin)
    first = run_of(OPEN_TERMS, Own(0))
    database.write_sync(
        lambda c: log_store.append_runs(
            c,
            log,
            [first],
            Frontier.empty(),
            OPENED.frontier,
            hashes=first.leaf_hashes(),
            state=OPENED.to_bytes(),
        )
    )
    batches = (
        [epoch_run(1), put_run(2, 300)],
        [next_version_run(302, 2, 301, 40)],
        [put_run(305, 2)],
        [withdraw_run(307, 2, 305)],
        [close_run(309)],
    )
    for runs in batches:
        admit(database, log, runs)
        kept.admit(*runs)
    return log, kept


def admit(database: Database, log: int, runs: list[Run]) -> StreamState:
    """Append runs to a stored stream as a sender, a hub or a reader does it."""

    def act(connection: sa.Connection) -> StreamState:
        before = StreamState.from_bytes(log_store.head(connection, log).state)
        admission = before.admit_all(runs, kind_at=log_store.kind_at(connection, log))
        log_store.append_runs(
            connection,
            log,
            runs,
            before.frontier,
            admission.state.frontier,
            hashes=admission.leaf_hashes,
            state=admission.state.to_bytes(),
            checkpoint=b"note",
        )
        return admission.state

    return database.write_sync(act)


class TestEveryStreamStore:
    """The contract of stored streams, whose pages keep terms once."""

    def test_a_stream_comes_back_byte_for_byte(
        self, database: Database, stream: tuple[int, Log]
    ) -> None:
        log, kept = stream

        def look(connection: sa.Connection) -> None:
            head = log_store.check_log(connection, log)
            assert StreamState.from_bytes(head.state) == kept.state
            assert head.frontier == kept.state.frontier
            assert log_store.recompute_root(connection, log) == kept.state.frontier.root()
            assert log_store.read_leaves(connection, log, 0, 310) == kept.leaves
            hashes = log_store.leaf_hashes_at(connection, log, 0, 310)
            assert hashes == [leaf_hash(leaf) for leaf in kept.leaves]

        database.read_sync(look)

    @pytest.mark.parametrize(("start", "end"), [(0, 310), (0, 1), (2, 3), (250, 304), (309, 310)])
    def test_any_range_comes_back_as_runs(
        self, database: Database, stream: tuple[int, Log], start: int, end: int
    ) -> None:
        log, kept = stream
        runs = database.read_sync(lambda c: log_store.read_runs(c, log, start, end))
        assert [first for first, _ in runs] == [run.numbers().sequences[0] for _, run in runs]
        assert [leaf for _, run in runs for leaf in run.leaves()] == kept.leaves[start:end]

    def test_old_entries_are_told_by_kind_and_width(
        self, database: Database, stream: tuple[int, Log]
    ) -> None:
        log, kept = stream
        wanted = [0, 1, 2, 301, 302, 304, 305, 308, 309]
        slots = database.read_sync(lambda c: log_store.kind_at(c, log)(wanted))
        assert slots == [kept.slots[each] for each in wanted]
        with pytest.raises(LogRangeError):
            database.read_sync(lambda c: log_store.kind_at(c, log)([310]))

    def test_what_was_logged_twice_is_trimmed_from_the_stored_hashes(
        self, database: Database, stream: tuple[int, Log]
    ) -> None:
        log, kept = stream

        def look(connection: sa.Connection) -> tuple[Run, ...]:
            def hashes_at(start: int, end: int) -> list[bytes]:
                return log_store.leaf_hashes_at(connection, log, start, end)

            again = [put_run(305, 2), withdraw_run(307, 2, 305), close_run(309)]
            return trim_overlap(again, size=kept.state.size, hashes_at=hashes_at)

        assert database.read_sync(look) == ()


def test_a_page_of_leaves_has_one_form() -> None:
    payload = pages.pack_leaves([b"", b"a", b"bc"])
    assert payload.hex() == "000000000000000161000000026263"
    assert pages.unpack_leaves(payload) == [b"", b"a", b"bc"]


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_leaves_come_back(leaves: list[bytes]) -> None:
    assert pages.unpack_leaves(pages.pack_leaves(leaves)) == leaves


@given(st.binary(max_size=400))
def test_hostile_pages_of_leaves_are_damaged_or_whole(payload: bytes) -> None:
    try:
        assert pages.pack_leaves(pages.unpack_leaves(payload)) == payload
    except StoreDamagedError:
        return


@given(st.binary(max_size=400))
def test_hostile_pages_of_runs_are_damaged_or_whole(payload: bytes) -> None:
    try:
        assert pages.pack_runs(pages.unpack_runs(payload)) == payload
    except StoreDamagedError:
        return


@pytest.mark.parametrize("cut", [1, 9, 10, 40, -1])
def test_a_page_of_runs_that_was_cut_is_damaged(cut: int) -> None:
    payload = pages.pack_runs([put_run(2, 3)])
    with pytest.raises(StoreDamagedError):
        pages.unpack_runs(payload[:cut])
