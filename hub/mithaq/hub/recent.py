"""The newest batches, kept in memory for readers that keep up.

A reader near the end of a stream is sent what was just committed without asking the database
again, and readers at the same place are sent the same bytes, made once. It is a copy for
speed and nothing else: bounded in bytes, emptied of whatever is withdrawn or erased, and
anything that isn't here is read from the database. The rule: what it gives is exactly what
the database would.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from mithaq.hub.pieces import (
    BodyPiece,
    End,
    HeaderPiece,
    OmittedBody,
    Span,
    Wanted,
    furthest,
    joined,
    sort_out,
)
from mithaq.ledger.entry import BATCH_ENTRIES_MAX, BATCH_SIZE_BYTES_MAX

T = TypeVar("T")
RECENT_BYTES_MAX = 16 * 1024 * 1024
# What a batch takes beside its entries and bodies: of small ones, most.
OBJECTS_BYTES = 2048
SHARED_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecentBatch:
    """A committed batch with all that a reader may ask of it."""

    log_no: int
    headers: HeaderPiece
    bodies: Mapping[int, bytes]
    spans: tuple[Span, ...]
    omitted: Mapping[int, OmittedBody]
    body_bytes: int

    @property
    def start(self) -> int:
        """The sequence of its first entry."""
        return self.headers.first_sequence

    @property
    def end(self) -> int:
        """The sequence after its last entry."""
        return self.headers.size

    @property
    def weight_bytes(self) -> int:
        """What it takes of the memory."""
        return OBJECTS_BYTES + self.headers.weight_bytes + self.body_bytes


@dataclass(frozen=True, slots=True)
class Part:
    """What a message to a reader is about: `kind` of what, of entries from `start` to `size`."""

    kind: str
    log_no: int
    start: int
    size: int


class RecentBatches:
    """The newest batches of all streams, by where they begin."""

    def __init__(
        self, limit_bytes: int = RECENT_BYTES_MAX, *, shared_limit_bytes: int = SHARED_BYTES_MAX
    ) -> None:
        self._limit_bytes = limit_bytes
        self._kept_bytes = 0
        self._batches: OrderedDict[tuple[int, int], RecentBatch] = OrderedDict()
        self._shared_limit_bytes = shared_limit_bytes
        self._shared_bytes = 0
        self._shared: OrderedDict[Part, bytes] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """What is kept now, without the messages made of it."""
        return self._kept_bytes

    @property
    def shared_bytes(self) -> int:
        """What the messages weigh that are kept now."""
        return self._shared_bytes

    def keep(self, batches: Iterable[RecentBatch]) -> None:
        """Keep batches that are committed now; the oldest make room."""
        for batch in batches:
            self._batches[batch.log_no, batch.start] = batch
            self._kept_bytes += batch.weight_bytes
        while self._kept_bytes > self._limit_bytes:
            _, oldest = self._batches.popitem(last=False)
            self._kept_bytes -= oldest.weight_bytes

    def forget(self, logs: Iterable[int]) -> None:
        """Keep nothing of these streams any more: something of them was erased."""
        gone = set(logs)
        if not gone:
            return
        self._drop(lambda log_no, _: log_no in gone)

    def forget_below(self, log_no: int, end: int) -> None:
        """Keep nothing of a stream that begins below `end`: it was erased."""
        self._drop(lambda log, start: log == log_no and start < end)

    def headers(
        self, log_no: int, *, start: int, room_bytes: int = BATCH_SIZE_BYTES_MAX
    ) -> HeaderPiece | None:
        """Return the headers from `start`, if a batch that begins there is kept."""
        batches = self._from(log_no, start)
        weighed = [End(each.end, each.headers.weight_bytes) for each in batches]
        batches = batches[: furthest(weighed, start=start, room_bytes=room_bytes)]
        if len(batches) <= 1:
            return batches[0].headers if batches else None
        return replace(
            batches[-1].headers,
            first_sequence=start,
            runs=joined([run for each in batches for run in each.headers.runs]),
            refusals=tuple(one for each in batches for one in each.headers.refusals),
        )

    def bodies(
        self, log_no: int, wanted: Wanted, *, start: int, room_bytes: int = BATCH_SIZE_BYTES_MAX
    ) -> BodyPiece | None:
        """Return the bodies from `start` to what is wanted at most, if they are kept."""
        batches = [each for each in self._from(log_no, start) if each.end <= wanted.size]
        weighed = [End(each.end, each.body_bytes) for each in batches]
        batches = batches[: furthest(weighed, start=start, room_bytes=room_bytes)]
        if not batches:
            return None
        return sort_out(
            replace(wanted, size=batches[-1].end),
            [span for each in batches for span in each.spans],
            _merged([each.bodies for each in batches]),
            _merged([each.omitted for each in batches]),
        )

    def shared(self, part: Part, make: Callable[[], bytes]) -> bytes:
        """Return the message about `part`, made once for all who are sent the same of it.

        For the caller to ask only where a message depends on nothing else. It is kept as
        long as it is of kept batches, so that it goes when something of them is erased.
        """
        message = self._shared.get(part)
        if message is not None:
            self._shared.move_to_end(part)
            return message
        message = make()
        if self._has_all(part):
            self._shared[part] = message
            self._shared_bytes += len(message)
            while self._shared_bytes > self._shared_limit_bytes:
                _, oldest = self._shared.popitem(last=False)
                self._shared_bytes -= len(oldest)
        return message

    def _from(self, log_no: int, start: int) -> list[RecentBatch]:
        """Return the kept batches that follow one another from `start`, as many as may fit."""
        found: list[RecentBatch] = []
        at = start
        while (batch := self._batches.get((log_no, at))) is not None:
            found.append(batch)
            at = batch.end
            if at - start >= BATCH_ENTRIES_MAX:
                break
        return found

    def _has_all(self, part: Part) -> bool:
        at = part.start
        while at < part.size and (batch := self._batches.get((part.log_no, at))) is not None:
            at = batch.end
        return at == part.size

    def _drop(self, is_gone: Callable[[int, int], bool]) -> None:
        for key in [key for key in self._batches if is_gone(*key)]:
            self._kept_bytes -= self._batches.pop(key).weight_bytes
        for part in [each for each in self._shared if is_gone(each.log_no, each.start)]:
            self._shared_bytes -= len(self._shared.pop(part))


def _merged(parts: Sequence[Mapping[int, T]]) -> Mapping[int, T]:
    if len(parts) == 1:
        return parts[0]
    return {sequence: each for part in parts for sequence, each in part.items()}
