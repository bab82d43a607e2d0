"""Private keys, each for one purpose, and what their public halves are called.

A key object signs and tells its public bytes; it never shows its material, not in
``repr`` and not in an error. What a key is for is not written in it: that is the
registry's knowledge. Reception keys are made and stored here, but opening what was
sealed to them is the node's alone (DESIGN 10).
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from mithaq.certs.errors import KeyFormatError, SignatureInvalidError
from mithaq.ledger.errors import SignatureInvalidError as LedgerSignatureInvalidError
from mithaq.ledger.keytypes import KeyType, verify_signature

SEED_SIZE_BYTES: Final = 32
ED25519_PUBLIC_SIZE_BYTES: Final = 32
ED25519_SIGNATURE_SIZE_BYTES: Final = 64
MLDSA44_PUBLIC_SIZE_BYTES: Final = 1312
MLDSA44_SIGNATURE_SIZE_BYTES: Final = 2420
MLKEM768_SEED_SIZE_BYTES: Final = 64
MLKEM768_PUBLIC_SIZE_BYTES: Final = 1184
RECEPTION_PUBLIC_SIZE_BYTES: Final = MLKEM768_PUBLIC_SIZE_BYTES + 32

_K = TypeVar("_K")


def key_id(public: bytes) -> bytes:
    """Return what the registry and EPOCH headers call a public key: its SHA-256."""
    return hashlib.sha256(public).digest()


def grouped(digest: bytes) -> str:
    """Return a hash as people read it out to each other: hex in groups of four."""
    text = digest.hex()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class PairPublic:
    """The public halves of a pair: 32 bytes of Ed25519, 1,312 of ML-DSA-44."""

    ed25519: bytes
    mldsa44: bytes

    @property
    def fingerprint(self) -> bytes:
        """What people compare: the SHA-256 of both halves, Ed25519 first."""
        return key_id(self.ed25519 + self.mldsa44)


@dataclass(frozen=True, slots=True)
class PairSignature:
    """Both signatures over one message: 64 bytes of Ed25519, 2,420 of ML-DSA-44."""

    ed25519: bytes
    mldsa44: bytes


class Ed25519Key:
    """An Ed25519 private key (RFC 8032)."""

    __slots__ = ("_private", "public")

    public: bytes

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte seed; raises KeyFormatError for any other length."""
        return cls(_load(Ed25519PrivateKey.from_private_bytes, seed, "an Ed25519 key"))

    def to_bytes(self) -> bytes:
        """Return the 32-byte seed: the secret itself."""
        return self._private.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Name the key by its public half, in short."""
        return f"<Ed25519Key {key_id(self.public).hex()[:8]}>"


class MlDsa44Key:
    """An ML-DSA-44 private key (FIPS 204); no two signatures of it are equal."""

    __slots__ = ("_private", "public")

    public: bytes

    def __init__(self, private: MLDSA44PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key."""
        return cls(MLDSA44PrivateKey.generate())

    @classmethod
    def from_bytes(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte seed; raises KeyFormatError for any other length."""
        return cls(_load(MLDSA44PrivateKey.from_seed_bytes, seed, "an ML-DSA-44 key"))

    def to_bytes(self) -> bytes:
        """Return the 32-byte seed: the secret itself."""
        return self._private.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 2,420-byte signature."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Name the key by its public half, in short."""
        return f"<MlDsa44Key {key_id(self.public).hex()[:8]}>"


@dataclass(frozen=True, slots=True)
class SigningPair:
    """An Ed25519 and an ML-DSA-44 key that always sign together (DESIGN 3)."""

    ed25519: Ed25519Key
    mldsa: MlDsa44Key

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh pair."""
        return cls(Ed25519Key.generate(), MlDsa44Key.generate())

    @classmethod
    def from_bytes(cls, seeds: bytes) -> Self:
        """Return the pair of two 32-byte seeds, Ed25519 first; raises KeyFormatError."""
        if len(seeds) != 2 * SEED_SIZE_BYTES:
            raise KeyFormatError("a signing pair is two seeds of 32 bytes")
        return cls(
            Ed25519Key.from_bytes(seeds[:SEED_SIZE_BYTES]),
            MlDsa44Key.from_bytes(seeds[SEED_SIZE_BYTES:]),
        )

    def to_bytes(self) -> bytes:
        """Return the two seeds: the secrets themselves."""
        return self.ed25519.to_bytes() + self.mldsa.to_bytes()

    @property
    def public(self) -> PairPublic:
        """Both public halves."""
        return PairPublic(self.ed25519.public, self.mldsa.public)

    def sign(self, message: bytes) -> PairSignature:
        """Return both signatures over one message."""
        return PairSignature(self.ed25519.sign(message), self.mldsa.sign(message))


@dataclass(frozen=True, slots=True)
class ReceptionKey:
    """A reader's ML-KEM-768 and X25519 keys, which epoch secrets are sealed to (PROTOCOL 4.1).

    ``public`` is 1,184 bytes of ML-KEM-768, then 32 of X25519.
    """

    mlkem768: MLKEM768PrivateKey = field(repr=False)
    x25519: X25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, seeds: bytes) -> Self:
        """Return the key of 64 bytes of ML-KEM-768 seed and 32 of X25519; raises KeyFormatError."""
        mlkem, x25519 = seeds[:MLKEM768_SEED_SIZE_BYTES], seeds[MLKEM768_SEED_SIZE_BYTES:]
        return cls(
            _load(MLKEM768PrivateKey.from_seed_bytes, mlkem, "an ML-KEM-768 key"),
            _load(X25519PrivateKey.from_private_bytes, x25519, "an X25519 key"),
        )

    def to_bytes(self) -> bytes:
        """Return the two seeds: the secrets themselves."""
        return self.mlkem768.private_bytes_raw() + self.x25519.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """The 1,216 public bytes."""
        return (
            self.mlkem768.public_key().public_bytes_raw()
            + self.x25519.public_key().public_bytes_raw()
        )

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public bytes, as EPOCH headers name it."""
        return key_id(self.public)


@dataclass(frozen=True, slots=True)
class ReceptionPublic:
    """The public halves of a reception key, loaded, for whoever seals to it."""

    mlkem768: MLKEM768PublicKey
    x25519: X25519PublicKey

    @classmethod
    def from_bytes(cls, public: bytes) -> Self:
        """Return the key of 1,216 public bytes that can be sealed to; raises KeyFormatError."""
        mlkem, x25519 = public[:MLKEM768_PUBLIC_SIZE_BYTES], public[MLKEM768_PUBLIC_SIZE_BYTES:]
        loaded = cls(
            _load(MLKEM768PublicKey.from_public_bytes, mlkem, "an ML-KEM-768 public key"),
            _load(X25519PublicKey.from_public_bytes, x25519, "an X25519 public key"),
        )
        # A point of low order fails in every exchange (RFC 7748, 6.1), so one try tells.
        _load(lambda _: X25519PrivateKey.generate().exchange(loaded.x25519), b"", "such a key")
        return loaded


class SecretKey:
    """A symmetric key of 32 random bytes, such as a node's storage key."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SEED_SIZE_BYTES:
            raise KeyFormatError("a secret key has 32 bytes")
        self._secret = secret

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key."""
        return cls(secrets.token_bytes(SEED_SIZE_BYTES))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Return the key of these 32 bytes; raises KeyFormatError."""
        return cls(secret)

    def to_bytes(self) -> bytes:
        """Return the secret itself."""
        return self._secret

    def __repr__(self) -> str:
        """Tell nothing: a hash of a secret is already too much in a log."""
        return "<SecretKey>"


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise SignatureInvalidError unless this Ed25519 key signed this message."""
    _verify(KeyType.ED25519, public, message, signature)


def verify_mldsa44(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise SignatureInvalidError unless this ML-DSA-44 key signed this message."""
    _verify(KeyType.MLDSA44_COSIGNATURE, public, message, signature)


def verify_pair(public: PairPublic, message: bytes, signature: PairSignature) -> None:
    """Raise SignatureInvalidError unless both keys of a pair signed this message."""
    verify_ed25519(public.ed25519, message, signature.ed25519)
    verify_mldsa44(public.mldsa44, message, signature.mldsa44)


def _verify(kind: KeyType, public: bytes, message: bytes, signature: bytes) -> None:
    try:
        verify_signature(kind, public, signature=signature, message=message)
    except LedgerSignatureInvalidError as fault:
        raise SignatureInvalidError(str(fault)) from fault


def _load(loader: Callable[[bytes], _K], data: bytes, what: str) -> _K:
    try:
        return loader(data)
    except (ValueError, UnsupportedAlgorithm):
        # The cause is left out: what a loader says about a secret's bytes is not ours to repeat.
        raise KeyFormatError(f"these bytes are not {what}") from None
