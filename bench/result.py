"""What a run found out, as values and as JSON with a version of its form.

The rule: a figure that was not measured is absent, never zero.
"""

from statistics import median
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Positive = Annotated[float, Field(gt=0)]
# By role: sender, hub, reader.
_ByRole = dict[str, float]


class _Value(BaseModel):
    """A frozen part of a result; what it does not know it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(_Value):
    """What it was measured on; which machine it was is nobody's business."""

    cpu: str
    cores: int
    ram_gib: float
    kernel: str
    python: str
    versions: dict[str, str]


class Spread(_Value):
    """Median and range."""

    median: float
    low: float
    high: float


class Content(_Value):
    """What reading a record once, and making its index entries, costs; µs of CPU per record."""

    reading_us: Spread
    indexing_us: Spread

    def share_at_most(self, probe_us: float) -> float:
        """Return how near to a probe anything comes that reads and indexes at both ends.

        As a share of the rate of a probe that takes so many µs per record, were all else as
        cheap as it.
        """
        once = self.reading_us.median + self.indexing_us.median
        return probe_us / (probe_us + 2 * once)


class Latency(_Value):
    """Times of single records, in milliseconds; CPU in µs per record."""

    count: int
    p50_ms: _Positive
    p99_ms: _Positive
    cpu_us: _ByRole


class Throughput(_Value):
    """Records until they were durable at the reader; CPU in µs per record."""

    records: int
    seconds: _Positive
    cpu_us: _ByRole
    peak_rss_mib: _ByRole

    @property
    def records_per_second(self) -> float:
        """The rate."""
        return self.records / self.seconds


class Round(_Value):
    """Product and probe in turn; and the probe fed from its sender's own memory."""

    product: Throughput
    probe: Throughput
    from_memory: Throughput

    @property
    def ratio(self) -> float:
        """How much of the probe's rate the product has."""
        return self.product.records_per_second / self.probe.records_per_second

    @property
    def ratio_from_memory(self) -> float:
        """How much of the rate of the probe that nobody feeds."""
        return self.product.records_per_second / self.from_memory.records_per_second

    @property
    def cpu_ratio(self) -> float:
        """The same by CPU of all three processes, which a busy machine changes less."""
        return sum(self.probe.cpu_us.values()) / sum(self.product.cpu_us.values())


class EndToEnd(_Value):
    """Rounds of bulk issuing until opened and searchable, and their ratios."""

    rounds: tuple[Round, ...]
    ratio: Spread
    ratio_from_memory: Spread


class Single(_Value):
    """One record at a time on an idle federation, over all rounds.

    The ratios are of all records; their ranges are those of single rounds.
    """

    product: Latency
    probe: Latency
    ratio_p50: Spread
    ratio_p99: Spread


class Fsync(_Value):
    """A page written and synced, in microseconds."""

    count: int
    p50_us: _Positive
    p99_us: _Positive


