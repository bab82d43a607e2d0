"""Judging headers: what a reader believes before it signs that it holds them.

PROTOCOL 1.3, 2.4, 3, 5.3, 5.4, apart from any database. The reader recomputes the root
itself, wants both signatures of the sender over it and the hub's over that. The one rule:
nothing of a piece of headers is used before all of it has been judged.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mithaq.certs.errors import TrustError
from mithaq.certs.participants import Member
from mithaq.certs.registry import Registry
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.entry import EntryKind, Terms, parse_terms
from mithaq.ledger.errors import LedgerError, RootMismatchError, SequenceGapError, StreamRuleError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.names import HUB
from mithaq.ledger.run import check_batch
from mithaq.ledger.stream import KindAt, Run, Slot, StreamState, trim_overlap
from mithaq.ledger.tree import Frontier, leaf_hash
from mithaq.node.exchange.errors import (
    AcceptanceMissingError,
    HeadersUnsignedError,
    NotInAudienceError,
    RegistryBehindError,
    SenderUnknownError,
)

HashesAt = Callable[[int, int], Sequence[bytes]]


class HeaderPiece(NamedTuple):
    """Headers of one stream as they came: entries, the note over them, the hub's line."""

    stream_id: bytes
    first_sequence: int
    runs: tuple[Run, ...]
    checkpoint: bytes
    acceptance: str


class Judged(NamedTuple):
    """Headers that may be kept: what is new among them, and the stream after them.

    `ends` are the frontiers after each new run, by size.
    """

    state: StreamState
    before: Frontier
    runs: tuple[Run, ...]
    terms: tuple[Terms, ...]
    hashes: list[bytes]
    ends: Mapping[int, Frontier]


class Known(NamedTuple):
    """A stream that this node has: its state, and answers about its old entries."""

    state: StreamState
    kind_at: KindAt
    hashes_at: HashesAt


def joined(pieces: Sequence[HeaderPiece]) -> HeaderPiece:
    """Return consecutive pieces as one, under the note of the last."""
    first, last = pieces[0], pieces[-1]
    runs = tuple(run for each in pieces for run in each.runs)
    return last._replace(first_sequence=first.first_sequence, runs=runs)


def judge_headers(
    pieces: Sequence[HeaderPiece], known: Known | None, *, registry: Registry, reader: str
) -> Judged:
    """Judge consecutive pieces of headers against the stream as far as it is known.

    Raises:
        RegistryBehindError: judged by a larger registry than ours; to be repeated later.
        LedgerError: an entry, a rule, a signature or the root does not hold.
        ProofRefusedError: not our stream, an unknown sender, not signed by it, or not
            accepted by the hub.

    """
    for each in pieces:
        check_batch(each.runs)
        _check_start(each)
    piece = joined(pieces)
    judged = _judge_first(piece) if known is None else _judge_next(piece, known)
    last = max((each.registry_size for each in judged.terms), default=0)
    if last > registry.size:
        # PROTOCOL 2.4: it waits until this node has replayed to that size.
        raise RegistryBehindError(f"an entry names registry size {last}, ours is {registry.size}")
    if known is None:
        _check_opening(judged, registry=registry, reader=reader)
    for each in pieces:
        _check_said(each, judged, registry=registry)
    return judged


def _check_start(piece: HeaderPiece) -> None:
    # What is signed at a piece's end is looked for by where it says that it begins.
    start = piece.runs[0].numbers().sequences[0]
    if piece.first_sequence != start:
        raise SequenceGapError(f"headers from {piece.first_sequence} begin with entry {start}")


def _check_said(piece: HeaderPiece, judged: Judged, *, registry: Registry) -> None:
    """Check that sender and hub signed the stream as it is after a piece."""
    checkpoint, end = judged.state.checkpoint(), end_of(piece)
    if end < checkpoint.size:
        if end not in judged.ends:
            # PROTOCOL 1.6: said before, entry by entry, and the note over it is of that time.
            return
        checkpoint = Checkpoint(checkpoint.origin, end, judged.ends[end].root())
    sender = member_of(registry, judged.state.opening.sender)
    try:
        check_signed(checkpoint, piece.checkpoint, sender=sender)
    except RootMismatchError:
        raise
    except LedgerError as fault:
        raise HeadersUnsignedError(f"not signed by {sender.id}: {fault}") from fault
    check_accepted(checkpoint, piece.acceptance, registry=registry)


def end_of(piece: HeaderPiece) -> int:
    """Return the size of the stream after these entries."""
    return piece.first_sequence + sum(len(run) for run in piece.runs)


