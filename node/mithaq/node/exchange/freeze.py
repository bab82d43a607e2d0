"""Freeze lists: what a sender keeps for a reader, timed, so that nothing can be hidden.

PROTOCOL 5.7. Every minute each sender signs, per reader, the size and root of all its
streams that include the reader. A hub that delivers nothing new would otherwise look like
a sender with nothing to say. The one rule: no list goes back in time.
"""

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from mithaq.certs.keys import (
    PairPublic,
    PairSignature,
    SigningPair,
    verify_pair,
)
from mithaq.ledger.instants import posix_seconds
from mithaq.ledger.lists import FREEZE_STREAMS_MAX, freeze_list_bytes
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.v1 import exchange_pb2

# Two lists may be lost or late before somebody is called.
OVERDUE_AFTER: Final = timedelta(seconds=180)
# PROTOCOL 5.7: a sender signs as often; what passes between two lists counts for no more.
LIST_INTERVAL: Final = timedelta(seconds=60)
_SECOND: Final = timedelta(seconds=1)
# Stream id, size named, size held then, time of the newest list, seconds waited.
_AWAITED: Final = struct.Struct(">32sQQQQ")


class Head(NamedTuple):
    """A stream's size and root in a list."""

    stream_id: bytes
    size: int
    root: bytes


class AwaitedHead(NamedTuple):
    """A head that lists name and that doesn't come, and for how long they have named it.

    The newest list is never old: a stream is hidden if list after list names it and nothing
    of it comes. `size` is what the first of them named, `held_size` what was here then.
    """

    size: int
    held_size: int
    listed_at: datetime
    waited: timedelta = timedelta()

    def named_again(self, head: Head, *, held_size: int, listed_at: datetime) -> "AwaitedHead":
        """Return it after one more list; it begins anew when something has come."""
        if held_size > self.held_size:
            return AwaitedHead(head.size, held_size, listed_at)
        # Not the time that this node was away itself.
        passed = min(listed_at - self.listed_at, LIST_INTERVAL)
        return self._replace(listed_at=listed_at, waited=self.waited + passed)


def pack_awaited(heads: Mapping[bytes, AwaitedHead]) -> bytes:
    """Return heads by stream as a row keeps them: who starts again has forgotten none."""
    return b"".join(
        _AWAITED.pack(
            stream_id,
            head.size,
            head.held_size,
            posix_seconds(head.listed_at),
            head.waited // _SECOND,
        )
        for stream_id, head in sorted(heads.items())
    )


def parse_awaited(packed: bytes) -> dict[bytes, AwaitedHead]:
    """Return what ``pack_awaited`` packed."""
    return {
        stream_id: AwaitedHead(
            size, held_size, datetime.fromtimestamp(listed_at, UTC), waited * _SECOND
        )
        for stream_id, size, held_size, listed_at, waited in _AWAITED.iter_unpack(packed)
    }


class FreezeList(NamedTuple):
    """A list whose two signatures have verified, and its exact bytes."""

    sender: str
    reader: str
    at: datetime
    heads: tuple[Head, ...]
    message_bytes: bytes


def sign_freeze_list(
    heads: Sequence[Head],
    *,
    federation: str,
    sender: str,
    reader: str,
    keys: SigningPair,
    at: datetime,
) -> exchange_pb2.FreezeList:
    """Return a sender's signed list for one reader."""
    message = exchange_pb2.FreezeList(
        federation=federation,
        sender=sender,
        reader=reader,
        at=posix_seconds(at),
        streams=[
            exchange_pb2.StreamHead(stream_id=each.stream_id, size=each.size, root=each.root)
            for each in sorted(heads)[:FREEZE_STREAMS_MAX]
        ],
    )
    signature = keys.sign(freeze_list_bytes(message))
    message.signature_ed25519 = signature.ed25519
    message.signature_mldsa = signature.mldsa44
    return message


def check_freeze_list(
    message: exchange_pb2.FreezeList, *, federation: str, reader: str, keys: PairPublic
) -> FreezeList:
    """Return a list for this reader once both signatures have verified.

    Raises:
        ProofRefusedError: of another federation, for another reader, not sorted, no time.
        SignatureInvalidError: not signed by both halves of the sender's log key.

    """
    if message.federation != federation or message.reader != reader:
        raise ProofRefusedError("a freeze list is of another federation or for another reader")
    heads = tuple(Head(each.stream_id, each.size, each.root) for each in message.streams)
    names = [each.stream_id for each in heads]
    if names != sorted(set(names)) or len(names) > FREEZE_STREAMS_MAX:
        raise ProofRefusedError("a freeze list is sorted by stream and names each once")
    try:
        at = datetime.fromtimestamp(message.at, UTC)
    except (ValueError, OverflowError, OSError):
        raise ProofRefusedError("a freeze list has no possible time") from None
    signature = PairSignature(message.signature_ed25519, message.signature_mldsa)
    verify_pair(keys, freeze_list_bytes(message), signature)
    return FreezeList(
        message.sender, reader, at, heads, message.SerializeToString(deterministic=True)
    )
