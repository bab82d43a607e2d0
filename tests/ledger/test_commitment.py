import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.commitment import (
    BODY_SIZE_BYTES_MAX,
    NONCE_SIZE_BYTES,
    PADDED_SIZE_BYTES_MAX,
    PADDED_SIZE_BYTES_MIN,
    RECORD_SIZE_BYTES_MAX,
    TAG_SIZE_BYTES,
    Padded,
    body_aad,
    check_epoch_commitment,
    check_record_commitment,
    content_info,
    epoch_commitment,
    epoch_info,
    lp,
    pad,
    padded_size,
    record_commitment,
    unpad,
)
from mithaq.ledger.entry import BATCH_SIZE_BYTES_MAX, BODY_TARGET_SIZE_BYTES
from mithaq.ledger.errors import CommitmentMismatchError, EntryFormatError, PaddingError
from mithaq.ledger.terms import TERMS_SIZE_BYTES_MAX

SALT, OTHER_SALT = bytes(range(32)), bytes(range(1, 33))
SECRET = bytes(range(32, 64))
STREAM_ID = bytes(range(64, 96))
KIB = 1024


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40 * KIB))
def test_a_record_comes_back_from_its_plaintext(salt: bytes, record: bytes) -> None:
    assert unpad(pad(salt, record)) == Padded(salt, record)


@given(st.binary(max_size=3 * KIB))
def test_hostile_bytes_are_no_plaintext_or_one_that_pads_the_same(data: bytes) -> None:
    try:
        padded = unpad(data)
    except PaddingError:
        return
    assert pad(padded.salt, padded.record) == data


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        (0, 1 * KIB),
        (1, 1 * KIB),
        (1 * KIB, 1 * KIB),
        (1 * KIB + 1, 2 * KIB),
        (2 * KIB + 1, 4 * KIB),
        (4 * KIB + 1, 8 * KIB),
        (8 * KIB + 1, 16 * KIB),
        (16 * KIB, 16 * KIB),
        (16 * KIB + 1, 18 * KIB),
        (18 * KIB + 1, 20 * KIB),
        (30 * KIB + 1, 32 * KIB),
        (32 * KIB, 32 * KIB),
        (32 * KIB + 1, 36 * KIB),
        (512 * KIB + 1, 576 * KIB),
        (960 * KIB, 960 * KIB),
    ],
)
def test_sizes_double_to_16_kib_and_then_grow_by_eighths(size: int, padded: int) -> None:
    assert padded_size(size) == padded


def test_a_padded_size_is_its_own_padded_size_and_wastes_at_most_an_eighth() -> None:
    ladder = sorted({padded_size(size) for size in range(0, PADDED_SIZE_BYTES_MAX + 1, 512)})
    assert ladder[0] == PADDED_SIZE_BYTES_MIN
    assert ladder[-1] == PADDED_SIZE_BYTES_MAX
    assert [padded_size(each) for each in ladder] == ladder
    assert all(next_one - one <= one / 8 for one, next_one in pairwise(ladder) if one >= 16 * KIB)
    assert len(ladder) == 5 + 5 * 8 + 7


def test_there_is_a_largest_record_and_its_body_and_header_fit_a_batch() -> None:
    largest = pad(SALT, bytes(RECORD_SIZE_BYTES_MAX))
    assert len(largest) == PADDED_SIZE_BYTES_MAX
    with pytest.raises(PaddingError, match="at most"):
        pad(SALT, bytes(RECORD_SIZE_BYTES_MAX + 1))
    header = TERMS_SIZE_BYTES_MAX + BODY_TARGET_SIZE_BYTES
    assert BODY_SIZE_BYTES_MAX + header <= BATCH_SIZE_BYTES_MAX


def test_a_body_is_a_nonce_of_12_the_padded_text_and_a_tag_of_16_bytes() -> None:
    assert (NONCE_SIZE_BYTES, TAG_SIZE_BYTES) == (12, 16)
    assert BODY_SIZE_BYTES_MAX == 12 + 960 * KIB + 16


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_salt_has_32_bytes(size: int) -> None:
    with pytest.raises(PaddingError, match="salt"):
        pad(bytes(size), b"record")


def test_padding_that_is_not_zero_is_refused_wherever_it_is() -> None:
    plaintext = pad(SALT, b"record")
    for at in (32 + 4 + 6, 500, len(plaintext) - 1):
        changed = bytearray(plaintext)
        changed[at] = 1
        with pytest.raises(PaddingError, match="zeros"):
            unpad(bytes(changed))


def test_a_record_padded_further_than_its_size_asks_is_refused() -> None:
    with pytest.raises(PaddingError, match="size that its record gives"):
        unpad(pad(SALT, b"record") + bytes(KIB))


@pytest.mark.parametrize("length", [KIB, 2**32 - 1])
def test_a_record_said_to_be_longer_than_its_plaintext_is_refused(length: int) -> None:
    plaintext = SALT + length.to_bytes(4, "big") + bytes(KIB - 36)
    with pytest.raises(PaddingError):
        unpad(plaintext)