class CallersRound(_Value):
    """The product, and NATS JetStream where it was there; CPU in µs per record.

    Both answer a caller when its record is durable: the product at the sender's node, NATS
    in its stream.
    """

    answered_seconds: _Positive
    opened_seconds: _Positive
    cpu_us: _ByRole
    nats_seconds: _Positive | None = None
    nats_cpu_us: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the rate of NATS the product answers with."""
        return None if self.nats_seconds is None else self.nats_seconds / self.answered_seconds


class Callers(_Value):
    """Records issued one by one by so many callers at a time, in each round so many."""

    callers: int
    records: int
    rounds: tuple[CallersRound, ...]
    ratio: Spread | None = None


class Absence(_Value):
    """A reader that was away: from the first header that it holds to the last record opened."""

    seconds: _Positive
    reader_cpu_us: float


class CatchUp(_Value):
    """Absences of so many records each, and their rates in records per second."""

    records: int
    absences: tuple[Absence, ...]
    rate: Spread


class FanOut(_Value):
    """What one record costs hub and sender with so many readers, in µs of CPU.

    Where they are `apart`, the readers run on another processor than hub and sender.
    """

    readers: int
    apart: bool = True
    records: int
    hub_cpu_us: float
    sender_cpu_us: float


class Stored(_Value):
    """What a record costs when so many are stored already, and the peak of memory then."""

    stored: int
    rounds: tuple[Throughput, ...]

    @property
    def cost_us(self) -> float:
        """CPU of all three for a record, the median of the rounds."""
        return median(sum(each.cpu_us.values()) for each in self.rounds)

    @property
    def peak_rss_mib(self) -> _ByRole:
        """The peak of each process since it began."""
        return self.rounds[-1].peak_rss_mib


class Reconnect(_Value):
    """All nodes lose the hub at once and come back; nothing is new. Per node and return.

    CPU in µs, without what idle processes use; seconds until the last was back, of which
    most is the wait before a node dials again.
    """

    nodes: int
    stored: int
    returns: int
    seconds: _Positive
    bytes_up: float
    bytes_down: float
    hub_cpu_us: float
    node_cpu_us: float
    # What hub and one node use while nothing happens, in µs of CPU per second.
    idle_hub_us_per_s: float
    idle_node_us_per_s: float


class ColdSync(_Value):
    """A party joins: from its agreement's entry at the hub to the last record opened by it."""

    records: int
    seconds: _Positive
    cpu_us: _ByRole


class CopyRound(_Value):
    """The product with its hub on PostgreSQL, and a bare COPY of the same bytes into it."""

    product: Throughput
    copy_seconds: _Positive

    @property
    def ratio(self) -> float:
        """How much of the rate of the COPY."""
        return self.copy_seconds / self.product.seconds


class OnPostgres(_Value):
    """Rounds on PostgreSQL, and their ratios."""

    rounds: tuple[CopyRound, ...]
    ratio: Spread


class As4Round(_Value):
    """The product, and one process that exchanges so many of the same records by AS4."""

    product: Throughput
    as4_records: int
    as4_seconds: _Positive
    # By part: send, receive, receipt.
    as4_cpu_us: dict[str, float]

    @property
    def ratio(self) -> float:
        """How many times the rate of AS4."""
        return self.product.records_per_second * self.as4_seconds / self.as4_records

    @property
    def cpu_ratio(self) -> float:
        """How many times the CPU of the product AS4 takes."""
        return sum(self.as4_cpu_us.values()) / sum(self.product.cpu_us.values())


class As4(_Value):
    """Rounds of product and AS4 in turn, and their ratios."""

    rounds: tuple[As4Round, ...]
    ratio: Spread
    cpu_ratio: Spread


class Result(_Value):
    """A run."""

    schema_: Literal["mithaq-bench/2"] = Field(default="mithaq-bench/2", alias="schema")
    at: str
    commit: str
    command: str
    machine: Machine
    fsync: Fsync | None = None
    content: Content | None = None
    end_to_end: EndToEnd | None = None
    single: Single | None = None
    callers: tuple[Callers, ...] = ()
    catch_up: CatchUp | None = None
    fan_out: tuple[FanOut, ...] = ()
    stored: tuple[Stored, ...] = ()
    reconnect: tuple[Reconnect, ...] = ()
    cold_sync: ColdSync | None = None
    postgres: OnPostgres | None = None
    as4: As4 | None = None
    # Why there is no figure of what was asked for, by its name.
    not_measured: dict[str, str] = {}

    def with_newer(self, newer: "Result") -> "Result":
        """Return a newer result, with the figures that only this one has."""
        kept = {
            name: mine
            for name in type(self).model_fields
            if not getattr(newer, name) and (mine := getattr(self, name))
        }
        both = newer.model_copy(update=kept)
        missing = self.not_measured | newer.not_measured
        still = {name: why for name, why in missing.items() if not getattr(both, name, None)}
        return both.model_copy(update={"not_measured": still})

    def to_json(self) -> str:
        """Return it as JSON."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Return what JSON says; raise ValueError for another form."""
        return cls.model_validate_json(text)
