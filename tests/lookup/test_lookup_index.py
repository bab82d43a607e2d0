"""The index on SQLite and PostgreSQL: nothing lost in a merge, nothing left of what is removed."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import SQLModel

from mithaq.node.lookup import index
from mithaq.node.lookup.runs import (
    ENTRY_BYTES,
    PAGE_ENTRIES_MAX,
    entry_of,
    find,
    page_of,
    pages_of,
    sorted_entries,
    split_through,
    unpack,
)
from mithaq.node.lookup.tables import LOOKUP_TABLES, PAGE, RUN
from mithaq.store.engine import Database, open_database
from tests.counting import statements_of
from tests.node_records.alerts import chance

Said = dict[bytes, set[int]]


@pytest.fixture
def indexed(database: Database) -> Database:
    database.write_sync(
        lambda connection: SQLModel.metadata.create_all(connection, tables=list(LOOKUP_TABLES))
    )
    return database


def add(database: Database, rows: list[tuple[int, list[bytes]]]) -> None:
    entries = sorted_entries(rows)
    database.write_sync(lambda connection: index.append(connection, entries))


def merge(database: Database, *, entries_max: int = index.MERGE_STEP_ENTRIES) -> Iterator[None]:
    while database.write_sync(
        lambda connection: index.merge_step(connection, entries_max=entries_max)
    ):
        yield


def numbers(database: Database, key: bytes) -> list[int]:
    return database.read_sync(lambda connection: index.numbers(connection, key))


def check(database: Database, said: Said) -> None:
    for key, records in said.items():
        assert numbers(database, key) == sorted(records)


def filled(database: Database, rng: Random, *, appends: int, records: int, keys: int) -> Said:
    """Append records with keys of their own and one of a few that many share."""
    said: Said = defaultdict(set)
    number = 0
    for _ in range(appends):
        rows: list[tuple[int, list[bytes]]] = []
        for _ in range(records):
            number += 1
            own = [rng.randbytes(16) for _ in range(keys - 1)]
            rows.append((number, [*own, bytes([rng.randrange(3)]) * 16]))
        add(database, rows)
        for each, keys_of_row in rows:
            for key in keys_of_row:
                said[key].add(each)
    return said


def runs_by_level(database: Database) -> dict[int, int]:
    statement = sa.select(RUN.c.level, sa.func.count()).group_by(RUN.c.level)
    rows = database.read_sync(lambda connection: connection.execute(statement).all())
    return {row[0]: row[1] for row in rows}


class TestIndex:
    """What holds on every database."""

    def test_what_was_appended_is_found_before_during_and_after_merges(
        self, indexed: Database
    ) -> None:
        said = filled(indexed, chance(), appends=16, records=330, keys=4)
        sample = dict(list(said.items())[:3]) | {
            bytes([n]) * 16: said[bytes([n]) * 16] for n in range(3)
        }
        check(indexed, sample)
        steps = 0
        for _ in merge(indexed, entries_max=1_000):
            check(indexed, sample)
            steps += 1
        assert steps > 1
        assert runs_by_level(indexed) == {1: 1}
        check(indexed, dict(list(said.items())[::200]))

    def test_a_key_of_more_records_than_a_page_holds_is_found_whole(
        self, indexed: Database
    ) -> None:
        common = bytes(16)
        add(indexed, [(n, [common]) for n in range(1, 3 * PAGE_ENTRIES_MAX)])
        add(indexed, [(0, [common, b"\xff" * 16])])
        assert numbers(indexed, common) == list(range(3 * PAGE_ENTRIES_MAX))

    def test_small_appends_share_a_run_until_its_page_is_full(self, indexed: Database) -> None:
        rng = chance()
        said = filled(indexed, rng, appends=PAGE_ENTRIES_MAX // 10, records=2, keys=5)
        assert runs_by_level(indexed) == {0: 1}
        said |= filled(indexed, rng, appends=1, records=2, keys=5)
        assert runs_by_level(indexed) == {0: 2}

    def test_a_small_append_after_a_long_run_starts_its_own(self, indexed: Database) -> None:
        high = [(n, [b"\xf0" * 16]) for n in range(PAGE_ENTRIES_MAX + 10)]
        add(indexed, high)
        indexed.write_sync(
            lambda connection: index.remove(
                connection, [entry_of(b"\xf0" * 16, n) for n in range(300)]
            )
        )
        add(indexed, [(999, [b"\xff" * 16, b"\x01" * 16])])
        assert numbers(indexed, b"\x01" * 16) == numbers(indexed, b"\xff" * 16) == [999]
        assert runs_by_level(indexed) == {0: 2}

    def test_a_removed_entry_is_gone_from_every_page(self, indexed: Database) -> None:
        rng = chance()
        said = filled(indexed, rng, appends=17, records=330, keys=4)
        steps = merge(indexed, entries_max=700)
        gone_keys = [key for key, records in said.items() if 77 in records]
        gone = [entry_of(key, 77) for key in gone_keys]
        next(steps)
        removed = indexed.write_sync(lambda connection: index.remove(connection, gone))
        assert removed == len(gone) == 4
        for _ in steps:
            pass
        for key in gone_keys:
            said[key].discard(77)
            assert numbers(indexed, key) == sorted(said[key])
        blobs = indexed.read_sync(
            lambda connection: list(connection.scalars(sa.select(PAGE.c.entries)))
        )
        assert not [entry for entry in gone for blob in blobs if entry in unpack(blob)]

    def test_removing_what_is_not_there_removes_nothing(self, indexed: Database) -> None:
        add(indexed, [(1, [bytes(16)])])
        removed = indexed.write_sync(
            lambda connection: index.remove(connection, [entry_of(bytes(16), 2)])
        )
        assert (removed, numbers(indexed, bytes(16))) == (0, [1])

    def test_the_last_entry_of_a_page_takes_the_page_with_it(self, indexed: Database) -> None:
        add(indexed, [(1, [bytes(16)])])
        indexed.write_sync(lambda connection: index.remove(connection, [entry_of(bytes(16), 1)]))
        count = sa.select(sa.func.count()).select_from(PAGE)
        assert indexed.read_sync(lambda connection: connection.scalar(count)) == 0
        add(indexed, [(2, [bytes(16)])])
        assert numbers(indexed, bytes(16)) == [2]

    def test_a_run_of_which_nothing_is_left_is_no_run_any_more(self, indexed: Database) -> None:
        for number in range(index.MERGED_RUNS + 1):
            add(indexed, [(number, [bytes(16)])])
            indexed.write_sync(
                lambda connection, number=number: index.remove(  # type: ignore[misc]  # a default in a lambda
                    connection, [entry_of(bytes(16), number)]
                )
            )
        assert runs_by_level(indexed) == {}

    def test_what_a_merge_fills_stays_a_run_while_it_is_empty(self, indexed: Database) -> None:
        said = filled(indexed, chance(), appends=16, records=330, keys=4)
        steps = merge(indexed, entries_max=1_000)
        next(steps)
        moved = sa.select(PAGE.c.entries).join(RUN, RUN.c.run_no == PAGE.c.run_no)
        blobs = indexed.read_sync(
            lambda connection: list(connection.scalars(moved.where(RUN.c.level == 1)))
        )
        gone = [entry for blob in blobs for entry in unpack(blob)]
        assert indexed.write_sync(lambda connection: index.remove(connection, gone)) == len(gone)
        assert runs_by_level(indexed) == {0: 16, 1: 1}
        for _ in steps:
            pass
        for entry in gone:
            said[entry[:16]].discard(int.from_bytes(entry[16:], "big"))
        assert runs_by_level(indexed) == {1: 1}
        check(indexed, dict(list(said.items())[::100]))

    @pytest.mark.parametrize("apart", [False, True])
    def test_what_a_merge_was_to_fill_goes_with_the_last_that_it_would_have_had(
        self, indexed: Database, *, apart: bool
    ) -> None:
        said = filled(indexed, chance(), appends=16, records=330, keys=4)
        next(merge(indexed, entries_max=1_000))
        moved = sa.select(PAGE.c.entries).join(RUN, RUN.c.run_no == PAGE.c.run_no)
        blobs = indexed.read_sync(
            lambda connection: list(connection.scalars(moved.where(RUN.c.level == 1)))
        )
        first = {entry for blob in blobs for entry in unpack(blob)}
        rest = {entry_of(key, number) for key, records in said.items() for number in records}
        for gone in (first, rest - first) if apart else (rest,):
            indexed.write_sync(lambda connection, gone=gone: index.remove(connection, gone))  # type: ignore[misc]  # a default in a lambda
        assert runs_by_level(indexed) == {}

    def test_many_entries_of_one_key_are_removed_from_all_its_pages(
        self, indexed: Database
    ) -> None:
        common, many = bytes(16), range(1, 3 * PAGE_ENTRIES_MAX)
        add(indexed, [(n, [common]) for n in many])
        add(indexed, [(0, [common, b"\xff" * 16])])
        gone = [entry_of(common, n) for n in (0, *many[::2], *many[-3:], 10**9)]
        removed = indexed.write_sync(lambda connection: index.remove(connection, gone))
        left = sorted(set(many[1::2]) - set(many[-3:]))
        assert (removed, numbers(indexed, common)) == (len(many) + 1 - len(left), left)

    def test_a_record_that_came_twice_is_found_and_kept_once(self, indexed: Database) -> None:
        long = [(n, [bytes([n % 250]) * 16]) for n in range(400)]
        for _ in range(index.MERGED_RUNS):
            add(indexed, long)
        assert numbers(indexed, bytes(16)) == [0, 250]
        for _ in merge(indexed):
            pass
        total = sa.select(sa.func.sum(PAGE.c.entry_count))
        assert indexed.read_sync(lambda connection: connection.scalar(total)) == 400

    def test_merges_rise_level_by_level_and_end(self, indexed: Database) -> None:
        rng = chance()
        said: Said = {}
        for _ in range(index.MERGED_RUNS):
            said |= {
                key: records
                for key, records in filled(
                    indexed, rng, appends=index.MERGED_RUNS, records=84, keys=4
                ).items()
                if len(set(key)) > 1
            }
            for _ in merge(indexed):
                pass
        assert runs_by_level(indexed) == {2: 1}
        check(indexed, dict(list(said.items())[::400]))

    def test_an_empty_append_starts_no_run(self, indexed: Database) -> None:
        add(indexed, [(1, [])])
        assert runs_by_level(indexed) == {}

    def test_a_rolled_back_append_leaves_nothing(self, indexed: Database) -> None:
        def broken(connection: sa.Connection) -> None:
            index.append(connection, sorted_entries([(1, [bytes(16)])]))
            raise RuntimeError("killed")

        with pytest.raises(RuntimeError):
            indexed.write_sync(broken)
        assert numbers(indexed, bytes(16)) == []


def test_the_pages_of_a_key_are_asked_for_once_however_many_entries_go(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    database.write_sync(
        lambda connection: SQLModel.metadata.create_all(connection, tables=list(LOOKUP_TABLES))
    )
    add(database, [(n, [bytes(16)]) for n in range(PAGE_ENTRIES_MAX)])

    def looks(connection: sa.Connection, count: int) -> int:
        gone = [entry_of(bytes(16), n) for n in range(count)]
        with statements_of(connection) as seen:
            assert index.remove(connection, gone) == count
        return sum(each.startswith("SELECT") for each in seen)

    assert database.write_sync(lambda connection: looks(connection, 500)) == 1
    database.close()


def test_no_byte_of_a_removed_key_is_left_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    database = open_database(f"sqlite:///{path}")
    database.write_sync(
        lambda connection: SQLModel.metadata.create_all(connection, tables=list(LOOKUP_TABLES))
    )
    said = filled(database, chance(), appends=20, records=200, keys=4)
    for _ in merge(database, entries_max=1_000):
        pass
    own = sorted(key for key in said if len(set(key)) > 1)
    # The first and the last key of a page stand in its row and in the index too.
    gone = [*own[:3], *own[-3:], *own[5::700]]
    entries = [entry_of(key, number) for key in gone for number in said[key]]

    def on_disk() -> list[bytes]:
        database.truncate_wal()
        content = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        return [key for key in gone if key in content]

    assert on_disk() == gone
    removed = database.write_sync(lambda connection: index.remove(connection, entries))
    assert removed == len(entries)
    assert on_disk() == []
    database.close()


keys = st.binary(min_size=16, max_size=16)


@given(st.sets(st.tuples(keys, st.integers(0, 2**63 - 1)), min_size=1, max_size=50), keys)
def test_a_page_answers_for_every_key(entries: set[tuple[bytes, int]], other: bytes) -> None:
    page = page_of(sorted(entry_of(*entry) for entry in entries))
    assert page.count == len(entries)
    for key in {*(key for key, _ in entries), other}:
        assert find(page.entries, key) == sorted(n for k, n in entries if k == key)


@given(st.integers(1, 3 * PAGE_ENTRIES_MAX))
def test_pages_are_cut_full_and_in_order(count: int) -> None:
    entries = [entry_of(bytes(16), n) for n in range(count)]
    pages = list(pages_of(entries))
    assert [entry for page in pages for entry in unpack(page.entries)] == entries
    assert all(page.count == PAGE_ENTRIES_MAX for page in pages[:-1])
    assert len(pages[0].entries) == min(count, PAGE_ENTRIES_MAX) * ENTRY_BYTES


@given(st.lists(st.integers(0, 30), min_size=1, unique=True), st.integers(0, 30))
def test_a_page_is_split_after_the_bound(numbers_in: list[int], bound: int) -> None:
    entries = sorted(entry_of(bytes(16), n) for n in numbers_in)
    taken, left = split_through(page_of(entries).entries, entry_of(bytes(16), bound))
    assert taken + left == entries
    assert len(taken) == sum(n <= bound for n in numbers_in)