@pytest.mark.parametrize("size", [0, 35, 36, KIB - 1])
def test_a_plaintext_has_at_least_1_kib(size: int) -> None:
    with pytest.raises(PaddingError, match="at least"):
        unpad(bytes(size))


def test_a_commitment_is_the_labelled_hash_of_the_plaintext() -> None:
    plaintext = pad(SALT, b"record")
    expected = hashlib.sha256(b"mithaq/commit/v1" + plaintext).digest()
    assert record_commitment(plaintext) == expected
    check_record_commitment(plaintext, commitment=expected)


def test_one_ciphertext_that_opens_to_a_second_text_misses_its_commitment() -> None:
    # AES-GCM commits to no key; whatever a second key opens is another plaintext.
    commitment = record_commitment(pad(SALT, b"shown to one reader"))
    with pytest.raises(CommitmentMismatchError) as raised:
        check_record_commitment(pad(SALT, b"shown to another"), commitment=commitment)
    assert raised.value.alarm == "commitment mismatch"


def test_the_same_record_under_another_salt_has_another_commitment() -> None:
    assert record_commitment(pad(SALT, b"record")) != record_commitment(pad(OTHER_SALT, b"record"))


def test_an_epoch_commitment_is_the_labelled_hash_of_salt_and_secret() -> None:
    expected = hashlib.sha256(b"mithaq/commit/v1" + SALT + SECRET).digest()
    assert epoch_commitment(SALT, SECRET) == expected
    check_epoch_commitment(SALT, SECRET, commitment=expected)


@pytest.mark.parametrize(("salt", "secret"), [(SECRET, SALT), (OTHER_SALT, SECRET), (SALT, SALT)])
def test_an_epoch_secret_shown_to_one_reader_only_misses_its_commitment(
    salt: bytes, secret: bytes
) -> None:
    with pytest.raises(CommitmentMismatchError):
        check_epoch_commitment(salt, secret, commitment=epoch_commitment(SALT, SECRET))


@pytest.mark.parametrize(
    ("salt", "secret"), [(SALT[:-1], SECRET), (SALT, SECRET + b"x"), (SALT[:31], b"x" + SECRET)]
)
def test_the_border_between_salt_and_secret_cannot_be_moved(salt: bytes, secret: bytes) -> None:
    with pytest.raises(CommitmentMismatchError, match="32 bytes each"):
        epoch_commitment(salt, secret)


def test_a_wrap_is_bound_to_stream_epoch_sender_reader_and_key() -> None:
    info = epoch_info(STREAM_ID, 3, sender="eg-moi", reader="int-iom", key_id=SALT)
    assert info == (
        b"mithaq/epoch/v1"
        + lp(STREAM_ID)
        + (3).to_bytes(8, "big")
        + lp(b"eg-moi")
        + lp(b"int-iom")
        + lp(SALT)
    )
    others = {
        epoch_info(SALT, 3, sender="eg-moi", reader="int-iom", key_id=SALT),
        epoch_info(STREAM_ID, 4, sender="eg-moi", reader="int-iom", key_id=SALT),
        epoch_info(STREAM_ID, 3, sender="eg-mo", reader="iint-iom", key_id=SALT),
        epoch_info(STREAM_ID, 3, sender="int-iom", reader="eg-moi", key_id=SALT),
        epoch_info(STREAM_ID, 3, sender="eg-moi", reader="int-iom", key_id=SECRET),
    }
    assert len(others | {info}) == 6


def test_a_content_key_is_bound_to_stream_and_epoch() -> None:
    expected = b"mithaq/content/v1" + lp(STREAM_ID) + (3).to_bytes(8, "big")
    assert content_info(STREAM_ID, 3) == expected


def test_a_body_is_bound_to_stream_and_sequence() -> None:
    assert body_aad(STREAM_ID, 4711) == STREAM_ID + (4711).to_bytes(8, "big")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_nothing_is_bound_to_a_stream_id_of_another_size(size: int) -> None:
    with pytest.raises(EntryFormatError, match="32 bytes"):
        body_aad(bytes(size), 1)
    with pytest.raises(EntryFormatError, match="32 bytes"):
        content_info(bytes(size), 1)
    with pytest.raises(EntryFormatError, match="32 bytes"):
        epoch_info(bytes(size), 1, sender="eg-moi", reader="int-iom", key_id=SALT)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_have_64_bits(number: int) -> None:
    assert body_aad(STREAM_ID, 0).endswith(bytes(8))
    assert body_aad(STREAM_ID, 2**64 - 1).endswith(b"\xff" * 8)
    with pytest.raises(EntryFormatError, match="64 bits"):
        body_aad(STREAM_ID, number)
    with pytest.raises(EntryFormatError, match="64 bits"):
        content_info(STREAM_ID, number)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_two_prefixed_strings_part_at_one_place_only(one: bytes, other: bytes) -> None:
    joined = lp(one) + lp(other)
    length = int.from_bytes(joined[:4], "big")
    assert (joined[4 : 4 + length], joined[8 + length :]) == (one, other)
