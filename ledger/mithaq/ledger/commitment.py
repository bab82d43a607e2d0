"""Padding, salted commitments, and the strings bound into sealing (PROTOCOL 4).

The commitment in an entry's header does three jobs: it holds a sender to one
text, it keeps the log free of personal data, and once the salt is gone it says
nothing. This module builds and checks those bytes. It enciphers nothing: that
is the node's, and this room is imported by the hub, which cannot decrypt.
"""

import hashlib
import struct
from typing import Final, NamedTuple

from mithaq.ledger.errors import CommitmentMismatchError, EntryFormatError, PaddingError
from mithaq.ledger.tree import HASH_SIZE_BYTES

SALT_SIZE_BYTES: Final = 32
SECRET_SIZE_BYTES: Final = 32
NONCE_SIZE_BYTES: Final = 12
TAG_SIZE_BYTES: Final = 16
PADDED_SIZE_BYTES_MIN: Final = 1024
# The largest padded size whose body and header fit a batch of 1 MiB (PROTOCOL 5.1).
PADDED_SIZE_BYTES_MAX: Final = 960 * 1024
BODY_SIZE_BYTES_MAX: Final = NONCE_SIZE_BYTES + PADDED_SIZE_BYTES_MAX + TAG_SIZE_BYTES

_LENGTH: Final = struct.Struct(">I")
_COUNT: Final = struct.Struct(">Q")
_OVERHEAD_BYTES: Final = SALT_SIZE_BYTES + _LENGTH.size
RECORD_SIZE_BYTES_MAX: Final = PADDED_SIZE_BYTES_MAX - _OVERHEAD_BYTES
# PROTOCOL 4.3: up to here the padded sizes double, above it they grow by eighths.
_DOUBLING_BYTES_MAX: Final = 16 * 1024
_COMMIT: Final = hashlib.sha256(b"mithaq/commit/v1")
_UINT64_END: Final = 1 << 64


def lp(data: bytes) -> bytes:
    """Return ``uint32 length ‖ data``."""
    return _LENGTH.pack(len(data)) + data


def _uint64(number: int) -> bytes:
    if not 0 <= number < _UINT64_END:
        raise EntryFormatError("a number does not fit 64 bits")
    return _COUNT.pack(number)


def padded_size(size: int) -> int:
    """Return the padded size in bytes for salt, length and record together.

    1, 2, 4, 8 or 16 KiB; above that the next multiple of an eighth of the largest
    power of two below ``size``, so at most an eighth more than what is needed.

    Raises:
        PaddingError: more than PADDED_SIZE_BYTES_MAX.

    """
    if size > PADDED_SIZE_BYTES_MAX:
        raise PaddingError(f"a plaintext has at most {PADDED_SIZE_BYTES_MAX} bytes, not {size}")
    doubled = 1 << max(size - 1, PADDED_SIZE_BYTES_MIN - 1).bit_length()
    if size <= _DOUBLING_BYTES_MAX:
        return doubled
    step = doubled // 16
    return -(-size // step) * step


class Padded(NamedTuple):
    """What a plaintext holds: the 32-byte salt and the record."""

    # Made once per record on the hot path: a tuple costs a quarter of a frozen dataclass.

    salt: bytes
    record: bytes


def pad(salt: bytes, record: bytes) -> bytes:
    """Return ``salt ‖ uint32 length ‖ record ‖ zeros`` (PROTOCOL 4.3).

    Raises:
        PaddingError: the salt has not 32 bytes, or the record is too large.

    """
    if len(salt) != SALT_SIZE_BYTES:
        raise PaddingError("a salt has 32 bytes")
    return (salt + lp(record)).ljust(padded_size(_OVERHEAD_BYTES + len(record)), b"\x00")


def unpad(plaintext: bytes) -> Padded:
    """Return the salt and record of a plaintext, after checking every byte of its padding.

    Raises:
        PaddingError: too short, not of the size that its record gives, or not padded with zeros.

    """
    if len(plaintext) < PADDED_SIZE_BYTES_MIN:
        raise PaddingError(f"a plaintext has at least {PADDED_SIZE_BYTES_MIN} bytes")
    (length,) = _LENGTH.unpack_from(plaintext, SALT_SIZE_BYTES)
    end = _OVERHEAD_BYTES + length
    if len(plaintext) != padded_size(end):
        raise PaddingError("a plaintext has not the size that its record gives")
    if plaintext[end:] != bytes(len(plaintext) - end):
        raise PaddingError("a plaintext is not padded with zeros")
    return Padded(plaintext[:SALT_SIZE_BYTES], plaintext[_OVERHEAD_BYTES:end])


def record_commitment(plaintext: bytes) -> bytes:
    """Return the commitment to a padded plaintext (PROTOCOL 4.3)."""
    state = _COMMIT.copy()
    state.update(plaintext)
    return state.digest()


def epoch_commitment(salt: bytes, secret: bytes) -> bytes:
    """Return the commitment to an epoch secret (PROTOCOL 4.1).

    Raises:
        CommitmentMismatchError: salt or secret has not 32 bytes, so nothing can be committed to.

    """
    if len(salt) != SALT_SIZE_BYTES or len(secret) != SECRET_SIZE_BYTES:
        raise CommitmentMismatchError("an epoch's salt and secret have 32 bytes each")
    state = _COMMIT.copy()
    state.update(salt + secret)
    return state.digest()


def check_record_commitment(plaintext: bytes, *, commitment: bytes) -> None:
    """Raise CommitmentMismatchError unless the header committed to this text (PROTOCOL 4.5)."""
    if record_commitment(plaintext) != commitment:
        raise CommitmentMismatchError(
            "the opened plaintext is not the one that the header commits to"
        )


def check_epoch_commitment(salt: bytes, secret: bytes, *, commitment: bytes) -> None:
    """Raise CommitmentMismatchError unless the header committed to this secret (PROTOCOL 4.1)."""
    if epoch_commitment(salt, secret) != commitment:
        raise CommitmentMismatchError(
            "the opened epoch secret is not the one that the header commits to"
        )


def epoch_info(stream_id: bytes, epoch: int, *, sender: str, reader: str, key_id: bytes) -> bytes:
    """Return the HPKE ``info`` of one reader's wrap (PROTOCOL 4.1)."""
    _check_stream_id(stream_id)
    names = lp(sender.encode()) + lp(reader.encode()) + lp(key_id)
    return b"mithaq/epoch/v1" + lp(stream_id) + _uint64(epoch) + names


def content_info(stream_id: bytes, epoch: int) -> bytes:
    """Return the HKDF ``info`` of an epoch's content key (PROTOCOL 4.2)."""
    _check_stream_id(stream_id)
    return b"mithaq/content/v1" + lp(stream_id) + _uint64(epoch)


def body_aad(stream_id: bytes, sequence: int) -> bytes:
    """Return the additional data that binds a body to its place (PROTOCOL 4.4)."""
    _check_stream_id(stream_id)
    return stream_id + _uint64(sequence)


def _check_stream_id(stream_id: bytes) -> None:
    # Fixed width is what makes the aad unambiguous: it has no length field.
    if len(stream_id) != HASH_SIZE_BYTES:
        raise EntryFormatError("a stream id has 32 bytes")
