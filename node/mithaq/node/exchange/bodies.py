"""Bodies as they come: every one that is awaited, or the proof why it isn't there.

PROTOCOL 5.4. The one rule: nothing is opened before the whole message has been found
complete, in order and true to its headers' hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from mithaq.node.exchange import in_stream
from mithaq.node.exchange.errors import BodyOrderError, BodyWithheldError
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.omissions import OPENED, Omission, OmissionDesk
from mithaq.node.exchange.receipts import Receipt
from mithaq.node.sealing.body import sha256
from mithaq.node.sealing.errors import BodyMismatchError
from mithaq.v1 import exchange_pb2


@dataclass(frozen=True, slots=True)
class ArrivedBodies:
    """Bodies of one stream as they came, not yet checked.

    `opened` is our own receipt, which the hub shows for what it leaves out as opened.
    """

    stream_id: bytes
    through_size: int
    bodies: Mapping[int, bytes]
    omissions: Mapping[int, Omission]
    opened: exchange_pb2.Receipt | None = None

    @property
    def size_bytes(self) -> int:
        """What they take in memory while they wait."""
        return sum(map(len, self.bodies.values()))


class Awaiting(NamedTuple):
    """An awaited entry with its body, or without one where its absence is proven.

    `lost` says that we have had the body, as our receipt shows, and have it no more.
    """

    entry: Awaited
    body: bytes | None
    lost: bool = False


class Delivered(NamedTuple):
    """A piece of bodies that holds, and our own receipt where it was needed to prove it."""

    entries: list[Awaiting]
    own: Receipt | None


def check_delivery(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    arrived: ArrivedBodies,
    *,
    held_size: int,
    at: datetime,
) -> Delivered:
    """Return what was awaited, each with its body or without one, in order.

    Raises:
        HeadersBehindError: what is named as proof are headers that have not come yet.
        BodyWithheldError: a body is missing without proof (PROTOCOL 5.4).
        ReceiptConflictError: we have signed for another history than is shown now.
        BodyOrderError: bodies of entries that have none, or beyond what is held.
        BodyMismatchError: a body is not the one that its header names.

    """
    if arrived.through_size > held_size:
        raise BodyOrderError("bodies came before their headers were held")
    awaited = in_stream.awaited(connection, stream.log_no, stream.opened_size, arrived.through_size)
    _check_complete(awaited, arrived, start=stream.opened_size)
    omitted = [each for each in awaited if each.sequence in arrived.omissions]
    desk = OmissionDesk(connection, home, stream, held_size, at)
    lost = {key for key, each in arrived.omissions.items() if each.reason == OPENED}
    shown = arrived.opened if any(each.sequence in lost for each in omitted) else None
    own = desk.own_receipt(shown)
    desk.check_all(omitted, arrived.omissions, own)
    entries: list[Awaiting] = []
    for entry in awaited:
        body = arrived.bodies.get(entry.sequence)
        if body is not None and sha256(body) != entry.body_hash:
            raise BodyMismatchError(f"the body of entry {entry.sequence} is another one")
        entries.append(Awaiting(entry, body, lost=entry.sequence in lost))
    return Delivered(entries, own)


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
