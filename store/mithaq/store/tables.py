"""The tables that hub and node have in common.

Logs are stored as they were appended: one row of packed entries per append, tiles of
256 hashes, and one row per log that says how far it is. Migrations make these tables;
a test holds both to each other. Hot paths use `Table.__table__` through Core, admin
and reading may use the models.
"""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, SmallInteger, Text
from sqlmodel import Field, SQLModel

# An autoincrement key has to be SQLite's INTEGER, and PostgreSQL's BIGINT.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def number(*, key: bool = False, index: bool = False) -> Column[int]:
    """Return a column for a whole number up to 2^63 - 1."""
    return Column(BigInteger, primary_key=key, autoincrement=False, nullable=False, index=index)


def octets(*, nullable: bool = False) -> Column[bytes]:
    """Return a column for bytes."""
    return Column(LargeBinary, nullable=nullable)


def table_of(model: type[SQLModel]) -> sa.Table:
    """Return the Core table of a model."""
    return cast("sa.Table", cast("Any", model).__table__)


class Log(SQLModel, table=True):
    """A log: its size, root and frontier, its newest checkpoint, and its owner's own state."""

    __tablename__ = "log"  # pyright: ignore[reportAssignmentType]

    log_no: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    origin: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    size: int = Field(sa_column=number())
    root: bytes = Field(sa_column=octets())
    frontier: bytes = Field(sa_column=octets())
    # What a reader of the log gave us to keep beside it, such as a stream's state.
    state: bytes = Field(sa_column=octets())
    # Null until one was signed; it may be older than `size` by some entries.
    checkpoint: bytes | None = Field(default=None, sa_column=octets(nullable=True))


class LogPage(SQLModel, table=True):
    """The entries of one append, packed; `start` is the index of the first."""

    __tablename__ = "log_page"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    start: int = Field(sa_column=number(key=True))
    entries: int = Field(sa_column=Column(Integer, nullable=False))
    packing: int = Field(sa_column=Column(SmallInteger, nullable=False))
    payload: bytes = Field(sa_column=octets())


class LogTile(SQLModel, table=True):
    """A row of up to 256 hashes of the log's tree (c2sp.org/tlog-tiles)."""

    __tablename__ = "log_tile"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    tile_index: int = Field(sa_column=number(key=True))
    hashes: bytes = Field(sa_column=octets())


class LogWitness(SQLModel, table=True):
    """The newest checkpoint of somebody else's log that we cosigned, and what we signed."""

    __tablename__ = "log_witness"  # pyright: ignore[reportAssignmentType]

    origin: str = Field(sa_column=Column(Text, primary_key=True))
    size: int = Field(sa_column=number())
    root: bytes = Field(sa_column=octets())
    note: bytes = Field(sa_column=octets())
    cosignature: str = Field(sa_column=Column(Text, nullable=False))


LOG = table_of(Log)
LOG_PAGE = table_of(LogPage)
LOG_TILE = table_of(LogTile)
LOG_WITNESS = table_of(LogWitness)
SHARED_TABLES = (LOG, LOG_PAGE, LOG_TILE, LOG_WITNESS)
