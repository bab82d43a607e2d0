"""Private keys: they sign, they keep their material to themselves."""

import itertools
from collections.abc import Callable
from pathlib import Path

import cryptography_vectors
import pytest

from mithaq.certs.errors import KeyFormatError, SignatureInvalidError
from mithaq.certs.keys import (
    RECEPTION_PUBLIC_SIZE_BYTES,
    Ed25519Key,
    MlDsa44Key,
    PairSignature,
    ReceptionKey,
    ReceptionPublic,
    SecretKey,
    SigningPair,
    key_id,
    verify_ed25519,
    verify_mldsa44,
    verify_pair,
)

MESSAGE = b"what is said"
Kind = type[Ed25519Key | MlDsa44Key | SigningPair | ReceptionKey | SecretKey]
KINDS: tuple[Kind, ...] = (Ed25519Key, MlDsa44Key, SigningPair, ReceptionKey, SecretKey)
SIZES: dict[Kind, int] = {
    Ed25519Key: 32,
    MlDsa44Key: 32,
    SigningPair: 64,
    ReceptionKey: 96,
    SecretKey: 32,
}


def test_ed25519_agrees_with_rfc_8032() -> None:
    """RFC 8032, 7.1, test 2."""
    key = Ed25519Key.from_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72") == signature
    verify_ed25519(key.public, b"\x72", signature)


@pytest.mark.parametrize(
    ("key", "verify"),
    [(Ed25519Key.generate(), verify_ed25519), (MlDsa44Key.generate(), verify_mldsa44)],
)
def test_a_signature_verifies_for_its_key_and_message_only(
    key: Ed25519Key | MlDsa44Key, verify: Callable[[bytes, bytes, bytes], None]
) -> None:
    signature = key.sign(MESSAGE)
    verify(key.public, MESSAGE, signature)
    other = type(key).generate().public
    for public, message, given in (
        (other, MESSAGE, signature),
        (key.public, b"what is not said", signature),
        (key.public, MESSAGE, signature[:-1] + bytes((signature[-1] ^ 1,))),
        (key.public, MESSAGE, signature[:-1]),
        (key.public, MESSAGE, b""),
        (key.public[:-1], MESSAGE, signature),
    ):
        with pytest.raises(SignatureInvalidError):
            verify(public, message, given)


def test_a_pair_has_signed_only_if_both_halves_have() -> None:
    pair, other = SigningPair.generate(), SigningPair.generate()
    good, bad = pair.sign(MESSAGE), other.sign(MESSAGE)
    verify_pair(pair.public, MESSAGE, good)
    for mixed in (
        PairSignature(good.ed25519, bad.mldsa44),
        PairSignature(bad.ed25519, good.mldsa44),
        PairSignature(good.ed25519, b""),
        PairSignature(b"", good.mldsa44),
    ):
        with pytest.raises(SignatureInvalidError):
            verify_pair(pair.public, MESSAGE, mixed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_reads_back_as_it_was_written(kind: Kind) -> None:
    data = kind.generate().to_bytes()
    assert len(data) == SIZES[kind]
    assert kind.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("kind", [Ed25519Key, MlDsa44Key, SigningPair, ReceptionKey])
def test_a_key_that_was_read_has_the_same_public_half(
    kind: type[Ed25519Key | MlDsa44Key | SigningPair | ReceptionKey],
) -> None:
    key = kind.generate()
    assert kind.from_bytes(key.to_bytes()).public == key.public


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [-1, 1, -100])
def test_bytes_of_another_length_are_no_key(kind: Kind, change: int) -> None:
    size = max(0, SIZES[kind] + change)
    with pytest.raises(KeyFormatError):
        kind.from_bytes(b"\x01" * size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_never_shows_its_material(kind: Kind) -> None:
    key = kind.generate()
    secret = key.to_bytes()
    for shown in (repr(key), str(key), f"{key}", repr([key])):
        for part in (secret, secret[:32], secret[-32:]):
            assert part.hex() not in shown
            assert repr(part)[2:-1] not in shown


def test_a_reception_key_is_1216_public_bytes_under_its_sha_256() -> None:
    key = ReceptionKey.generate()
    assert len(key.public) == RECEPTION_PUBLIC_SIZE_BYTES == 1216
    assert key.key_id == key_id(key.public)
    loaded = ReceptionPublic.from_bytes(key.public)
    assert loaded.mlkem768.public_bytes_raw() + loaded.x25519.public_bytes_raw() == key.public


def first_case(path: str) -> dict[str, bytes]:
    """Return the fields of the first case of a NIST response file in cryptography_vectors."""
    with (Path(cryptography_vectors.__file__).parent / path).open() as file:
        lines = itertools.takewhile(lambda line: not line.startswith("count = 1"), file)
        parts = [line.strip().partition(" = ") for line in lines]
    hexadecimal = [(name, value) for name, _, value in parts if name not in {"", "count", "mlen"}]
    return {name: bytes.fromhex(value) for name, value in hexadecimal}


def test_ml_kem_768_agrees_with_nists_known_answers() -> None:
    case = first_case("asymmetric/MLKEM/kat_MLKEM_768.rsp")
    key = ReceptionKey.from_bytes(case["d"] + case["z"] + bytes(31) + b"\x01")
    assert key.public[:1184] == case["pk"]


def test_ml_dsa_44_agrees_with_nists_known_answers() -> None:
    case = first_case("asymmetric/MLDSA/kat_MLDSA_44_det_pure.rsp")
    assert MlDsa44Key.from_bytes(case["xi"]).public == case["pk"]


@pytest.mark.parametrize(
    "public",
    [
        b"",
        bytes(1216),
        ReceptionKey.generate().public[:-1],
        ReceptionKey.generate().public + b"\x00",
        ReceptionKey.generate().public[:1184] + b"\x01" + bytes(31),
        b"\xff" * 1184 + ReceptionKey.generate().public[1184:],
    ],
)
def test_what_cannot_be_sealed_to_is_no_reception_key(public: bytes) -> None:
    with pytest.raises(KeyFormatError):
        ReceptionPublic.from_bytes(public)
