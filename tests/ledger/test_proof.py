import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.errors import LedgerError, ProofError, RootMismatchError
from mithaq.ledger.proof import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tree import EMPTY_ROOT, TREE_SIZE_MAX, leaf_hash, root_of

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(1100)]
TILES = TileMap(LEAVES)
VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"
# Its roots have 12 bytes: right for a verifier that compares any two, refused by ours.
NOT_OF_32_BYTES = "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"


def cases(kind: str) -> list[Any]:
    held = json.loads((VECTORS / f"{kind}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=name) for name, case in held.items() if name != NOT_OF_32_BYTES]


def hashes_of(case: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(each) for each in case["proof"] or ()]


@pytest.mark.parametrize("case", cases("inclusion"))
def test_the_public_inclusion_vectors_hold(case: dict[str, Any]) -> None:
    def verify() -> None:
        verify_inclusion(
            leaf=base64.b64decode(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            proof=hashes_of(case),
            root=base64.b64decode(case["root"]),
        )

    if not case["wantErr"]:
        verify()
        return
    with pytest.raises((ProofError, RootMismatchError)):
        verify()


@pytest.mark.parametrize("case", cases("consistency"))
def test_the_public_consistency_vectors_hold(case: dict[str, Any]) -> None:
    def verify() -> None:
        verify_consistency(
            old_size=case["size1"],
            new_size=case["size2"],
            old_root=base64.b64decode(case["root1"]),
            new_root=base64.b64decode(case["root2"]),
            proof=hashes_of(case),
        )

    if not case["wantErr"]:
        verify()
        return
    with pytest.raises((ProofError, RootMismatchError)):
        verify()


def test_the_one_right_vector_without_hashes_is_refused_for_its_roots_only() -> None:
    case = json.loads((VECTORS / "consistency.json").read_text(encoding="utf-8"))["cases"]
    root = base64.b64decode(case[NOT_OF_32_BYTES]["root1"])
    assert not case[NOT_OF_32_BYTES]["wantErr"]
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(old_size=1, new_size=1, old_root=root, new_root=root, proof=[])
    hashed = leaf_hash(root)
    verify_consistency(old_size=1, new_size=1, old_root=hashed, new_root=hashed, proof=[])


def test_the_vectors_have_the_trap_of_an_empty_root_and_leaf() -> None:
    held = json.loads((VECTORS / "inclusion.json").read_text(encoding="utf-8"))["cases"]
    assert held["inclusion/single-entry/empty-root-and-leaf.json"]["wantErr"]


@pytest.mark.parametrize("size", [*range(1, 36), 255, 256, 257, 1023, 1024, 1025])
def test_every_leaf_of_a_tree_is_proved(size: int) -> None:
    root = root_of(LEAVES[:size])
    for index in {*range(min(size, 36)), size - 1}:
        proof = inclusion_proof(TILES, index, size)
        verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof, root=root)


@pytest.mark.parametrize("new_size", [*range(1, 36), 255, 256, 257, 1024, 1025])
def test_every_earlier_tree_is_continued(new_size: int) -> None:
    new_root = root_of(LEAVES[:new_size])
    for old_size in {*range(1, min(new_size, 36) + 1), new_size}:
        verify_consistency(
            old_size=old_size,
            new_size=new_size,
            old_root=root_of(LEAVES[:old_size]),
            new_root=new_root,
            proof=consistency_proof(TILES, old_size, new_size),
        )


@settings(deadline=None)
@given(st.data())
def test_an_inclusion_proof_with_one_bit_changed_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 1100))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(TILES, index, size)
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = flipped(proof[at], bit)
    with pytest.raises(RootMismatchError):
        verify_inclusion(
            leaf=LEAVES[index], index=index, size=size, proof=proof, root=root_of(LEAVES[:size])
        )


