"""Databases as the migrations leave them: for SQLite made once in a process, and copied."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from mithaq.store.engine import Database, open_database
from mithaq.store.migrations import upgrade


def open_migrated(url: str, script_location: Path) -> Database:
    """Open a database at the newest revision of a folder, an empty one if there is none."""
    file = sa.make_url(url).database
    if not url.startswith("sqlite") or file is None or Path(file).exists():
        database = open_database(url)
        upgrade(database, script_location)
        return database
    Path(file).write_bytes(_empty(script_location))
    return open_database(url)


@cache
def _empty(script_location: Path) -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        database = open_database(f"sqlite:///{file}")
        upgrade(database, script_location)
        database.close()
        return file.read_bytes()
