"""How many parameters a statement of each database takes, for the tests that go beyond it."""

import sqlite3

import sqlalchemy as sa

from mithaq.store.engine import Database
from mithaq.store.statement import driver_connection

SQLITE_MAX = 32_766
POSTGRESQL_MAX = 65_535


def as_it_comes(connection: sa.Connection) -> None:
    """Let SQLite take no more than by default: some distributions build it with 250,000."""
    driver = driver_connection(connection)
    if isinstance(driver, sqlite3.Connection):
        driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, SQLITE_MAX)


def too_many(database: Database) -> int:
    """Return one more than a statement of this database may have, which its writer now keeps to."""
    database.write_sync(as_it_comes)
    return (SQLITE_MAX if database.is_sqlite else POSTGRESQL_MAX) + 1
