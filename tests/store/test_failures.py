"""A driver's failure becomes ours by its number; its text, which may quote a row, is lost."""

import errno
import sqlite3

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from mithaq.store.errors import (
    DiskFullError,
    StoreBusyError,
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreUnreachableError,
)
from mithaq.store.failures import POSTGRESQL_FAILURES, SQLITE_FAILURES, stored_as

CANARY = "Key (document)=(A1234567) already exists"


def of_sqlite(name: str, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    """Return SQLAlchemy's error around one of sqlite3."""
    original = sqlite3.OperationalError(CANARY)
    original.sqlite_errorname = name
    return kind("INSERT", {}, original)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_sqlite("SQLITE_FULL"), DiskFullError),
        (of_sqlite("SQLITE_BUSY_SNAPSHOT"), StoreBusyError),
        (of_sqlite("SQLITE_CORRUPT_INDEX"), StoreDamagedError),
        (of_sqlite("SQLITE_CANTOPEN"), StoreUnreachableError),
        (of_sqlite("SQLITE_IOERR_READ"), StoreUnreachableError),
        (of_sqlite("SQLITE_TOOBIG"), StoreError),
        (of_sqlite("SQLITE_CONSTRAINT_UNIQUE", IntegrityError), StoreConflictError),
        (OperationalError("INSERT", {}, pg.DiskFull(CANARY)), DiskFullError),
        (OperationalError("INSERT", {}, pg.DeadlockDetected(CANARY)), StoreBusyError),
        (OperationalError("INSERT", {}, pg.LockNotAvailable(CANARY)), StoreBusyError),
        (OperationalError("INSERT", {}, pg.DataCorrupted(CANARY)), StoreDamagedError),
        (OperationalError("INSERT", {}, pg.AdminShutdown(CANARY)), StoreUnreachableError),
        (OperationalError("INSERT", {}, pg.TooManyConnections(CANARY)), StoreUnreachableError),
        (OperationalError("INSERT", {}, psycopg.OperationalError(CANARY)), StoreUnreachableError),
        (OperationalError("INSERT", {}, pg.ReadOnlySqlTransaction(CANARY)), StoreUnreachableError),
        (OperationalError("INSERT", {}, pg.IoError(CANARY)), StoreUnreachableError),
        (DataError("INSERT", {}, psycopg.DataError(CANARY)), StoreError),
        (IntegrityError("INSERT", {}, pg.UniqueViolation(CANARY)), StoreConflictError),
        (DBAPIError("INSERT", {}, pg.UndefinedTable(CANARY)), StoreError),
    ],
)
def test_a_failure_is_known_by_its_number(error: DBAPIError, kind: type[StoreError]) -> None:
    ours = stored_as(error)
    assert type(ours) is kind
    assert "A1234567" not in str(ours)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_volume_is_known_by_its_number(number: int) -> None:
    assert isinstance(stored_as(OSError(number, CANARY)), DiskFullError)


def test_an_error_of_the_system_that_is_none_of_ours_stays_itself() -> None:
    error = FileNotFoundError(errno.ENOENT, "absent")
    assert stored_as(error) is error


def test_no_prefix_hides_a_later_one() -> None:
    for table in (SQLITE_FAILURES, POSTGRESQL_FAILURES):
        prefixes = [prefix for prefix, _ in table]
        for at, prefix in enumerate(prefixes):
            assert not any(prefix.startswith(earlier) for earlier in prefixes[:at])
