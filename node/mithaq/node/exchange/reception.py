"""Own reception keys: made, announced weekly, kept as long as something is sealed to them.

PROTOCOL 4.7. A key is announced by an entry of the registry under the node's own log key.
An old one is destroyed 24 hours after its successor was announced and when every entry
sealed to it has been opened. The one rule: a key that is still needed is never destroyed,
and one that isn't never kept.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import sqlalchemy as sa

from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner, draw_up, sign_entry
from mithaq.certs.keys import ReceptionKey
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.sealing.at_rest import StorageKey
from mithaq.node.tables import ReceptionKeyRow
from mithaq.store import log_store
from mithaq.store.statement import Statement
from mithaq.store.tables import LOG, table_of

RECEPTION: Final = table_of(ReceptionKeyRow)
KEPT_AFTER_SUCCESSOR: Final = timedelta(hours=24)
_KEPT: Final = Statement(sa.select(RECEPTION.c.key_id, RECEPTION.c.secret))
# An announcement that did not reach the registry is made again.
RESUBMIT_AFTER: Final = timedelta(minutes=10)


def keep_key(connection: sa.Connection, home: Home, key: ReceptionKey, *, at: datetime) -> None:
    """Keep a reception key, wrapped; one that is here already stays as it is."""
    seen = connection.execute(
        sa.select(RECEPTION.c.key_id).where(RECEPTION.c.key_id == key.key_id)
    ).first()
    if seen is None:
        wrapped = home.storage.wrap(key.to_bytes(), name=_name(key.key_id), random=home.random)
        connection.execute(
            sa.insert(RECEPTION),
            {
                "key_id": key.key_id,
                "secret": wrapped,
                "made_at_ms": milliseconds(at),
                "submitted_at_ms": None,
                "announced_at_ms": None,
            },
        )


class KeptKeys(Mapping[bytes, ReceptionKey]):
    """Own reception keys that are kept, by key id; each is unwrapped when it is asked for.

    Few bodies are EPOCHs, so most of the time none is. Asking for one raises AtRestError
    where it does not open under this storage key.
    """

    def __init__(self, wrapped: Mapping[bytes, bytes], storage: StorageKey) -> None:
        self._wrapped = wrapped
        self._storage = storage

    def __getitem__(self, key_id: bytes) -> ReceptionKey:
        wrapped = self._wrapped[key_id]
        return ReceptionKey.from_bytes(self._storage.unwrap(wrapped, name=_name(key_id)))

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._wrapped

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._wrapped)

    def __len__(self) -> int:
        return len(self._wrapped)


def load_keys(connection: sa.Connection, home: Home) -> KeptKeys:
    """Return all own reception keys that are kept, by key id."""
    return KeptKeys(dict(_KEPT.run(connection).fetchall()), home.storage)


def note_announced(connection: sa.Connection, home: Home) -> None:
    """Note when the registry announced which of our keys."""
    for record in home.registry.reception_keys(home.member):
        connection.execute(
            sa.update(RECEPTION)
            .where(RECEPTION.c.key_id == record.key_id, RECEPTION.c.announced_at_ms.is_(None))
            .values(announced_at_ms=milliseconds(record.announced_at))
        )


def due_announcement(connection: sa.Connection, home: Home, *, at: datetime) -> bytes | None:
    """Return the signed registry entry of the next key, if one is due; None otherwise.

    The key is kept before it is announced: whatever is sealed to it can be opened.
    """
    newest = home.registry.reception_keys(home.member)[-1]
    # One that is in the registry and not here was lost with the store: others seal to it.
    is_here = connection.execute(
        sa.select(RECEPTION.c.key_id).where(RECEPTION.c.key_id == newest.key_id)
    ).first()
    is_young = at - newest.announced_at < home.registry.policy.reception_key_life
    if is_here and is_young and not newest.revoked:
        return None
    waiting = connection.execute(
        sa.select(RECEPTION)
        .where(RECEPTION.c.announced_at_ms.is_(None))
        .order_by(RECEPTION.c.made_at_ms.desc())
        .limit(1)
    ).one_or_none()
    if waiting is None:
        key = ReceptionKey.generate()
        keep_key(connection, home, key, at=at)
    elif waiting.submitted_at_ms and at - instant(waiting.submitted_at_ms) < RESUBMIT_AFTER:
        return None
    else:
        key = ReceptionKey.from_bytes(
            home.storage.unwrap(waiting.secret, name=_name(waiting.key_id))
        )
    connection.execute(
        sa.update(RECEPTION)
        .where(RECEPTION.c.key_id == key.key_id)
        .values(submitted_at_ms=milliseconds(at))
    )
    act = acts.ReceptionKeyAnnounced(home.member, key.public)
    body = draw_up(act, federation=home.federation, at=at)
    return sign_entry(body, [EntrySigner.log(home.member, home.log)]).to_bytes()


def destroy_spent(connection: sa.Connection, home: Home, *, at: datetime) -> list[bytes]:
    """Destroy keys that nothing is sealed to any more, and return their ids."""
    keys = home.registry.reception_keys(home.member)
    spent = [
        key.key_id
        for key, successor in pairwise(keys)
        if at - successor.announced_at >= KEPT_AFTER_SUCCESSOR
    ]
    held = set(connection.scalars(sa.select(RECEPTION.c.key_id)))
    candidates = [each for each in spent if each in held]
    if not candidates:
        return []
    needed = _still_needed(connection, home)
    destroyed = [each for each in candidates if each not in needed]
    if destroyed:
        connection.execute(sa.delete(RECEPTION).where(RECEPTION.c.key_id.in_(destroyed)))
    return destroyed


def _still_needed(connection: sa.Connection, home: Home) -> set[bytes]:
    """Return the keys that EPOCH headers name whose bodies have not been opened."""
    backlog = connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.opened_size, LOG.c.size)
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(False), STREAM.c.opened_size < LOG.c.size)
    ).all()
    return {
        reader.key_id
        for log_no, opened_size, size in backlog
        for _, run in log_store.read_runs(connection, log_no, opened_size, size)
        for reader in terms_of(run.terms_bytes).readers
        if reader.member == home.member
    }


def _name(key_id: bytes) -> bytes:
    return b"reception\x00" + key_id
