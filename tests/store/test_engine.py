"""The database as every act meets it: one transaction, one writer, on both kinds."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.store.engine import (
    WRITER_CACHE_KIB,
    Database,
    after_commit,
    bulk_insert,
    open_database,
)
from mithaq.store.errors import (
    DatabaseUrlError,
    DiskFullError,
    StoreBusyError,
    StoreConflictError,
    StoreError,
    StoreInUseError,
    StoreUnreachableError,
)

NOTES = sa.Table(
    "note",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary),
)


def insert(connection: sa.Connection, *bodies: bytes, start: int = 0) -> None:
    bulk_insert(
        connection, NOTES, [{"id": start + i, "body": body} for i, body in enumerate(bodies)]
    )


def count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(NOTES)).scalar_one()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    database.write_sync(NOTES.metadata.create_all)
    yield database
    database.close()


class TestEveryDatabase:
    """The contract of Database."""

    async def test_a_write_is_seen_by_the_next_read(self, database: Database) -> None:
        await database.write(lambda connection: insert(connection, b"a", b"b"))
        assert await database.read(count) == 2

    async def test_a_failed_write_leaves_nothing(self, database: Database) -> None:
        def half(connection: sa.Connection) -> None:
            insert(connection, b"a")
            raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            await database.write(half)
        assert await database.read(count) == 0

    async def test_writes_run_one_after_the_other(self, database: Database) -> None:
        def add_one(connection: sa.Connection) -> str:
            insert(connection, b"x", start=count(connection))
            return threading.current_thread().name

        names = await asyncio.gather(*(database.write(add_one) for _ in range(50)))
        assert await database.read(count) == 50
        assert len(set(names)) == 1

    async def test_a_read_sees_one_snapshot(self, database: Database) -> None:
        first_look = threading.Event()
        written = threading.Event()

        def look_twice(connection: sa.Connection) -> tuple[int, int]:
            before = count(connection)
            first_look.set()
            assert written.wait(5)
            return before, count(connection)

        reading = asyncio.ensure_future(database.read(look_twice))
        await asyncio.to_thread(first_look.wait, 5)
        await database.write(lambda connection: insert(connection, b"new"))
        written.set()
        assert await reading == (0, 0)

    async def test_a_read_cannot_write(self, database: Database) -> None:
        with pytest.raises(StoreError):
            await database.read(lambda connection: insert(connection, b"a"))
        assert await database.read(count) == 0

    async def test_a_row_that_contradicts_another_is_a_conflict(self, database: Database) -> None:
        await database.write(lambda connection: insert(connection, b"a"))
        with pytest.raises(StoreConflictError) as caught:
            await database.write(lambda connection: insert(connection, b"hidden"))
        assert "hidden" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_write_within_a_write_is_a_mistake_of_ours(self, database: Database) -> None:
        with pytest.raises(RuntimeError, match="inside a write"):
            database.write_sync(lambda _: database.write_sync(count))
        assert database.write_sync(count) == 0

    def test_a_second_daemon_is_kept_off_the_database(self, database_url: str) -> None:
        first = open_database(database_url, exclusive=True)
        with pytest.raises(StoreInUseError):
            open_database(database_url, exclusive=True)
        first.close()
        open_database(database_url, exclusive=True).close()

    def test_what_waits_for_the_commit_runs_after_it_and_before_the_next_write(
        self, database: Database
    ) -> None:
        seen: list[str] = []

        def act(connection: sa.Connection) -> None:
            insert(connection, b"a")
            after_commit(connection, lambda: seen.append(f"rows {database.read_sync(count)}"))
            seen.append("act")

        database.write_sync(act)
        database.write_sync(lambda _: seen.append("next"))
        assert seen == ["act", "rows 1", "next"]

    def test_what_waits_for_a_commit_that_fails_is_forgotten(self, database: Database) -> None:
        seen: list[str] = []

        def act(connection: sa.Connection) -> None:
            after_commit(connection, lambda: seen.append("after"))
            insert(connection, b"a", b"b")
            insert(connection, b"c")

        with pytest.raises(StoreConflictError):
            database.write_sync(act)
        assert seen == []

    async def test_a_cancelled_wait_may_still_have_written(self, database: Database) -> None:
        begun, release = threading.Event(), threading.Event()

        def slow(connection: sa.Connection) -> None:
            begun.set()
            assert release.wait(5)
            insert(connection, b"a")

        waiting = asyncio.ensure_future(database.write(slow))
        await asyncio.to_thread(begun.wait, 5)
        waiting.cancel()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await database.write(count) == 1

    def test_closing_twice_is_harmless(self, database_url: str) -> None:
        database = open_database(database_url)
        database.close()
        database.close()

    def test_the_log_of_erased_rows_can_be_emptied(self, database: Database) -> None:
        database.write_sync(lambda connection: insert(connection, b"canary" * 100))
        database.write_sync(lambda connection: connection.execute(sa.delete(NOTES)))
        database.truncate_wal(tables=["note"])


class TestSqlite:
    """What holds for the embedded database only."""

    @pytest.mark.parametrize(
        ("pragma", "value"),
        [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("secure_delete", 1),
            ("page_size", 16384),
            ("foreign_keys", 1),
        ],
    )
    def test_the_file_is_durable_and_forgets_what_is_deleted(
        self, sqlite_url: str, pragma: str, value: object
    ) -> None:
        database = open_database(sqlite_url)
        assert (
            database.write_sync(lambda c: c.exec_driver_sql(f"PRAGMA {pragma}").scalar()) == value
        )
        database.close()

    def test_the_writer_keeps_as_much_in_memory_as_it_is_told_to(self, sqlite_url: str) -> None:
        sizes: list[object] = []
        for database in (
            open_database(sqlite_url),
            open_database(sqlite_url, writer_cache_kib=512),
        ):
            look = database.write_sync(lambda c: c.exec_driver_sql("PRAGMA cache_size").scalar())
            sizes.append(look)
            database.close()
        assert sizes == [-WRITER_CACHE_KIB, -512]

    def test_an_erased_row_is_nowhere_in_the_files(self, sqlite_url: str, tmp_path: Path) -> None:
        database = open_database(sqlite_url)
        database.write_sync(NOTES.metadata.create_all)
        database.write_sync(lambda connection: insert(connection, b"canary" * 9_000, b"other"))
        assert found_in_files(tmp_path, b"canary")
        database.write_sync(
            lambda connection: connection.execute(sa.delete(NOTES).where(NOTES.c.id == 0))
        )
        database.truncate_wal()
        assert not found_in_files(tmp_path, b"canary")
        database.close()

    def test_a_reader_that_holds_the_old_pages_is_told_not_ignored(
        self, sqlite_url: str, tmp_path: Path
    ) -> None:
        database = open_database(sqlite_url)
        database.write_sync(NOTES.metadata.create_all)
        database.write_sync(
            lambda connection: connection.exec_driver_sql("PRAGMA user_version = 1")
        )
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM note").fetchall()
        database.write_sync(lambda connection: insert(connection, b"a"))
        database.write_sync(lambda c: c.exec_driver_sql("SELECT 1"))
        shorten_wait(database)
        with pytest.raises(StoreBusyError):
            database.truncate_wal()
        other.close()
        database.truncate_wal()
        database.close()

    def test_a_lock_held_by_a_stranger_is_busy(self, sqlite_url: str, tmp_path: Path) -> None:
        database = open_database(sqlite_url)
        database.write_sync(NOTES.metadata.create_all)
        shorten_wait(database)
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            database.write_sync(lambda connection: insert(connection, b"a"))
        other.close()
        database.write_sync(lambda connection: insert(connection, b"a"))
        database.close()

    def test_a_full_disk_is_named_and_can_be_retried(self, sqlite_url: str) -> None:
        database = open_database(sqlite_url)
        database.write_sync(NOTES.metadata.create_all)
        set_pages(database, maximum=4)
        with pytest.raises(DiskFullError) as caught:
            database.write_sync(lambda connection: insert(connection, b"x" * 500_000))
        assert caught.value.retryable
        set_pages(database, maximum=1_000)
        database.write_sync(lambda connection: insert(connection, b"x" * 500_000))
        assert database.read_sync(count) == 1
        database.close()

    def test_a_folder_that_is_not_there_is_unreachable(self, tmp_path: Path) -> None:
        database = open_database(f"sqlite:///{tmp_path}/absent/store.db")
        with pytest.raises(StoreUnreachableError):
            database.write_sync(lambda connection: insert(connection, b"a"))
        database.close()

    def test_the_files_are_closed_to_others(self, sqlite_url: str, tmp_path: Path) -> None:
        database = open_database(sqlite_url, exclusive=True)
        database.write_sync(NOTES.metadata.create_all)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert set(modes) == {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
        assert set(modes.values()) == {0o600}
        database.close()

    def test_sqlite_has_one_writer_thread(self, sqlite_url: str) -> None:
        with pytest.raises(DatabaseUrlError, match="one writer"):
            open_database(sqlite_url, writer_threads=2)


class TestPostgresql:
    """What holds for the server only."""

    def test_several_writer_threads_work_side_by_side(self, postgres_url: str) -> None:
        database = open_database(postgres_url, writer_threads=2)
        both_inside = threading.Barrier(2)

        def meet(_: sa.Connection) -> int:
            return both_inside.wait(10)

        first = threading.Thread(target=database.write_sync, args=(meet,))
        first.start()
        database.write_sync(meet)
        first.join(10)
        database.close()

    def test_a_lost_connection_is_unreachable_and_comes_back(self, postgres_url: str) -> None:
        database = open_database(postgres_url)
        pid = database.write_sync(lambda c: c.exec_driver_sql("SELECT pg_backend_pid()").scalar())
        database.read_sync(
            lambda c: c.exec_driver_sql(f"SELECT pg_terminate_backend({pid})").scalar()
        )
        with pytest.raises(StoreUnreachableError):
            database.write_sync(lambda c: c.exec_driver_sql("SELECT 1").scalar())
        assert database.write_sync(lambda c: c.exec_driver_sql("SELECT 1").scalar()) == 1
        database.close()

    def test_a_server_that_is_away_is_unreachable(self, tmp_path: Path) -> None:
        database = open_database(f"postgresql://nobody@/none?host={tmp_path}")
        with pytest.raises(StoreUnreachableError):
            database.read_sync(count)
        database.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"]
)
def test_an_address_of_nothing_usable_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError):
        open_database(url)


def test_a_refused_address_does_not_repeat_its_password() -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        open_database("mysql://user:hidden@host/db")
    assert "hidden" not in str(caught.value)


def found_in_files(folder: Path, canary: bytes) -> bool:
    return any(canary in path.read_bytes() for path in folder.iterdir())


def shorten_wait(database: Database) -> None:
    database.write_sync(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout = 50"))


def set_pages(database: Database, *, maximum: int) -> None:
    database.write_sync(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {maximum}").scalar())
