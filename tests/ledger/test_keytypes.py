"""Which keys and signatures are believed at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.errors import PublicKeyError, SignatureInvalidError
from mithaq.ledger.keytypes import (
    PUBLIC_KEY_SIZE_BYTES,
    KeyType,
    check_public_key,
    key_id,
    verify_signature,
)
from mithaq.ledger.note import VerifierKey
from tests.ledger.builders import LOG_ED25519, LOG_MLDSA, Ed25519Signer

# Curve arithmetic of RFC 8032, 5.1, in affine coordinates: slow and plain.
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def added(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def square_root(square: int) -> int | None:
    root = pow(square, (P + 3) // 8, P)
    for each in (root, root * pow(2, (P - 1) // 4, P) % P):
        if each * each % P == square % P:
            return each
    return None


def point_of(y: int) -> Point | None:
    x = square_root((y * y - 1) * pow(D * y * y + 1, -1, P))
    return None if x is None else (x, y)


def multiple(times: int, point: Point) -> Point:
    total: Point = (0, 1)
    while times:
        if times & 1:
            total = added(total, point)
        point, times = added(point, point), times >> 1
    return total


def small_order_y() -> set[int]:
    """Return the y of every point whose order divides 8, from points of the whole curve."""
    order = 2**252 + 27742317777372353535851937790883648493
    found: set[int] = set()
    for y in range(2, 40):
        point = point_of(y)
        # What the prime order takes away leaves the part of order 1, 2, 4 or 8.
        rest = multiple(order, point) if point else (0, 1)
        found |= {multiple(times, rest)[1] for times in range(8)}
    return found


SMALL_ORDER = sorted(small_order_y())
ENCODINGS = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (*SMALL_ORDER, *(each + P for each in SMALL_ORDER if each + P < 2**255))
    for sign in (0, 1)
]


def test_the_small_subgroup_has_five_y_coordinates() -> None:
    assert len(SMALL_ORDER) == 5
    assert {0, 1, P - 1} < set(SMALL_ORDER)
    assert len(ENCODINGS) == 14


@pytest.mark.parametrize("public", ENCODINGS, ids=lambda public: public.hex()[:8])
def test_a_key_of_small_order_is_refused_in_every_spelling(public: bytes) -> None:
    for key_type in (KeyType.ED25519, KeyType.ED25519_COSIGNATURE):
        with pytest.raises(PublicKeyError, match="small order"):
            check_public_key(key_type, public)
        with pytest.raises(PublicKeyError, match="small order"):
            key_id("name", key_type, public)
        with pytest.raises(PublicKeyError, match="small order"):
            VerifierKey("name", key_type, public)


def test_one_signature_for_every_message_under_a_key_of_small_order_is_refused() -> None:
    # OpenSSL takes it: the neutral element as key and as R, and zero as S.
    neutral = (1).to_bytes(32, "little")
    for message in (b"held", b"opened"):
        with pytest.raises(SignatureInvalidError):
            verify_signature(
                KeyType.ED25519, neutral, signature=neutral + bytes(32), message=message
            )


@pytest.mark.parametrize("y", range(P, 2**255))
def test_a_key_beyond_the_field_is_refused(y: int) -> None:
    with pytest.raises(PublicKeyError, match="not canonical"):
        check_public_key(KeyType.ED25519, y.to_bytes(32, "little"))


@given(st.integers(1, 2**64))
def test_keys_that_are_made_honestly_pass(number: int) -> None:
    check_public_key(KeyType.ED25519, Ed25519Signer(number).public)
    check_public_key(KeyType.MLDSA44_COSIGNATURE, LOG_MLDSA.public)


@pytest.mark.parametrize("key_type", KeyType)
@pytest.mark.parametrize("extra", [-1, 1])
def test_a_public_key_has_the_size_of_its_type(key_type: KeyType, extra: int) -> None:
    wrong = bytes(PUBLIC_KEY_SIZE_BYTES[key_type] + extra)
    with pytest.raises(PublicKeyError, match="has not"):
        VerifierKey("name", key_type, wrong)
    with pytest.raises(PublicKeyError, match="has not"):
        key_id("name", key_type, wrong)
    with pytest.raises(SignatureInvalidError):
        verify_signature(key_type, wrong, signature=bytes(64), message=b"message")


def test_one_key_under_two_types_has_two_ids() -> None:
    ids = {
        key_id("name", each, LOG_ED25519.public)
        for each in (KeyType.ED25519, KeyType.ED25519_COSIGNATURE)
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("key_type", "signer"),
    [
        (KeyType.ED25519, LOG_ED25519),
        (KeyType.ED25519_COSIGNATURE, LOG_ED25519),
        (KeyType.MLDSA44_COSIGNATURE, LOG_MLDSA),
    ],
)
@pytest.mark.parametrize("wrong", ["signature", "message", "size", "empty"])
def test_a_signature_that_is_not_the_key_s_is_refused(
    key_type: KeyType, signer: object, wrong: str
) -> None:
    assert isinstance(signer, type(LOG_ED25519) | type(LOG_MLDSA))
    signature = signer.sign(b"message")
    verify_signature(key_type, signer.public, signature=signature, message=b"message")
    changed = {
        "signature": bytes((signature[0] ^ 1,)) + signature[1:],
        "message": signature,
        "size": signature[:-1],
        "empty": b"",
    }[wrong]
    message = b"another" if wrong == "message" else b"message"
    with pytest.raises(SignatureInvalidError):
        verify_signature(key_type, signer.public, signature=changed, message=message)
