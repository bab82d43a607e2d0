"""What is left of an erased record at its reader: looked for in the reader's own files.

A receipt of erasure is a reader's word. Here the reader's disk is asked: what stood
there sealed before the withdrawal must stand in no file afterwards.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.searching import Needles, find_bytes
from mithaq.cli.demo.watching import CheckFailedError

if TYPE_CHECKING:
    from pathlib import Path

# A body is stored in pages, so it is looked for by parts that no page's end divides for sure.
PART_BYTES: Final = 24
PARTS_MAX: Final = 16


def sealed_of(folder: Path, alert_id: str) -> list[bytes]:
    """Return parts of what a node's database file holds of an alert: key and body, sealed.

    Read from the file as an intruder would: no command shows it.
    """
    address = f"file:{folder / 'node.db'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute(
            "SELECT wrapped_key, body FROM node_record WHERE item_id = ? AND body IS NOT NULL",
            (alert_id,),
        ).fetchall()
    return [part for row in rows for column in row for part in _parts(bytes(column))]


def _parts(content: bytes) -> list[bytes]:
    step = max(PART_BYTES, len(content) // PARTS_MAX)
    return [
        content[start : start + PART_BYTES]
        for start in range(0, len(content) - PART_BYTES + 1, step)
    ]


def check_gone(folder: Path, parts: list[bytes], *, reader: str) -> None:
    """Raise CheckFailedError where a part of what was to be erased is still in a file."""
    if not parts:
        raise CheckFailedError(f"{reader} held nothing of the alert that it has opened")
    found = find_bytes(Needles(dict.fromkeys(parts, "sealed")), folder)
    if found:
        raise CheckFailedError(
            f"{reader} has signed that it erased an alert, and {found[0].file} still holds it",
            alarm="erasure overdue",
        )
