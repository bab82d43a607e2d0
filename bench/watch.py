"""Looking at a database from outside, as lightly as can be: product and probe alike."""

import asyncio
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.errors import StoppedError

STILL_SECONDS_MAX: Final = 60.0


class Watch:
    """Counts by one statement, on a connection that can't write."""

    def __init__(self, database: Path, statement: str) -> None:
        self._connection = sqlite3.connect(
            f"file:{database}?mode=ro", uri=True, isolation_level=None
        )
        self._statement = statement

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def count(self) -> int:
        """Return the count as it is durable now."""
        return int(self._connection.execute(self._statement).fetchone()[0] or 0)

    async def until(self, count: int, *, every_s: float) -> float:
        """Return the instant (`perf_counter`) at which a count was seen; raise StoppedError."""
        seen, deadline = -1, time.perf_counter() + STILL_SECONDS_MAX
        while True:
            now = self.count()
            at = time.perf_counter()
            if now >= count:
                return at
            if now > seen:
                seen, deadline = now, at + STILL_SECONDS_MAX
            elif at > deadline:
                raise StoppedError(f"{now} of {count} for {STILL_SECONDS_MAX:.0f} s")
            await asyncio.sleep(every_s)
