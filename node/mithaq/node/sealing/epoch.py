"""Epochs: one secret, wrapped once for each reader (PROTOCOL 4.1).

HPKE in base mode, ML-KEM-768 with X25519: anybody can seal to a reader, so only the
signed log around the wrap says who did, and everything that the wrap belongs to is bound
into `info` (LIMITS, "Pitfalls in the cryptography"). The one rule: a secret that was
opened is believed only after the commitment in the header has been checked.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from mithaq.certs.keys import ReceptionKey, ReceptionPublic, key_id
from mithaq.ledger.commitment import (
    SALT_SIZE_BYTES,
    SECRET_SIZE_BYTES,
    check_epoch_commitment,
    epoch_commitment,
    epoch_info,
    lp,
)
from mithaq.node.sealing.errors import EpochMismatchError, NotAReaderError

SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
KEY_ID_SIZE_BYTES: Final = 32
# enc of ML-KEM-768 (1,088) and X25519 (32), the two secrets (64) and the tag (16).
WRAP_SIZE_BYTES: Final = 1200
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class EpochSecret:
    """An epoch's 32-byte salt and 32-byte secret."""

    salt: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, entropy: bytes) -> "EpochSecret":
        """Return the secret of 64 random bytes, or of a stored pair; raises EpochMismatchError."""
        if len(entropy) != SALT_SIZE_BYTES + SECRET_SIZE_BYTES:
            raise EpochMismatchError("an epoch's salt and secret have 32 bytes each")
        return cls(entropy[:SALT_SIZE_BYTES], entropy[SALT_SIZE_BYTES:])

    def to_bytes(self) -> bytes:
        """Return salt and secret: the plaintext of every wrap."""
        return self.salt + self.secret

    @property
    def commitment(self) -> bytes:
        """What the EPOCH header commits to."""
        return epoch_commitment(self.salt, self.secret)


class EpochPlace(NamedTuple):
    """What a wrap belongs to, apart from its reader: stream, number and sender."""

    stream_id: bytes
    epoch: int
    sender: str

    def info(self, *, reader: str, key: bytes) -> bytes:
        """Return the HPKE `info` of one reader's wrap."""
        return epoch_info(self.stream_id, self.epoch, sender=self.sender, reader=reader, key_id=key)


def wrap_epoch(
    secret: EpochSecret, place: EpochPlace, readers: Iterable[tuple[str, bytes]]
) -> bytes:
    """Return the EPOCH body: for each (reader, 1,216-byte public key), in order, key id and wrap.

    Raises:
        KeyFormatError: a reader's public key is not of its form.

    """
    parts: list[bytes] = []
    for reader, public in readers:
        key = key_id(public)
        loaded = ReceptionPublic.from_bytes(public)
        recipient = MLKEM768X25519PublicKey(loaded.mlkem768, loaded.x25519)
        sealed = SUITE.encrypt(secret.to_bytes(), recipient, place.info(reader=reader, key=key))
        parts += (key, lp(sealed))
    return b"".join(parts)


def split_wraps(body: bytes) -> dict[bytes, bytes]:
    """Return the wraps of an EPOCH body by key id, in their order.

    Raises:
        EpochMismatchError: cut short, a wrap of another size, or one key twice.

    """
    wraps: dict[bytes, bytes] = {}
    entry = KEY_ID_SIZE_BYTES + _LENGTH.size + WRAP_SIZE_BYTES
    if not body or len(body) % entry:
        raise EpochMismatchError("an EPOCH body is not made of whole wraps")
    for at in range(0, len(body), entry):
        key = body[at : at + KEY_ID_SIZE_BYTES]
        (length,) = _LENGTH.unpack_from(body, at + KEY_ID_SIZE_BYTES)
        if length != WRAP_SIZE_BYTES or key in wraps:
            raise EpochMismatchError("an EPOCH body has a wrap of another size, or one key twice")
        wraps[key] = body[at + entry - WRAP_SIZE_BYTES : at + entry]
    return wraps


def open_epoch(
    body: bytes,
    place: EpochPlace,
    *,
    reader: str,
    keys: Mapping[bytes, ReceptionKey],
    commitment: bytes,
) -> EpochSecret:
    """Return the secret that an EPOCH body holds for this reader.

    `keys` are the reader's own reception keys by key id.

    Raises:
        NotAReaderError: no wrap for any of the keys.
        EpochMismatchError: a wrap does not open, or the body is not of its form.
        CommitmentMismatchError: not the secret that the header commits to.

    """
    for key, wrap in split_wraps(body).items():
        private = keys.get(key)
        if private is not None:
            secret = EpochSecret.of(_unwrap(wrap, private, place.info(reader=reader, key=key)))
            check_epoch_commitment(secret.salt, secret.secret, commitment=commitment)
            return secret
    raise NotAReaderError("an EPOCH holds no wrap for any of this node's reception keys")


def _unwrap(wrap: bytes, private: ReceptionKey, info: bytes) -> bytes:
    recipient = MLKEM768X25519PrivateKey(private.mlkem768, private.x25519)
    try:
        return SUITE.decrypt(wrap, recipient, info)
    except (InvalidTag, ValueError):
        raise EpochMismatchError("a wrap does not open under the key that it names") from None
