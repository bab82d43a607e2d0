"""One transaction of the outbox: what its acts ask for is gathered, then written at once.

Acts first say what they want (rows to insert, entries to post); `finish` writes all of
it, each stream's entries as one run and one batch where terms agree. The one rule: an act
asks for nothing before it has been decided, so a denied act leaves nothing behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mithaq.agreements.status import AgreementStatus
from mithaq.node.exchange.draft import Placed, PutDraft, WithdrawDraft
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import Batch, OwnStream, Posted, Posting, post
from mithaq.node.exchange.quota import QuotaBook
from mithaq.node.exchange.routing import Planner, Routes
from mithaq.node.exchange.stored import RECORD, next_record_no
from mithaq.node.lookup import index
from mithaq.node.lookup.keys import entries_of
from mithaq.node.records.model import ParsedRecord
from mithaq.store.rows import insert_rows


@dataclass(slots=True)
class Transaction:
    """What the acts of one transaction ask for, until `finish` writes it."""

    connection: sa.Connection
    home: Home
    at: datetime
    routes: Routes = field(init=False)
    quotas: QuotaBook = field(init=False)
    planner: Planner = field(init=False)
    erased: bool = False
    _rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _indexed: list[tuple[int, ParsedRecord]] = field(default_factory=list[tuple[int, ParsedRecord]])
    _postings: dict[int, tuple[Posting, AgreementStatus]] = field(
        default_factory=dict[int, tuple[Posting, AgreementStatus]]
    )
    _next_record_no: int = 0

    def __post_init__(self) -> None:
        self.routes = Routes(self.connection, self.home, self.at)
        self.quotas = QuotaBook(self.connection, self.at)
        self.planner = Planner(self.home.registry, self.home.member, self.at, self.quotas)

    def new_record_no(self) -> int:
        """Return a number for a row that this transaction will insert."""
        if not self._next_record_no:
            self._next_record_no = next_record_no(self.connection)
        number = self._next_record_no
        self._next_record_no += 1
        return number

    def keep(self, row: dict[str, Any], record: ParsedRecord) -> None:
        """Insert a record's row at the end, and what it is found by."""
        self._rows.append(row)
        self._indexed.append((row["record_no"], record))

    def put(self, stream: OwnStream, status: AgreementStatus, draft: PutDraft) -> None:
        """Post a record in a stream."""
        self._posting(stream, status).puts.append(draft)

    def withdraw(self, stream: OwnStream, status: AgreementStatus, draft: WithdrawDraft) -> None:
        """Post a WITHDRAW in a stream."""
        self._posting(stream, status).withdrawals.append(draft)

    def close(self, stream: OwnStream, status: AgreementStatus, *, successor: bytes | None) -> None:
        """Post the CLOSE of a stream."""
        posting = self._posting(stream, status)
        posting.closing = True
        posting.successor = successor

    def finish(self) -> "Finished":
        """Write everything; raise with the whole transaction undone by the caller."""
        self.quotas.write()
        insert_rows(self.connection, RECORD, self._rows)
        index.append(self.connection, entries_of(self._indexed, self.home.index_key))
        posted: dict[int, Posted] = {}
        for log_no, (posting, status) in self._postings.items():
            posted[log_no] = post(self.connection, self.home, posting, status=status, at=self.at)
        streams = {log_no: posting.stream for log_no, (posting, _) in self._postings.items()}
        return Finished(posted, streams, _places(posted, streams))

    def _posting(self, stream: OwnStream, status: AgreementStatus) -> Posting:
        found = self._postings.get(stream.log_no)
        if found is None:
            found = (Posting(stream), status)
            self._postings[stream.log_no] = found
        return found[0]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a transaction wrote, by log number."""

    posted: dict[int, Posted]
    streams: dict[int, OwnStream]
    # By record number: where it was put, and who may read there.
    places: dict[int, list[tuple[OwnStream, Placed, tuple[str, ...]]]]

    @property
    def batches(self) -> list[Batch]:
        """The batches for the hub, in the order in which they must be sent."""
        return [batch for each in self.posted.values() for batch in each.batches]


def _places(
    posted: Mapping[int, Posted], streams: Mapping[int, OwnStream]
) -> dict[int, list[tuple[OwnStream, Placed, tuple[str, ...]]]]:
    found: dict[int, list[tuple[OwnStream, Placed, tuple[str, ...]]]] = {}
    for log_no, each in posted.items():
        stream, readers = streams[log_no], each.readers
        for placed in each.placed:
            found.setdefault(placed.record_no, []).append((stream, placed, readers))
    return found
