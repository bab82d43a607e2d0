"""The newest batches, kept in memory for readers that keep up.

A reader at the end of a stream is sent what was just committed without asking the database
again. It is a copy for speed and nothing else: bounded in bytes, emptied of whatever is
withdrawn or erased, and anything that isn't here is read from the database. The rule: what
it gives is exactly what the database would.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mithaq.hub.pieces import BodyPiece, HeaderPiece, OmittedBody, Span, Wanted, sort_out

RECENT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecentBatch:
    """A committed batch with all that a reader may ask of it."""

    log_no: int
    headers: HeaderPiece
    bodies: Mapping[int, bytes]
    spans: tuple[Span, ...]
    omitted: Mapping[int, OmittedBody]

    @property
    def weight_bytes(self) -> int:
        """What it takes of the memory."""
        return self.headers.weight_bytes + sum(map(len, self.bodies.values()))


class RecentBatches:
    """The newest batches of all streams, by where they begin."""

    def __init__(self, limit_bytes: int = RECENT_BYTES_MAX) -> None:
        self._limit_bytes = limit_bytes
        self._kept_bytes = 0
        self._batches: OrderedDict[tuple[int, int], RecentBatch] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """What is kept now."""
        return self._kept_bytes

    def keep(self, batches: Iterable[RecentBatch]) -> None:
        """Keep batches that are committed now; the oldest make room."""
        for batch in batches:
            self._batches[batch.log_no, batch.headers.first_sequence] = batch
            self._kept_bytes += batch.weight_bytes
        while self._kept_bytes > self._limit_bytes:
            _, oldest = self._batches.popitem(last=False)
            self._kept_bytes -= oldest.weight_bytes

    def forget(self, logs: Iterable[int]) -> None:
        """Keep nothing of these streams any more: something of them was erased."""
        gone = set(logs)
        for key in [key for key in self._batches if key[0] in gone]:
            self._kept_bytes -= self._batches.pop(key).weight_bytes

    def headers(self, log_no: int, *, start: int, size: int) -> HeaderPiece | None:
        """Return the headers from `start`, if one batch brings a reader to the stream's end.

        Many small ones are better joined, which the database does.
        """
        batch = self._batches.get((log_no, start))
        return batch.headers if batch is not None and batch.headers.size == size else None

    def bodies(self, log_no: int, wanted: Wanted, *, start: int) -> BodyPiece | None:
        """Return the bodies from `start`, if one batch has all that is wanted."""
        batch = self._batches.get((log_no, start))
        if batch is None or batch.headers.size != wanted.size:
            return None
        return sort_out(wanted, batch.spans, batch.bodies, batch.omitted)