@settings(deadline=None)
@given(st.data())
def test_an_inclusion_proof_holds_for_no_other_index(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 64))
    index, other = data.draw(
        st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True)
    )
    with pytest.raises((ProofError, RootMismatchError)):
        verify_inclusion(
            leaf=LEAVES[index],
            index=other,
            size=size,
            proof=inclusion_proof(TILES, index, size),
            root=root_of(LEAVES[:size]),
        )


@settings(deadline=None)
@given(st.data())
def test_a_consistency_proof_with_one_bit_changed_is_refused(data: st.DataObject) -> None:
    new_size = data.draw(st.integers(2, 1100))
    old_size = data.draw(st.integers(1, new_size - 1))
    proof = consistency_proof(TILES, old_size, new_size)
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    proof[at] = flipped(proof[at], bit)
    with pytest.raises(RootMismatchError):
        verify_consistency(
            old_size=old_size,
            new_size=new_size,
            old_root=root_of(LEAVES[:old_size]),
            new_root=root_of(LEAVES[:new_size]),
            proof=proof,
        )


@settings(deadline=None)
@given(st.data())
def test_a_rewritten_history_is_not_a_continuation(data: st.DataObject) -> None:
    new_size = data.draw(st.integers(2, 80))
    old_size = data.draw(st.integers(1, new_size - 1))
    rewritten = list(LEAVES[:new_size])
    rewritten[data.draw(st.integers(0, old_size - 1))] = leaf_hash(b"rewritten")
    with pytest.raises(RootMismatchError):
        verify_consistency(
            old_size=old_size,
            new_size=new_size,
            old_root=root_of(LEAVES[:old_size]),
            new_root=root_of(rewritten),
            proof=consistency_proof(TileMap(rewritten), old_size, new_size),
        )


def test_an_old_root_that_the_proof_does_not_give_is_refused() -> None:
    with pytest.raises(RootMismatchError, match="old root"):
        verify_consistency(
            old_size=3,
            new_size=7,
            old_root=leaf_hash(b"forged"),
            new_root=root_of(LEAVES[:7]),
            proof=consistency_proof(TILES, 3, 7),
        )


def test_a_consistent_old_root_does_not_carry_a_forged_new_one() -> None:
    with pytest.raises(RootMismatchError, match="new root"):
        verify_consistency(
            old_size=4,
            new_size=7,
            old_root=root_of(LEAVES[:4]),
            new_root=leaf_hash(b"forged"),
            proof=consistency_proof(TILES, 4, 7),
        )


@given(
    st.integers(-2, 2**64),
    st.integers(-2, 2**64),
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=40),
)
def test_hostile_inclusion_proofs_are_refused(
    index: int, size: int, proof: list[bytes], root: bytes
) -> None:
    with pytest.raises((ProofError, RootMismatchError)):
        verify_inclusion(leaf=LEAVES[0], index=index, size=size, proof=proof, root=root)


@given(
    st.integers(-2, 2**64),
    st.integers(-2, 2**64),
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=40),
)
def test_hostile_consistency_proofs_are_refused(
    old_size: int, new_size: int, proof: list[bytes], root: bytes
) -> None:
    with pytest.raises((ProofError, RootMismatchError)):
        verify_consistency(
            old_size=old_size, new_size=new_size, old_root=LEAVES[0], new_root=root, proof=proof
        )


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (-1, 4), (4, 4), (5, 4), (0, -1), (0, 2**63), (2**63, 2**63)]
)
def test_there_is_no_proof_of_a_leaf_outside_of_the_tree(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="has no leaf"):
        inclusion_proof(TILES, index, size)
    with pytest.raises(ProofError, match="has no leaf"):
        verify_inclusion(leaf=LEAVES[0], index=index, size=size, proof=[], root=EMPTY_ROOT)


@pytest.mark.parametrize(("old_size", "new_size"), [(0, 0), (0, 1), (2, 1), (-1, 1), (1, 2**63)])
def test_there_is_no_consistency_proof_between_sizes_that_are_not_in_order(
    old_size: int, new_size: int
) -> None:
    with pytest.raises(ProofError, match="no proof leads"):
        consistency_proof(TILES, old_size, new_size)


