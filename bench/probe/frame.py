"""A batch of the probe on the wire: signature, number of bodies, their lengths, the bodies."""

import hashlib
import os
import struct
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BATCH_RECORDS: Final = 256
SIGNATURE_BYTES: Final = 64
NONCE_BYTES: Final = 12
_COUNT: Final = struct.Struct("<H")


def pack(bodies: Sequence[bytes], key: Ed25519PrivateKey) -> bytes:
    """Return a signed batch."""
    lengths = struct.pack(f"<H{len(bodies)}I", len(bodies), *map(len, bodies))
    content = b"".join((lengths, *bodies))
    return key.sign(hashlib.sha256(content).digest()) + content


def unpack(batch: bytes) -> list[bytes]:
    """Return the bodies of a batch; nothing about it is checked."""
    (count,) = _COUNT.unpack_from(batch, SIGNATURE_BYTES)
    lengths = struct.unpack_from(f"<{count}I", batch, SIGNATURE_BYTES + _COUNT.size)
    at = SIGNATURE_BYTES + _COUNT.size + 4 * count
    bodies: list[bytes] = []
    for length in lengths:
        bodies.append(batch[at : at + length])
        at += length
    return bodies


class Sealer:
    """Seals and opens bodies under one key, each under a nonce of chance."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, records: Sequence[bytes]) -> list[bytes]:
        """Return nonce and ciphertext of each record."""
        # One call of the system for the nonces of a whole batch.
        chance = os.urandom(NONCE_BYTES * len(records))
        bodies: list[bytes] = []
        for number, record in enumerate(records):
            nonce = chance[NONCE_BYTES * number : NONCE_BYTES * (number + 1)]
            bodies.append(nonce + self._cipher.encrypt(nonce, record, None))
        return bodies

    def open(self, body: bytes) -> bytes:
        """Return the record of a body."""
        return self._cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], None)
