"""Strict reading and writing of this room's protobuf messages.

One spelling: what was read writes back byte for byte, so unknown fields, doubled
fields and other orders of fields are refused together (PROTOCOL, head).
"""

from datetime import UTC, datetime
from typing import Final, TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message

from mithaq.certs.errors import TrustFormatError

M = TypeVar("M", bound=Message)

ENTRY_SIZE_BYTES_MAX: Final = 1 << 20


def parse_exact(kind: type[M], data: bytes, *, size_bytes_max: int = ENTRY_SIZE_BYTES_MAX) -> M:
    """Return the message that these exact bytes are.

    Raises:
        TrustFormatError: too large, not of this kind, against its rules, or not in the
            one spelling (unknown fields among them).

    """
    name = kind.DESCRIPTOR.name
    if len(data) > size_bytes_max:
        raise TrustFormatError(f"a {name} has at most {size_bytes_max} bytes, not {len(data)}")
    try:
        message = kind.FromString(data)
    except DecodeError as fault:
        raise TrustFormatError(f"these bytes are not a {name}") from fault
    # Unknown fields would write back as they came, so they have to go before comparing.
    message.DiscardUnknownFields()
    check_rules(message)
    if message.SerializeToString(deterministic=True) != data:
        raise TrustFormatError(f"a {name} holds unknown fields, or is not in its one spelling")
    return message


def encode_exact(message: Message) -> bytes:
    """Return the bytes of a message that keeps its rules.

    Raises:
        TrustFormatError: a field breaks its rule.

    """
    check_rules(message)
    return message.SerializeToString(deterministic=True)


def check_rules(message: Message) -> None:
    """Raise TrustFormatError, naming the field but not its value, if a rule is broken."""
    for each in protovalidate.collect_violations(message, fail_fast=True):
        parts = each.proto.field.elements if each.proto.field else []
        path = ".".join(part.field_name for part in parts)
        raise TrustFormatError(f"{message.DESCRIPTOR.name}.{path}: {each.proto.message}")


def seconds(at: datetime) -> int:
    """Return the whole seconds since 1970.

    Raises:
        TrustFormatError: the instant has no time zone.

    """
    if at.utcoffset() is None:
        raise TrustFormatError("an instant without a time zone cannot be signed")
    return int(at.timestamp() // 1)


def instant(posix: int) -> datetime:
    """Return the UTC instant; the message's own rule has bounded it."""
    return datetime.fromtimestamp(posix, UTC)
