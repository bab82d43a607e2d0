"""Notes, checkpoints, keys, proofs and entries: what stands in signed bytes."""

from collections.abc import Callable, Sequence

from mithaq.ledger.checkpoint import (
    Checkpoint,
    encode_checkpoint_text,
    open_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
)
from mithaq.ledger.commitment import pad, unpad
from mithaq.ledger.cosignature import Cosignature, Role, cosign_ed25519, cosign_mldsa, cosigner_name
from mithaq.ledger.entry import leaf, pack_own, split_leaf, unpack_own
from mithaq.ledger.errors import LedgerError, PaddingError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.kinds import EntryKind
from mithaq.ledger.names import HUB, stream_origin
from mithaq.ledger.note import VerifierKey, parse_note
from mithaq.ledger.proof import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from mithaq.ledger.run import Run
from mithaq.ledger.stream import StreamState
from mithaq.ledger.terms import encode_terms, parse_terms
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tlog_proof import TlogProof, parse_tlog_proof, verify_tlog_proof
from mithaq.ledger.tree import Frontier, leaf_hash, node_hash, root_of
from mithaq.v1 import entry_pb2
from tests.federation import FEDERATION
from tests.fuzz import streams
from tests.fuzz.cast import AT, CAIRO, material, pair
from tests.fuzz.target import Exposure, Target, same, text_of

ORIGIN = stream_origin(FEDERATION, material("stream", 32))
LEAVES = [leaf_hash(b"%d" % number) for number in range(300)]
TILES = TileMap(LEAVES)


# --- notes ----------------------------------------------------------------------------


def note(data: bytes) -> None:
    try:
        parsed = parse_note(data)
    except LedgerError:
        return
    same(parsed.to_bytes(), data, "a note has two spellings")
    for each in parsed.signatures:
        try:
            cosignature = Cosignature.of(each)
        except LedgerError:
            continue
        same(cosignature.line(), each.line(), "a cosignature has two spellings")


def checkpoint(data: bytes) -> None:
    """A note whose text is changed is opened only if it is what its owner signed."""
    key = pair(f"{CAIRO} log")
    publics = {"ed25519_public": key.public.ed25519, "mldsa_public": key.public.mldsa44}
    text = text_of(data)
    if text is not None:
        try:
            claimed = parse_checkpoint_text(text)
        except LedgerError:
            pass
        else:
            same(encode_checkpoint_text(claimed), text, "a checkpoint has two spellings")
            signed = sign_checkpoint(claimed, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)
            opened = open_checkpoint(signed, origin=claimed.origin, **publics)
            same((opened.checkpoint, opened.at), (claimed, AT), "another checkpoint was opened")
    try:
        opened = open_checkpoint(data, origin=ORIGIN, **publics)
    except LedgerError:
        return
    same(opened.checkpoint, CHECKPOINT, "a checkpoint that nobody signed was opened")


def cosignature(data: bytes) -> None:
    text = text_of(data)
    if text is None:
        return
    try:
        parsed = Cosignature.parse(text)
    except LedgerError:
        return
    same(parsed.line().rstrip("\n"), text.removesuffix("\n"), "a cosignature has two spellings")


def verifier_key(data: bytes) -> None:
    text = text_of(data)
    if text is None:
        return
    try:
        key = VerifierKey.parse(text)
    except LedgerError:
        return
    same(key.format(), text, "a verifier key has two spellings")


def tlog_proof(data: bytes) -> None:
    try:
        proof = parse_tlog_proof(data)
    except LedgerError:
        return
    same(proof.to_bytes(), data, "a proof has two spellings")
    key = pair(f"{CAIRO} log").public
    for number in (0, 7, 299):
        try:
            verify_tlog_proof(
                proof,
                leaf=LEAVES[number],
                origin=ORIGIN,
                ed25519_public=key.ed25519,
                mldsa_public=key.mldsa44,
            )
        except LedgerError:
            continue
        same(proof.index, number, "a proof shows a leaf where it does not stand")


# --- trees ----------------------------------------------------------------------------


def inclusion(data: bytes) -> None:
    """Two verifiers agree: ours, and the definition of RFC 6962 read backwards."""
    if len(data) < 18:
        return
    index, size = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big")
    proof = [data[at : at + 32] for at in range(17, len(data), 32)]
    expected = _root_by_definition(LEAVES[0], index, size, proof)
    root = (expected or bytes(32))[:31] + bytes((((expected or bytes(32))[31] ^ data[16]),))
    accepted = _accepts(
        lambda: verify_inclusion(leaf=LEAVES[0], index=index, size=size, proof=proof, root=root)
    )
    same(accepted, expected is not None and root == expected, "two verifiers of inclusion differ")


