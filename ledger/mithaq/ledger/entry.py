"""Entries of a stream: leaf = ``uint32 length(terms) ‖ terms ‖ own fields``.

Terms repeat from entry to entry and are judged once; own fields are of fixed
width and are handled as bytes, many at a time. A leaf is never re-encoded: the
exact bytes are what is hashed, stored and sent (PROTOCOL 3.4).
"""

import struct
from dataclasses import dataclass
from typing import Final

from mithaq.ledger.commitment import BODY_SIZE_BYTES_MAX, lp
from mithaq.ledger.errors import EntryFormatError
from mithaq.ledger.instants import day_from, minute_of
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole, WithdrawReason, WithdrawScope
from mithaq.ledger.names import audit_origin, registry_origin, stream_origin
from mithaq.ledger.terms import (
    TERMS_SIZE_BYTES_MAX,
    EpochReader,
    Opening,
    Terms,
    encode_terms,
    parse_terms,
)
from mithaq.ledger.tree import HASH_SIZE_BYTES, TREE_SIZE_MAX, leaf_hash, leaf_hashes_after

__all__ = [
    "BATCH_ENTRIES_MAX",
    "BATCH_SIZE_BYTES_MAX",
    "BODIES_PER_EPOCH_MAX",
    "BODY_SIZE_BYTES_MAX",
    "EntryKind",
    "EpochReader",
    "Opening",
    "Own",
    "Priority",
    "StreamRole",
    "Terms",
    "WithdrawReason",
    "WithdrawScope",
    "audit_origin",
    "day_from",
    "encode_terms",
    "has_body",
    "has_target",
    "leaf",
    "leaf_hashes",
    "minute_of",
    "own_sizes",
    "pack_own",
    "parse_terms",
    "registry_origin",
    "split_leaf",
    "split_own",
    "stream_id",
    "stream_origin",
    "unpack_own",
]

BATCH_ENTRIES_MAX: Final = 256
BATCH_SIZE_BYTES_MAX: Final = 1 << 20
BODIES_PER_EPOCH_MAX: Final = 1 << 20

BARE_SIZE_BYTES: Final = 8
TARGET_SIZE_BYTES: Final = 16
BODY_OWN_SIZE_BYTES: Final = 76
BODY_TARGET_SIZE_BYTES: Final = 84
_OWN_SIZES: Final = {
    EntryKind.OPEN: (BARE_SIZE_BYTES,),
    EntryKind.EPOCH: (BODY_OWN_SIZE_BYTES,),
    EntryKind.PUT: (BODY_OWN_SIZE_BYTES, BODY_TARGET_SIZE_BYTES),
    EntryKind.WITHDRAW: (TARGET_SIZE_BYTES,),
    EntryKind.CLOSE: (BARE_SIZE_BYTES,),
    # Reserved: there is no width that would be accepted.
    EntryKind.BLOB: (),
}
_LENGTH: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_BODY: Final = struct.Struct(">I32s32s")
_LEAF_SIZE_BYTES_MAX: Final = _LENGTH.size + TERMS_SIZE_BYTES_MAX + BODY_TARGET_SIZE_BYTES


def own_sizes(kind: EntryKind) -> tuple[int, ...]:
    """Return the widths in bytes that the own fields of this kind may have."""
    return _OWN_SIZES[kind]


def has_body(own_size: int) -> bool:
    """Tell whether own fields of this width name a body."""
    return own_size in (BODY_OWN_SIZE_BYTES, BODY_TARGET_SIZE_BYTES)


def has_target(own_size: int) -> bool:
    """Tell whether own fields of this width name the sequence of a first PUT."""
    return own_size in (TARGET_SIZE_BYTES, BODY_TARGET_SIZE_BYTES)


