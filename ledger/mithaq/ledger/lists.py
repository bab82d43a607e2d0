"""Signed lists on the wire: what a refusal list's and a freeze list's signatures are over.

PROTOCOL 5.2, 5.5, 5.7. Hub and nodes sign and check the same bytes, so they stand here once.
A reader's lists of refusals in a stream are a chain, whose newest link its `opened` covers.
The one rule: a list is signed as it travels, but for its signatures.
"""

import hashlib
from typing import Final

from mithaq.ledger.commitment import lp
from mithaq.ledger.note import b64
from mithaq.ledger.tree import HASH_SIZE_BYTES
from mithaq.v1 import exchange_pb2

REFUSALS_LABEL: Final = b"mithaq/refusals/v1"
FREEZE_LABEL: Final = b"mithaq/freeze/v1"
REFUSALS_PER_LIST_MAX: Final = 256
LISTS_PER_RECEIPT_MAX: Final = 16
# Of the hub's, to senders and readers: receipts of other readers in one message (5.5, 5.6).
RECEIPTS_PER_MESSAGE_MAX: Final = 128
FREEZE_STREAMS_MAX: Final = 4096
REASON_LENGTH_MAX: Final = 64
# What the lists of one signer may weigh in one stream: so much, and so much an entry. Each
# entry is refused once, and once more for each time that its signer is set back.
REFUSALS_BYTES: Final = 64 * 1024
REFUSALS_BYTES_PER_ENTRY: Final = 1024
# A reader's: the hub has refused the entry, so it was given no body to open (5.5).
REFUSED_BY_HUB: Final = "REFUSED_BY_HUB"
# What a database's integer holds: a size beyond it would stop whoever stores the list.
REGISTRY_SIZE_MAX: Final = (1 << 63) - 1


def fault_of_refusals(message: exchange_pb2.RefusalList, *, size: int) -> str | None:
    """Return what in the form of a list that came with a size is wrong, or None.

    Whose it is, and its signature, are for the caller to check (PROTOCOL 5.2, 5.5).
    """
    sequences = [each.sequence for each in message.refusals]
    if not 1 <= len(sequences) <= REFUSALS_PER_LIST_MAX:
        return f"a list has 1 to {REFUSALS_PER_LIST_MAX} refusals"
    if sequences != sorted(set(sequences)) or sequences[-1] >= size:
        return "refusals are in order and lie below the size that is signed"
    if not all(_is_code(each.reason) for each in message.refusals):
        return f"a reason has 1 to {REASON_LENGTH_MAX} characters of ASCII that can be seen"
    if any(each.registry_size > REGISTRY_SIZE_MAX for each in message.refusals):
        return "no registry is so large"
    if len(message.previous) not in (0, HASH_SIZE_BYTES):
        return "a list names the one before it by its SHA-256, or none"
    return None


def refusals_bytes_max(size: int) -> int:
    """Return what one signer's lists may weigh in a stream of this size, at hub and nodes alike."""
    return REFUSALS_BYTES + REFUSALS_BYTES_PER_ENTRY * size


def _is_code(reason: str) -> bool:
    # Without NUL, too, which a text of PostgreSQL can't hold: one would stop whoever stores it.
    return 1 <= len(reason) <= REASON_LENGTH_MAX and reason.isascii() and reason.isprintable()


def refusal_list_bytes(message: exchange_pb2.RefusalList) -> bytes:
    """Return what a refusal list's signature is over (PROTOCOL 5.2)."""
    bare = exchange_pb2.RefusalList()
    bare.CopyFrom(message)
    bare.ClearField("signature")
    names = lp(message.stream_id) + lp(message.signer.encode())
    return REFUSALS_LABEL + names + bare.SerializeToString(deterministic=True)


def refusal_list_hash(list_bytes: bytes) -> bytes:
    """Return the SHA-256 of a list's exact bytes, by which the next one and receipts name it."""
    return hashlib.sha256(list_bytes).digest()


def refusals_extension(head: bytes) -> str:
    """Return what an `opened` signs after the checkpoint's text (PROTOCOL 5.5).

    `head` is the hash of the reader's newest list in the stream. Without one there is no
    line: such an `opened` says that nothing below its size was refused.
    """
    return f"refusals {b64(head)}\n" if head else ""


def freeze_list_bytes(message: exchange_pb2.FreezeList) -> bytes:
    """Return what both signatures of a freeze list are over (PROTOCOL 5.7)."""
    bare = exchange_pb2.FreezeList()
    bare.CopyFrom(message)
    bare.ClearField("signature_ed25519")
    bare.ClearField("signature_mldsa")
    return FREEZE_LABEL + bare.SerializeToString(deterministic=True)
