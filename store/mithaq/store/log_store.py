"""Logs on disk: appended within the caller's transaction, proven from tiles, re-read from entries.

Every function takes a connection and never commits: an append is durable together
with the act that it records, or not at all. Two writers of one log can't both win,
for an append names the size that it continues. Who may write, what an entry says
and who signs is decided elsewhere; the exact bytes given are the bytes kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from mithaq.ledger import tiles
from mithaq.ledger.run import Run
from mithaq.ledger.stream import KindAt, Slot
from mithaq.ledger.terms import parse_terms
from mithaq.ledger.tiles import TILE_HASHES, TILE_HEIGHT
from mithaq.ledger.tree import HASH_SIZE_BYTES, Frontier, split_hashes
from mithaq.store.errors import (
    LogExistsError,
    LogMissingError,
    LogMovedError,
    LogRangeError,
    StoreDamagedError,
)
from mithaq.store.pages import (
    Packing,
    leaf_hashes_of,
    leaves_of,
    pack_leaves,
    pack_runs,
    runs_between,
)
from mithaq.store.rows import insert_tuples
from mithaq.store.statement import Statement
from mithaq.store.tables import LOG, LOG_PAGE, LOG_TILE

ENTRIES_PER_READ_MAX = 65_536
PAGES_AT_ONCE = 64
# A piece for a reader is of about one page (PROTOCOL 5.1).
PAGE_ENTRIES_MAX = 256

HEAD_COLUMNS = (
    LOG.c.origin,
    LOG.c.size,
    LOG.c.root,
    LOG.c.frontier,
    LOG.c.checkpoint,
    LOG.c.state,
)
_HEAD = Statement(sa.select(*HEAD_COLUMNS).where(LOG.c.log_no == bindparam("log")))
_TO_ADVANCE = (
    sa.update(LOG)
    .where(LOG.c.log_no == bindparam("log"), LOG.c.size == bindparam("size_before"))
    .values(
        size=bindparam("size_after"),
        root=bindparam("new_root"),
        frontier=bindparam("new_frontier"),
        state=bindparam("new_state"),
    )
)
_ADVANCE = Statement(_TO_ADVANCE)
_ADVANCE_SIGNED = Statement(_TO_ADVANCE.values(checkpoint=bindparam("note")))
_PAGE_COLUMNS = ("log_no", "start", "entries", "packing", "payload")
_TILE_COLUMNS = ("log_no", "level", "tile_index", "hashes")
_TILE = Statement(
    sa.select(LOG_TILE.c.hashes).where(
        LOG_TILE.c.log_no == bindparam("log"),
        LOG_TILE.c.level == bindparam("at_level"),
        LOG_TILE.c.tile_index == bindparam("at_index"),
    )
)
_WIDEN_TILE = Statement(
    sa.update(LOG_TILE)
    .where(
        LOG_TILE.c.log_no == bindparam("log"),
        LOG_TILE.c.level == bindparam("at_level"),
        LOG_TILE.c.tile_index == bindparam("at_index"),
    )
    .values(hashes=bindparam("row"))
)
# Built once: SQLAlchemy finds a statement's compiled form faster by the same object.
_PAGES = (
    sa.select(LOG_PAGE.c.start, LOG_PAGE.c.entries, LOG_PAGE.c.packing, LOG_PAGE.c.payload)
    .where(LOG_PAGE.c.log_no == bindparam("log"))
    .order_by(LOG_PAGE.c.start)
)
_PAGE_HOLDING = (
    _PAGES.where(LOG_PAGE.c.start <= bindparam("sequence"))
    .order_by(None)
    .order_by(LOG_PAGE.c.start.desc())
    .limit(1)
)
_START_HOLDING = (
    sa.select(sa.func.max(LOG_PAGE.c.start))
    .where(LOG_PAGE.c.log_no == bindparam("log"), LOG_PAGE.c.start <= bindparam("low"))
    .scalar_subquery()
)
_PAGES_BETWEEN = Statement(
    _PAGES.where(LOG_PAGE.c.start >= _START_HOLDING, LOG_PAGE.c.start < bindparam("high"))
)


@dataclass(frozen=True, slots=True)
class LogHead:
    """How far a log is: what was appended, what was signed, and the state kept with it."""

    origin: str
    size: int
    root: bytes
    frontier: Frontier
    checkpoint: bytes | None
    state: bytes


def create_log(connection: sa.Connection, origin: str) -> int:
    """Create an empty log and return its number; raise LogExistsError."""
    if find_log(connection, origin) is not None:
        raise LogExistsError(origin)
    empty = Frontier.empty()
    row = {
        "origin": origin,
        "size": 0,
        "root": empty.root(),
        "frontier": empty.to_bytes(),
        "state": b"",
    }
    number: int = connection.execute(sa.insert(LOG).returning(LOG.c.log_no), row).scalar_one()
    return number


def find_log(connection: sa.Connection, origin: str) -> int | None:
    """Return the number of the log with this origin, or None."""
    return connection.execute(sa.select(LOG.c.log_no).where(LOG.c.origin == origin)).scalar()


def log_no(connection: sa.Connection, origin: str) -> int:
    """Return the number of the log with this origin; raise LogMissingError."""
    found = find_log(connection, origin)
    if found is None:
        raise LogMissingError(origin)
    return found


def list_logs(connection: sa.Connection, *, prefix: str = "") -> dict[str, int]:
    """Return the numbers of all logs whose origin begins with `prefix`, by origin."""
    wanted = sa.select(LOG.c.origin, LOG.c.log_no).order_by(LOG.c.log_no)
    if prefix:
        wanted = wanted.where(LOG.c.origin.startswith(prefix, autoescape=True))
    return {row.origin: row.log_no for row in connection.execute(wanted)}


def head(connection: sa.Connection, log: int) -> LogHead:
    """Return how far a log is; raise LogMissingError."""
    row = _HEAD.run(connection, log=log).fetchone()
    if row is None:
        raise LogMissingError(f"log number {log}")
    origin, size, root, frontier, checkpoint, state = row
    return LogHead(origin, size, root, Frontier.from_bytes(frontier), checkpoint, state)


def head_of(row: Any) -> LogHead:  # noqa: ANN401 - a row of SQLAlchemy's
    """Return the head in a row that has HEAD_COLUMNS, among others."""
    return LogHead(
        origin=row.origin,
        size=row.size,
        root=row.root,
        frontier=Frontier.from_bytes(row.frontier),
        checkpoint=row.checkpoint,
        state=row.state,
    )


def append(
    connection: sa.Connection,
    log: int,
    leaves: Sequence[bytes],
    hashes: Sequence[bytes],
    frontier: Frontier,
    *,
    state: bytes = b"",
    checkpoint: bytes | None = None,
) -> Frontier:
    """Append whole leaves after `frontier` and return the frontier after them.

    `hashes` are the leaves' RFC 6962 hashes, computed by the caller. Raise
    LogMovedError, with nothing written, if the log's size is no longer `frontier`'s.
    """
    after = frontier.extend(hashes)
    growth = _Growth(log, frontier, after, state, checkpoint)
    page = _Page(Packing.LEAVES, len(leaves), pack_leaves(leaves))
    _append(connection, growth, hashes, [page])
    return after


def append_runs(
    connection: sa.Connection,
    log: int,
    runs: Sequence[Run],
    frontier_before: Frontier,
    frontier_after: Frontier,
    *,
    hashes: Sequence[bytes],
    state: bytes = b"",
    checkpoint: bytes | None = None,
) -> None:
    """Append a stream's runs from what `StreamState.admit_all` returned.

    Whole runs go into one page, up to PAGE_ENTRIES_MAX entries or one run. Raise
    LogMovedError, with nothing written, if the log's size is no longer `frontier_before`'s.
    """
    growth = _Growth(log, frontier_before, frontier_after, state, checkpoint)
    pages = [
        _Page(Packing.RUNS, sum(map(len, each)), pack_runs(each)) for each in _cut_in_pages(runs)
    ]
    _append(connection, growth, hashes, pages)


def _cut_in_pages(runs: Sequence[Run]) -> list[list[Run]]:
    pages: list[list[Run]] = [[]]
    entries = 0
    for run in runs:
        entries += len(run)
        if pages[-1] and entries > PAGE_ENTRIES_MAX:
            pages.append([])
            entries = len(run)
        pages[-1].append(run)
    return pages


def set_checkpoint(connection: sa.Connection, log: int, note: bytes) -> None:
    """Keep a log's newest signed checkpoint; raise LogMissingError."""
    changed = connection.execute(
        sa.update(LOG).where(LOG.c.log_no == log).values(checkpoint=note)
    ).rowcount
    if changed != 1:
        raise LogMissingError(f"log number {log}")