@dataclass(frozen=True, slots=True)
class Own:
    """The own fields of one entry; those that its kind does not use are absent.

    ``target`` is the sequence of a record's first PUT in this stream. Body size,
    hash and commitment are present together or not at all.
    """

    sequence: int
    target: int | None = None
    body_size: int | None = None
    body_hash: bytes | None = None
    commitment: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse numbers and hashes that no entry has."""
        if not 0 <= self.sequence <= TREE_SIZE_MAX:
            raise EntryFormatError("a sequence is from 0 to 2^63-1")
        if self.target is not None and not 0 < self.target < self.sequence:
            raise EntryFormatError("a target lies before its entry and after OPEN")
        if (self.body_size is None) != (self.body_hash is None) or (self.body_size is None) != (
            self.commitment is None
        ):
            raise EntryFormatError("body size, hash and commitment come together")
        if self.body_size is not None and not 1 <= self.body_size <= BODY_SIZE_BYTES_MAX:
            raise EntryFormatError(
                f"a body has 1 to {BODY_SIZE_BYTES_MAX} bytes, not {self.body_size}"
            )
        for each in (self.body_hash, self.commitment):
            if each is not None and len(each) != HASH_SIZE_BYTES:
                raise EntryFormatError("a body hash and a commitment have 32 bytes")


def pack_own(kind: EntryKind, own: Own) -> bytes:
    """Return the own fields as bytes.

    Raises:
        EntryFormatError: fields that the kind does not use, or lacks.

    """
    data = _U64.pack(own.sequence)
    if own.target is not None:
        data += _U64.pack(own.target)
    if own.body_size is not None:
        data += _BODY.pack(own.body_size, own.body_hash, own.commitment)
    _check_width(kind, len(data))
    return data


def unpack_own(kind: EntryKind, data: bytes) -> Own:
    """Read the own fields of one entry.

    Raises:
        EntryFormatError: a width that the kind does not have, or a field out of range.

    """
    _check_width(kind, len(data))
    (sequence,) = _U64.unpack_from(data)
    rest = data[_U64.size :]
    target: int | None = None
    if has_target(len(data)):
        (target,) = _U64.unpack_from(rest)
        rest = rest[_U64.size :]
    if not rest:
        return Own(sequence, target)
    size, body_hash, commitment = _BODY.unpack(rest)
    return Own(sequence, target, size, body_hash, commitment)


def _check_width(kind: EntryKind, size: int) -> None:
    if size not in _OWN_SIZES[kind]:
        raise EntryFormatError(
            f"the own fields of {kind.name} have {_OWN_SIZES[kind]} bytes, not {size}"
        )


def leaf(terms: bytes, own: bytes) -> bytes:
    """Return the exact bytes of an entry."""
    return lp(terms) + own


def split_leaf(data: bytes) -> tuple[bytes, bytes]:
    """Return the terms and own fields of an entry, unjudged but within their limits.

    Raises:
        EntryFormatError: too short for its own length field, or too large.

    """
    if not _LENGTH.size <= len(data) <= _LEAF_SIZE_BYTES_MAX:
        raise EntryFormatError(f"an entry has 4 to {_LEAF_SIZE_BYTES_MAX} bytes, not {len(data)}")
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if end > len(data):
        raise EntryFormatError("an entry is shorter than its terms")
    return data[_LENGTH.size : end], data[end:]


def split_own(own: bytes, own_size: int) -> list[bytes]:
    """Return the own blocks of a run, each of ``own_size`` bytes.

    Raises:
        EntryFormatError: no block, or a piece left over.

    """
    if own_size < BARE_SIZE_BYTES or not own or len(own) % own_size:
        raise EntryFormatError(f"{len(own)} bytes are no run of own fields of {own_size} bytes")
    return [each for (each,) in struct.iter_unpack(f"{own_size}s", own)]


def leaf_hashes(terms: bytes, own: bytes, own_size: int) -> list[bytes]:
    """Return the leaf hashes of a run of entries that share their terms.

    Raises:
        EntryFormatError: ``own`` is not made of blocks of ``own_size``.

    """
    return leaf_hashes_after(lp(terms), split_own(own, own_size))


def stream_id(open_leaf: bytes) -> bytes:
    """Return the name of the stream that this OPEN entry opens (PROTOCOL 3.1)."""
    return leaf_hash(open_leaf)
