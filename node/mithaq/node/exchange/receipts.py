"""Receipts: held and opened, signed here, and those of other readers verified.

PROTOCOL 1.4, 5.4 to 5.6. A receipt is a timed cosignature over a stream's size and the
root that the reader computed itself. An Ed25519 cosignature (type 0x04) does not sign its
own name, so each role has a key of its own, or a `held` could be shown as an `opened`.
The one rule: name, key and algorithm come from the registry, never from the message.
"""

from collections.abc import Sized
from datetime import datetime
from typing import Final, NamedTuple

from mithaq.certs.keys import Ed25519Key, MlDsa44Key
from mithaq.certs.participants import Member
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import (
    Cosignature,
    Role,
    cosign_ed25519,
    cosign_mldsa,
    cosigner_name,
    verify_cosignature,
)
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.lists import RECEIPTS_PER_MESSAGE_MAX, refusals_extension
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.v1 import exchange_pb2

HELD: Final = Role.HELD
OPENED: Final = Role.OPENED
_TO_WIRE: Final = {
    Role.HELD: exchange_pb2.RECEIPT_ROLE_HELD,
    Role.OPENED: exchange_pb2.RECEIPT_ROLE_OPENED,
}
_FROM_WIRE: Final = {wire: role for role, wire in _TO_WIRE.items()}


class ReceiptSigners(NamedTuple):
    """Our private receipt keys: for held and witness, for opened, and the daily ML-DSA-44."""

    held: Ed25519Key
    opened: Ed25519Key
    mldsa: MlDsa44Key

    def of(self, role: Role) -> Ed25519Key:
        """Return the Ed25519 key for cosignatures of a role."""
        return self.opened if role is OPENED else self.held


class Receipt(NamedTuple):
    """A reader's receipt, verified: whose, of which role, over what, and both lines."""

    stream_id: bytes
    reader: str
    role: Role
    size: int
    root: bytes
    at: datetime
    cosignature: str
    cosignature_mldsa: str
    # Of an opened: the hash of its reader's newest list of refusals; empty for none (5.5).
    refusals_head: bytes = b""


def sign_receipt(
    checkpoint: Checkpoint,
    *,
    stream_id: bytes,
    role: Role,
    name: tuple[str, str],
    keys: ReceiptSigners,
    at: datetime,
    with_mldsa: bool,
    refusals_head: bytes = b"",
) -> Receipt:
    """Return our receipt over a checkpoint; `name` is (federation, member).

    `refusals_head` is the hash of our newest list of refusals in the stream, for an `opened`.
    """
    federation, member = name
    cosigner = cosigner_name(federation, role, member)
    classic = cosign_ed25519(
        checkpoint,
        name=cosigner,
        signer=keys.of(role),
        at=at,
        extension=refusals_extension(refusals_head),
    )
    quantum_safe = (
        cosign_mldsa(checkpoint, name=cosigner, signer=keys.mldsa, at=at).line()
        if with_mldsa
        else ""
    )
    return Receipt(
        stream_id,
        member,
        role,
        checkpoint.size,
        checkpoint.root,
        classic.at,
        classic.line(),
        quantum_safe,
        refusals_head,
    )


def to_message(receipt: Receipt) -> exchange_pb2.Receipt:
    """Return the receipt as it travels."""
    return exchange_pb2.Receipt(
        stream_id=receipt.stream_id,
        reader=receipt.reader,
        role=_TO_WIRE[receipt.role],
        size=receipt.size,
        root=receipt.root,
        cosignature=receipt.cosignature,
        cosignature_mldsa=receipt.cosignature_mldsa,
        refusals_head=receipt.refusals_head,
    )


def check_told_together(receipts: Sized) -> None:
    """Raise ProofRefusedError for more receipts than one message of the hub's may have."""
    if len(receipts) > RECEIPTS_PER_MESSAGE_MAX:
        raise ProofRefusedError(f"{len(receipts)} receipts in one message")


def verify_receipt(
    message: exchange_pb2.Receipt, *, federation: str, origin: str, member: Member
) -> Receipt:
    """Return a member's receipt once its signatures have verified.

    Whether its root is the stream's is the caller's to compare.

    Raises:
        ProofRefusedError: another reader, no role, or a line that is not of its form, not by
            the member's key for this role, or does not verify.

    """
    role = _FROM_WIRE.get(message.role)
    if role is None or message.reader != member.id:
        raise ProofRefusedError("a receipt lacks its role or names another reader")
    try:
        checkpoint = Checkpoint(origin, message.size, message.root)
        name = cosigner_name(federation, role, member.id)
        classic = Cosignature.parse(message.cosignature)
        verify_cosignature(
            classic,
            checkpoint,
            name=name,
            public_key=member.receipt_key(role),
            algorithm=KeyType.ED25519_COSIGNATURE,
            extension=refusals_extension(message.refusals_head),
        )
        if message.cosignature_mldsa:
            verify_cosignature(
                Cosignature.parse(message.cosignature_mldsa),
                checkpoint,
                name=name,
                public_key=member.receipt_mldsa,
                algorithm=KeyType.MLDSA44_COSIGNATURE,
            )
    except LedgerError as fault:
        raise ProofRefusedError(f"a receipt does not verify: {fault}") from fault
    return Receipt(
        message.stream_id,
        member.id,
        role,
        message.size,
        message.root,
        classic.at,
        message.cosignature,
        message.cosignature_mldsa,
        message.refusals_head,
    )
