"""Counting the work of a piece of code: tests of what it costs measure no time."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa

from mithaq.store.statement import driver_connection


@contextmanager
def statements_of(connection: sa.Connection) -> Generator[list[str]]:
    """Yield a list that fills with the statements that SQLite is given in the block.

    A statement for many rows at once counts for each of them.
    """
    driver = driver_connection(connection)
    assert isinstance(driver, sqlite3.Connection)
    seen: list[str] = []
    driver.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        driver.set_trace_callback(None)
