"""The bytes that a cosigner signs, for both cosignature types of C2SP.

c2sp.org/tlog-cosignature: type 0x04 signs two header lines and the checkpoint's
text, and leaves out the cosigner's name; type 0x06 signs a structure that holds
the name. Only whole checkpoints are signed here, so ``start`` is always zero.
"""

import struct
from datetime import datetime
from typing import Final

from mithaq.ledger.errors import NoteFormatError
from mithaq.ledger.instants import from_posix, posix_seconds
from mithaq.ledger.keytypes import SIGNATURE_SIZE_BYTES, KeyType

_TIMESTAMP: Final = struct.Struct(">Q")
_RANGE: Final = struct.Struct(">QQ")
_MLDSA_LABEL: Final = b"subtree/v1\n\x00"


def ed25519_statement(text: str, *, at: datetime) -> bytes:
    """Return what a type 0x04 cosigner signs over a checkpoint's text."""
    return f"cosignature/v1\ntime {posix_seconds(at)}\n{text}".encode()


def mldsa_statement(*, cosigner: str, origin: str, size: int, root: bytes, at: datetime) -> bytes:
    """Return what a type 0x06 cosigner signs over a whole checkpoint.

    The two names have 1 to 255 bytes (checked where they were parsed), the root 32.
    """
    seconds = _TIMESTAMP.pack(posix_seconds(at))
    return b"".join(
        (_MLDSA_LABEL, _short(cosigner), seconds, _short(origin), _RANGE.pack(0, size), root)
    )


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def pack_timed(at: datetime, signature: bytes) -> bytes:
    """Return ``uint64 seconds ‖ signature``, as it stands in a signature line."""
    return _TIMESTAMP.pack(posix_seconds(at)) + signature


def unpack_timed(data: bytes, *, key_type: KeyType) -> tuple[datetime, bytes]:
    """Return the instant and the bare signature of a timed signature line.

    Raises:
        NoteFormatError: the length is not the one of this type.
        TimestampError: the instant is zero or cannot be told.

    """
    if len(data) != _TIMESTAMP.size + SIGNATURE_SIZE_BYTES[key_type]:
        raise NoteFormatError(f"a cosignature of type {key_type:#04x} has not {len(data)} bytes")
    (seconds,) = _TIMESTAMP.unpack_from(data)
    return from_posix(seconds), data[_TIMESTAMP.size :]