def _judge_first(piece: HeaderPiece) -> Judged:
    """Return what an OPEN and the entries after it come to."""
    opening, rest = piece.runs[0], piece.runs[1:]
    if piece.first_sequence:
        raise SequenceGapError(f"a stream begins at 0 and not at {piece.first_sequence}")
    if len(opening) != 1:
        raise StreamRuleError("a stream begins with one OPEN")
    state = StreamState.open(opening.leaves()[0])
    if state.stream_id != piece.stream_id:
        raise StreamRuleError("an OPEN does not hash to the stream that it came as")
    hashes = [leaf_hash(state.open_leaf)]
    ends = {state.size: state.frontier}
    terms: tuple[Terms, ...] = (parse_terms(opening.terms_bytes),)
    if rest:
        admission = state.admit_all(rest, kind_at=_first_puts_of(rest))
        state, terms = admission.state, terms + admission.terms
        hashes += admission.leaf_hashes
        ends |= _by_size(admission.frontiers)
    return Judged(state, Frontier.empty(), piece.runs, terms, hashes, ends)


def _by_size(frontiers: Sequence[Frontier]) -> dict[int, Frontier]:
    return {each.size: each for each in frontiers}


def _first_puts_of(runs: Sequence[Run]) -> KindAt:
    def answer(sequences: Sequence[int]) -> list[Slot]:
        # Asked only about entries before these runs, and there is nothing but OPEN.
        return [Slot(EntryKind.OPEN, len(runs[0].own_bytes)) for _ in sequences]

    return answer


def _judge_next(piece: HeaderPiece, known: Known) -> Judged:
    """Return what is new in a piece that may begin with what is known (PROTOCOL 1.6)."""
    state = known.state
    if state.stream_id != piece.stream_id:
        raise StreamRuleError("headers came as those of another stream")
    runs = trim_overlap(piece.runs, size=state.size, hashes_at=known.hashes_at)
    if not runs:
        return Judged(state, state.frontier, (), (), [], {})
    admission = state.admit_all(runs, kind_at=known.kind_at)
    return Judged(
        admission.state,
        state.frontier,
        runs,
        admission.terms,
        admission.leaf_hashes,
        _by_size(admission.frontiers),
    )


def _check_opening(judged: Judged, *, registry: Registry, reader: str) -> None:
    opening, terms = judged.state.opening, judged.terms[0]
    if opening.federation != registry.federation or reader not in opening.audience:
        raise NotInAudienceError("a stream was delivered that this member is not a reader of")
    if opening.registry_root != registry.root_at(terms.registry_size):
        # PROTOCOL 3.1: the sender stood on another registry than ours.
        raise RootMismatchError("an OPEN names another registry root than ours at its size")
    try:
        agreement = registry.agreement(opening.agreement_id).agreement
    except TrustError:
        raise NotInAudienceError("a stream names an agreement that the registry lacks") from None
    if not {opening.sender, reader} <= agreement.members:
        raise NotInAudienceError("a stream runs between members who are not both parties")


def member_of(registry: Registry, member: str) -> Member:
    """Return a member in whatever state; raise SenderUnknownError."""
    try:
        return registry.member(member)
    except TrustError:
        raise SenderUnknownError(f"the registry knows no {member}") from None


def check_signed(checkpoint: Checkpoint, note: bytes, *, sender: Member) -> None:
    """Check that a sender signed exactly this size and root, with both keys (PROTOCOL 1.3).

    Raises:
        RootMismatchError: it signed another root or another size.
        LedgerError: the note is not of its form, or a signature is missing or wrong.

    """
    signed = open_checkpoint(
        note,
        origin=checkpoint.origin,
        ed25519_public=sender.log_ed25519,
        mldsa_public=sender.log_mldsa,
    )
    if signed.checkpoint != checkpoint:
        raise RootMismatchError(
            f"signed at size {signed.checkpoint.size}, recomputed at size {checkpoint.size}"
        )


def check_accepted(checkpoint: Checkpoint, line: str, *, registry: Registry) -> Cosignature:
    """Return the hub's cosignature over a checkpoint (PROTOCOL 5.3).

    Raises:
        AcceptanceMissingError: not the hub's, not over this checkpoint, or not of its form.

    """
    try:
        cosignature = Cosignature.parse(line)
        verify_cosignature(
            cosignature,
            checkpoint,
            name=cosigner_name(registry.federation, Role.HUB, HUB),
            public_key=registry.hub.cosign_ed25519,
            algorithm=KeyType.ED25519_COSIGNATURE,
        )
    except (LedgerError, TrustError) as fault:
        raise AcceptanceMissingError(f"the hub's acceptance does not verify: {fault}") from fault
    return cosignature
