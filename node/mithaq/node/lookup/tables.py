"""The tables of the lookup index: runs, and their pages.

A migration makes them; a test holds both to each other. They hold keyed hashes and
numbers of records and nothing that could be read without the index key.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger
from sqlmodel import Field, SQLModel

from mithaq.store.tables import SERIAL, number, octets, table_of


class LookupRunRow(SQLModel, table=True):
    """A sorted run. `drains_into` is the run that a merge is moving its entries to."""

    __tablename__ = "node_lookup_run"  # pyright: ignore[reportAssignmentType]

    run_no: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    level: int = Field(sa_column=Column(SmallInteger, nullable=False))
    drains_into: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))


class LookupPageRow(SQLModel, table=True):
    """A page of a run; pages of one run are sorted by `page_no`."""

    __tablename__ = "node_lookup_page"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("node_lookup_page_first", "run_no", "first_key", "page_no"),)

    run_no: int = Field(sa_column=number(key=True))
    page_no: int = Field(sa_column=number(key=True))
    first_key: bytes = Field(sa_column=octets())
    last_key: bytes = Field(sa_column=octets())
    entry_count: int = Field(sa_column=Column(Integer, nullable=False))
    entries: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


RUN: Final = table_of(LookupRunRow)
PAGE: Final = table_of(LookupPageRow)
LOOKUP_TABLES: Final = (RUN, PAGE)
