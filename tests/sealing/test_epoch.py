import hashlib
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.commitment import epoch_commitment, epoch_info
from mithaq.ledger.errors import CommitmentMismatchError
from mithaq.node.sealing.epoch import (
    SUITE,
    WRAP_SIZE_BYTES,
    EpochPlace,
    EpochSecret,
    open_epoch,
    split_wraps,
    wrap_epoch,
)
from mithaq.node.sealing.errors import EpochMismatchError, NotAReaderError

PLACE = EpochPlace(bytes(range(32)), 3, "eg-moi")
SECRET = EpochSecret.of(bytes(range(64)))
TUNIS, MADRID, SPARE = (ReceptionKey.generate() for _ in range(3))
READERS = [("es-cnp", MADRID.public), ("tn-dgsn", TUNIS.public)]


def opened(
    body: bytes,
    place: EpochPlace = PLACE,
    *,
    reader: str = "tn-dgsn",
    key: ReceptionKey = TUNIS,
    commitment: bytes = SECRET.commitment,
) -> EpochSecret:
    return open_epoch(body, place, reader=reader, keys={key.key_id: key}, commitment=commitment)


def test_every_reader_opens_the_same_secret() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS)
    assert opened(body) == SECRET
    assert opened(body, reader="es-cnp", key=MADRID) == SECRET


def test_the_body_holds_one_wrap_for_each_reader_in_header_order() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS)
    assert list(split_wraps(body)) == [MADRID.key_id, TUNIS.key_id]
    assert len(body) == 2 * (32 + 4 + WRAP_SIZE_BYTES)


def test_whoever_is_no_reader_has_no_wrap() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS)
    with pytest.raises(NotAReaderError):
        opened(body, key=SPARE)


@pytest.mark.parametrize(
    "place",
    [
        PLACE._replace(stream_id=bytes(32)),
        PLACE._replace(epoch=4),
        PLACE._replace(sender="eg-mod"),
    ],
)
def test_a_wrap_opens_in_no_other_stream_epoch_or_senders_name(place: EpochPlace) -> None:
    body = wrap_epoch(SECRET, PLACE, READERS)
    with pytest.raises(EpochMismatchError):
        opened(body, place)


def test_a_wrap_opens_in_no_other_readers_name() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS)
    with pytest.raises(EpochMismatchError):
        opened(body, reader="tn-dgso")


def test_a_wrap_is_bound_to_the_key_that_stands_before_it() -> None:
    swapped = wrap_epoch(SECRET, PLACE, [("tn-dgsn", TUNIS.public)]).replace(
        TUNIS.key_id, SPARE.key_id
    )
    with pytest.raises(EpochMismatchError):
        open_epoch(
            swapped,
            PLACE,
            reader="tn-dgsn",
            keys={SPARE.key_id: TUNIS},
            commitment=SECRET.commitment,
        )


def test_another_secret_than_the_one_committed_to_is_refused() -> None:
    other = EpochSecret.of(os.urandom(64))
    body = wrap_epoch(other, PLACE, READERS)
    with pytest.raises(CommitmentMismatchError):
        opened(body)


def test_two_readers_cannot_be_given_two_secrets_under_one_header() -> None:
    other = EpochSecret.of(os.urandom(64))
    body = wrap_epoch(SECRET, PLACE, READERS[:1]) + wrap_epoch(other, PLACE, READERS[1:])
    assert opened(body, reader="es-cnp", key=MADRID) == SECRET
    with pytest.raises(CommitmentMismatchError):
        opened(body)


def test_no_byte_of_a_wrap_can_be_flipped() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS[1:])
    for at in range(0, len(body), 61):
        broken = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises((EpochMismatchError, NotAReaderError)):
            opened(broken)


def test_a_body_cut_short_or_with_one_key_twice_is_refused() -> None:
    body = wrap_epoch(SECRET, PLACE, READERS[1:])
    for broken in (b"", body[:-1], body + b"\0", body + body):
        with pytest.raises(EpochMismatchError):
            opened(broken)


def test_the_commitment_is_that_of_the_protocol() -> None:
    assert SECRET.commitment == epoch_commitment(SECRET.salt, SECRET.secret)


def test_an_epoch_secret_is_64_bytes_and_never_shown() -> None:
    for entropy in (bytes(63), bytes(65)):
        with pytest.raises(EpochMismatchError):
            EpochSecret.of(entropy)
    assert "1f" not in repr(SECRET)


def test_two_wraps_of_one_secret_share_no_bytes() -> None:
    bodies = [wrap_epoch(SECRET, PLACE, READERS[1:])[36:] for _ in range(3)]
    assert all(one[:64] != other[:64] for one, other in pairwise(bodies))


def test_the_info_of_a_wrap_is_that_of_the_protocol() -> None:
    assert PLACE.info(reader="tn-dgsn", key=TUNIS.key_id) == epoch_info(
        PLACE.stream_id, 3, sender="eg-moi", reader="tn-dgsn", key_id=TUNIS.key_id
    )


def test_the_suite_is_the_post_quantum_one() -> None:
    recipient = MLKEM768X25519PublicKey(TUNIS.mlkem768.public_key(), TUNIS.x25519.public_key())
    # enc is an ML-KEM-768 ciphertext and an X25519 key; then comes the tag alone.
    assert len(SUITE.encrypt(b"", recipient, b"")) == 1088 + 32 + 16


def test_the_public_vector_of_the_kem_opens_with_our_reception_key() -> None:
    # PyPI cryptography_vectors, HPKE/hpke-pq-test-vectors.json: KEM 0x647a (ML-KEM-768 with
    # X25519), HKDF-SHA256. It has an associated data and ChaCha20, which our suite has not,
    # so what it proves is the KEM, the key schedule and the order of our key's two halves.
    vector = next(
        each for each in load_vectors() if (each["kem_id"], each["kdf_id"]) == (0x647A, 1)
    )
    seeds = hashlib.shake_256(bytes.fromhex(vector["skRm"])).digest(96)
    key = ReceptionKey.from_bytes(seeds)
    assert key.public.hex() == vector["pkRm"]
    private = MLKEM768X25519PrivateKey(key.mlkem768, key.x25519)
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    first = vector["encryptions"][0]
    opened = openssl.hpke._decrypt_with_aad(  # pyright: ignore[reportPrivateUsage]
        suite,
        bytes.fromhex(vector["enc"] + first["ct"]),
        private,
        bytes.fromhex(vector["info"]),
        bytes.fromhex(first["aad"]),
    )
    assert opened.hex() == first["pt"]


def load_vectors() -> list[dict[str, Any]]:
    folder = Path(cryptography_vectors.__file__).parent
    text = (folder / "HPKE" / "hpke-pq-test-vectors.json").read_text()
    vectors: list[dict[str, Any]] = json.loads(text)
    return vectors
