"""What the hub knows by heart: its streams, who reads them, and how far each has signed.

Built from the database at start and then changed by the committer alone, between two
transactions, so that a transaction may read it without a lock. It holds a few hundred
bytes for each stream and reader, and never an entry or a body. The rule: nothing stands
here that isn't committed, and whoever waits for news is told after it is.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mithaq.hub.receipt_book import HeldReceipt, ReceiptBook
from mithaq.hub.recent import RecentBatch, RecentBatches
from mithaq.ledger.kinds import StreamRole
from mithaq.ledger.stream import StreamState


@dataclass(frozen=True, slots=True)
class HeldStream:
    """A committed stream; `readers` are those of its current epoch whom the hub admitted."""

    log_no: int
    state: StreamState
    readers: tuple[str, ...] = ()
    # Where CLOSE stands, once it does: a successor is delivered after it (PROTOCOL 3.5).
    closed_at: int | None = None

    @property
    def sender(self) -> str:
        """Who writes it."""
        return self.state.opening.sender

    @property
    def audience(self) -> tuple[str, ...]:
        """Who may read it, sorted."""
        return self.state.opening.audience

    @property
    def role(self) -> StreamRole:
        """Whether it carries disclosures or answers."""
        return self.state.opening.role


@dataclass(eq=False, slots=True)
class Listener:
    """A connection that waits for news of streams; woken after each commit that has some."""

    member: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    streams: set[int] = field(default_factory=set[int])
    # Senders whose freeze list for this member is new.
    freezes: set[str] = field(default_factory=set[str])

    def touch(self, log_no: int) -> None:
        """Note that a stream has news, and wake up."""
        self.streams.add(log_no)
        self.news.set()

    def touch_freeze(self, sender: str) -> None:
        """Note that a sender's freeze list is new, and wake up."""
        self.freezes.add(sender)
        self.news.set()

    def take(self) -> set[int]:
        """Return the streams with news since the last time, and forget them."""
        streams, self.streams = self.streams, set()
        self.news.clear()
        return streams


@dataclass(frozen=True, slots=True)
class Changes:
    """What a transaction has made true."""

    streams: Mapping[int, HeldStream] = field(default_factory=dict[int, HeldStream])
    receipts: tuple[HeldReceipt, ...] = ()
    # Streams of which a reader has refused something, whether or not its receipt is newer.
    refused: frozenset[int] = frozenset()
    # (sender, reader) of newer freeze lists.
    freezes: tuple[tuple[str, str], ...] = ()
    # By how much the bodies kept for a stream's readers have grown or shrunk, in bytes.
    stored: Mapping[int, int] = field(default_factory=dict[int, int])
    # Batches to be kept in memory, and streams of which something was erased.
    recent: tuple[RecentBatch, ...] = ()
    erased: frozenset[int] = frozenset()


