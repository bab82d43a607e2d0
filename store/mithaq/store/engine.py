"""Opening a database: SQLite embedded, PostgreSQL for replicas, one way to use both.

A write is one function run in one transaction by the writer thread, so that an act
and its audit entry are durable together or not at all. Reads run in their own
threads on a snapshot and never wait for the writer. The rule: no other code opens,
commits or closes a connection.
"""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.event import listen
from sqlalchemy.exc import ArgumentError, DBAPIError

from mithaq.store.errors import (
    DatabaseUrlError,
    StoreBusyError,
    StoreInUseError,
)
from mithaq.store.failures import stored_as
from mithaq.store.statement import run

T = TypeVar("T")
PAGE_SIZE_BYTES = 16_384
BUSY_TIMEOUT_MS = 5_000
WRITER_CACHE_KIB = 64 * 1024
CONNECT_TIMEOUT_S = 5
AFTER_COMMIT = "mithaq_after_commit"
# One writer per database, named by a constant: "mithaq" as an integer.
ADVISORY_LOCK = int.from_bytes(b"mithaq", "big")


class Database:
    """A database open for use: one writer, several readers, all transactions short."""

    def __init__(self, writer: sa.Engine, reader: sa.Engine, *, threads: tuple[int, int]) -> None:
        self._writer = writer
        self._reader = reader
        self._writer_threads = ThreadPoolExecutor(threads[0], thread_name_prefix="store-writer")
        self._reader_threads = ThreadPoolExecutor(threads[1], thread_name_prefix="store-reader")
        # Of each writer thread: whether it writes now, and the connection that it keeps.
        self._in_writer = threading.local()
        self._kept: list[sa.Connection] = []
        self._held: list[Callable[[], None]] = []

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an embedded file rather than a server."""
        return self._writer.dialect.name == "sqlite"

    async def write(self, act: Callable[[sa.Connection], T]) -> T:
        """Run `act` in one durable transaction; raise StoreError with nothing written.

        Cancelling the wait does not undo what was begun: it may yet become durable.
        """
        return await asyncio.wrap_future(self._submit_write(act))

    def write_sync(self, act: Callable[[sa.Connection], T]) -> T:
        """Do what `write` does and block until it is durable."""
        return self._submit_write(act).result()

    async def read(self, look: Callable[[sa.Connection], T]) -> T:
        """Run `look` on a read-only snapshot; raise StoreError if it can't be had."""
        return await asyncio.wrap_future(self._reader_threads.submit(self._run_read, look))

    def read_sync(self, look: Callable[[sa.Connection], T]) -> T:
        """Do what `read` does and block until the answer is there."""
        return self._reader_threads.submit(self._run_read, look).result()

    def truncate_wal(self, *, tables: Sequence[str] = ()) -> None:
        """Make erased rows unreadable in what this database keeps on disk (PROTOCOL 5.9).

        SQLite overwrote the pages (`secure_delete`) and now empties its write-ahead
        log. PostgreSQL only frees the rows of `tables`; its own log and backups keep
        them until they are recycled, so there the erased record key is what protects.
        Raise StoreBusyError if a reader still holds the old pages.
        """
        self._writer_threads.submit(self._run_truncate, tuple(tables)).result()

    def close(self) -> None:
        """Finish what was begun and close every connection; may be called twice."""
        self._writer_threads.shutdown()
        self._reader_threads.shutdown()
        while self._held:
            self._held.pop()()
        while self._kept:
            self._kept.pop().close()
        self._reader.dispose()
        self._writer.dispose()

    def hold_exclusively(self) -> None:
        """Keep other daemons off this database until `close`; raise StoreInUseError."""
        # PROTOCOL 1.5: a log has one writer, whatever an operator starts twice.
        path = self._writer.url.database
        if self.is_sqlite and path is not None:
            self._held.append(_lock_file(Path(f"{path}.lock")))
        else:
            self._held.append(self._lock_server())

    def _submit_write(self, act: Callable[[sa.Connection], T]) -> Future[T]:
        if getattr(self._in_writer, "active", False):
            raise RuntimeError("a write inside a write would wait for itself")
        return self._writer_threads.submit(self._run_write, act)

    def _run_write(self, act: Callable[[sa.Connection], T]) -> T:
        self._in_writer.active = True
        try:
            after: list[Callable[[], None]] = []
            connection = self._writer_connection()
            with connection.begin():
                if self.is_sqlite:
                    # The driver's own BEGIN is deferred and comes too late to be safe. An
                    # event for it would cost every statement 30 µs.
                    run(connection, "BEGIN IMMEDIATE")
                result = act(connection.execution_options(**{AFTER_COMMIT: after}))
            for action in after:
                action()
        except BaseException as error:
            self._let_go()
            if isinstance(error, DBAPIError | OSError):
                raise stored_as(error) from None
            raise
        else:
            return result
        finally:
            self._in_writer.active = False

    def _writer_connection(self) -> sa.Connection:
        """Return this thread's connection: the pool would cost each write some 100 µs."""
        connection: sa.Connection | None = getattr(self._in_writer, "connection", None)
        if connection is None:
            connection = self._writer.connect()
            self._in_writer.connection = connection
            self._kept.append(connection)
        return connection

    def _let_go(self) -> None:
        """Give this thread's connection back to the pool, which looks whether it is sound."""
        connection: sa.Connection | None = getattr(self._in_writer, "connection", None)
        if connection is not None:
            self._in_writer.connection = None
            self._kept.remove(connection)
            connection.close()

    def _run_read(self, look: Callable[[sa.Connection], T]) -> T:
        try:
            with self._reader.begin() as connection:
                if self.is_sqlite:
                    connection.exec_driver_sql("BEGIN")
                return look(connection)
        except (DBAPIError, OSError) as error:
            raise stored_as(error) from None

    def _run_truncate(self, tables: tuple[str, ...]) -> None:
        try:
            # One writer's pool has one connection.
            self._let_go()
            if self.is_sqlite:
                self._empty_wal()
            else:
                self._vacuum(tables)
        except DBAPIError as error:
            raise stored_as(error) from None

    def _empty_wal(self) -> None:
        with self._writer.connect() as connection:
            busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise StoreBusyError("a reader held the write-ahead log; erased bytes may remain in it")

    def _vacuum(self, tables: tuple[str, ...]) -> None:
        quote = self._writer.dialect.identifier_preparer.quote
        with self._writer.connect() as connection:
            automatic = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                automatic.exec_driver_sql(f"VACUUM {quote(table)}")

    def _lock_server(self) -> Callable[[], None]:
        # A session of its own, not the pool's: the lock lasts as long as it.
        connection = self._reader.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(ADVISORY_LOCK))):
            connection.close()
            raise StoreInUseError("the advisory lock of this database is held")
        return connection.close


