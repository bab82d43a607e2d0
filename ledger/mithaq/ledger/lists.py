"""Signed lists on the wire: what a refusal list's and a freeze list's signatures are over.

PROTOCOL 5.2, 5.7. Hub and nodes sign and check the same bytes, so they stand here once.
The one rule: a list is signed as it travels, but for its signatures.
"""

from typing import Final

from mithaq.ledger.commitment import lp
from mithaq.v1 import exchange_pb2

REFUSALS_LABEL: Final = b"mithaq/refusals/v1"
FREEZE_LABEL: Final = b"mithaq/freeze/v1"
REFUSALS_PER_LIST_MAX: Final = 256
LISTS_PER_RECEIPT_MAX: Final = 16
FREEZE_STREAMS_MAX: Final = 4096
REASON_LENGTH_MAX: Final = 64
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
    if any(not 1 <= len(each.reason) <= REASON_LENGTH_MAX for each in message.refusals):
        return f"a reason has 1 to {REASON_LENGTH_MAX} characters"
    if any(each.registry_size > REGISTRY_SIZE_MAX for each in message.refusals):
        return "no registry is so large"
    return None


def refusal_list_bytes(message: exchange_pb2.RefusalList) -> bytes:
    """Return what a refusal list's signature is over (PROTOCOL 5.2)."""
    bare = exchange_pb2.RefusalList()
    bare.CopyFrom(message)
    bare.ClearField("signature")
    names = lp(message.stream_id) + lp(message.signer.encode())
    return REFUSALS_LABEL + names + bare.SerializeToString(deterministic=True)


def freeze_list_bytes(message: exchange_pb2.FreezeList) -> bytes:
    """Return what both signatures of a freeze list are over (PROTOCOL 5.7)."""
    bare = exchange_pb2.FreezeList()
    bare.CopyFrom(message)
    bare.ClearField("signature_ed25519")
    bare.ClearField("signature_mldsa")
    return FREEZE_LABEL + bare.SerializeToString(deterministic=True)
