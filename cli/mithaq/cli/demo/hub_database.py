"""The search of a hub's PostgreSQL database: every row of every table, and the server's files.

The rows are read as anybody with the database's password reads them. The server's own
folder, with its write-ahead log, is searched as well where it lies on this machine and
can be read.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mithaq.cli.demo.searching import Found, find_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from mithaq.cli.demo.searching import Needles

CONTROL_TABLE: Final = "mithaq_demo_control"
ROWS_AT_ONCE: Final = 500


def find_in_database(url: str, needles: Needles) -> list[Found]:
    """Look for byte strings in all rows of all tables, and in the files of the server."""
    with _connected(url) as connection:
        found = list(_in_rows(connection, needles))
        folder = _folder(connection)
    return found + (find_bytes(needles, folder) if folder is not None else [])


@contextmanager
def control_planted(url: str, forms: Iterable[bytes]) -> Generator[None]:
    """Have a table stand in the database that holds byte strings, as text where they are text."""
    table = sa.Table(
        CONTROL_TABLE, sa.MetaData(), sa.Column("bytes", sa.LargeBinary), sa.Column("text", sa.Text)
    )
    with _connected(url) as connection:
        table.create(connection)
        connection.execute(sa.insert(table), [{"bytes": form, "text": None} for form in forms])
        connection.commit()
    try:
        yield
    finally:
        with _connected(url) as connection:
            table.drop(connection)
            connection.commit()


@contextmanager
def _connected(url: str) -> Generator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def _in_rows(connection: sa.Connection, needles: Needles) -> Iterator[Found]:
    catalogue = sa.MetaData()
    catalogue.reflect(connection)
    for table in catalogue.sorted_tables:
        rows = connection.execute(sa.select(table), execution_options={"stream_results": True})
        writings: set[str] = set()
        for part in rows.partitions(ROWS_AT_ONCE):
            content = b"\n".join(_plain(cell) for row in part for cell in row)
            writings.update(needles.find(content))
        for writing in sorted(writings):
            yield Found(f"table {table.name}", writing)


def _plain(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()


def _folder(connection: sa.Connection) -> Path | None:
    """Return the server's folder, if we may know it and it is here to be read."""
    try:
        told = connection.execute(sa.text("SHOW data_directory")).scalar_one()
    except DBAPIError:
        return None
    folder = Path(str(told))
    try:
        return folder if any(folder.iterdir()) else None
    except OSError:
        return None
