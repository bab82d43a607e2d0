import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.sealing.at_rest import StorageKey
from mithaq.node.sealing.errors import AtRestError, ErasedError

STORAGE = StorageKey(bytes(range(32)))
NAME = b"a row"


@given(st.binary(min_size=0, max_size=5000))
def test_what_was_stored_opens_under_its_name(record: bytes) -> None:
    kept = STORAGE.seal(record, name=NAME, random=os.urandom)
    assert STORAGE.open(wrapped_key=kept.wrapped_key, body=kept.body, name=NAME) == record


def test_a_row_opens_under_no_other_name_and_no_other_storage_key() -> None:
    kept = STORAGE.seal(b"a record", name=NAME, random=os.urandom)
    with pytest.raises(AtRestError):
        STORAGE.open(wrapped_key=kept.wrapped_key, body=kept.body, name=b"another row")
    with pytest.raises(AtRestError):
        StorageKey(bytes(32)).open(wrapped_key=kept.wrapped_key, body=kept.body, name=NAME)


def test_a_body_opens_under_no_other_records_key() -> None:
    one, other = (STORAGE.seal(b"a record", name=NAME, random=os.urandom) for _ in range(2))
    with pytest.raises(AtRestError):
        STORAGE.open(wrapped_key=one.wrapped_key, body=other.body, name=NAME)


def test_once_the_wrapped_key_is_gone_nobody_opens_the_record() -> None:
    kept = STORAGE.seal(b"a record", name=NAME, random=os.urandom)
    for gone in (None, b""):
        with pytest.raises(ErasedError):
            STORAGE.open(wrapped_key=gone, body=kept.body, name=NAME)
        with pytest.raises(ErasedError):
            STORAGE.open(wrapped_key=kept.wrapped_key, body=gone, name=NAME)


def test_each_record_has_a_key_of_its_own() -> None:
    kept = [STORAGE.seal(b"a record", name=NAME, random=os.urandom) for _ in range(50)]
    assert len({each.body for each in kept}) == len({each.wrapped_key for each in kept}) == 50


def test_no_byte_of_what_is_stored_can_be_flipped() -> None:
    kept = STORAGE.seal(b"a record", name=NAME, random=os.urandom)
    for part in ("wrapped_key", "body"):
        whole = getattr(kept, part)
        for at in range(len(whole)):
            broken = kept._replace(**{part: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]})
            with pytest.raises(AtRestError):
                STORAGE.open(wrapped_key=broken.wrapped_key, body=broken.body, name=NAME)


def test_a_wrapped_secret_opens_under_its_name_only() -> None:
    wrapped = STORAGE.wrap(b"secret", name=b"epoch 1", random=os.urandom)
    assert STORAGE.unwrap(wrapped, name=b"epoch 1") == b"secret"
    for name, data in ((b"epoch 2", wrapped), (b"epoch 1", wrapped[:-1]), (b"epoch 1", b"")):
        with pytest.raises(AtRestError):
            STORAGE.unwrap(data, name=name)


def test_a_tombstone_cannot_be_recomputed_without_the_storage_key() -> None:
    name = "eg-moi-01J00000000000000000000000"
    assert STORAGE.tombstone(name) == STORAGE.tombstone(name)
    assert STORAGE.tombstone(name) != StorageKey(bytes(32)).tombstone(name)


def test_a_storage_key_has_32_bytes() -> None:
    for size in (0, 16, 31, 33):
        with pytest.raises(AtRestError):
            StorageKey(bytes(size))
