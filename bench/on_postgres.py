"""The product with its hub on PostgreSQL, beside a bare COPY of the same bytes into it.

The server is one of our own that syncs every commit, in the system's folder for temporary
files. The COPY is what the hub's database could take at best: the records as they are, in
transactions of as many rows as the probe groups, nothing else.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa

from bench.federation import Members
from bench.measures import carried
from bench.probe.durable import GROUP_ROWS_MAX
from bench.product import Product, running_product
from bench.records import REQUEST_RECORDS
from bench.result import CopyRound, OnPostgres
from bench.statistics import spread
from tests.faults.server import running_server

BARE: Final = "CREATE TABLE bench_bare (number bigint PRIMARY KEY, body bytea)"
COPY: Final = "COPY bench_bare (number, body) FROM STDIN (FORMAT BINARY)"


async def on_postgres(folder: Path, *, rounds: int, records: int) -> OnPostgres:
    """Send in bulk, and copy the same records, in turn."""
    with running_server() as server:
        async with running_product(folder, Members(hub_database=server.url)) as product:
            await carried(product, product.records.make(4 * REQUEST_RECORDS))
            played = await _rounds(product, server.url, rounds=rounds, records=records)
    return OnPostgres(rounds=tuple(played), ratio=spread([each.ratio for each in played]))


async def _rounds(product: Product, url: str, *, rounds: int, records: int) -> list[CopyRound]:
    with connected(url) as connection:
        connection.execute(BARE)
        connection.commit()
        played: list[CopyRound] = []
        for number in range(rounds):
            made = product.records.make(records)
            ours = await carried(product, made)
            raws = [record.raw for record in made]
            seconds = await asyncio.to_thread(copy, connection, raws, first=number * records)
            played.append(CopyRound(product=ours, copy_seconds=seconds))
    return played


def connected(url: str) -> psycopg.Connection:
    """Connect to a server without an engine in between."""
    address = sa.make_url(url)
    return psycopg.connect(
        host=str(address.query["host"]), user=address.username, dbname=address.database
    )


def copy(connection: psycopg.Connection, raws: Sequence[bytes], *, first: int) -> float:
    """Copy records into the bare table, durably; return the seconds that it took."""
    began = time.perf_counter()
    for start in range(0, len(raws), GROUP_ROWS_MAX):
        with connection.cursor() as cursor, cursor.copy(COPY) as rows:
            rows.set_types(["int8", "bytea"])
            for number, raw in enumerate(raws[start : start + GROUP_ROWS_MAX], first + start):
                rows.write_row((number, raw))
        connection.commit()
    return time.perf_counter() - began
