"""The RFC 6962 tree over SHA-256, as far as a writer needs it.

A ``Frontier`` is all that is needed to append and to give the root: one hash for
each complete subtree, left to right. It holds no leaf and proves nothing about
old ones; that is for ``tiles`` and ``proof``. Its one rule: no odd node is ever
duplicated (PROTOCOL 1.1).
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mithaq.ledger.errors import TreeFormatError

HASH_SIZE_BYTES: Final = 32
TREE_SIZE_MAX: Final = 2**63 - 1
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

_SIZE: Final = struct.Struct(">Q")
# LIMITS: copying a state that holds the prefix is cheaper than joining bytes.
_LEAF: Final = hashlib.sha256(b"\x00")
_NODE: Final = hashlib.sha256(b"\x01")


def leaf_hash(entry: bytes) -> bytes:
    """Return the RFC 6962 hash of one leaf, from the exact bytes of its entry."""
    state = _LEAF.copy()
    state.update(entry)
    return state.digest()


def leaf_hashes_after(prefix: bytes, rests: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hashes of ``prefix ‖ rest`` for each rest.

    The prefix is hashed once, however many entries share it.
    """
    start = _LEAF.copy()
    start.update(prefix)
    copy = start.copy
    hashes: list[bytes] = []
    add = hashes.append
    for rest in rests:
        state = copy()
        state.update(rest)
        add(state.digest())
    return hashes


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 hash of an inner node."""
    state = _NODE.copy()
    state.update(left + right)
    return state.digest()


def parents(nodes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes one level up; a last node without a sibling is left out."""
    copy = _NODE.copy
    hashes: list[bytes] = []
    add = hashes.append
    # The two slices end together at the shorter: an odd last node has no parent yet.
    for left, right in zip(nodes[::2], nodes[1::2], strict=False):
        state = copy()
        state.update(left + right)
        add(state.digest())
    return hashes


@dataclass(frozen=True, slots=True)
class Frontier:
    """The complete subtrees of a tree, largest first, one for each bit of its size."""

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse a size and hashes that no tree has."""
        if not 0 <= self.size <= TREE_SIZE_MAX:
            raise TreeFormatError(f"a tree has 0 to 2^63-1 leaves, not {self.size}")
        if len(self.hashes) != self.size.bit_count():
            raise TreeFormatError(
                f"a tree of {self.size} leaves has {self.size.bit_count()} subtrees"
            )
        if any(len(each) != HASH_SIZE_BYTES for each in self.hashes):
            raise TreeFormatError("a hash in the frontier has not 32 bytes")

    @classmethod
    def empty(cls) -> "Frontier":
        """Return the frontier of the tree without leaves."""
        return cls(0, ())

    def append(self, leaf: bytes) -> "Frontier":
        """Return the frontier after one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, hashes: Sequence[bytes]) -> "Frontier":
        """Return the frontier after these leaf hashes, joined level by level.

        Raises:
            TreeFormatError: a leaf hash has not 32 bytes, or the tree is full.

        """
        if any(len(each) != HASH_SIZE_BYTES for each in hashes):
            raise TreeFormatError("a leaf hash has not 32 bytes")
        complete = list(self.hashes)
        fresh: list[bytes] = []
        level, start = list(hashes), self.size
        while level:
            if start & 1:
                level.insert(0, complete.pop())
            if len(level) & 1:
                fresh.append(level[-1])
            level, start = parents(level), start >> 1
        return Frontier(self.size + len(hashes), (*complete, *reversed(fresh)))

    def root(self) -> bytes:
        """Return the Merkle root; of an empty tree the hash of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """Return ``uint64 size ‖ hashes``."""
        return _SIZE.pack(self.size) + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Read what ``to_bytes`` wrote.

        Raises:
            TreeFormatError: the bytes are not a frontier.

        """
        if len(data) < _SIZE.size or (len(data) - _SIZE.size) % HASH_SIZE_BYTES:
            raise TreeFormatError(f"{len(data)} bytes are not a frontier")
        (size,) = _SIZE.unpack_from(data)
        return cls(size, split_hashes(data[_SIZE.size :]))


def split_hashes(data: bytes) -> tuple[bytes, ...]:
    """Return the 32-byte hashes that ``data`` is made of; its length is a multiple."""
    return tuple(each for (each,) in struct.iter_unpack(f"{HASH_SIZE_BYTES}s", data))


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over all the leaf hashes of a log."""
    return Frontier.empty().extend(leaf_hashes).root()