def open_database(
    url: str,
    *,
    writer_threads: int = 1,
    readers: int = 4,
    exclusive: bool = False,
    writer_cache_kib: int = WRITER_CACHE_KIB,
) -> Database:
    """Open `sqlite:////path` (created if absent) or `postgresql://…`; connects lazily.

    SQLite's writer keeps pages of `writer_cache_kib` in memory. Raise DatabaseUrlError for
    anything else, StoreInUseError if `exclusive` and another process holds it exclusively.
    """
    address = parse_url(url)
    if address.get_backend_name() == "sqlite":
        if writer_threads != 1:
            raise DatabaseUrlError("SQLite has one writer: writer_threads must be 1")
        _create_closed(Path(address.database or ""))
        engines = (
            _sqlite_engine(address, 1, pragmas=_writer_pragmas(writer_cache_kib)),
            _sqlite_engine(address, readers, pragmas=(*_PRAGMAS, "query_only = ON")),
        )
    else:
        engines = (
            _postgresql_engine(address, writer_threads, write=True),
            _postgresql_engine(address, readers, write=False),
        )
    database = Database(*engines, threads=(writer_threads, readers))
    if exclusive:
        database.hold_exclusively()
    return database


def parse_url(url: str) -> sa.URL:
    """Return the address with the driver that we use; raise DatabaseUrlError."""
    try:
        address = sa.make_url(url)
    except ArgumentError:
        # The text may hold a password, so it is not repeated.
        raise DatabaseUrlError("the address is not a database URL") from None
    if address.get_backend_name() == "sqlite":
        if not address.database or address.database == ":memory:":
            raise DatabaseUrlError("an SQLite address names a file")
        return address.set(drivername="sqlite+pysqlite")
    if address.get_backend_name() == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    raise DatabaseUrlError(f"{address.get_backend_name()} is not supported")


def after_commit(connection: sa.Connection, action: Callable[[], None]) -> None:
    """Run `action` in the writer thread once the write of this connection is durable.

    It runs before any other write and must not raise; a write that fails forgets it.
    """
    connection.get_execution_options()[AFTER_COMMIT].append(action)


def bulk_insert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert all rows at once, through Core (LIMITS: the ORM costs ten times as much)."""
    if rows:
        connection.execute(sa.insert(table), rows)


def _sqlite_engine(address: sa.URL, size: int, *, pragmas: Sequence[str]) -> sa.Engine:
    engine = sa.create_engine(
        address,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    def prepare(raw: DBAPIConnection, _record: object) -> None:
        raw.isolation_level = None
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}")

    listen(engine, "connect", prepare)
    return engine


_PRAGMAS = (
    # The page size counts only before the first table, so it stands first.
    f"page_size = {PAGE_SIZE_BYTES}",
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    # NORMAL can lose a signed checkpoint at power loss.
    "synchronous = FULL",
    "secure_delete = ON",
    "foreign_keys = ON",
    "trusted_schema = OFF",
)


def _writer_pragmas(cache_kib: int) -> Sequence[str]:
    return (*_PRAGMAS, f"cache_size = -{cache_kib}")


def _postgresql_engine(address: sa.URL, size: int, *, write: bool) -> sa.Engine:
    engine = sa.create_engine(
        address,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_MS}",
        },
    )
    if write:
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _create_closed(path: Path) -> None:
    # SQLite would create it readable for all; its log files take the mode of this one.
    if path.parent.is_dir():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _lock_file(path: Path) -> Callable[[], None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreInUseError(f"{path.name} is locked") from None
    return lambda: os.close(descriptor)
