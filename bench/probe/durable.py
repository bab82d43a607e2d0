"""One durable row for each record: SQLite as the product opens it, groups of what waits."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

PAGE_SIZE_BYTES: Final = 16_384
GROUP_ROWS_MAX: Final = 1024
_INSERT: Final = "INSERT INTO record (body) VALUES (?)"

_Waiting = tuple[Sequence[bytes], "asyncio.Future[None]"]


class Durable:
    """Adds rows in transactions of a writer thread; what waits together is one transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in (
            f"page_size = {PAGE_SIZE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE record (number INTEGER PRIMARY KEY, body BLOB)")
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None

    def add(self, rows: Sequence[bytes]) -> "asyncio.Future[None]":
        """Return what is done when the rows are on the disk; rows keep their order."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((rows, done))
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush(loop))
        return done

    async def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            group = self._next_group()
            await loop.run_in_executor(self._thread, self._commit, [rows for rows, _ in group])
            for _, done in group:
                if not done.done():
                    done.set_result(None)
        self._flushing = None

    def _next_group(self) -> list[_Waiting]:
        group, count = [self._waiting.pop(0)], 0
        while self._waiting and count < GROUP_ROWS_MAX:
            count += len(self._waiting[0][0])
            group.append(self._waiting.pop(0))
        return group

    def _commit(self, group: Sequence[Sequence[bytes]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for rows in group:
            self._connection.executemany(_INSERT, zip(rows))
        self._connection.execute("COMMIT")
