"""From a database driver's exception to the store's own error family.

A driver's text may quote values of a row, so nothing of it is kept but its class
and its error number. What is not recognised stays an error, never a success.
"""

import errno

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from mithaq.store.errors import (
    DiskFullError,
    StoreBusyError,
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreUnreachableError,
)

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# Names as sqlite3 reports them; the extended names begin with the primary one.
SQLITE_FAILURES: tuple[tuple[str, type[StoreError]], ...] = (
    ("SQLITE_FULL", DiskFullError),
    ("SQLITE_BUSY", StoreBusyError),
    ("SQLITE_LOCKED", StoreBusyError),
    ("SQLITE_CORRUPT", StoreDamagedError),
    ("SQLITE_NOTADB", StoreDamagedError),
    ("SQLITE_CANTOPEN", StoreUnreachableError),
    ("SQLITE_READONLY", StoreUnreachableError),
    # Of the machine, not of what was written.
    ("SQLITE_IOERR", StoreUnreachableError),
    ("SQLITE_NOMEM", StoreUnreachableError),
    ("SQLITE_PROTOCOL", StoreUnreachableError),
)
# SQLSTATE prefixes, PostgreSQL manual, appendix A.
POSTGRESQL_FAILURES: tuple[tuple[str, type[StoreError]], ...] = (
    ("53100", DiskFullError),
    ("40", StoreBusyError),
    ("55P03", StoreBusyError),
    ("57014", StoreBusyError),
    ("XX001", StoreDamagedError),
    ("XX002", StoreDamagedError),
    ("08", StoreUnreachableError),
    ("28", StoreUnreachableError),
    ("3D000", StoreUnreachableError),
    ("57P", StoreUnreachableError),
    ("53", StoreUnreachableError),
    # A server that became a standby, whose system or whose own code failed.
    ("25006", StoreUnreachableError),
    ("58", StoreUnreachableError),
    ("XX000", StoreUnreachableError),
)


def stored_as(error: DBAPIError | OSError) -> Exception:
    """Return the error to raise instead: of our family, or `error` if it is none of ours."""
    if isinstance(error, DBAPIError):
        name = failure_name(error)
        return failure_class(error, name)(f"{type(error).__name__} {name}".rstrip())
    if error.errno in NO_SPACE:
        return DiskFullError(errno.errorcode[error.errno])
    return error


def failure_name(error: DBAPIError) -> str:
    """Return the driver's own error name or SQLSTATE; empty if it gave none."""
    original = error.orig
    name = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    return str(name or "")


def failure_class(error: DBAPIError, name: str) -> type[StoreError]:
    """Return the class that a driver's error name stands for."""
    table = SQLITE_FAILURES if name.startswith("SQLITE_") else POSTGRESQL_FAILURES
    for prefix, kind in table:
        if name.startswith(prefix):
            return kind
    if isinstance(error, IntegrityError):
        return StoreConflictError
    if isinstance(error, DataError) and not error.connection_invalidated:
        # psycopg itself refuses what no column takes, without a SQLSTATE.
        return StoreError
    # psycopg raises a failed or lost connection without a SQLSTATE.
    if error.connection_invalidated or not name:
        return StoreUnreachableError
    return StoreError
