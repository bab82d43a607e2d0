import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.commitment import lp
from mithaq.ledger.entry import (
    BATCH_ENTRIES_MAX,
    BATCH_SIZE_BYTES_MAX,
    BODIES_PER_EPOCH_MAX,
    BODY_SIZE_BYTES_MAX,
    EntryKind,
    Own,
    Terms,
    encode_terms,
    has_body,
    has_target,
    leaf,
    leaf_hashes,
    own_sizes,
    pack_own,
    split_leaf,
    split_own,
    stream_id,
    unpack_own,
)
from mithaq.ledger.errors import EntryFormatError
from mithaq.ledger.terms import TERMS_SIZE_BYTES_MAX
from mithaq.ledger.tree import TREE_SIZE_MAX, leaf_hash
from tests.ledger.builders import (
    HASH,
    OPEN_LEAF,
    OPENED,
    OTHER_HASH,
    PUT,
    SHAPES,
    body_own,
    put_run,
)

WIDTHS = {
    EntryKind.OPEN: {8},
    EntryKind.EPOCH: {76},
    EntryKind.PUT: {76, 84},
    EntryKind.WITHDRAW: {16},
    EntryKind.CLOSE: {8},
    EntryKind.BLOB: set[int](),
}


@pytest.mark.parametrize(("terms", "own"), SHAPES)
def test_own_fields_of_each_kind_come_back_from_their_bytes(terms: Terms, own: Own) -> None:
    data = pack_own(terms.kind, own)
    assert len(data) in WIDTHS[terms.kind]
    assert unpack_own(terms.kind, data) == own


@pytest.mark.parametrize("kind", EntryKind)
def test_each_kind_has_its_widths_and_no_other(kind: EntryKind) -> None:
    assert set(own_sizes(kind)) == WIDTHS[kind]
    for size in range(100):
        if size in WIDTHS[kind]:
            continue
        with pytest.raises(EntryFormatError, match="own fields"):
            unpack_own(kind, bytes(size))


def test_the_width_tells_what_own_fields_hold() -> None:
    assert [each for each in (8, 16, 76, 84) if has_body(each)] == [76, 84]
    assert [each for each in (8, 16, 76, 84) if has_target(each)] == [16, 84]


def test_fields_stand_in_the_order_of_the_protocol() -> None:
    data = pack_own(EntryKind.PUT, Own(3, 2, 1052, HASH, OTHER_HASH))
    assert data == b"".join(
        (
            (3).to_bytes(8, "big"),
            (2).to_bytes(8, "big"),
            (1052).to_bytes(4, "big"),
            HASH,
            OTHER_HASH,
        )
    )


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (EntryKind.OPEN, body_own(0)),
        (EntryKind.OPEN, Own(3, 1)),
        (EntryKind.EPOCH, Own(1)),
        (EntryKind.EPOCH, body_own(3, 2)),
        (EntryKind.PUT, Own(2)),
        (EntryKind.PUT, Own(3, 2)),
        (EntryKind.WITHDRAW, Own(4)),
        (EntryKind.WITHDRAW, body_own(4, 2)),
        (EntryKind.CLOSE, Own(5, 2)),
        (EntryKind.BLOB, body_own(2)),
    ],
)
def test_a_kind_has_the_own_fields_that_it_uses_and_no_other(kind: EntryKind, own: Own) -> None:
    with pytest.raises(EntryFormatError, match="own fields"):
        pack_own(kind, own)


@pytest.mark.parametrize("sequence", [-1, TREE_SIZE_MAX + 1])
def test_a_sequence_has_its_limits(sequence: int) -> None:
    unpack_own(EntryKind.CLOSE, pack_own(EntryKind.CLOSE, Own(TREE_SIZE_MAX)))
    with pytest.raises(EntryFormatError, match="sequence"):
        Own(sequence)


def test_a_sequence_beyond_the_limit_is_refused_in_bytes() -> None:
    with pytest.raises(EntryFormatError, match="sequence"):
        unpack_own(EntryKind.CLOSE, b"\xff" * 8)


@pytest.mark.parametrize("target", [-1, 0, 4, 5])
def test_a_target_lies_between_open_and_its_entry(target: int) -> None:
    assert Own(4, 1).target == 1
    assert Own(4, 3).target == 3
    with pytest.raises(EntryFormatError, match="target"):
        Own(4, target)


