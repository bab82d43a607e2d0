"""Our published vectors, made by a second reading of the rules, hold for this code."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mithaq.ledger.checkpoint import Checkpoint, encode_checkpoint_text, open_checkpoint
from mithaq.ledger.commitment import (
    body_aad,
    content_info,
    epoch_commitment,
    epoch_info,
    pad,
    record_commitment,
    unpad,
)
from mithaq.ledger.cosignature import Cosignature, verify_cosignature
from mithaq.ledger.entry import (
    EntryKind,
    audit_origin,
    encode_terms,
    leaf,
    pack_own,
    parse_terms,
    registry_origin,
    split_leaf,
    stream_id,
    unpack_own,
)
from mithaq.ledger.keytypes import KeyType, key_id
from mithaq.ledger.statement import ed25519_statement, mldsa_statement
from mithaq.ledger.stream import Run, Slot, Stream
from mithaq.ledger.tree import leaf_hash, root_of
from tests.vectors import generate

FOLDER = Path(__file__).parents[1] / "vectors" / "mithaq"


def vectors(name: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return held


@pytest.mark.parametrize("name", generate.REPEATABLE)
def test_the_published_vectors_are_those_that_the_generator_writes(name: str) -> None:
    written = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert written == generate.REPEATABLE[name]()


def test_each_entry_of_the_vectors_is_read_and_written_the_same() -> None:
    listed = vectors("stream")["entries"]
    kinds: set[EntryKind] = set()
    for each in listed:
        data = bytes.fromhex(each["leaf"])
        terms_bytes, own_bytes = split_leaf(data)
        terms = parse_terms(terms_bytes)
        assert (terms_bytes.hex(), own_bytes.hex()) == (each["terms"], each["own"])
        assert encode_terms(terms) == terms_bytes
        assert pack_own(terms.kind, unpack_own(terms.kind, own_bytes)) == own_bytes
        assert leaf(terms_bytes, own_bytes) == data
        assert leaf_hash(data).hex() == each["leaf_hash"]
        kinds.add(terms.kind)
    assert kinds == set(EntryKind) - {EntryKind.BLOB}


def test_the_stream_of_the_vectors_is_admitted_and_has_its_id_origin_and_roots() -> None:
    told = vectors("stream")
    leaves = [bytes.fromhex(each["leaf"]) for each in told["entries"]]
    state = Stream.open(leaves[0])
    assert stream_id(leaves[0]).hex() == told["stream_id"] == state.stream_id.hex()
    assert state.origin == told["origin"]
    for size, data in enumerate(leaves[1:], 2):
        terms, own = split_leaf(data)
        state = state.admit(
            Run(terms, len(own), own),
            kind_at=lambda asked: [Slot(EntryKind.PUT, 76) for _ in asked],
        )
        assert state.frontier.root().hex() == told["roots"][size]
    hashes = [leaf_hash(each) for each in leaves]
    assert [root_of(hashes[:size]).hex() for size in range(len(leaves) + 1)] == told["roots"]


def test_paddings_and_commitments_are_those_of_the_vectors() -> None:
    told = vectors("commitment")
    salt, secret = bytes.fromhex(told["salt"]), bytes.fromhex(told["secret"])
    assert epoch_commitment(salt, secret).hex() == told["epoch_commitment"]
    for each in told["padded"]:
        record = bytes(at % 251 for at in range(each["record_size"]))
        plaintext = pad(salt, record)
        assert len(plaintext) == each["plaintext_size"]
        assert sha256(plaintext).hexdigest() == each["plaintext_sha256"]
        assert record_commitment(plaintext).hex() == each["record_commitment"]
        assert unpad(plaintext).record == record


def test_strings_bound_into_sealing_are_those_of_the_vectors() -> None:
    told = vectors("sealing")
    stream, key = bytes.fromhex(told["stream_id"]), bytes.fromhex(told["key_id"])
    info = epoch_info(
        stream, told["epoch"], sender=told["sender"], reader=told["reader"], key_id=key
    )
    assert info.hex() == told["epoch_info"]
    assert content_info(stream, told["epoch"]).hex() == told["content_info"]
    assert body_aad(stream, told["sequence"]).hex() == told["body_aad"]


def test_what_is_signed_is_what_the_vectors_say() -> None:
    told = vectors("statement")
    at = datetime.fromtimestamp(told["posix_seconds"], UTC)
    root, origin, name = bytes.fromhex(told["root"]), told["origin"], told["cosigner"]
    text = encode_checkpoint_text(Checkpoint(origin, told["size"], root))
    assert text == told["checkpoint_text"]
    assert ed25519_statement(text, at=at).hex() == told["ed25519_statement"]
    statement = mldsa_statement(cosigner=name, origin=origin, size=told["size"], root=root, at=at)
    assert statement.hex() == told["mldsa44_statement"]
    ed25519 = bytes.fromhex(told["ed25519_public"])
    mldsa = bytes.fromhex(told["mldsa44_public"])
    assert told["key_ids"] == {
        "0x01 of the log": key_id(origin, KeyType.ED25519, ed25519).hex(),
        "0x06 of the log": key_id(origin, KeyType.MLDSA44_COSIGNATURE, mldsa).hex(),
        "0x04 of the cosigner": key_id(name, KeyType.ED25519_COSIGNATURE, ed25519).hex(),
        "0x06 of the cosigner": key_id(name, KeyType.MLDSA44_COSIGNATURE, mldsa).hex(),
    }


def test_origins_are_those_of_the_vectors() -> None:
    told = vectors("statement")
    for (kind, *rest), origin in told["origins"]:
        if kind == "registry":
            assert registry_origin(told["federation"]) == origin
        else:
            assert audit_origin(told["federation"], *rest) == origin


@pytest.mark.parametrize("fresh", [False, True], ids=["published", "made now"])
def test_the_signed_checkpoint_and_receipts_of_the_vectors_verify(*, fresh: bool) -> None:
    told = vectors("statement")
    signed = generate.signed_vectors() if fresh else vectors("signed")
    public = bytes.fromhex(told["ed25519_public"]), bytes.fromhex(told["mldsa44_public"])
    opened = open_checkpoint(
        signed["note"].encode(),
        origin=told["origin"],
        ed25519_public=public[0],
        mldsa_public=public[1],
    )
    assert int(opened.at.timestamp()) == told["posix_seconds"]
    for line, algorithm, key in (
        ("held_line", KeyType.ED25519_COSIGNATURE, public[0]),
        ("held_mldsa44_line", KeyType.MLDSA44_COSIGNATURE, public[1]),
    ):
        verify_cosignature(
            Cosignature.parse(signed[line]),
            opened.checkpoint,
            name=told["cosigner"],
            public_key=key,
            algorithm=algorithm,
        )
