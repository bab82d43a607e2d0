"""The three ways in which a checkpoint is signed, by their C2SP type byte.

Key ids, sizes and verification of each. The key and its type always come from
the registry or the verifier's own policy, never from the message (LIMITS,
"Pitfalls in the cryptography").
"""

import hashlib
from enum import IntEnum
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from mithaq.ledger.errors import PublicKeyError, SignatureInvalidError

KEY_ID_SIZE_BYTES: Final = 4
# Loaded public keys are kept: loading an ML-DSA-44 key costs 11 µs each time.
_LOADED_KEYS_MAX: Final = 1024


class KeyType(IntEnum):
    """Signature types of c2sp.org/signed-note that this project uses."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    MLDSA44_COSIGNATURE = 0x06


class Signer(Protocol):
    """A private key that signs and tells its raw public key, wherever it is kept."""

    @property
    def public(self) -> bytes:
        """The raw public key: 32 bytes of Ed25519, 1,312 of ML-DSA-44."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of the message: 64 or 2,420 bytes."""
        ...


PUBLIC_KEY_SIZE_BYTES: Final = {
    KeyType.ED25519: 32,
    KeyType.ED25519_COSIGNATURE: 32,
    KeyType.MLDSA44_COSIGNATURE: 1312,
}
# Without the timestamp that stands before a cosignature.
SIGNATURE_SIZE_BYTES: Final = {
    KeyType.ED25519: 64,
    KeyType.ED25519_COSIGNATURE: 64,
    KeyType.MLDSA44_COSIGNATURE: 2420,
}


# The y of every Ed25519 point whose order divides 8 (RFC 8032, 5.1, gives the curve).
# Under such a key one signature verifies for many messages, so it would prove none of them.
_FIELD_PRIME: Final = 2**255 - 19
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y: Final = frozenset((0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y))
_Y_MASK: Final = 2**255 - 1


def check_public_key(key_type: KeyType, public_key: bytes) -> None:
    """Refuse a public key that could not bind its owner to what it signs.

    OpenSSL takes Ed25519 keys of small order, and encodings beyond the field; both are
    refused here, wherever a key is named, taken into a registry or verified with.

    Raises:
        PublicKeyError: not the size of its type, of small order, or not canonical.

    """
    if len(public_key) != PUBLIC_KEY_SIZE_BYTES[key_type]:
        raise PublicKeyError(
            f"a public key of type {key_type:#04x} has not {len(public_key)} bytes"
        )
    if key_type is KeyType.MLDSA44_COSIGNATURE:
        return
    y = int.from_bytes(public_key, "little") & _Y_MASK
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise PublicKeyError("an Ed25519 public key is of small order or not canonical")


def key_id(name: str, key_type: KeyType, public_key: bytes) -> bytes:
    """Return the 4-byte C2SP key id of a key under a name.

    Raises:
        PublicKeyError: a key that ``check_public_key`` refuses.

    """
    check_public_key(key_type, public_key)
    named = name.encode() + b"\n" + bytes((key_type,)) + public_key
    return hashlib.sha256(named).digest()[:KEY_ID_SIZE_BYTES]


def verify_signature(
    key_type: KeyType, public_key: bytes, *, signature: bytes, message: bytes
) -> None:
    """Raise SignatureInvalidError unless the signature is this key's over this message."""
    try:
        _loaded(key_type, public_key).verify(signature, message)
    except (InvalidSignature, PublicKeyError) as fault:
        raise SignatureInvalidError(
            f"a signature of type {key_type:#04x} does not verify"
        ) from fault


@lru_cache(maxsize=_LOADED_KEYS_MAX)
def _loaded(key_type: KeyType, public_key: bytes) -> Ed25519PublicKey | MLDSA44PublicKey:
    check_public_key(key_type, public_key)
    if key_type is KeyType.MLDSA44_COSIGNATURE:
        return MLDSA44PublicKey.from_public_bytes(public_key)
    return Ed25519PublicKey.from_public_bytes(public_key)
