"""The tree as tiles: rows of up to 256 hashes (c2sp.org/tlog-tiles).

A tile at level l holds, side by side, the roots of 256 complete subtrees of
256^l leaves each. Complete tiles never change; at each level at most the last
one is partial. Says which tiles an append yields and which ones a hash is made
from; where they are kept is the reader's affair. What comes from a reader is
believed only as far as a signed root bears it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mithaq.ledger.errors import TreeFormatError
from mithaq.ledger.tree import HASH_SIZE_BYTES, TREE_SIZE_MAX, Frontier, root_of, split_hashes

TILE_HEIGHT: Final = 8
TILE_HASHES: Final = 1 << TILE_HEIGHT
TILE_SIZE_BYTES: Final = TILE_HASHES * HASH_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class Tile:
    """A row of 1 to 256 hashes, joined; partial while it has fewer than 256."""

    level: int
    index: int
    hashes: bytes

    def __post_init__(self) -> None:
        """Refuse a row that is not made of 1 to 256 hashes."""
        if not 1 <= len(self.hashes) <= TILE_SIZE_BYTES or len(self.hashes) % HASH_SIZE_BYTES:
            raise TreeFormatError(
                f"a tile has 1 to 256 hashes of 32 bytes, not {len(self.hashes)} bytes"
            )

    @property
    def width(self) -> int:
        """The number of hashes."""
        return len(self.hashes) // HASH_SIZE_BYTES

    @property
    def is_complete(self) -> bool:
        """Whether the tile will never change again."""
        return self.width == TILE_HASHES


class HashReader(Protocol):
    """Gives tiles back; the only thing that a proof asks of storage."""

    def read_tiles(self, wanted: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Return the rows of these (level, index), in order; a partial one as it now stands."""
        ...


def partial_width(size: int, level: int) -> int:
    """Return how many hashes the partial tile of a level has in a tree of ``size`` leaves."""
    return (size >> TILE_HEIGHT * level) % TILE_HASHES


def append(size: int, partial: Mapping[int, bytes], hashes: Sequence[bytes]) -> list[Tile]:
    """Return every tile that appending leaf hashes changes, as it then stands.

    ``partial`` has the row of each level whose last tile is partial at ``size``. Complete
    tiles come with the partial one that follows them, level by level, so that the last
    tile of each level in the answer, if partial, replaces that level's row.

    Raises:
        TreeFormatError: a partial row is not as wide as ``size`` says, or a hash not 32 bytes.

    """
    if any(len(each) != HASH_SIZE_BYTES for each in hashes):
        raise TreeFormatError("a leaf hash has not 32 bytes")
    changed: list[Tile] = []
    fresh, level = b"".join(hashes), 0
    while fresh:
        row = partial.get(level, b"")
        if len(row) != partial_width(size, level) * HASH_SIZE_BYTES:
            raise TreeFormatError(f"the partial tile at level {level} is not that of {size} leaves")
        tiles = _cut(level, size >> TILE_HEIGHT * (level + 1), row + fresh)
        changed += tiles
        fresh = b"".join(root_of(split_hashes(each.hashes)) for each in tiles if each.is_complete)
        level += 1
    return changed


def _cut(level: int, index: int, row: bytes) -> list[Tile]:
    starts = range(0, len(row), TILE_SIZE_BYTES)
    return [
        Tile(level, at, row[start : start + TILE_SIZE_BYTES])
        for at, start in enumerate(starts, index)
    ]


def subtree_hash(reader: HashReader, start: int, end: int) -> bytes:
    """Return the root over the leaves from ``start`` up to, not including, ``end``.

    Raises:
        TreeFormatError: no range that an RFC 6962 tree has a node for, or a tile that is
            missing or too narrow.

    """
    return subtree_hashes(reader, [(start, end)])[0]


def subtree_hashes(reader: HashReader, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the root over each range of leaves, asking the reader once for all of them.

    Raises:
        TreeFormatError: as ``subtree_hash`` does.

    """
    parts = [_complete_subtrees(start, end) for start, end in ranges]
    wanted = sorted({_tile_of(*part) for each in parts for part in each})
    rows = dict(zip(wanted, reader.read_tiles(wanted), strict=True))
    return [_joined([_from_tile(rows[_tile_of(*part)], *part) for part in each]) for each in parts]


def frontier_at(reader: HashReader, size: int) -> Frontier:
    """Return the frontier of a log as it was at a size that it has reached."""
    ranges: list[tuple[int, int]] = []
    start = 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            ranges.append((start, start + (1 << bit)))
            start += 1 << bit
    hashes = subtree_hashes(reader, ranges) if ranges else []
    return Frontier(size, tuple(hashes))


def _complete_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Cut a range into complete subtrees, largest first, each as (height, index)."""
    if not 0 <= start < end <= TREE_SIZE_MAX or start & ((1 << (end - start - 1).bit_length()) - 1):
        raise TreeFormatError(f"no node of a tree spans leaves {start} to {end}")
    parts: list[tuple[int, int]] = []
    while start < end:
        height = (end - start).bit_length() - 1
        parts.append((height, start >> height))
        start += 1 << height
    return parts


def _tile_of(height: int, index: int) -> tuple[int, int]:
    level, above = divmod(height, TILE_HEIGHT)
    return level, index << above >> TILE_HEIGHT


def _from_tile(row: bytes, height: int, index: int) -> bytes:
    above = height % TILE_HEIGHT
    start = (index << above) % TILE_HASHES * HASH_SIZE_BYTES
    end = start + (HASH_SIZE_BYTES << above)
    if len(row) < end:
        raise TreeFormatError("a tile is missing or narrower than the tree that it is read for")
    return root_of(split_hashes(row[start:end]))


def _joined(roots: Sequence[bytes]) -> bytes:
    # Largest first, as a frontier holds them: its root joins them from the right.
    size = (1 << len(roots)) - 1
    return Frontier(size, tuple(roots)).root()


class TileMap:
    """Tiles in memory: for small logs, bundles and checks of a stored tree."""

    def __init__(self, leaf_hashes: Sequence[bytes] = ()) -> None:
        """Begin with these leaf hashes."""
        self._rows: dict[tuple[int, int], bytes] = {}
        self._size = 0
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Append leaf hashes."""
        levels = range(self._size.bit_length() // TILE_HEIGHT + 1)
        partial = {
            level: self._rows.get((level, self._size >> TILE_HEIGHT * (level + 1)), b"")
            for level in levels
        }
        for tile in append(self._size, partial, leaf_hashes):
            self._rows[tile.level, tile.index] = tile.hashes
        self._size += len(leaf_hashes)

    def read_tiles(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the rows of these (level, index); an empty one for a tile that is not there."""
        return [self._rows.get(each, b"") for each in wanted]
