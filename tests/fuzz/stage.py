"""A hub's core and members' nodes on disk for targets that need them, opened once a process.

What a target writes is undone: each input meets the same stage.
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from mithaq.hub.commit import transact
from mithaq.hub.committer import Committed, Outcome, Work
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.reception import note_announced
from mithaq.node.exchange.reconcile import reconcile
from mithaq.node.records.model import ParsedRecord
from mithaq.store.engine import Database
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk
from tests.fuzz import records, streams
from tests.fuzz.cast import AT, CAIRO, TUNIS, federation
from tests.fuzz.target import Finding
from tests.hub.core import Core
from tests.streams import StreamWriter

T = TypeVar("T")
_databases: list[Database] = []


class Undone(Exception):  # noqa: N818 - no error: the way out of a transaction
    """Carries what an act returned out of the transaction that is undone."""

    def __init__(self, result: Any) -> None:  # noqa: ANN401 - whatever the act returned
        super().__init__("undone")
        self.result = result


def undone(database: Database, act: Callable[[sa.Connection], T]) -> T:
    """Return what an act returns in a transaction of which nothing stays; raise what it raises."""

    def run(connection: sa.Connection) -> None:
        raise Undone(act(connection))

    try:
        database.write_sync(run)
    except Undone as undo:
        result: T = undo.result
        return result
    raise Finding("a transaction came to an end that was to be undone")


def close_all() -> None:
    """Close what was opened, as a test does at its end."""
    while _databases:
        _databases.pop().close()
    for opened in (hub, node, sender):
        opened.cache_clear()


def _folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))


# --- the hub --------------------------------------------------------------------------


@cache
def hub() -> tuple[Core, StreamWriter]:
    """Return a hub that holds one stream of Cairo's, and its writer."""
    core = Core.in_folder(federation(), _folder("hub"))
    core.now = AT
    _databases.append(core.database)
    writer = streams.writer()
    outcome = core.publish(streams.batch(writer), sender=CAIRO)
    if isinstance(outcome, Exception):
        raise outcome
    return core, writer


def committed(
    core: Core, *works: Work, look: Callable[[sa.Connection, Committed], None] | None = None
) -> Outcome:
    """Return what the hub answers to the last work; `look` sees what was written."""

    def act(connection: sa.Connection) -> Outcome:
        done = transact(core.rules(), connection, works)
        if look is not None:
            look(connection, done)
        return done.outcomes[-1]

    return undone(core.database, act)


# --- members --------------------------------------------------------------------------


@cache
def sender() -> tuple[Desk, tuple[Batch, ...]]:
    """Return Cairo's node, and its batches: streams opened, and an alert issued to all."""
    desk = _desk(CAIRO)
    desk.done(IssueItem(issued(), None, None, OFFICER))
    return desk, tuple(desk.batches)


def issued() -> ParsedRecord:
    """Return the alert that Cairo has issued, whose person is made up."""
    return records.alert("ARREST")


@cache
def node() -> Desk:
    """Return the node of Tunis, to which nothing has come yet."""
    return _desk(TUNIS)


def _desk(member: str) -> Desk:
    made = Desk(federation(), member, _folder(member), clock=lambda: AT)  # type: ignore[arg-type]
    made.open()
    _databases.append(made.home.database)
    home = made.home
    leaves, note = federation().leaves[home.registry.size :], federation().checkpoint(at=AT)
    home.database.write_sync(lambda each: home.trust.extend(each, leaves, note))
    home.database.write_sync(lambda each: note_announced(each, home))
    made.batches += home.database.write_sync(lambda each: reconcile(each, home, at=AT))
    return made
