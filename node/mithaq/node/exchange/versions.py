"""Which versions of an alert or an answer stand here already: asked by id, many at once.

A peer may have sent any number of versions of one alert, so of what was received no more
is looked at than the newest and what is asked for. The one rule: a statement has one
length, so a short list asks for its last id again; a statement of each length would be
compiled for each.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import sqlalchemy as sa

from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.tables import RecordStatus
from mithaq.store.statement import Statement

_ASKED_AT_ONCE: Final = 64
_COLUMNS: Final = (RECORD.c.item_id, RECORD.c.record_no, RECORD.c.version, RECORD.c.status)

T = TypeVar("T")


class Version(NamedTuple):
    """A version, as its row says, or as a transaction is about to write it."""

    record_no: int
    version: int
    status: RecordStatus


Versions = dict[str, list[Version]]


@dataclass(slots=True)
class Standing:
    """What stands of one item while a piece is kept, asked for each of its records."""

    by_number: dict[int, Version]
    newest: int
    # The rows that are live: of those that the store holds, one at most.
    live: list[int]

    @classmethod
    def of(cls, versions: Iterable[Version]) -> "Standing":
        """Return what these versions come to."""
        standing = cls({}, 0, [])
        for each in versions:
            standing.add(each)
        return standing

    def add(self, version: Version) -> None:
        """Learn of one more version."""
        self.by_number[version.version] = version
        self.newest = max(self.newest, version.version)
        if version.status is RecordStatus.LIVE:
            self.live.append(version.record_no)


def own_alerts(connection: sa.Connection, wanted: Iterable[str]) -> Versions:
    """Return all versions of own alerts by id, oldest first; what there is not is not in."""
    found: Versions = {}
    # Each once, whatever a peer repeats: each time would bring all its versions again.
    for group in _groups(dict.fromkeys(wanted)):
        statement = _OWN_ALERTS[len(group)]
        for item_id, version in _run(statement, connection, id=group):
            found.setdefault(item_id, []).append(version)
    return found


def received(connection: sa.Connection, wanted: Iterable[tuple[str, int]]) -> dict[str, Standing]:
    """Return what was received of items: of each its newest version, and those asked for.

    What is live is the newest: a version comes in live only above all others, and
    supersedes them.
    """
    asked = dict.fromkeys(wanted)
    found: dict[str, Standing] = {}
    for group in _groups(dict.fromkeys(item_id for item_id, _ in asked)):
        for item_id, newest in _run(_NEWEST[len(group)], connection, id=group):
            found[item_id] = Standing.of([newest])
    older = [each for each in asked if each[0] in found and each[1] < found[each[0]].newest]
    for pairs in _groups(older):
        ids, numbers = zip(*pairs, strict=True)
        for item_id, version in _run(_THESE[len(pairs)], connection, id=ids, version=numbers):
            found[item_id].add(version)
    return found


def _groups(wanted: Iterable[T]) -> Iterator[list[T]]:
    """Yield these in groups of the lengths that there are statements for."""
    left = list(wanted)
    if len(left) == 1:
        yield left
        return
    for start in range(0, len(left), _ASKED_AT_ONCE):
        group = left[start : start + _ASKED_AT_ONCE]
        yield group + group[-1:] * (_ASKED_AT_ONCE - len(group))


def _run(
    statement: Statement, connection: sa.Connection, **columns: Sequence[object]
) -> Iterator[tuple[str, Version]]:
    values = {
        f"{name}_{place}": value
        for name, column in columns.items()
        for place, value in enumerate(column)
    }
    for item_id, record_no, version, status in statement.run(connection, **values).fetchall():
        yield item_id, Version(record_no, version, RecordStatus(status))


def _own_alerts(count: int) -> Statement:
    wanted: list[sa.BindParameter[str]] = [sa.bindparam(f"id_{place}") for place in range(count)]
    return Statement(
        sa.select(*_COLUMNS)
        .where(RECORD.c.item_id.in_(wanted), RECORD.c.own.is_(True), RECORD.c.kind == ALERT)
        .order_by(RECORD.c.item_id, RECORD.c.version)
    )


def _newest(count: int) -> Statement:
    """Return what looks each up by itself: with IN, all versions of each would be read."""
    newest = [
        sa.select(*_COLUMNS)
        .where(RECORD.c.item_id == sa.bindparam(f"id_{place}"), RECORD.c.own.is_(False))
        .order_by(RECORD.c.version.desc())
        .limit(1)
        .subquery()
        for place in range(count)
    ]
    return Statement(sa.union_all(*map(sa.select, newest)))


def _these(count: int) -> Statement:
    wanted = [
        sa.and_(
            RECORD.c.item_id == sa.bindparam(f"id_{place}"),
            RECORD.c.version == sa.bindparam(f"version_{place}"),
        )
        for place in range(count)
    ]
    return Statement(sa.select(*_COLUMNS).where(sa.or_(*wanted), RECORD.c.own.is_(False)))


_LENGTHS: Final = (1, _ASKED_AT_ONCE)
_OWN_ALERTS: Final = {count: _own_alerts(count) for count in _LENGTHS}
_NEWEST: Final = {count: _newest(count) for count in _LENGTHS}
_THESE: Final = {count: _these(count) for count in _LENGTHS}
