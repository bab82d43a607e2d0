"""Proofs: a leaf is in a tree (inclusion); a tree continues another (consistency).

RFC 6962, 2.1.1 and 2.1.2. The verifiers take nothing but numbers and hashes, and
the length that a proof must have follows from the sizes alone: it is checked
before anything is hashed. They return nothing and raise otherwise; a verifier of
consistency that is wrong in a corner fails open, so every corner has a test.
"""

from collections.abc import Sequence

from mithaq.ledger.errors import ProofError, RootMismatchError
from mithaq.ledger.tiles import HashReader, subtree_hashes
from mithaq.ledger.tree import EMPTY_ROOT, HASH_SIZE_BYTES, TREE_SIZE_MAX, node_hash


def inclusion_proof(reader: HashReader, index: int, size: int) -> list[bytes]:
    """Return the siblings of a leaf in the tree of ``size`` leaves, from the leaf up.

    Raises:
        ProofError: no such leaf.
        TreeFormatError: the reader lacks a tile.

    """
    _check_index(index, size)
    return subtree_hashes(reader, _path(index, 0, size))


def _path(index: int, start: int, end: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _split(width: int) -> int:
    """Return the largest power of two below ``width``, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def consistency_proof(reader: HashReader, old_size: int, new_size: int) -> list[bytes]:
    """Return what shows that the tree of ``new_size`` leaves continues that of ``old_size``.

    Raises:
        ProofError: the sizes are not ``0 < old_size <= new_size``.
        TreeFormatError: the reader lacks a tile.

    """
    _check_sizes(old_size, new_size)
    start, end, ranges = 0, new_size, list[tuple[int, int]]()
    while old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, end))
    return subtree_hashes(reader, ranges[::-1])


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf of this hash stands at ``index`` in the tree of this size and root.

    Raises:
        ProofError: no such index, or hashes of another number or size than there must be.
        RootMismatchError: the proof gives another root.

    """
    _check_index(index, size)
    _check_hashes(leaf, root, *proof)
    # Up to where the path to the leaf leaves the tree's right edge, siblings stand on
    # either side; from there on only on the left.
    inner = (index ^ (size - 1)).bit_length()
    _check_length(proof, inner + (index >> inner).bit_count())
    climbed = _join_left(_climb(leaf, proof[:inner], index), proof[inner:])
    if climbed != root:
        raise RootMismatchError(f"the proof of entry {index} gives another root at size {size}")


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of ``new_size`` and ``new_root`` continues the old one.

    Two empty trees are consistent; nothing else is said about an empty tree: every log
    continues it, so such a proof would prove nothing and is refused.

    Raises:
        ProofError: sizes that no proof is about, or hashes of another number or size.
        RootMismatchError: the proof gives another old or new root.

    """
    _check_hashes(old_root, new_root, *proof)
    if old_size == new_size:
        _verify_same(old_size, old_root=old_root, new_root=new_root, proof=proof)
        return
    _check_sizes(old_size, new_size)
    # The proof climbs from the last complete subtree of the old tree.
    shift = (old_size & -old_size).bit_length() - 1
    inner = ((old_size - 1) ^ (new_size - 1)).bit_length() - shift
    index = (old_size - 1) >> shift
    seeded = [old_root, *proof] if old_size == 1 << shift else list(proof)
    _check_length(seeded, 1 + inner + (index >> inner).bit_count())
    seed, siblings, edge = seeded[0], seeded[1 : 1 + inner], seeded[1 + inner :]
    lefts = [each for at, each in enumerate(siblings) if index >> at & 1]
    if _join_left(_join_left(seed, lefts), edge) != old_root:
        raise RootMismatchError(f"the proof gives another old root at size {old_size}")
    if _join_left(_climb(seed, siblings, index), edge) != new_root:
        raise RootMismatchError(f"the proof gives another new root at size {new_size}")


def _verify_same(size: int, *, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if not 0 <= size <= TREE_SIZE_MAX:
        raise ProofError(f"a tree has 0 to 2^63-1 leaves, not {size}")
    _check_length(proof, 0)
    if old_root != new_root or (not size and new_root != EMPTY_ROOT):
        raise RootMismatchError(f"two roots at size {size}")


def _climb(seed: bytes, siblings: Sequence[bytes], index: int) -> bytes:
    for at, sibling in enumerate(siblings):
        seed = node_hash(sibling, seed) if index >> at & 1 else node_hash(seed, sibling)
    return seed


def _join_left(seed: bytes, lefts: Sequence[bytes]) -> bytes:
    for left in lefts:
        seed = node_hash(left, seed)
    return seed


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")


def _check_sizes(old_size: int, new_size: int) -> None:
    if not 0 < old_size <= new_size <= TREE_SIZE_MAX:
        raise ProofError(f"no proof leads from size {old_size} to size {new_size}")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_SIZE_BYTES for each in hashes):
        raise ProofError("a hash in a proof has not 32 bytes")


def _check_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise ProofError(
            f"a proof between these sizes has another number of hashes than {len(proof)}"
        )
