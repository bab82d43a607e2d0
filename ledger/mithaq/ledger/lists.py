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
