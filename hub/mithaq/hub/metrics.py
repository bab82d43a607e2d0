"""What the hub counts for its operator: work, refusals, alarms, bytes.

Labels are stable codes and names of PROTOCOL 6; no member, stream or person is ever one.
"""

from collections.abc import Callable, Sequence

from google.protobuf.message import Message
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

COMMIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class HubMetrics:
    """The hub's counters, in one registry with those of its calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commit_seconds = Histogram(
            "mithaq_hub_commit_seconds",
            "Time of a transaction of batches and receipts, with the wait for the writer.",
            buckets=COMMIT_BUCKETS_S,
            registry=registry,
        )
        self.batch_entries = Histogram(
            "mithaq_hub_batch_entries",
            "New entries of a batch.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.entries = Counter("mithaq_hub_entries", "Entries admitted.", registry=registry)
        self.refused = Counter(
            "mithaq_hub_refused", "Entries whose body was refused.", ("reason",), registry=registry
        )
        self.rejected = Counter(
            "mithaq_hub_rejected", "Pieces of work refused outright.", ("code",), registry=registry
        )
        self.alarms = Counter("mithaq_hub_alarms", "Alarms raised.", ("alarm",), registry=registry)
        self._bytes = Counter(
            "mithaq_hub_exchange_bytes",
            "Bytes of messages.",
            ("direction",),
            registry=registry,
        )
        self._queue = Gauge(
            "mithaq_hub_queue_length", "Pieces of work that wait.", registry=registry
        )
        # Since this process started; what the operator is shown.
        self.admitted_total = 0
        self.refused_total = 0
        self._sent = self._bytes.labels("sent")
        self._received = self._bytes.labels("received")

    def count_accepted(self, *, entries: int, refused: Sequence[str]) -> None:
        """Count the new entries of a batch, and the reasons of those that were refused."""
        self.entries.inc(entries)
        self.batch_entries.observe(entries)
        for reason in refused:
            self.refused.labels(reason).inc()
        self.admitted_total += entries
        self.refused_total += len(refused)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Show the committer's queue."""
        self._queue.set_function(lambda: float(length()))

    def count_sent(self, message: Message | bytes) -> None:
        """Count a message that went out, as it is or as it travels."""
        self._sent.inc(len(message) if isinstance(message, bytes) else message.ByteSize())

    def count_received(self, message: Message) -> None:
        """Count a message that came in."""
        self._received.inc(message.ByteSize())
