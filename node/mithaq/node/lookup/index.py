"""The lookup index: append in the receipt's transaction, merge in bulk, search, remove.

Appending writes a sorted run; a random insert per key would cost ten times as much at
a million keys (LIMITS). Runs of one level are merged, sixteen into one of the next. A
merge moves entries, a bounded number in a transaction, so that at every instant each
entry stands in one place: a kill loses nothing, and a search or a removal in between
sees everything. A removed entry is gone from its page when the transaction commits,
which is why erasure receipts are signed after it (PROTOCOL 5.9).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from mithaq.node.lookup.keys import KEY_BYTES
from mithaq.node.lookup.runs import (
    ENTRY_BYTES,
    PAGE_ENTRIES_MAX,
    Page,
    find,
    holds,
    page_of,
    pages_of,
    split_through,
    unpack,
    without,
)
from mithaq.node.lookup.tables import PAGE, RUN
from mithaq.store.engine import bulk_insert
from mithaq.store.parts import in_parts
from mithaq.store.statement import Statement

MERGED_RUNS: Final = 16
MERGE_STEP_ENTRIES: Final = 65_536
# An append this small joins the newest run, as long as both fit one page.
_SMALL_ENTRIES: Final = PAGE_ENTRIES_MAX // 2


@dataclass(frozen=True, slots=True)
class _StoredPage:
    run_no: int
    page_no: int
    blob: bytes


def append(connection: sa.Connection, entries: list[bytes]) -> None:
    """Add sorted entries, in the caller's transaction."""
    if not entries or (len(entries) <= _SMALL_ENTRIES and _joined(connection, entries)):
        return
    run_no = _new_run(connection, level=0)
    _insert_pages(connection, run_no, 0, list(pages_of(entries)))


def numbers(connection: sa.Connection, key: bytes) -> list[int]:
    """Return the record numbers under a key, ascending, each once."""
    found = {record for page in _pages_with(connection, key) for record in find(page.blob, key)}
    return sorted(found)


def remove(connection: sa.Connection, entries: Collection[bytes]) -> int:
    """Take entries out and return how many there were; their pages are rewritten."""
    by_key: dict[bytes, list[bytes]] = {}
    for entry in sorted(set(entries)):
        by_key.setdefault(entry[:KEY_BYTES], []).append(entry)
    by_page: dict[tuple[int, int], set[bytes]] = {}
    pages: dict[tuple[int, int], _StoredPage] = {}
    for key, wanted in by_key.items():
        # Once for a key: a sender may give it to any number of records, on any number of pages.
        for page in _pages_with(connection, key):
            first, last = page.blob[:ENTRY_BYTES], page.blob[-ENTRY_BYTES:]
            near = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
            gone = {entry for entry in near if holds(page.blob, entry)}
            if gone:
                place = page.run_no, page.page_no
                pages[place] = page
                by_page.setdefault(place, set()).update(gone)
    emptied: set[int] = set()
    for place, gone in by_page.items():
        left = without(pages[place].blob, gone)
        _replace(connection, pages[place], left)
        if not left:
            emptied.add(place[0])
    _drop_empty(connection, emptied)
    return sum(map(len, by_page.values()))