def set_state(connection: sa.Connection, log: int, state: bytes) -> None:
    """Replace the state kept with a log; raise LogMissingError."""
    changed = connection.execute(
        sa.update(LOG).where(LOG.c.log_no == log).values(state=state)
    ).rowcount
    if changed != 1:
        raise LogMissingError(f"log number {log}")


@dataclass(frozen=True, slots=True)
class _Growth:
    """A log before and after an append, and what is kept with it from then on."""

    log: int
    before: Frontier
    after: Frontier
    state: bytes
    checkpoint: bytes | None


class _Page(NamedTuple):
    packing: Packing
    entries: int
    payload: bytes


def _append(
    connection: sa.Connection, growth: _Growth, hashes: Sequence[bytes], pages: Sequence[_Page]
) -> None:
    start = growth.before.size
    if not hashes or growth.after.size != start + len(hashes):
        raise LogRangeError(f"{len(hashes)} entries don't lead from {start} to {growth.after.size}")
    # First, so that a second writer is stopped before it writes or waits for anything else.
    _advance(connection, growth)
    rows: list[tuple[object, ...]] = []
    for page in pages:
        rows.append((growth.log, start, page.entries, int(page.packing), page.payload))
        start += page.entries
    insert_tuples(connection, LOG_PAGE, _PAGE_COLUMNS, rows)
    _write_tiles(connection, growth.log, growth.before.size, hashes)


