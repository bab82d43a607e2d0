"""Bodies as they come: every one that is awaited, or the proof why it isn't there.

PROTOCOL 5.4, 5.8. The hub may leave out a body only by naming its withdrawal, refusal or
expiry, or because the reader is not among the epoch's readers; each is checked against
what this node itself holds. The one rule: nothing is opened before the whole message has
been found complete, in order and true to its headers' hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.entry import EntryKind
from mithaq.ledger.names import HUB
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.epochs import EPOCH
from mithaq.node.exchange.errors import (
    BodyOrderError,
    BodyWithheldError,
    HeadersBehindError,
)
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.inbox import REFUSAL
from mithaq.node.exchange.out_stream import WITHDRAWAL
from mithaq.node.sealing.body import sha256
from mithaq.node.sealing.errors import BodyMismatchError
from mithaq.v1 import exchange_pb2

WITHDRAWN: Final = exchange_pb2.OMISSION_REASON_WITHDRAWN
REFUSED: Final = exchange_pb2.OMISSION_REASON_REFUSED
EXPIRED: Final = exchange_pb2.OMISSION_REASON_EXPIRED
NOT_A_READER: Final = exchange_pb2.OMISSION_REASON_NOT_A_READER


class Omission(NamedTuple):
    """A body that was left out, and what is said to prove it."""

    sequence: int
    reason: int
    withdrawn_by: int


@dataclass(frozen=True, slots=True)
class ArrivedBodies:
    """Bodies of one stream as they came, not yet checked."""

    stream_id: bytes
    through_size: int
    bodies: Mapping[int, bytes]
    omissions: Mapping[int, Omission]

    @property
    def size_bytes(self) -> int:
        """What they take in memory while they wait."""
        return sum(map(len, self.bodies.values()))


class Delivered(NamedTuple):
    """An awaited entry with its body, or without one where its absence is proven."""

    entry: Awaited
    body: bytes | None


def check_delivery(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    arrived: ArrivedBodies,
    *,
    held_size: int,
    at: datetime,
) -> list[Delivered]:
    """Return what was awaited, each with its body or without one, in order.

    Raises:
        HeadersBehindError: a withdrawal is named whose header has not come yet.
        BodyWithheldError: a body is missing without proof (PROTOCOL 5.4).
        BodyOrderError: bodies of entries that have none, or beyond what is held.
        BodyMismatchError: a body is not the one that its header names.

    """
    if arrived.through_size > held_size:
        raise BodyOrderError("bodies came before their headers were held")
    awaited = in_stream.awaited(connection, stream.log_no, stream.opened_size, arrived.through_size)
    _check_complete(awaited, arrived, start=stream.opened_size)
    omitted = [each for each in awaited if each.sequence in arrived.omissions]
    _check_omissions(connection, home, stream, omitted, arrived, held_size=held_size, at=at)
    delivered: list[Delivered] = []
    for entry in awaited:
        body = arrived.bodies.get(entry.sequence)
        if body is not None and sha256(body) != entry.body_hash:
            raise BodyMismatchError(f"the body of entry {entry.sequence} is another one")
        delivered.append(Delivered(entry, body))
    return delivered


def _check_complete(awaited: Sequence[Awaited], arrived: ArrivedBodies, *, start: int) -> None:
    wanted = {each.sequence for each in awaited}
    # What lies below was opened before: a delivery may begin with it again.
    given = {each for each in (*arrived.bodies, *arrived.omissions) if each >= start}
    if missing := wanted - given:
        raise BodyWithheldError(f"the body of entry {min(missing)} is missing without a word")
    if extra := given - wanted:
        raise BodyOrderError(f"entry {min(extra)} has no body, or one that isn't due")
    if twice := arrived.bodies.keys() & arrived.omissions.keys():
        raise BodyOrderError(f"entry {min(twice)} is both sent and left out")


def _check_omissions(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    omitted: Sequence[Awaited],
    arrived: ArrivedBodies,
    *,
    held_size: int,
    at: datetime,
) -> None:
    for entry in omitted:
        omission = arrived.omissions[entry.sequence]
        if omission.reason == WITHDRAWN and omission.withdrawn_by >= held_size:
            raise HeadersBehindError("the header of a withdrawal has not come yet")
        if not _is_proven(connection, home, stream, entry, omission, at=at):
            raise BodyWithheldError(f"entry {entry.sequence} was left out without proof")


def _is_proven(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    entry: Awaited,
    omission: Omission,
    *,
    at: datetime,
) -> bool:
    if omission.reason == WITHDRAWN:
        return _is_withdrawn(connection, stream, entry, by=omission.withdrawn_by)
    if omission.reason == REFUSED:
        return _is_refused(connection, stream, entry)
    if omission.reason == EXPIRED:
        return _is_expired(home, entry, at=at)
    if omission.reason == NOT_A_READER:
        return not _is_reader(connection, home, stream, entry)
    return False


def _is_withdrawn(connection: sa.Connection, stream: InStream, entry: Awaited, *, by: int) -> bool:
    found = connection.execute(
        sa.select(WITHDRAWAL.c.sequence).where(
            WITHDRAWAL.c.log_no == stream.log_no,
            WITHDRAWAL.c.target == entry.first_sequence,
            WITHDRAWAL.c.sequence == by,
        )
    ).scalar()
    return found is not None and by > entry.sequence


def _is_refused(connection: sa.Connection, stream: InStream, entry: Awaited) -> bool:
    found = connection.execute(
        sa.select(REFUSAL.c.list_no).where(
            REFUSAL.c.log_no == stream.log_no,
            REFUSAL.c.sequence == entry.sequence,
            REFUSAL.c.signer == HUB,
        )
    ).scalar()
    return found is not None


def _is_expired(home: Home, entry: Awaited, *, at: datetime) -> bool:
    # PROTOCOL 5.8: the local clock and the registry's time both have to have passed.
    expires_at, registry_time = entry.terms.expires_at, home.registry.time
    return (
        expires_at is not None
        and registry_time is not None
        and expires_at <= min(at, registry_time)
    )


def _is_reader(connection: sa.Connection, home: Home, stream: InStream, entry: Awaited) -> bool:
    if entry.terms.kind is EntryKind.EPOCH:
        return any(each.member == home.member for each in entry.terms.readers)
    readers = connection.execute(
        sa.select(EPOCH.c.readers).where(
            EPOCH.c.log_no == stream.log_no, EPOCH.c.epoch == entry.terms.epoch
        )
    ).scalar()
    # Without its EPOCH row nobody knows who read it, so it counts as ours.
    return readers is None or home.member in readers.split()
