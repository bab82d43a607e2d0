"""Which versions of an alert or an answer stand here already: asked by id, many at once.

The one rule: a statement has one length, so a short list asks for its last id again; a
statement of each length would be compiled for each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.tables import RecordStatus
from mithaq.store.statement import Statement

_ASKED_AT_ONCE: Final = 64


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


class VersionsLookup:
    """Looks for the versions that meet some conditions."""

    def __init__(self, *conditions: sa.ColumnElement[bool]) -> None:
        """Look for what meets all of these, whose values are constants."""
        self._one = _statement(1, conditions)
        self._many = _statement(_ASKED_AT_ONCE, conditions)

    def of(self, connection: sa.Connection, wanted_ids: Iterable[str]) -> Versions:
        """Return the versions by item id, oldest first; an id of which there is none is not in."""
        found: Versions = {}
        # Each once, whatever a peer repeats: each time would bring all its versions again.
        ids = list(dict.fromkeys(wanted_ids))
        at_once = 1 if len(ids) == 1 else _ASKED_AT_ONCE
        statement = self._one if at_once == 1 else self._many
        for start in range(0, len(ids), at_once):
            group = ids[start : start + at_once]
            wanted = {f"id_{place}": group[min(place, len(group) - 1)] for place in range(at_once)}
            for item_id, record_no, version, status in statement.run(
                connection, **wanted
            ).fetchall():
                one = Version(record_no, version, RecordStatus(status))
                found.setdefault(item_id, []).append(one)
        return found


def _statement(count: int, conditions: Sequence[sa.ColumnElement[bool]]) -> Statement:
    wanted: list[sa.BindParameter[str]] = [sa.bindparam(f"id_{place}") for place in range(count)]
    return Statement(
        sa.select(RECORD.c.item_id, RECORD.c.record_no, RECORD.c.version, RECORD.c.status)
        .where(RECORD.c.item_id.in_(wanted), *conditions)
        .order_by(RECORD.c.item_id, RECORD.c.version)
    )


OWN_ALERTS: Final = VersionsLookup(RECORD.c.own.is_(True), RECORD.c.kind == ALERT)
RECEIVED: Final = VersionsLookup(RECORD.c.own.is_(False))