def _advance(connection: sa.Connection, growth: _Growth) -> None:
    values: dict[str, object] = {
        "log": growth.log,
        "size_before": growth.before.size,
        "size_after": growth.after.size,
        "new_root": growth.after.root(),
        "new_frontier": growth.after.to_bytes(),
        "new_state": growth.state,
    }
    statement = _ADVANCE
    if growth.checkpoint is not None:
        statement, values["note"] = _ADVANCE_SIGNED, growth.checkpoint
    if statement.run(connection, **values).rowcount != 1:
        raise LogMovedError(f"log number {growth.log} is not at size {growth.before.size}")


def _write_tiles(connection: sa.Connection, log: int, size: int, hashes: Sequence[bytes]) -> None:
    partial = _partial_rows(connection, log, size, len(hashes))
    fresh: list[tuple[object, ...]] = []
    for tile in tiles.append(size, partial, hashes):
        if tile.level in partial and tile.index == size >> TILE_HEIGHT * (tile.level + 1):
            _WIDEN_TILE.run(
                connection, log=log, at_level=tile.level, at_index=tile.index, row=tile.hashes
            )
        else:
            fresh.append((log, tile.level, tile.index, tile.hashes))
    insert_tuples(connection, LOG_TILE, _TILE_COLUMNS, fresh)


