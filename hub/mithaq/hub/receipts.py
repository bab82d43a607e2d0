"""Receipts and freeze lists as they come in: parsed here, verified in the transaction.

A receipt is a reader's cosignature over the size and root of a stream (PROTOCOL 1.4). The
root that is signed has to be the hub's own at that size; a valid signature over another
one accuses somebody and is kept as evidence (PROTOCOL 5.6). The rule: a name, a key and an
algorithm come from the registry, never from the message.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from mithaq.certs.keys import PairPublic
from mithaq.certs.participants import Member
from mithaq.hub.errors import FreezeListRefusedError, ReceiptRefusedError
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.keytypes import KeyType, verify_signature
from mithaq.ledger.lists import (
    FREEZE_STREAMS_MAX,
    LISTS_PER_RECEIPT_MAX,
    freeze_list_bytes,
    refusal_list_hash,
    refusals_extension,
)
from mithaq.ledger.tree import HASH_SIZE_BYTES
from mithaq.v1 import exchange_pb2

LINE_LENGTH_MAX = 512
MLDSA_LINE_LENGTH_MAX = 4096
HELD = int(exchange_pb2.RECEIPT_ROLE_HELD)
OPENED = int(exchange_pb2.RECEIPT_ROLE_OPENED)
_ROLES = {HELD: Role.HELD, OPENED: Role.OPENED}


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt of its form, by the reader whose connection it came on; not yet verified."""

    stream_id: bytes
    reader: str
    role: int
    size: int
    root: bytes
    cosignature: str
    cosignature_mldsa: str
    refusals: tuple[exchange_pb2.RefusalList, ...]
    refusals_head: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedFreezeList:
    """A freeze list of its form, by the sender whose connection it came on; not yet verified."""

    sender: str
    reader: str
    at: datetime
    stream_ids: tuple[bytes, ...]
    message: exchange_pb2.FreezeList


def parse_receipt(message: exchange_pb2.Receipt, *, reader: str) -> SignedReceipt:
    """Return a reader's receipt; raise ReceiptRefusedError if it isn't of its form or another's."""
    if message.reader != reader:
        raise ReceiptRefusedError("a receipt names another reader than its connection")
    sizes = {len(message.root), len(message.stream_id)}
    if message.role not in _ROLES or not message.size or sizes != {HASH_SIZE_BYTES}:
        raise ReceiptRefusedError("a receipt has a stream, a role, a size and a root")
    if (
        len(message.cosignature) > LINE_LENGTH_MAX
        or len(message.cosignature_mldsa) > MLDSA_LINE_LENGTH_MAX
        or len(message.refusals) > LISTS_PER_RECEIPT_MAX
    ):
        raise ReceiptRefusedError("a receipt is too large")
    if message.refusals and message.role != OPENED:
        raise ReceiptRefusedError("only an opened receipt carries refusals")
    if message.refusals and message.refusals_head != _hash_of(message.refusals[-1]):
        # PROTOCOL 5.5: or whoever relays it could leave them out.
        raise ReceiptRefusedError("a receipt names the last of the lists that come with it")
    return SignedReceipt(
        stream_id=message.stream_id,
        reader=reader,
        role=message.role,
        size=message.size,
        root=message.root,
        cosignature=message.cosignature,
        cosignature_mldsa=message.cosignature_mldsa,
        refusals=tuple(message.refusals),
        refusals_head=message.refusals_head,
    )


def _hash_of(message: exchange_pb2.RefusalList) -> bytes:
    return refusal_list_hash(message.SerializeToString(deterministic=True))


def receipt_message(receipt: SignedReceipt) -> exchange_pb2.Receipt:
    """Return a receipt as it travels, without the refusals that came with it."""
    return exchange_pb2.Receipt(
        stream_id=receipt.stream_id,
        reader=receipt.reader,
        role=exchange_pb2.ReceiptRole.ValueType(receipt.role),
        size=receipt.size,
        root=receipt.root,
        cosignature=receipt.cosignature,
        cosignature_mldsa=receipt.cosignature_mldsa,
        refusals_head=receipt.refusals_head,
    )


def verify_receipt(receipt: SignedReceipt, *, federation: str, origin: str, member: Member) -> None:
    """Check that the reader's receipt key signed what the receipt says.

    Raises:
        LedgerError: a line is not of its form, not by that key, or does not verify.

    """
    verify_line(receipt, federation=federation, origin=origin, member=member)
    if receipt.cosignature_mldsa:
        verify_cosignature(
            Cosignature.parse(receipt.cosignature_mldsa),
            Checkpoint(origin, receipt.size, receipt.root),
            name=key_name(receipt, federation=federation),
            public_key=member.receipt_mldsa,
            algorithm=KeyType.MLDSA44_COSIGNATURE,
        )


def verify_line(receipt: SignedReceipt, *, federation: str, origin: str, member: Member) -> None:
    """Check the line of type 0x04 alone, which every receipt has; raises as the whole does."""
    verify_cosignature(
        Cosignature.parse(receipt.cosignature),
        Checkpoint(origin, receipt.size, receipt.root),
        name=key_name(receipt, federation=federation),
        # PROTOCOL 1.4: type 0x04 doesn't sign its name, so each role has its own key.
        public_key=member.receipt_key(_ROLES[receipt.role]),
        algorithm=KeyType.ED25519_COSIGNATURE,
        extension=refusals_extension(receipt.refusals_head),
    )


def key_name(receipt: SignedReceipt, *, federation: str) -> str:
    """Return the name of the key that has to have signed a receipt."""
    return cosigner_name(federation, _ROLES[receipt.role], receipt.reader)


def parse_freeze_list(
    message: exchange_pb2.FreezeList, *, sender: str, federation: str
) -> SignedFreezeList:
    """Return a sender's list; raise FreezeListRefusedError if it isn't of its form or another's."""
    if message.sender != sender or message.federation != federation:
        raise FreezeListRefusedError("a freeze list names another sender or federation")
    stream_ids = tuple(head.stream_id for head in message.streams)
    if any(len(each) != HASH_SIZE_BYTES for each in stream_ids):
        raise FreezeListRefusedError("a stream id has 32 bytes")
    if len(stream_ids) > FREEZE_STREAMS_MAX or list(stream_ids) != sorted(set(stream_ids)):
        raise FreezeListRefusedError("a freeze list is sorted by stream and names each once")
    try:
        at = datetime.fromtimestamp(message.at, UTC)
    except (ValueError, OverflowError, OSError):
        raise FreezeListRefusedError("a freeze list has no possible time") from None
    return SignedFreezeList(sender, message.reader, at, stream_ids, message)


def verify_freeze_list(freeze_list: SignedFreezeList, *, keys: PairPublic) -> None:
    """Check both signatures of the sender's log key; raise SignatureInvalidError."""
    signed = freeze_list_bytes(freeze_list.message)
    message = freeze_list.message
    verify_signature(
        KeyType.ED25519, keys.ed25519, signature=message.signature_ed25519, message=signed
    )
    verify_signature(
        KeyType.MLDSA44_COSIGNATURE,
        keys.mldsa44,
        signature=message.signature_mldsa,
        message=signed,
    )
