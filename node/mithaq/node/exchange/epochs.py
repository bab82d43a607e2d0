"""Epochs of own streams: for whom a secret is wrapped, and when a new one begins.

PROTOCOL 4.1, 4.6, 4.7. The secret is kept only wrapped by the storage key. The one rule:
whoever is suspended, revoked or lapsed at the registry that this node has replayed is
left out of the next EPOCH, and no body is sealed before that EPOCH stands.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.agreements.status import AgreementStatus
from mithaq.certs.errors import TrustError
from mithaq.certs.participants import MemberState
from mithaq.certs.registry import Registry
from mithaq.ledger.entry import BODIES_PER_EPOCH_MAX, EpochReader, StreamRole
from mithaq.ledger.stream import StreamState
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.refusals import LOST
from mithaq.node.sealing.body import SealedBody, sha256
from mithaq.node.sealing.epoch import EpochPlace, EpochSecret, wrap_epoch
from mithaq.node.sealing.errors import AtRestError
from mithaq.node.tables import EpochRow, RefusalRow
from mithaq.store.statement import Statement
from mithaq.store.tables import table_of

EPOCH_LIFE: Final = timedelta(hours=24)
EPOCH: Final = table_of(EpochRow)
REFUSAL: Final = table_of(RefusalRow)
_IS_LOST: Final = sa.exists().where(
    REFUSAL.c.log_no == EPOCH.c.log_no,
    REFUSAL.c.sequence == EPOCH.c.sequence,
    REFUSAL.c.reason == LOST,
)
_CURRENT: Final = Statement(
    sa.select(EPOCH.c.secret, EPOCH.c.began_at_ms, _IS_LOST.label("lost")).where(
        EPOCH.c.log_no == sa.bindparam("log"), EPOCH.c.epoch == sa.bindparam("number")
    )
)


class Reader(NamedTuple):
    """A member for whom an epoch is wrapped, with the reception key it is wrapped to."""

    member: str
    key_id: bytes
    public: bytes


def entitled_readers(
    registry: Registry,
    *,
    audience: Iterable[str],
    role: StreamRole,
    status: AgreementStatus,
    at: datetime,
) -> tuple[Reader, ...]:
    """Return those of an audience who may open what is sealed now, sorted by member."""
    readers: list[Reader] = []
    for member in sorted(audience):
        # PROTOCOL 3.7: a leaver is still answered in return streams for the wind-down.
        if role is StreamRole.DISCLOSURE and member in status.left:
            continue
        reader = _reader(registry, member, at)
        if reader is not None:
            readers.append(reader)
    return tuple(readers)


def _reader(registry: Registry, member: str, at: datetime) -> Reader | None:
    try:
        if registry.member(member).state is not MemberState.ACTIVE:
            return None
        key = registry.reception_key(member)
    except TrustError:
        return None
    # PROTOCOL 4.7: after the catch-up limit a reader has lapsed and returns as a late joiner.
    if at - key.announced_at > registry.policy.catch_up_limit:
        return None
    return Reader(member, key.key_id, key.public)


class CurrentEpoch(NamedTuple):
    """The epoch under which a stream's next bodies are sealed."""

    number: int
    secret: EpochSecret


def secret_name(stream_id: bytes, epoch: int) -> bytes:
    """Return the name under which an epoch's secret is wrapped at rest."""
    return b"epoch\x00" + stream_id + epoch.to_bytes(8, "big")


def current_epoch(
    connection: sa.Connection,
    home: Home,
    state: StreamState,
    *,
    log_no: int,
    readers: tuple[Reader, ...],
    bodies: int,
    at: datetime,
) -> CurrentEpoch | None:
    """Return the epoch that takes so many more bodies, or None where a new one must begin.

    A new one begins on a change of readers or of a key, after 24 hours, before body 2^20,
    where no saved secret opens, and where a reader has lost the epoch's (PROTOCOL 4.6).
    """
    wanted = tuple(EpochReader(each.member, each.key_id) for each in readers)
    if not state.epoch or state.epoch_readers != wanted:
        return None
    if state.epoch_bodies + bodies > BODIES_PER_EPOCH_MAX:
        return None
    row = _CURRENT.run(connection, log=log_no, number=state.epoch).fetchone()
    secret, began_at_ms, is_lost = row or (None, 0, False)
    if secret is None or is_lost or at - instant(began_at_ms) >= EPOCH_LIFE:
        return None
    try:
        kept = home.storage.unwrap(secret, name=secret_name(state.stream_id, state.epoch))
    except AtRestError:
        return None
    return CurrentEpoch(state.epoch, EpochSecret.of(kept))


def new_secret(home: Home) -> EpochSecret:
    """Return a fresh secret for an epoch."""
    return EpochSecret.of(home.random(64))


def seal_epoch(
    secret: EpochSecret, *, place: EpochPlace, readers: tuple[Reader, ...]
) -> SealedBody:
    """Return the EPOCH body with one wrap for each reader, its hash and its commitment."""
    body = wrap_epoch(secret, place, ((each.member, each.public) for each in readers))
    return SealedBody(body, sha256(body), secret.commitment)


def save_epoch(
    connection: sa.Connection,
    home: Home,
    *,
    log_no: int,
    stream_id: bytes,
    number: int,
    secret: EpochSecret | None,
    sequence: int,
    readers: Iterable[str],
    at: datetime,
) -> None:
    """Keep an epoch and its secret, wrapped; its row stays when the secret is destroyed."""
    name, random = secret_name(stream_id, number), home.random
    connection.execute(
        sa.insert(EPOCH),
        {
            "log_no": log_no,
            "epoch": number,
            "sequence": sequence,
            "began_at_ms": milliseconds(at),
            "readers": " ".join(sorted(readers)),
            "secret": secret and home.storage.wrap(secret.to_bytes(), name=name, random=random),
        },
    )
