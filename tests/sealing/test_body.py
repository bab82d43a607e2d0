import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.commitment import Padded, content_info, pad, record_commitment
from mithaq.ledger.errors import CommitmentMismatchError, PaddingError
from mithaq.node.sealing.body import ContentKey, SealedBody, salt_for, true_body
from mithaq.node.sealing.errors import BodyMismatchError, BodyUnopenableError

STREAM = bytes(range(32))
SECRET = bytes(range(32, 64))
SALT = bytes(range(64, 96))
NONCE = bytes(range(12))
PADDED = pad(SALT, b"a record")


def key(*, stream_id: bytes = STREAM, epoch: int = 1, secret: bytes = SECRET) -> ContentKey:
    return ContentKey(stream_id=stream_id, epoch=epoch, secret=secret)


def sealed(record: bytes = b"a record", sequence: int = 7) -> SealedBody:
    return key().seal(sequence, record, salt=SALT, nonce=NONCE)


def opened(body: SealedBody, *, by: ContentKey | None = None, sequence: int = 7) -> Padded:
    by = by or key()
    named = true_body(body.body, body_hash=body.body_hash)
    return by.open(sequence, named, commitment=body.commitment)


@given(st.binary(max_size=40_000), st.integers(0, 2**63 - 1))
def test_what_was_sealed_opens_at_its_place(record: bytes, sequence: int) -> None:
    assert opened(sealed(record, sequence), sequence=sequence) == Padded(SALT, record)


def test_the_body_of_known_inputs_is_the_known_one() -> None:
    # Own vector: a change here changes the wire.
    body = sealed()
    assert (
        hashlib.sha256(body.body).hexdigest()
        == body.body_hash.hex()
        == ("99d51a67df1acabc9b1a5183173f98634c13da2ad274b7c78a8cbb2201e7b425")
    )
    assert (
        body.commitment.hex() == "6716304e527130a81926d35696fc57af14698115526f1368827b711d5cd3b456"
    )
    assert len(body.body) == 12 + 1024 + 16


@pytest.mark.parametrize(
    "other",
    [key(stream_id=bytes(32)), key(epoch=2), key(secret=bytes(32))],
    ids=["stream", "epoch", "secret"],
)
def test_a_body_opens_in_no_other_stream_epoch_or_secret(other: ContentKey) -> None:
    with pytest.raises(BodyUnopenableError):
        opened(sealed(), by=other)


def test_a_body_opens_at_no_other_sequence() -> None:
    with pytest.raises(BodyUnopenableError):
        opened(sealed(), sequence=8)


def test_no_byte_of_a_body_can_be_flipped() -> None:
    body = sealed()
    for at in range(0, len(body.body), 37):
        broken = body.body[:at] + bytes([body.body[at] ^ 1]) + body.body[at + 1 :]
        with pytest.raises(BodyMismatchError):
            opened(body._replace(body=broken))
        with pytest.raises(BodyUnopenableError):
            opened(body._replace(body=broken, body_hash=hashlib.sha256(broken).digest()))


def test_a_text_that_the_header_does_not_commit_to_is_refused() -> None:
    body = sealed()
    other = key().seal(7, b"another", salt=SALT, nonce=NONCE)
    with pytest.raises(CommitmentMismatchError):
        opened(other._replace(commitment=body.commitment))


def test_one_ciphertext_under_two_keys_opens_to_one_text_only() -> None:
    # AES-GCM commits to no key. A body built to open under two keys has one header, and
    # the header's commitment fits one of the two texts.
    first, second = key(), key(secret=bytes(32))
    texts = [first.seal(7, text, salt=SALT, nonce=NONCE) for text in (b"one", b"two")]
    header = texts[0]
    shown_to_second = second.seal(7, b"two", salt=SALT, nonce=NONCE)
    assert opened(header, by=first).record == b"one"
    with pytest.raises(CommitmentMismatchError):
        opened(shown_to_second._replace(commitment=header.commitment), by=second)


@pytest.mark.parametrize(
    "plaintext",
    [
        PADDED[:-1] + b"\x01",
        PADDED + bytes(1024),
        PADDED[:32] + b"\xff\xff\xff\xff" + PADDED[36:],
    ],
    ids=["not zeros", "too long", "length beyond the end"],
)
def test_a_plaintext_that_is_padded_otherwise_is_refused(plaintext: bytes) -> None:
    content_key = HKDF(SHA256(), 32, None, content_info(STREAM, 1)).derive(SECRET)
    aead = AESGCM(content_key)
    body = NONCE + aead.encrypt(NONCE, plaintext, STREAM + (7).to_bytes(8, "big"))
    forged = SealedBody(body, hashlib.sha256(body).digest(), record_commitment(plaintext))
    with pytest.raises(PaddingError):
        opened(forged)


@pytest.mark.parametrize("size", [0, 11, 12, 27])
def test_a_body_shorter_than_nonce_and_tag_is_refused(size: int) -> None:
    body = bytes(size)
    forged = SealedBody(body, hashlib.sha256(body).digest(), bytes(32))
    with pytest.raises(BodyUnopenableError):
        opened(forged)


def test_two_disclosures_of_one_record_have_commitments_that_nobody_can_compare() -> None:
    seed = bytes(32)
    here = salt_for(seed, stream_id=STREAM, sequence=1)
    assert here == salt_for(seed, stream_id=STREAM, sequence=1)
    others = {
        salt_for(seed, stream_id=STREAM, sequence=2),
        salt_for(seed, stream_id=bytes(32), sequence=1),
        salt_for(bytes(31) + b"\x01", stream_id=STREAM, sequence=1),
    }
    assert len(others | {here}) == 4
