"""The bundle as bytes: plain values to `mithaq.v1.AuditBundle` and back.

Pure, and it proves nothing: what comes out is as its owner wrote it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from mithaq.ledger.cosignature import Role
from mithaq.store.audit_entry import instant, microseconds
from mithaq.store.errors import BundleInvalidError
from mithaq.v1 import audit_pb2, exchange_pb2

BUNDLE_VERSION: Final = 1

_VALIDATOR: Final = Validator()
_ROLES: Final = {
    exchange_pb2.RECEIPT_ROLE_HELD: Role.HELD,
    exchange_pb2.RECEIPT_ROLE_OPENED: Role.OPENED,
}
_WIRE_ROLES: Final = {role: wire for wire, role in _ROLES.items()}


class Side(IntEnum):
    """Which way a stream runs, seen from the owner of a bundle."""

    SENT = 1
    RECEIVED = 2


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """A reader's receipt: over which size and root, and its cosignature lines.

    `refusals_head` is the hash of its newest list of refusals, which an `opened` covers.
    """

    reader: str
    role: Role
    size: int
    root: bytes
    cosignature: str
    cosignature_mldsa: str = ""
    refusals_head: bytes = b""


@dataclass(frozen=True, slots=True)
class StreamEvidence:
    """A stream's head as the owner holds it; `leaf_hashes` may be left out (empty)."""

    stream_id: bytes
    side: Side
    sender: str
    audience: tuple[str, ...]
    checkpoint: bytes
    receipts: tuple[ReceiptLine, ...] = ()
    leaf_hashes: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a bundle says, unproven; entries are exact bytes."""

    federation: str
    owner: str
    origin: str
    exported_at: datetime
    first_index: int
    frontier: tuple[bytes, ...]
    entries: tuple[bytes, ...] = field(repr=False)
    consistency: tuple[bytes, ...]
    checkpoint: bytes
    cosignatures: tuple[str, ...]
    streams: tuple[StreamEvidence, ...]
    # The registry's entries from the genesis entry on, and the registrar's note over them.
    registry: tuple[bytes, ...] = field(default=(), repr=False)
    registry_checkpoint: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedBytes:
    """A bundle's exact bytes and its owner's two signatures over them."""

    bundle: bytes = field(repr=False)
    ed25519: bytes
    mldsa: bytes

    def to_bytes(self) -> bytes:
        """Return the file."""
        return audit_pb2.SignedAuditBundle(
            bundle=self.bundle, signature_ed25519=self.ed25519, signature_mldsa=self.mldsa
        ).SerializeToString(deterministic=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> "SignedBytes":
        """Read a file; raise BundleInvalidError."""
        message = audit_pb2.SignedAuditBundle()
        _parse(message, data)
        return cls(message.bundle, message.signature_ed25519, message.signature_mldsa)


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the exact bytes of a bundle; raise BundleInvalidError beyond a limit."""
    message = audit_pb2.AuditBundle(
        version=BUNDLE_VERSION,
        federation=bundle.federation,
        owner=bundle.owner,
        origin=bundle.origin,
        exported_at_us=microseconds(bundle.exported_at),
        first_index=bundle.first_index,
        frontier=bundle.frontier,
        entries=bundle.entries,
        consistency=bundle.consistency,
        checkpoint=bundle.checkpoint,
        cosignatures=bundle.cosignatures,
        streams=[_stream_message(each) for each in bundle.streams],
        registry=bundle.registry,
        registry_checkpoint=bundle.registry_checkpoint,
    )
    _check_rules(message)
    return message.SerializeToString(deterministic=True)


def decode_bundle(data: bytes) -> Bundle:
    """Read a bundle; raise BundleInvalidError unless it is in its one spelling."""
    message = audit_pb2.AuditBundle()
    _parse(message, data)
    bundle = Bundle(
        federation=message.federation,
        owner=message.owner,
        origin=message.origin,
        exported_at=instant(message.exported_at_us),
        first_index=message.first_index,
        frontier=tuple(message.frontier),
        entries=tuple(message.entries),
        consistency=tuple(message.consistency),
        checkpoint=message.checkpoint,
        cosignatures=tuple(message.cosignatures),
        streams=tuple(_stream_of(each) for each in message.streams),
        registry=tuple(message.registry),
        registry_checkpoint=message.registry_checkpoint,
    )
    # Unknown fields don't come out again.
    if encode_bundle(bundle) != data:
        raise BundleInvalidError("a bundle that is not in its one spelling")
    return bundle


def _parse(message: Message, data: bytes) -> None:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BundleInvalidError("not an audit bundle") from None
    _check_rules(message)


def _check_rules(message: Message) -> None:
    violations = _VALIDATOR.collect_violations(message, fail_fast=True)
    if violations:
        rule = violations[0].proto
        fields = [element.field_name for element in rule.field.elements] if rule.field else []
        raise BundleInvalidError(f"{'.'.join(fields)} {rule.message}")


def _stream_message(stream: StreamEvidence) -> audit_pb2.StreamEvidence:
    return audit_pb2.StreamEvidence(
        stream_id=stream.stream_id,
        side=audit_pb2.StreamSide.ValueType(stream.side),
        sender=stream.sender,
        audience=stream.audience,
        checkpoint=stream.checkpoint,
        receipts=[_receipt_message(each, stream.stream_id) for each in stream.receipts],
        leaf_hashes=stream.leaf_hashes,
    )


def _stream_of(message: audit_pb2.StreamEvidence) -> StreamEvidence:
    if any(each.stream_id != message.stream_id for each in message.receipts):
        raise BundleInvalidError("a receipt names another stream")
    return StreamEvidence(
        stream_id=message.stream_id,
        side=Side(message.side),
        sender=message.sender,
        audience=tuple(message.audience),
        checkpoint=message.checkpoint,
        receipts=tuple(_receipt_of(each) for each in message.receipts),
        leaf_hashes=message.leaf_hashes,
    )


def _receipt_message(receipt: ReceiptLine, stream_id: bytes) -> exchange_pb2.Receipt:
    return exchange_pb2.Receipt(
        stream_id=stream_id,
        reader=receipt.reader,
        role=_WIRE_ROLES[receipt.role],
        size=receipt.size,
        root=receipt.root,
        cosignature=receipt.cosignature,
        cosignature_mldsa=receipt.cosignature_mldsa,
        refusals_head=receipt.refusals_head,
    )


def _receipt_of(message: exchange_pb2.Receipt) -> ReceiptLine:
    return ReceiptLine(
        reader=message.reader,
        role=_ROLES[message.role],
        size=message.size,
        root=message.root,
        cosignature=message.cosignature,
        cosignature_mldsa=message.cosignature_mldsa,
        refusals_head=message.refusals_head,
    )
