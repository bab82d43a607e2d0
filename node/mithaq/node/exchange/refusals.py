"""Refusal lists: what hub and readers would not take, signed (PROTOCOL 5.2, 5.5).

What is signed stands in `ledger.lists`. The one rule: a list is believed for its
stream and its signer only, and only below the size that it came with.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from mithaq.certs.keys import verify_ed25519
from mithaq.ledger.checkpoint import Signer
from mithaq.ledger.lists import (
    REFUSALS_PER_LIST_MAX,
    fault_of_refusals,
    refusal_list_bytes,
    refusal_list_hash,
)
from mithaq.ledger.names import HUB
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.v1 import exchange_pb2

# A reader's: it has opened the entry, and a backup that it was set back to lacks it (5.4).
LOST: Final = "LOST"


class Refusal(NamedTuple):
    """An entry whose body was dropped, why, and by which registry that was judged."""

    sequence: int
    reason: str
    registry_size: int


class RefusalList(NamedTuple):
    """A list whose signature has verified, and its exact bytes."""

    signer: str
    refusals: tuple[Refusal, ...]
    list_bytes: bytes
    # A reader's: the hash of the list before it in the stream, empty for its first.
    previous: bytes = b""

    @property
    def list_hash(self) -> bytes:
        """What the next list and a receipt name it by."""
        return refusal_list_hash(self.list_bytes)


def sign_refusals(
    refusals: Sequence[Refusal],
    *,
    stream_id: bytes,
    signer: str,
    key: Signer,
    previous: bytes = b"",
) -> list[exchange_pb2.RefusalList]:
    """Return signed lists of at most 256 refusals each, in order of sequence.

    Each names the one before it; the first one `previous`, a reader's list before these.
    """
    ordered = sorted(refusals)
    lists: list[exchange_pb2.RefusalList] = []
    for at in range(0, len(ordered), REFUSALS_PER_LIST_MAX):
        message = exchange_pb2.RefusalList(
            stream_id=stream_id,
            signer=signer,
            refusals=[
                exchange_pb2.Refusal(
                    sequence=each.sequence, reason=each.reason, registry_size=each.registry_size
                )
                for each in ordered[at : at + REFUSALS_PER_LIST_MAX]
            ],
            previous=previous,
        )
        message.signature = key.sign(refusal_list_bytes(message))
        lists.append(message)
        if signer != HUB:
            previous = refusal_list_hash(message.SerializeToString(deterministic=True))
    return lists


def check_refusals(
    message: exchange_pb2.RefusalList, *, stream_id: bytes, signer: str, size: int, public: bytes
) -> RefusalList:
    """Return a list once its signature has verified.

    Raises:
        ProofRefusedError: another stream or signer, or not of its form.
        SignatureInvalidError: not signed by this key.

    """
    if message.stream_id != stream_id or message.signer != signer:
        raise ProofRefusedError("a list of refusals names another stream or signer")
    if fault := fault_of_refusals(message, size=size):
        raise ProofRefusedError(fault)
    verify_ed25519(public, refusal_list_bytes(message), message.signature)
    refusals = tuple(
        Refusal(each.sequence, each.reason, each.registry_size) for each in message.refusals
    )
    list_bytes = message.SerializeToString(deterministic=True)
    return RefusalList(signer, refusals, list_bytes, message.previous)
