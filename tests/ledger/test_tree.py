import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.errors import TreeFormatError
from mithaq.ledger.tree import (
    EMPTY_ROOT,
    TREE_SIZE_MAX,
    Frontier,
    leaf_hash,
    leaf_hashes_after,
    node_hash,
    parents,
    root_of,
)

LEAVES = [leaf_hash(bytes((number,))) for number in range(70)]


def reference_root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    left, right = reference_root(hashes[:split]), reference_root(hashes[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_a_leaf_is_hashed_behind_a_zero_byte() -> None:
    assert leaf_hash(b"entry") == hashlib.sha256(b"\x00entry").digest()


def test_a_node_is_hashed_behind_a_one_byte() -> None:
    left, right = LEAVES[:2]
    assert node_hash(left, right) == hashlib.sha256(b"\x01" + left + right).digest()


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


def test_hashing_behind_a_shared_prefix_is_hashing_the_whole() -> None:
    assert leaf_hashes_after(b"terms", [b"one", b""]) == [
        leaf_hash(b"termsone"),
        leaf_hash(b"terms"),
    ]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(70))
def test_the_root_is_that_of_the_recursive_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == reference_root(LEAVES[:size])


def test_an_odd_last_node_is_not_duplicated() -> None:
    assert root_of(LEAVES[:3]) != root_of([*LEAVES[:3], LEAVES[2]])
    assert parents(LEAVES[:3]) == [node_hash(LEAVES[0], LEAVES[1])]


@given(st.lists(st.integers(0, 40), max_size=6))
def test_appending_in_any_portions_gives_the_same_frontier(portions: list[int]) -> None:
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(sum(portions))]
    frontier, at = Frontier.empty(), 0
    for portion in portions:
        frontier = frontier.extend(leaves[at : at + portion])
        at += portion
    assert frontier == Frontier.empty().extend(leaves)
    assert frontier.size == at


def test_appending_one_by_one_is_extending() -> None:
    frontier = Frontier.empty()
    for size, each in enumerate(LEAVES, 1):
        frontier = frontier.append(each)
        assert frontier == Frontier.empty().extend(LEAVES[:size])


def test_extending_by_nothing_changes_nothing() -> None:
    frontier = Frontier.empty().extend(LEAVES[:5])
    assert frontier.extend([]) == frontier


@given(st.integers(0, 69))
def test_a_frontier_comes_back_from_its_bytes(size: int) -> None:
    frontier = Frontier.empty().extend(LEAVES[:size])
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier


@given(st.binary(max_size=200))
def test_hostile_bytes_are_a_frontier_or_are_refused(data: bytes) -> None:
    try:
        frontier = Frontier.from_bytes(data)
    except TreeFormatError:
        return
    assert frontier.to_bytes() == data


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9), bytes(8 + 33)])
def test_bytes_that_are_no_size_and_whole_hashes_are_no_frontier(data: bytes) -> None:
    with pytest.raises(TreeFormatError, match="are not a frontier"):
        Frontier.from_bytes(data)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (3, 1), (4, 2)])
def test_a_frontier_has_one_subtree_for_each_bit_of_its_size(size: int, count: int) -> None:
    with pytest.raises(TreeFormatError, match="subtrees"):
        Frontier(size, (LEAVES[0],) * count)


@pytest.mark.parametrize("size", [-1, TREE_SIZE_MAX + 1])
def test_a_size_outside_of_what_can_be_signed_is_refused(size: int) -> None:
    with pytest.raises(TreeFormatError, match="leaves"):
        Frontier(size, ())


def test_a_full_tree_takes_no_further_leaf() -> None:
    full = Frontier(TREE_SIZE_MAX, (LEAVES[0],) * 63)
    with pytest.raises(TreeFormatError, match="leaves"):
        full.append(LEAVES[0])


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_hash_of_another_size_is_refused(wrong: bytes) -> None:
    with pytest.raises(TreeFormatError, match="32 bytes"):
        Frontier.empty().append(wrong)
    with pytest.raises(TreeFormatError, match="32 bytes"):
        Frontier(1, (wrong,))