@pytest.mark.parametrize("size", [-1, 0, BODY_SIZE_BYTES_MAX + 1])
def test_a_body_has_its_limits(size: int) -> None:
    assert body_own(1, size=1).body_size == 1
    assert body_own(1, size=BODY_SIZE_BYTES_MAX).body_size == BODY_SIZE_BYTES_MAX
    with pytest.raises(EntryFormatError, match="a body has"):
        body_own(1, size=size)


def test_body_size_hash_and_commitment_come_together() -> None:
    whole = body_own(1)
    partly: Any
    for partly in ({"body_size": None}, {"body_hash": None}, {"commitment": None}):
        with pytest.raises(EntryFormatError, match="together"):
            replace(whole, **partly)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_body_hash_and_commitment_have_32_bytes(size: int) -> None:
    with pytest.raises(EntryFormatError, match="32 bytes"):
        replace(body_own(1), body_hash=bytes(size))
    with pytest.raises(EntryFormatError, match="32 bytes"):
        replace(body_own(1), commitment=bytes(size))


@given(st.sampled_from(EntryKind), st.binary(max_size=90))
def test_hostile_own_fields_are_refused_or_pack_the_same(kind: EntryKind, data: bytes) -> None:
    try:
        own = unpack_own(kind, data)
    except EntryFormatError:
        return
    assert pack_own(kind, own) == data


@given(st.binary(max_size=200), st.binary(max_size=84))
def test_a_leaf_parts_again_into_terms_and_own_fields(terms: bytes, own: bytes) -> None:
    assert split_leaf(leaf(terms, own)) == (terms, own)
    assert leaf(terms, own) == lp(terms) + own


@given(st.binary(max_size=200))
def test_hostile_leaves_are_refused_or_join_the_same(data: bytes) -> None:
    try:
        terms, own = split_leaf(data)
    except EntryFormatError:
        return
    assert leaf(terms, own) == data


def test_a_leaf_shorter_than_it_says_is_refused() -> None:
    with pytest.raises(EntryFormatError, match="shorter than its terms"):
        split_leaf((5).to_bytes(4, "big") + b"four")


def test_a_leaf_has_its_limits() -> None:
    largest = leaf(bytes(TERMS_SIZE_BYTES_MAX), bytes(84))
    assert split_leaf(largest)[1] == bytes(84)
    for wrong in (largest + b"x", b"", b"abc"):
        with pytest.raises(EntryFormatError, match="an entry has 4 to"):
            split_leaf(wrong)


def test_the_border_between_terms_and_own_fields_cannot_be_moved() -> None:
    terms, own = encode_terms(PUT), pack_own(EntryKind.PUT, body_own(2))
    moved = leaf(terms + own[:8], own[8:])
    assert leaf_hash(moved) != leaf_hash(leaf(terms, own))


def test_a_run_is_hashed_as_its_entries_are_one_by_one() -> None:
    run = put_run(2, 5)
    expected = [
        leaf_hash(leaf(run.terms_bytes, pack_own(EntryKind.PUT, body_own(each))))
        for each in range(2, 7)
    ]
    assert leaf_hashes(run.terms_bytes, run.own_bytes, run.own_size) == expected


def test_a_run_of_the_narrowest_entries_is_parted() -> None:
    assert split_own(b"sequencesequence", 8) == [b"sequence", b"sequence"]


def test_the_limits_are_those_of_the_protocol() -> None:
    # PROTOCOL 4.4 and 5.1.
    assert BODIES_PER_EPOCH_MAX == 2**20
    assert BATCH_ENTRIES_MAX == 256
    assert BATCH_SIZE_BYTES_MAX == 1024 * 1024


@pytest.mark.parametrize(("size", "own_size"), [(0, 8), (7, 8), (9, 8), (16, 0), (16, 7), (75, 76)])
def test_bytes_that_are_not_made_of_whole_blocks_are_no_run(size: int, own_size: int) -> None:
    with pytest.raises(EntryFormatError, match="no run"):
        split_own(bytes(size), own_size)


def test_a_stream_is_named_by_the_leaf_hash_of_its_open() -> None:
    expected = hashlib.sha256(b"\x00" + OPEN_LEAF).digest()
    assert stream_id(OPEN_LEAF) == expected == OPENED.stream_id
