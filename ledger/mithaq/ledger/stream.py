"""Streams: which entry may follow which (PROTOCOL 3).

A pure state machine, used alike by sender, hub and reader, so that none of them
admits what another refuses. The state holds all that judging the next entry
needs, apart from one question about old entries that the caller answers from its
log. Its one rule: there is no way from one state to the next but an admitted
entry, and a refused one leaves nothing behind.

It does not judge agreements, registry standing, rates or clocks, and it checks
no signature: ``checkpoint`` does, over the root that this state recomputes.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.commitment import lp
from mithaq.ledger.entry import (
    BODIES_PER_EPOCH_MAX,
    BODY_OWN_SIZE_BYTES,
    EntryKind,
    EpochReader,
    Opening,
    Terms,
    own_sizes,
    parse_terms,
    split_leaf,
    stream_id,
    stream_origin,
    unpack_own,
)
from mithaq.ledger.errors import EntryFormatError, StreamRuleError
from mithaq.ledger.run import Numbers, Run, check_consecutive, trim_overlap
from mithaq.ledger.tree import Frontier, leaf_hash

__all__ = [
    "Admission",
    "KindAt",
    "Run",
    "Slot",
    "Stream",
    "StreamState",
    "trim_overlap",
]


class Slot(NamedTuple):
    """What stands at a sequence of a log: its kind, and the width of its own fields."""

    kind: EntryKind
    own_size: int


# PROTOCOL 3.4: a target has to be a record's first PUT; a next version is wider.
FIRST_PUT: Final = Slot(EntryKind.PUT, BODY_OWN_SIZE_BYTES)

# Asked once per admission, with distinct sequences below the state's size, ascending;
# answers in the same order.
KindAt = Callable[[Sequence[int]], Sequence[Slot]]


class Admission(NamedTuple):
    """The state after some runs, their leaf hashes in order, terms and frontier after each run."""

    state: "StreamState"
    leaf_hashes: list[bytes]
    terms: tuple[Terms, ...]
    frontiers: tuple[Frontier, ...]


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream up to some entry. Made by ``open``, ``admit`` and ``from_bytes`` only.

    ``epoch`` is 0 before the first EPOCH; ``epoch_bodies`` counts the bodies of the
    current epoch; ``last_registry_size`` is the one that the last entry named.
    """

    open_leaf: bytes
    stream_id: bytes
    opening: Opening
    frontier: Frontier
    epoch: int
    epoch_readers: tuple[EpochReader, ...]
    epoch_bodies: int
    last_registry_size: int
    closed: bool
    successor: bytes | None

    @classmethod
    def open(cls, open_leaf: bytes) -> "StreamState":
        """Return the state after an OPEN entry, from its exact bytes.

        Raises:
            EntryFormatError: not an entry of its form.
            StreamRuleError: not an OPEN at sequence 0.

        """
        terms_bytes, own_bytes = split_leaf(open_leaf)
        terms = parse_terms(terms_bytes)
        if terms.opening is None or unpack_own(terms.kind, own_bytes).sequence:
            raise StreamRuleError("a stream begins with OPEN at sequence 0")
        return cls(
            open_leaf=open_leaf,
            stream_id=stream_id(open_leaf),
            opening=terms.opening,
            frontier=Frontier.empty().append(leaf_hash(open_leaf)),
            epoch=0,
            epoch_readers=(),
            epoch_bodies=0,
            last_registry_size=terms.registry_size,
            closed=False,
            successor=None,
        )

    @property
    def size(self) -> int:
        """The number of entries; also the sequence of the next one."""
        return self.frontier.size

    @property
    def origin(self) -> str:
        """The name of the stream's log (PROTOCOL 1.2)."""
        return stream_origin(self.opening.federation, self.stream_id)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint that the admitted entries give, for signing or for comparing."""
        return Checkpoint(self.origin, self.size, self.frontier.root())

    def admit(self, run: Run, *, kind_at: KindAt) -> "StreamState":
        """Return the state after one run.

        Raises:
            EntryFormatError: terms or own fields are not of their form.
            SequenceGapError: the run does not begin at ``size``, or has a gap.
            StreamRuleError: an entry breaks a rule of PROTOCOL 3 or 4.4.

        """
        return self.admit_all((run,), kind_at=kind_at).state

    def admit_all(self, runs: Sequence[Run], *, kind_at: KindAt) -> Admission:
        """Return the state after runs that follow one another, and what the caller stores.

        Targets may lie in earlier ones of these runs; ``kind_at`` is asked once for all
        others. Raises as ``admit`` does; then none of the runs is admitted.
        """
        state = self
        hashes: list[bytes] = []
        placed: list[_Placed] = []
        frontiers: list[Frontier] = []
        targets: set[int] = set()
        for run in runs:
            terms, numbers = parse_terms(run.terms_bytes), run.numbers()
            _check_place(state, terms, run.own_size, numbers)
            fresh = run.leaf_hashes()
            placed.append(_Placed(state.size, len(run), terms, run.own_size))
            state = _STEPS[terms.kind](
                replace(state, last_registry_size=terms.registry_size), terms, len(run)
            )
            state = replace(state, frontier=state.frontier.extend(fresh))
            hashes += fresh
            frontiers.append(state.frontier)
            targets.update(numbers.targets)
        _check_targets(targets, placed, size=self.size, kind_at=kind_at)
        return Admission(state, hashes, tuple(each.terms for each in placed), tuple(frontiers))

    def to_bytes(self) -> bytes:
        """Return the state as bytes, to be stored in the transaction that stores its entries."""
        counts = _COUNTS.pack(self.epoch, self.epoch_bodies, self.last_registry_size, self.closed)
        readers = b"".join(
            lp(each.member.encode()) + lp(each.key_id) for each in self.epoch_readers
        )
        parts = (self.open_leaf, self.frontier.to_bytes(), counts, self.successor or b"", readers)
        return _STATE_VERSION + b"".join(lp(each) for each in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "StreamState":
        """Read what ``to_bytes`` wrote.

        Raises:
            LedgerError: a subclass of it; the bytes are no state.

        """
        if data[:1] != _STATE_VERSION:
            raise EntryFormatError("a stream state of another version")
        parts = _split_parts(data[1:])
        if len(parts) != _STATE_PARTS or len(parts[2]) != _COUNTS.size:
            raise EntryFormatError("a stream state is not made of its parts")
        open_leaf, frontier, counts, successor, readers = parts
        epoch, bodies, registry_size, closed = _COUNTS.unpack(counts)
        state = replace(
            _opened(open_leaf),
            frontier=Frontier.from_bytes(frontier),
            epoch=epoch,
            epoch_readers=_split_readers(readers),
            epoch_bodies=bodies,
            last_registry_size=registry_size,
            closed=closed,
            successor=successor or None,
        )
        if not state.size or state.to_bytes() != data:
            raise EntryFormatError("a stream state is not in its one spelling")
        return state


# A stream's state is read for each of its batches, and its OPEN is always the same.
_opened: Final = lru_cache(maxsize=1024)(StreamState.open)

# What PROTOCOL calls a stream is, to this code, the state that it is in.
Stream = StreamState

_STATE_VERSION: Final = b"\x01"
_STATE_PARTS: Final = 5
_COUNTS: Final = struct.Struct(">QIQ?")
_LENGTH: Final = struct.Struct(">I")


def _split_parts(data: bytes) -> list[bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise EntryFormatError("a stream state ends within a length")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + length
        parts.append(data[at - length : at])
    if at != len(data):
        raise EntryFormatError("a stream state ends within a part")
    return parts


def _split_readers(data: bytes) -> tuple[EpochReader, ...]:
    parts = _split_parts(data)
    # What is no ASCII is no member; one left over is missed when the state is spelled again.
    return tuple(
        EpochReader(member.decode("ascii", errors="replace"), key_id)
        for member, key_id in zip(parts[::2], parts[1::2], strict=False)
    )


class _Placed(NamedTuple):
    """A run that stands at its place: where it starts, how long it is, and what it is."""

    start: int
    length: int
    terms: Terms
    own_size: int


def _check_place(state: StreamState, terms: Terms, own_size: int, numbers: Numbers) -> None:
    if own_size not in own_sizes(terms.kind):
        raise EntryFormatError(f"the own fields of {terms.kind.name} have not {own_size} bytes")
    check_consecutive(numbers.sequences, start=state.size)
    if terms.kind is EntryKind.OPEN:
        raise StreamRuleError("OPEN stands at sequence 0 and nowhere else")
    if terms.stream_id != state.stream_id:
        raise StreamRuleError("an entry names another stream")
    if terms.registry_size < state.last_registry_size:
        raise StreamRuleError(
            f"the registry size falls from {state.last_registry_size} to {terms.registry_size}"
        )
    if state.closed and terms.kind is not EntryKind.WITHDRAW:
        raise StreamRuleError(f"{terms.kind.name} after CLOSE: only WITHDRAW may follow")
    # All entries of a run are of one width, so none of them is a first PUT of another.
    if numbers.targets and max(numbers.targets) >= state.size:
        raise StreamRuleError("a target does not lie before its entry")


def _check_targets(
    targets: set[int], placed: Sequence[_Placed], *, size: int, kind_at: KindAt
) -> None:
    logged = sorted(each for each in targets if each < size)
    slots: Sequence[Slot] = kind_at(logged) if logged else ()
    found = dict(zip(logged, slots, strict=True))
    for run in placed:
        for each in targets.intersection(range(run.start, run.start + run.length)):
            found[each] = Slot(run.terms.kind, run.own_size)
    for target, slot in found.items():
        if slot != FIRST_PUT:
            raise StreamRuleError(f"the target {target} is no first PUT of this stream")


def _step_epoch(state: StreamState, terms: Terms, count: int) -> StreamState:
    # The terms name one epoch, and each EPOCH begins the next one: no two share terms.
    if count != 1 or terms.epoch != state.epoch + 1:
        raise StreamRuleError(f"after epoch {state.epoch} comes epoch {state.epoch + 1}, once")
    if not {each.member for each in terms.readers} <= set(state.opening.audience):
        raise StreamRuleError("an epoch has a reader who is not in the stream's audience")
    return replace(state, epoch=state.epoch + 1, epoch_readers=terms.readers, epoch_bodies=0)


def _step_put(state: StreamState, terms: Terms, count: int) -> StreamState:
    if terms.epoch != state.epoch:
        raise StreamRuleError(f"PUT names epoch {terms.epoch}, the current one is {state.epoch}")
    bodies = state.epoch_bodies + count
    if bodies > BODIES_PER_EPOCH_MAX:
        raise StreamRuleError(f"an epoch has at most {BODIES_PER_EPOCH_MAX} bodies")
    return replace(state, epoch_bodies=bodies)


def _step_withdraw(state: StreamState, _terms: Terms, _count: int) -> StreamState:
    return state


def _step_close(state: StreamState, terms: Terms, count: int) -> StreamState:
    if count != 1:
        raise StreamRuleError("a stream is closed once")
    return replace(state, closed=True, successor=terms.successor)


# OPEN is refused by its place and BLOB by its terms, so neither has a step.
_STEPS: Final[Mapping[EntryKind, Callable[[StreamState, Terms, int], StreamState]]] = {
    EntryKind.EPOCH: _step_epoch,
    EntryKind.PUT: _step_put,
    EntryKind.WITHDRAW: _step_withdraw,
    EntryKind.CLOSE: _step_close,
}
