from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.errors import TreeFormatError
from mithaq.ledger.tiles import (
    TILE_HASHES,
    TILE_SIZE_BYTES,
    Tile,
    TileMap,
    append,
    partial_width,
    subtree_hash,
    subtree_hashes,
)
from mithaq.ledger.tree import TREE_SIZE_MAX, leaf_hash, root_of

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


@pytest.fixture(scope="module")
def stored() -> TileMap:
    return TileMap(LEAVES)


def test_a_tree_of_70_000_is_tiled_as_the_c2sp_document_says() -> None:
    tiles = append(0, {}, LEAVES)
    widths = {level: [each.width for each in tiles if each.level == level] for level in range(4)}
    assert widths[0] == [256] * 273 + [112]
    assert widths[1] == [256, 17]
    assert widths[2] == [1]
    assert widths[3] == []


def test_a_tree_of_256_has_a_full_tile_and_a_partial_one_above() -> None:
    tiles = append(0, {}, LEAVES[:256])
    assert [(each.level, each.index, each.width) for each in tiles] == [(0, 0, 256), (1, 0, 1)]
    assert tiles[1].hashes == root_of(LEAVES[:256])


def test_the_width_of_partial_tiles_follows_from_the_size() -> None:
    assert [partial_width(70_000, level) for level in range(4)] == [112, 17, 1, 0]


def test_a_partial_tile_is_not_hashed_into_the_level_above() -> None:
    assert [each.level for each in append(0, {}, LEAVES[:255])] == [0]


def test_one_more_leaf_changes_one_tile() -> None:
    row = b"".join(LEAVES[:3])
    assert append(3, {0: row}, LEAVES[3:4]) == [Tile(0, 0, row + LEAVES[3])]


def test_the_leaf_that_completes_a_tile_changes_the_one_above_too() -> None:
    changed = append(255, {0: b"".join(LEAVES[:255])}, LEAVES[255:256])
    assert [(each.level, each.width, each.is_complete) for each in changed] == [
        (0, 256, True),
        (1, 1, False),
    ]


def test_appending_nothing_changes_nothing() -> None:
    assert append(3, {0: b"".join(LEAVES[:3])}, []) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=5))
def test_tiles_are_the_same_in_whatever_portions_leaves_come(portions: list[int]) -> None:
    grown, at = TileMap(), 0
    for portion in portions:
        grown.extend(LEAVES[at : at + portion])
        at += portion
    whole = TileMap(LEAVES[:at])
    every = [(level, index) for level in range(3) for index in range(16)]
    assert grown.read_tiles(every) == whole.read_tiles(every)
    assert grown.size == whole.size == at


@pytest.mark.parametrize("row", [b"", LEAVES[0], b"".join(LEAVES[:3])])
def test_a_partial_row_of_another_size_is_refused(row: bytes) -> None:
    with pytest.raises(TreeFormatError, match="is not that of 2 leaves"):
        append(2, {0: row}, LEAVES[2:3])


def test_a_leaf_hash_of_another_size_is_not_appended() -> None:
    with pytest.raises(TreeFormatError, match="32 bytes"):
        append(0, {}, [bytes(31), bytes(33)])


@pytest.mark.parametrize("size", [0, 1, TILE_SIZE_BYTES + 32, 33])
def test_a_tile_has_1_to_256_whole_hashes(size: int) -> None:
    with pytest.raises(TreeFormatError, match="a tile has"):
        Tile(0, 0, bytes(size))
    assert Tile(0, 0, bytes(TILE_SIZE_BYTES)).width == TILE_HASHES


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (69_999, 70_000),
        (0, 70_000),
        (256, 512),
        (65_536, 70_000),
        (4, 7),
        (1024, 1024 + 700),
    ],
)
def test_a_subtree_s_hash_is_that_of_its_leaves(stored: TileMap, start: int, end: int) -> None:
    assert subtree_hash(stored, start, end) == root_of(LEAVES[start:end])


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 69_999])
def test_the_tree_of_any_earlier_size_is_read_from_the_tiles_of_a_later_one(
    stored: TileMap, size: int
) -> None:
    assert subtree_hash(stored, 0, size) == root_of(LEAVES[:size])


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (5, 5), (5, 4), (-1, 0), (1, 3), (2, 5), (6, 12), (0, 2**63)]
)
def test_no_tree_has_a_node_over_an_unaligned_or_empty_range(
    stored: TileMap, start: int, end: int
) -> None:
    with pytest.raises(TreeFormatError, match="no node"):
        subtree_hash(stored, start, end)


def test_a_missing_tile_is_an_error_and_not_another_hash(stored: TileMap) -> None:
    with pytest.raises(TreeFormatError, match="missing or narrower"):
        subtree_hash(stored, 70_000, 70_001)
    with pytest.raises(TreeFormatError, match="missing or narrower"):
        subtree_hash(stored, 0, 70_001)


def test_the_largest_tree_has_a_node_whose_tiles_are_missing(stored: TileMap) -> None:
    with pytest.raises(TreeFormatError, match="missing or narrower"):
        subtree_hash(stored, 0, TREE_SIZE_MAX)


def test_storage_is_asked_once_and_for_no_tile_twice(stored: TileMap) -> None:
    asked: list[list[tuple[int, int]]] = []

    class Counting:
        def read_tiles(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
            asked.append(list(wanted))
            return stored.read_tiles(wanted)

    subtree_hashes(Counting(), [(0, 4), (4, 6), (6, 7), (256, 300)])
    assert asked == [[(0, 0), (0, 1)]]