def _partial_rows(connection: sa.Connection, log: int, size: int, count: int) -> dict[int, bytes]:
    """Return the partial rows of those levels that appending `count` hashes reaches."""
    rows: dict[int, bytes] = {}
    level = 0
    while count:
        width = tiles.partial_width(size, level)
        if width:
            index = size >> TILE_HEIGHT * (level + 1)
            found = _TILE.run(connection, log=log, at_level=level, at_index=index).fetchone()
            if found is None or len(found[0]) != width * HASH_SIZE_BYTES:
                raise StoreDamagedError(f"log number {log} lacks its tile {level}/{index}")
            rows[level] = found[0]
        count = (width + count) // TILE_HASHES
        level += 1
    return rows


class StoredTiles:
    """The tiles of a stored log, for `ledger.proof` (a `HashReader`)."""

    def __init__(self, connection: sa.Connection, log: int) -> None:
        self._connection = connection
        self._log = log

    def read_tiles(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the rows of these (level, index); an empty one for a tile that isn't there."""
        if not wanted:
            return []
        rows = self._connection.execute(
            sa.select(LOG_TILE.c.level, LOG_TILE.c.tile_index, LOG_TILE.c.hashes).where(
                LOG_TILE.c.log_no == self._log,
                sa.tuple_(LOG_TILE.c.level, LOG_TILE.c.tile_index).in_(list(wanted)),
            )
        )
        found: Mapping[tuple[int, int], bytes] = {(row[0], row[1]): row[2] for row in rows}
        return [found.get(each, b"") for each in wanted]


def leaf_hashes_at(connection: sa.Connection, log: int, start: int, end: int) -> list[bytes]:
    """Return the leaf hashes from `start` up to, not including, `end`, from the tiles."""
    _check_range(start, end)
    first, last = start // TILE_HASHES, -(-end // TILE_HASHES)
    rows = StoredTiles(connection, log).read_tiles([(0, index) for index in range(first, last)])
    joined = b"".join(rows)
    low, high = start - first * TILE_HASHES, end - first * TILE_HASHES
    if len(joined) < high * HASH_SIZE_BYTES:
        raise LogRangeError(f"log number {log} has no leaf {end - 1}")
    return list(split_hashes(joined[low * HASH_SIZE_BYTES : high * HASH_SIZE_BYTES]))


def read_leaves(connection: sa.Connection, log: int, start: int, end: int) -> list[bytes]:
    """Return the exact bytes of the entries from `start` up to, not including, `end`.

    Raise LogRangeError if the log lacks one of them, or for more than
    ENTRIES_PER_READ_MAX.
    """
    leaves: list[bytes] = []
    for first, _, packing, payload in _pages_between(connection, log, start, end):
        leaves += leaves_of(packing, payload)[max(start - first, 0) : end - first]
    if len(leaves) != end - start:
        raise LogRangeError(f"log number {log} has no entries {start} to {end}")
    return leaves


def read_runs(connection: sa.Connection, log: int, start: int, end: int) -> list[tuple[int, Run]]:
    """Return a stream's entries in [start, end) as runs, each with its first sequence.

    Raise LogRangeError if the log lacks one of them, or for more than
    ENTRIES_PER_READ_MAX.
    """
    runs = [
        part
        for first, _, _, payload in _pages_between(connection, log, start, end)
        for part in runs_between(payload, first=first, start=start, end=end)
    ]
    if sum(len(run) for _, run in runs) != end - start:
        raise LogRangeError(f"log number {log} has no entries {start} to {end}")
    return runs


def kind_at(connection: sa.Connection, log: int) -> KindAt:
    """Return what answers, for `StreamState.admit`, what stands at old sequences of a stream."""

    def answer(sequences: Sequence[int]) -> list[Slot]:
        slots: list[Slot] = []
        runs: list[tuple[int, Run]] = []
        for sequence in sequences:
            if not runs or sequence >= runs[-1][0] + len(runs[-1][1]):
                runs = _runs_of_page(connection, log, sequence)
            slots.append(_slot_in(runs, sequence))
        return slots

    return answer


def _runs_of_page(connection: sa.Connection, log: int, sequence: int) -> list[tuple[int, Run]]:
    page = connection.execute(_PAGE_HOLDING, {"log": log, "sequence": sequence}).one_or_none()
    if page is None or sequence >= page.start + page.entries:
        raise LogRangeError(f"log number {log} has no entry {sequence}")
    end = page.start + page.entries
    return list(runs_between(page.payload, first=page.start, start=page.start, end=end))


def _slot_in(runs: Sequence[tuple[int, Run]], sequence: int) -> Slot:
    run = next(run for first, run in reversed(runs) if first <= sequence)
    return Slot(parse_terms(run.terms_bytes).kind, run.own_size)


def pages_from(connection: sa.Connection, log: int, start: int = 0) -> Iterator[list[bytes]]:
    """Yield the entries from a page's `start` on, a page at a time, in order.

    Raise StoreDamagedError where entries are missing between two pages.
    """
    return _unpacked_pages(connection, log, start, unpack=leaves_of)


def leaves_backwards(connection: sa.Connection, log: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the entries below index `end` with their indexes, the last first."""
    wanted = (
        _PAGES.where(LOG_PAGE.c.start < end)
        .order_by(None)
        .order_by(LOG_PAGE.c.start.desc())
        .execution_options(yield_per=PAGES_AT_ONCE)
    )
    with connection.execute(wanted, {"log": log}) as found:
        for page in found:
            leaves = leaves_of(page.packing, page.payload)
            last = min(len(leaves), end - page.start)
            for offset in range(last - 1, -1, -1):
                yield page.start + offset, leaves[offset]


def recompute_frontier(connection: sa.Connection, log: int) -> Frontier:
    """Return the frontier over the entries as they are stored, and over nothing else.

    Neither tiles nor the log's own row are looked at, so a changed entry shows.
    Raise StoreDamagedError where entries are missing.
    """
    frontier = Frontier.empty()
    for hashes in _unpacked_pages(connection, log, 0, unpack=leaf_hashes_of):
        frontier = frontier.extend(hashes)
    return frontier


def _unpacked_pages(
    connection: sa.Connection, log: int, start: int, *, unpack: Callable[[int, bytes], list[bytes]]
) -> Iterator[list[bytes]]:
    expected = start
    wanted = _PAGES.where(LOG_PAGE.c.start >= start).execution_options(yield_per=PAGES_AT_ONCE)
    with connection.execute(wanted, {"log": log}) as found:
        for page in found:
            unpacked = unpack(page.packing, page.payload)
            if page.start != expected or len(unpacked) != page.entries:
                raise StoreDamagedError(f"log number {log} has a gap at {expected}")
            expected += page.entries
            yield unpacked


def recompute_root(connection: sa.Connection, log: int) -> bytes:
    """Return the root over the entries as they are stored, and over nothing else."""
    return recompute_frontier(connection, log).root()


def check_log(connection: sa.Connection, log: int) -> LogHead:
    """Return a log's head after comparing it with its stored entries; raise StoreDamagedError."""
    claimed = head(connection, log)
    if recompute_frontier(connection, log) != claimed.frontier or claimed.root != (
        claimed.frontier.root()
    ):
        raise StoreDamagedError(f"{claimed.origin}: the entries don't give the stored root")
    return claimed


def _pages_between(
    connection: sa.Connection, log: int, start: int, end: int
) -> list[tuple[int, int, int, bytes]]:
    """Return the pages that hold a range: start, entries, packing and payload of each."""
    _check_range(start, end)
    found: list[Any] = _PAGES_BETWEEN.run(connection, log=log, low=start, high=end).fetchall()
    return found


def _check_range(start: int, end: int) -> None:
    if not 0 <= start < end or end - start > ENTRIES_PER_READ_MAX:
        raise LogRangeError(f"a range of 1 to {ENTRIES_PER_READ_MAX} entries, not {start} to {end}")