def merge_step(connection: sa.Connection, *, entries_max: int = MERGE_STEP_ENTRIES) -> bool:
    """Do a bounded part of the merging that is due; return whether any was."""
    target = connection.scalar(sa.select(sa.func.min(RUN.c.drains_into)))
    if target is None:
        target = _begin_merge(connection)
    if target is None:
        return False
    sources = list(
        connection.scalars(
            sa.select(RUN.c.run_no).where(RUN.c.drains_into == target).order_by(RUN.c.run_no)
        )
    )
    quota = max(1, entries_max // (PAGE_ENTRIES_MAX * len(sources)))
    fronts = [_front(connection, run_no, quota) for run_no in sources]
    moved = _move(connection, fronts)
    _extend(connection, target, moved)
    if all(front.is_whole for front in fronts):
        connection.execute(sa.delete(RUN).where(RUN.c.drains_into == target))
        _drop_empty(connection, [target])
    return True


@dataclass(frozen=True, slots=True)
class _Front:
    """The first pages of a source; `is_whole` if there are no others."""

    pages: tuple[_StoredPage, ...]
    is_whole: bool

    @property
    def last(self) -> bytes:
        """The last entry that was loaded."""
        return self.pages[-1].blob[-ENTRY_BYTES:]


def _front(connection: sa.Connection, run_no: int, quota: int) -> _Front:
    rows = connection.execute(
        sa.select(PAGE.c.run_no, PAGE.c.page_no, PAGE.c.entries)
        .where(PAGE.c.run_no == run_no)
        .order_by(PAGE.c.page_no)
        .limit(quota + 1)
    ).all()
    return _Front(tuple(_StoredPage(*row) for row in rows[:quota]), len(rows) <= quota)


def _move(connection: sa.Connection, fronts: Sequence[_Front]) -> list[bytes]:
    """Take out of the sources all entries up to where every source has been loaded."""
    bounds = [front.last for front in fronts if not front.is_whole]
    bound = min(bounds) if bounds else b"\xff" * ENTRY_BYTES
    moved: list[bytes] = []
    emptied: list[_StoredPage] = []
    for page in (page for front in fronts for page in front.pages):
        if page.blob[:ENTRY_BYTES] > bound:
            continue
        taken, left = split_through(page.blob, bound)
        moved += taken
        if left:
            _replace(connection, page, left)
        else:
            emptied.append(page)
    _delete(connection, emptied)
    moved.sort()
    # A record that was received twice has stood in two runs.
    return list(dict.fromkeys(moved))


def _extend(connection: sa.Connection, run_no: int, entries: list[bytes]) -> None:
    """Put sorted entries behind all others of a run, filling its last page first."""
    last = connection.execute(
        sa.select(PAGE.c.page_no, PAGE.c.entry_count, PAGE.c.entries)
        .where(PAGE.c.run_no == run_no)
        .order_by(PAGE.c.page_no.desc())
        .limit(1)
    ).first()
    next_no = 0
    if last is not None:
        next_no = last.page_no + 1
        if last.entry_count < PAGE_ENTRIES_MAX:
            _delete(connection, [_StoredPage(run_no, last.page_no, last.entries)])
            entries = unpack(last.entries) + entries
            next_no = last.page_no
    _insert_pages(connection, run_no, next_no, list(pages_of(entries)))


def _begin_merge(connection: sa.Connection) -> int | None:
    """Mark the oldest runs of the lowest full level, and return the run they go to."""
    full = (
        sa.select(RUN.c.level)
        .group_by(RUN.c.level)
        .having(sa.func.count() >= MERGED_RUNS)
        .order_by(RUN.c.level)
        .limit(1)
    )
    level = connection.scalar(full)
    if level is None:
        return None
    oldest = list(
        connection.scalars(
            sa.select(RUN.c.run_no)
            .where(RUN.c.level == level)
            .order_by(RUN.c.run_no)
            .limit(MERGED_RUNS)
        )
    )
    target = _new_run(connection, level=level + 1)
    connection.execute(sa.update(RUN).where(RUN.c.run_no.in_(oldest)).values(drains_into=target))
    return target


def _joined(connection: sa.Connection, entries: list[bytes]) -> bool:
    """Add entries to the newest run if it is one page with room; say whether it was."""
    newest = _NEWEST.run(connection).fetchall()
    if len(newest) != 1:
        return False
    page = _StoredPage(*newest[0])
    joined = unpack(page.blob) + entries
    if len(joined) > PAGE_ENTRIES_MAX:
        return False
    _replace(connection, page, sorted(joined))
    return True


def _pages_with(connection: sa.Connection, key: bytes) -> list[_StoredPage]:
    """Return the pages that hold a key: of each run at most one, unless many records share it."""
    rows = _PAGES_WITH.run(connection, key=key).fetchall()
    return [_StoredPage(*row) for row in rows if row[0] is not None]


def _pages_with_statement() -> sa.Executable:
    key = sa.bindparam("key", type_=sa.LargeBinary)
    other = PAGE.alias()
    before = (
        sa.select(other.c.page_no)
        .where(other.c.run_no == RUN.c.run_no, other.c.first_key < key)
        .order_by(other.c.first_key.desc(), other.c.page_no.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = (PAGE.c.run_no, PAGE.c.page_no, PAGE.c.entries)
    of_run = PAGE.c.run_no == RUN.c.run_no
    # Outer joins: with inner ones SQLite scans all pages and looks for their runs.
    inside = sa.select(*columns).select_from(
        RUN.outerjoin(PAGE, sa.and_(of_run, PAGE.c.page_no == before))
    )
    at_start = sa.select(*columns).select_from(
        RUN.outerjoin(PAGE, sa.and_(of_run, PAGE.c.first_key == key))
    )
    return sa.union_all(inside, at_start)


# Made once: making a statement costs more than running it.
_PAGES_WITH: Final = Statement(_pages_with_statement())
_NEWEST: Final = Statement(
    sa.select(PAGE.c.run_no, PAGE.c.page_no, PAGE.c.entries)
    .join(RUN, RUN.c.run_no == PAGE.c.run_no)
    .where(
        RUN.c.run_no == sa.select(sa.func.max(RUN.c.run_no)).scalar_subquery(),
        RUN.c.level == 0,
        RUN.c.drains_into.is_(None),
    )
    .limit(2)
)
_IS_FILLED: Final = sa.exists().where(PAGE.c.run_no == RUN.c.run_no)
_SOURCE: Final = RUN.alias()
_IS_TARGET: Final = sa.exists(
    sa.select(_SOURCE.c.run_no).where(_SOURCE.c.drains_into == RUN.c.run_no)
)
_REWRITE: Final = Statement(
    sa.update(PAGE)
    .where(PAGE.c.run_no == sa.bindparam("old_run"), PAGE.c.page_no == sa.bindparam("old_page"))
    .values(
        {name: sa.bindparam(name) for name in ("first_key", "last_key", "entry_count", "entries")}
    )
)


def _new_run(connection: sa.Connection, *, level: int) -> int:
    made = connection.execute(sa.insert(RUN).values(level=level).returning(RUN.c.run_no))
    return int(made.scalar_one())


def _drop_empty(connection: sa.Connection, run_nos: Iterable[int]) -> None:
    """Delete runs of which no page is left: each that stays costs every later search.

    What a merge fills may be empty for now; it goes with the last that it would have had.
    """
    filled: set[int] = set()
    for part in in_parts(run_nos):
        gone = connection.execute(
            sa.delete(RUN)
            .where(RUN.c.run_no.in_(part), ~_IS_FILLED, ~_IS_TARGET)
            .returning(RUN.c.drains_into)
        )
        filled.update(row.drains_into for row in gone if row.drains_into is not None)
    if filled:
        _drop_empty(connection, filled)


def _insert_pages(connection: sa.Connection, run_no: int, first_no: int, pages: list[Page]) -> None:
    bulk_insert(
        connection,
        PAGE,
        [
            {
                "run_no": run_no,
                "page_no": page_no,
                "first_key": page.first_key,
                "last_key": page.last_key,
                "entry_count": page.count,
                "entries": page.entries,
            }
            for page_no, page in enumerate(pages, first_no)
        ],
    )


def _replace(connection: sa.Connection, stored: _StoredPage, entries: list[bytes]) -> None:
    if not entries:
        _delete(connection, [stored])
        return
    page = page_of(entries)
    _REWRITE.run(
        connection,
        old_run=stored.run_no,
        old_page=stored.page_no,
        first_key=page.first_key,
        last_key=page.last_key,
        entry_count=page.count,
        entries=page.entries,
    )


def _delete(connection: sa.Connection, pages: Sequence[_StoredPage]) -> None:
    if pages:
        connection.execute(
            sa.delete(PAGE).where(
                PAGE.c.run_no == sa.bindparam("gone_run"),
                PAGE.c.page_no == sa.bindparam("gone_page"),
            ),
            [{"gone_run": page.run_no, "gone_page": page.page_no} for page in pages],
        )