class Directory:
    """The streams of this hub, by every key that a call asks with."""

    def __init__(self) -> None:
        self._streams: dict[int, HeldStream] = {}
        self._numbers: dict[bytes, int] = {}
        self._by_reader: dict[str, list[int]] = {}
        self._by_sender: dict[str, list[int]] = {}
        self.recent = RecentBatches()
        self.receipts = ReceiptBook()
        self._stored_bytes: Counter[int] = Counter()
        # Streams of which a reader has ever refused something.
        self._refused: set[int] = set()
        self._readers_listening: dict[str, set[Listener]] = {}
        self._senders_listening: dict[str, set[Listener]] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[HeldStream]:
        return iter(tuple(self._streams.values()))

    def stream(self, log_no: int) -> HeldStream:
        """Return a stream by its number, which comes from this directory."""
        return self._streams[log_no]

    def find(self, stream_id: bytes) -> HeldStream | None:
        """Return the stream of this id, if there is one."""
        log_no = self._numbers.get(stream_id)
        return None if log_no is None else self._streams[log_no]

    def read_by(self, member: str) -> list[HeldStream]:
        """Return the streams with this member in their audience, oldest first."""
        return [self._streams[log_no] for log_no in self._by_reader.get(member, ())]

    def sent_by(self, member: str) -> list[HeldStream]:
        """Return the streams that this member writes, oldest first."""
        return [self._streams[log_no] for log_no in self._by_sender.get(member, ())]

    def signed_size(self, log_no: int, reader: str, role: int) -> int:
        """Return how far a reader has signed in a role; 0 if not at all."""
        receipt = self.receipts.one(log_no, reader, role)
        return receipt.size if receipt else 0

    def has_refusals(self, log_no: int) -> bool:
        """Tell whether any reader has refused something of a stream."""
        return log_no in self._refused

    def note_refused(self, logs: Iterable[int]) -> None:
        """Learn of which streams readers have refused something."""
        self._refused.update(logs)

    def stored_bytes(self, log_no: int) -> int:
        """Return what the bodies weigh that are kept for a stream's readers."""
        return self._stored_bytes[log_no]

    def backlog_bytes(self, sender: str) -> int:
        """Return what the bodies weigh that are kept for the readers of a sender."""
        return sum(self._stored_bytes[log_no] for log_no in self._by_sender.get(sender, ()))

    def note_stored(self, changed: Mapping[int, int]) -> None:
        """Count bodies that were stored or erased, in bytes by stream."""
        self._stored_bytes.update(changed)

    def set_stored(self, stored_bytes: Mapping[int, int]) -> None:
        """Take over what the database counts, in bytes by stream."""
        self._stored_bytes = Counter(stored_bytes)

    def note_erased(self, freed: Mapping[int, int]) -> None:
        """Forget streams of which bodies were erased, and count those, in bytes by stream."""
        self.recent.forget(freed)
        self._stored_bytes.subtract(freed)

    def note_swept(self, log_no: int, freed: int, *, end: int) -> None:
        """Count bodies of a stream that were erased below `end`, in bytes, and forget them."""
        self.recent.forget_below(log_no, end)
        self._stored_bytes[log_no] -= freed

    def add(self, streams: Iterable[HeldStream], receipts: Iterable[HeldReceipt] = ()) -> None:
        """Take in what the database holds, without waking anybody."""
        for stream in streams:
            self._put(stream)
        for receipt in receipts:
            self.receipts.put(receipt)

    def apply(self, changes: Changes) -> None:
        """Take in what was committed, and wake whoever waits for it."""
        self.add(changes.streams.values(), changes.receipts)
        self.note_stored(changes.stored)
        self.recent.keep(changes.recent)
        # After keeping: what was withdrawn may be of the same transaction.
        self.recent.forget(changes.erased)
        for log_no in changes.streams:
            self._wake_readers(log_no)
        self.note_refused(changes.refused)
        for log_no in changes.refused:
            self._wake_sender(log_no)
        for receipt in changes.receipts:
            self._wake_sender(receipt.log_no)
            self._wake(self._readers_listening, receipt.reader, receipt.log_no)
        for sender, reader in changes.freezes:
            for listener in self._readers_listening.get(reader, ()):
                listener.touch_freeze(sender)

    def listen_as_reader(self, listener: Listener) -> None:
        """Wake this listener for new entries, and for the reader's own committed receipts."""
        self._readers_listening.setdefault(listener.member, set()).add(listener)

    def listen_as_sender(self, listener: Listener) -> None:
        """Wake this listener for new receipts of its streams."""
        self._senders_listening.setdefault(listener.member, set()).add(listener)

    def forget(self, listener: Listener) -> None:
        """Wake this listener no more."""
        for listening in (self._readers_listening, self._senders_listening):
            listening.get(listener.member, set()).discard(listener)

    def listening(self, member: str) -> tuple[bool, bool]:
        """Return whether the member is connected as a reader, and as a sender."""
        return bool(self._readers_listening.get(member)), bool(self._senders_listening.get(member))

    def readers_connected(self, stream_id: bytes) -> int:
        """Return how many readers of a stream's current epoch are connected."""
        stream = self.find(stream_id)
        readers = () if stream is None else stream.readers
        return sum(1 for each in readers if self._readers_listening.get(each))

    def wake_all(self) -> None:
        """Make every listener look again: the registry has changed."""
        for log_no in self._streams:
            self._wake_readers(log_no)

    def _put(self, stream: HeldStream) -> None:
        if stream.log_no not in self._streams:
            self._numbers[stream.state.stream_id] = stream.log_no
            self._by_sender.setdefault(stream.sender, []).append(stream.log_no)
            for member in stream.audience:
                self._by_reader.setdefault(member, []).append(stream.log_no)
        elif self._streams[stream.log_no].state.size > stream.state.size:
            # A look at the database that began before our own last transaction.
            return
        self._streams[stream.log_no] = stream

    def _wake_readers(self, log_no: int) -> None:
        for member in self._streams[log_no].audience:
            self._wake(self._readers_listening, member, log_no)

    def _wake_sender(self, log_no: int) -> None:
        self._wake(self._senders_listening, self._streams[log_no].sender, log_no)

    @staticmethod
    def _wake(listening: Mapping[str, set[Listener]], member: str, log_no: int) -> None:
        for listener in listening.get(member, ()):
            listener.touch(log_no)
