"""Pieces that came together: each stream's for itself, as many at once as hold together.

What a reader asks once for all of a group it asks less often. The rules: a fault changes
nothing about its neighbours, so where a group does not hold together, each of its pieces
is taken as if it had come alone; and a piece is judged to its end before any of it is
written, so a fault leaves nothing behind and needs no savepoint (one costs 0.3 ms of CPU,
and SQLite writes the pages that it touches into a temporary file).
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol, TypeVar

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError
from mithaq.node.exchange.errors import ExchangeError
from mithaq.node.sealing.errors import SealingError

FAULTS: Final = (LedgerError, TrustError, ExchangeError, SealingError)
# Records of one audit entry (store/audit_entry.py), and four batches of the largest.
JOINED_ENTRIES_MAX: Final = 1024


class HalfWrittenError(Exception):
    """A piece failed after some of it was written: the transaction must not be kept."""


@contextmanager
def writing() -> Generator[None]:
    """Write what was judged; raise HalfWrittenError for what should have been found before."""
    try:
        yield
    except FAULTS as fault:
        raise HalfWrittenError(type(fault).__name__) from fault


class _OfStream(Protocol):
    @property
    def stream_id(self) -> bytes: ...


P = TypeVar("P", bound=_OfStream)
T = TypeVar("T")
R = TypeVar("R")


def by_stream(arrived: Iterable[P]) -> dict[bytes, list[P]]:
    """Return the pieces of each stream in the order in which they came."""
    streams: dict[bytes, list[P]] = {}
    for each in arrived:
        streams.setdefault(each.stream_id, []).append(each)
    return streams


def grouped(
    pieces: Iterable[T], *, weight: Callable[[T], int], follows: Callable[[T, T], bool]
) -> Iterator[list[T]]:
    """Yield neighbours of which each follows the one before, up to JOINED_ENTRIES_MAX together."""
    group: list[T] = []
    total = 0
    for each in pieces:
        heavier = total + weight(each)
        if group and (heavier > JOINED_ENTRIES_MAX or not follows(group[-1], each)):
            yield group
            group, heavier = [], weight(each)
        group.append(each)
        total = heavier
    if group:
        yield group


def in_turn(group: Sequence[T], take: Callable[[Sequence[T]], R]) -> Iterator[tuple[int, R]]:
    """Take all of a group, or one after the other; yield how many each answer is for."""
    if len(group) > 1:
        with suppress(*FAULTS):
            yield len(group), take(group)
            return
    for each in group:
        yield 1, take([each])