def _root_by_definition(seed: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    if not index < size < 1 << 63 or any(len(each) != 32 for each in proof):
        return None
    if size == 1:
        return None if proof else seed
    if not proof:
        return None
    middle = 1 << ((size - 1).bit_length() - 1)
    left = index < middle
    below = (index, middle) if left else (index - middle, size - middle)
    inner = _root_by_definition(seed, *below, proof[:-1])
    if inner is None:
        return None
    return node_hash(inner, proof[-1]) if left else node_hash(proof[-1], inner)


def consistency(data: bytes) -> None:
    """Of two real trees one proof is accepted, and no other."""
    if len(data) < 4:
        return
    old, new = int.from_bytes(data[:2], "big") % 300, int.from_bytes(data[2:4], "big") % 301
    proof = [data[at : at + 32] for at in range(4, len(data), 32)]
    real = consistency_proof(TILES, old, new) if 0 < old <= new else None
    if len(proof) == 1 and proof[0] == b"right" and real is not None:
        proof = real
    roots = {"old_root": root_of(LEAVES[:old]), "new_root": root_of(LEAVES[:new])}
    accepted = _accepts(
        lambda: verify_consistency(old_size=old, new_size=new, proof=proof, **roots)
    )
    expected = proof == real or (old == new == 0 and not proof)
    same(accepted, expected, "a proof of consistency is judged wrongly")


def frontier(data: bytes) -> None:
    try:
        parsed = Frontier.from_bytes(data)
    except LedgerError:
        return
    same(parsed.to_bytes(), data, "a frontier has two spellings")
    try:
        grown = parsed.extend(LEAVES[:3])
    except LedgerError:
        return
    one_by_one = parsed.append(LEAVES[0]).append(LEAVES[1]).append(LEAVES[2])
    same(grown, one_by_one, "a frontier grows in two ways")


def _accepts(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except LedgerError:
        return False
    return True


# --- entries --------------------------------------------------------------------------


def terms(data: bytes) -> None:
    try:
        parsed = parse_terms(data)
    except LedgerError:
        return
    same(encode_terms(parsed), data, "terms have two spellings")


def entry(data: bytes) -> None:
    try:
        terms_bytes, own = split_leaf(data)
        parsed = parse_terms(terms_bytes)
        fields = unpack_own(parsed.kind, own)
    except LedgerError:
        return
    same(leaf(terms_bytes, pack_own(parsed.kind, fields)), data, "an entry has two spellings")
    run = Run(terms_bytes, len(own), own)
    same(run.leaf_hashes(), [leaf_hash(data)], "an entry has two hashes")
    same(run.numbers().sequences, (fields.sequence,), "an entry has two sequences")
    if parsed.kind is EntryKind.OPEN and fields.sequence == 0:
        same(StreamState.open(data).open_leaf, data, "an OPEN is read in two ways")


def run(data: bytes) -> None:
    """Own fields read many at a time, and one by one."""
    if not data:
        return
    width, own = data[0], data[1:]
    try:
        made = Run(b"terms", width, own)
        numbers = made.numbers()
    except LedgerError:
        return
    pieces = [own[at : at + width] for at in range(0, len(own), width)]
    same(made.leaves(), [leaf(b"terms", each) for each in pieces], "a run has other leaves")
    same(made.leaf_hashes(), [leaf_hash(each) for each in made.leaves()], "a run has other hashes")
    kinds = {8: EntryKind.CLOSE, 16: EntryKind.WITHDRAW, 76: EntryKind.PUT, 84: EntryKind.PUT}
    for place, piece in enumerate(pieces):
        try:
            fields = unpack_own(kinds[width], piece)
        except LedgerError:
            continue
        same(numbers.sequences[place], fields.sequence, "two readers of a sequence differ")
        if fields.target is not None:
            same(numbers.targets[place], fields.target, "two readers of a target differ")
        if fields.body_size is not None:
            same(numbers.body_sizes[place], fields.body_size, "two readers of a size differ")
            digests = (fields.body_hash, fields.commitment)
            same(made.digests()[place], digests, "two readers of a hash differ")


def stream_state(data: bytes) -> None:
    try:
        state = StreamState.from_bytes(data)
    except LedgerError:
        return
    same(state.to_bytes(), data, "a stream's state has two spellings")


def padding(data: bytes) -> None:
    try:
        padded = unpad(data)
    except PaddingError:
        return
    same(pad(padded.salt, padded.record), data, "a plaintext has two paddings")


# --- seeds ----------------------------------------------------------------------------

CHECKPOINT = Checkpoint(ORIGIN, 300, root_of(LEAVES))


def _signed() -> bytes:
    key = pair(f"{CAIRO} log")
    return sign_checkpoint(CHECKPOINT, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)


def _cosignatures() -> list[bytes]:
    hub, name = pair("hub"), cosigner_name(FEDERATION, Role.HUB, HUB)
    lines = (
        cosign_ed25519(CHECKPOINT, name=name, signer=hub.ed25519, at=AT),
        cosign_mldsa(CHECKPOINT, name=name, signer=hub.mldsa, at=AT),
    )
    return [each.line().encode() for each in lines]


def _notes() -> list[bytes]:
    short = b"text\n\n\xe2\x80\x94 example.org/log AAAAAQ==\n"
    return [_signed(), _signed() + _cosignatures()[0], short]


def _keys() -> list[bytes]:
    key = pair("hub").public
    made = (
        VerifierKey("example.org/log", KeyType.ED25519, key.ed25519),
        VerifierKey("example.org/hub", KeyType.ED25519_COSIGNATURE, key.ed25519),
        VerifierKey("example.org/log", KeyType.MLDSA44_COSIGNATURE, key.mldsa44),
    )
    return [each.format().encode() for each in made]


def _proofs() -> list[bytes]:
    return [
        TlogProof(index, tuple(inclusion_proof(TILES, index, 300)), _signed(), extra).to_bytes()
        for index, extra in ((0, None), (7, b"extra"), (299, None))
    ]


def _inclusions() -> list[bytes]:
    numbers = ((0, 1), (0, 2), (5, 6), (7, 300), (255, 256), (2**62, 2**63 - 1))
    return [
        index.to_bytes(8, "big")
        + size.to_bytes(8, "big")
        + b"\x00"
        + b"".join(LEAVES[: _path_length(index, size)])
        for index, size in numbers
    ]


def _path_length(index: int, size: int) -> int:
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def _consistencies() -> list[bytes]:
    sizes = ((1, 1), (1, 2), (3, 7), (128, 256), (200, 300))
    return [
        old.to_bytes(2, "big")
        + new.to_bytes(2, "big")
        + b"".join(consistency_proof(TILES, old, new))
        for old, new in sizes
    ] + [b"\x00\x03\x00\x09right", bytes(4)]


def _leaves() -> list[bytes]:
    made = streams.writer()
    last = streams.next_batches()[-1]
    return [each for run in [*made.runs, *streams.runs_of(last)] for each in run.leaves()]


def _runs() -> list[bytes]:
    return [bytes((each.own_size,)) + each.own_bytes for each in streams.writer().runs]


TARGETS = (
    Target("note", Exposure.MEMBER, note, _notes, size_bytes_max=8192),
    Target(
        "checkpoint",
        Exposure.MEMBER,
        checkpoint,
        lambda: [_signed(), encode_checkpoint_text(CHECKPOINT).encode()],
        size_bytes_max=8192,
    ),
    Target("cosignature", Exposure.MEMBER, cosignature, _cosignatures),
    Target("verifier_key", Exposure.FILE, verifier_key, _keys),
    Target("tlog_proof", Exposure.FILE, tlog_proof, _proofs, size_bytes_max=8192),
    Target("inclusion", Exposure.MEMBER, inclusion, _inclusions),
    Target("consistency", Exposure.MEMBER, consistency, _consistencies),
    Target(
        "frontier",
        Exposure.FILE,
        frontier,
        lambda: [Frontier.empty().extend(LEAVES[:size]).to_bytes() for size in (0, 1, 7, 300)],
    ),
    Target(
        "terms",
        Exposure.MEMBER,
        terms,
        lambda: [split_leaf(each)[0] for each in _leaves()],
        message=entry_pb2.EntryTerms,
    ),
    Target("entry", Exposure.MEMBER, entry, _leaves),
    Target("run", Exposure.MEMBER, run, _runs),
    Target(
        "stream_state", Exposure.FILE, stream_state, lambda: [streams.writer().state.to_bytes()]
    ),
    Target(
        "padding",
        Exposure.MEMBER,
        padding,
        lambda: [pad(bytes(32), b"record"), pad(bytes(32), bytes(3000))],
        size_bytes_max=8192,
    ),
)
