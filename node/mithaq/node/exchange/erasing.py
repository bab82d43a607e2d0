"""Erasing what stands at this node: content, key and index keys in one step.

PROTOCOL 5.9, DESIGN 5. What remains of a row says that there was a record, never what it
said. The one rule: whoever calls this empties the write-ahead log after the commit and
before anybody is told that the record is gone.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from mithaq.node.exchange.home import Home
from mithaq.node.exchange.stored import RECORD, erase_rows, open_row
from mithaq.node.lookup import index
from mithaq.node.lookup.keys import entries_of
from mithaq.node.records.model import parse_record
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus
from mithaq.service.logging import declare, logger
from mithaq.store.engine import Database
from mithaq.store.errors import StoreError
from mithaq.store.parts import in_parts

# Where erased rows may have stood.
ERASED_FROM: Final = ("node_record", "node_out_body", "node_lookup_page")
# Records whose content is in memory at once.
OPENED_AT_ONCE_MAX: Final = 1024
DELAYED: Final = declare("erased bytes not yet off the disk", "code")


async def empty_log(database: Database) -> bool:
    """Get erased bytes off the disk; return whether they are.

    A long read may still hold the old pages: then whoever needs it asks again later.
    """
    try:
        await asyncio.to_thread(database.truncate_wal, tables=ERASED_FROM)
    except StoreError as fault:
        logger().info(DELAYED, code=fault.code)
        return False
    return True


def erase_content(
    connection: sa.Connection, home: Home, numbers: Sequence[int], *, status: RecordStatus
) -> None:
    """Destroy the content of rows and all that the index holds of them."""
    forget(connection, home, numbers)
    erase_rows(connection, numbers, status=status)


def forget(connection: sa.Connection, home: Home, numbers: Sequence[int]) -> None:
    """Take records out of the index: their keys follow from their content."""
    for part in in_parts(numbers, at_once=OPENED_AT_ONCE_MAX):
        entries = _entries(connection, home, part)
        if entries:
            index.remove(connection, entries)


def _entries(connection: sa.Connection, home: Home, numbers: Sequence[int]) -> list[bytes]:
    rows = connection.execute(sa.select(RECORD).where(RECORD.c.record_no.in_(numbers))).all()
    entries: list[bytes] = []
    for row in rows:
        try:
            record = parse_record(open_row(row, home.storage).record)
        except ErasedError:
            continue
        entries += entries_of([(row.record_no, record)], home.index_key)
    return entries
