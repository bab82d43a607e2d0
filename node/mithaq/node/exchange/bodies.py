"""Bodies as they come: every one that is awaited, or the proof why it isn't there.

PROTOCOL 5.4. The one rule: nothing is opened before the whole message has been found
complete, in order and true to its headers' hashes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.node.exchange import in_stream
from mithaq.node.exchange.errors import BodyOrderError, BodyWithheldError
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.omissions import OPENED, Omission, OmissionDesk
from mithaq.node.exchange.pieces import grouped
from mithaq.node.exchange.receipts import Receipt
from mithaq.node.sealing.body import TrueBody, true_body
from mithaq.v1 import exchange_pb2

# That an entry is named weighs so much, with its body or without. In memory it takes some
# 250, but an honest hub leaves out without end what was withdrawn since, and all of that waits
# until the headers of the WITHDRAWs have come on the same call: a million must have room.
NAMED_BYTES: Final = 16


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
        """What they take in memory while they wait, all that came with them included."""
        named = (len(self.bodies) + len(self.omissions)) * NAMED_BYTES
        shown = 0 if self.opened is None else self.opened.ByteSize()
        return sum(map(len, self.bodies.values())) + named + shown


def in_groups(pieces: Iterable[ArrivedBodies]) -> Iterator[list[ArrivedBodies]]:
    """Yield neighbouring pieces of one stream that may be checked as if they had come as one.

    A piece that proves what it leaves out stands alone.
    """
    return grouped(pieces, weight=lambda each: len(each.bodies), follows=_continues)


def _continues(last: ArrivedBodies, following: ArrivedBodies) -> bool:
    """Tell whether the bodies of a piece lie between its own end and that of the one before."""
    if last.omissions or following.omissions or max(last.bodies, default=0) >= last.through_size:
        return False
    lowest = min(following.bodies, default=last.through_size)
    return last.through_size <= lowest <= following.through_size


def joined(group: Sequence[ArrivedBodies]) -> ArrivedBodies:
    """Return a group of `in_groups` as one piece."""
    if len(group) == 1:
        return group[0]
    bodies = {sequence: body for each in group for sequence, body in each.bodies.items()}
    return ArrivedBodies(group[-1].stream_id, group[-1].through_size, bodies, {})


class Awaiting(NamedTuple):
    """An awaited entry with its body, or without one where its absence is proven.

    `lost` says that we have had the body, as our receipt shows, and have it no more.
    """

    entry: Awaited
    body: TrueBody | None
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
        named = None if body is None else true_body(body, body_hash=entry.body_hash)
        entries.append(Awaiting(entry, named, lost=entry.sequence in lost))
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