def test_every_log_continues_an_empty_one_so_nothing_is_proved_by_it() -> None:
    with pytest.raises(ProofError, match="no proof leads"):
        verify_consistency(
            old_size=0, new_size=1, old_root=EMPTY_ROOT, new_root=LEAVES[0], proof=[]
        )


def test_two_empty_trees_are_consistent_and_have_the_root_of_nothing() -> None:
    verify_consistency(old_size=0, new_size=0, old_root=EMPTY_ROOT, new_root=EMPTY_ROOT, proof=[])
    with pytest.raises(RootMismatchError, match="two roots at size 0"):
        verify_consistency(old_size=0, new_size=0, old_root=LEAVES[0], new_root=LEAVES[0], proof=[])


@pytest.mark.parametrize("size", [-1, 2**63])
def test_equal_sizes_outside_of_what_can_be_signed_are_refused(size: int) -> None:
    with pytest.raises(ProofError, match="leaves"):
        verify_consistency(
            old_size=size, new_size=size, old_root=LEAVES[0], new_root=LEAVES[0], proof=[]
        )


def test_the_largest_tree_has_leaves_and_earlier_sizes() -> None:
    # Only the number of hashes is wrong: sizes up to 2^63-1 are sizes.
    with pytest.raises(ProofError, match="number of hashes"):
        verify_inclusion(
            leaf=LEAVES[0], index=TREE_SIZE_MAX - 1, size=TREE_SIZE_MAX, proof=[], root=LEAVES[0]
        )
    with pytest.raises(ProofError, match="number of hashes"):
        verify_consistency(
            old_size=1, new_size=TREE_SIZE_MAX, old_root=LEAVES[0], new_root=LEAVES[0], proof=[]
        )
    verify_consistency(
        old_size=TREE_SIZE_MAX,
        new_size=TREE_SIZE_MAX,
        old_root=LEAVES[0],
        new_root=LEAVES[0],
        proof=[],
    )


@pytest.mark.parametrize("extra", [1, -1])
def test_a_proof_longer_or_shorter_than_the_sizes_ask_for_is_refused(extra: int) -> None:
    inclusion = inclusion_proof(TILES, 3, 7)
    consistency = consistency_proof(TILES, 3, 7)
    longer = LEAVES[:1] if extra > 0 else []
    cut = extra if extra < 0 else None
    with pytest.raises(ProofError, match="number of hashes"):
        verify_inclusion(
            leaf=LEAVES[3],
            index=3,
            size=7,
            proof=inclusion[:cut] + longer,
            root=root_of(LEAVES[:7]),
        )
    with pytest.raises(ProofError, match="number of hashes"):
        verify_consistency(
            old_size=3,
            new_size=7,
            old_root=root_of(LEAVES[:3]),
            new_root=root_of(LEAVES[:7]),
            proof=consistency[:cut] + longer,
        )


@pytest.mark.parametrize("place", ["leaf", "root", "proof"])
@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_hash_of_another_size_is_refused_wherever_it_stands(place: str, wrong: bytes) -> None:
    leaf, root, proof = LEAVES[1], root_of(LEAVES[:2]), [LEAVES[0]]
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(
            leaf=wrong if place == "leaf" else leaf,
            index=1,
            size=2,
            proof=[wrong] if place == "proof" else proof,
            root=wrong if place == "root" else root,
        )


def test_a_root_mismatch_raises_its_alarm_and_a_misshapen_proof_none() -> None:
    assert RootMismatchError.alarm == "root mismatch"
    assert ProofError.alarm is None
    assert issubclass(RootMismatchError, LedgerError)


def flipped(data: bytes, bit: int) -> bytes:
    return bytes(each ^ (1 << bit % 8 if at == bit // 8 else 0) for at, each in enumerate(data))
