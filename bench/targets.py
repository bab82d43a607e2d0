"""What each figure must be and aims to be, beside what it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.result import (
    As4,
    Callers,
    CatchUp,
    ColdSync,
    EndToEnd,
    FanOut,
    OnPostgres,
    Result,
    Single,
    Spread,
    Stored,
)

MILLION: Final = 1_000_000
# Memory is compared from here on: below, stores are still filling their caches.
SETTLED_RECORDS: Final = 50_000
COLD_SYNC_RECORDS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure must keep and one that it aims at; which way is better."""

    must: float
    aim: float
    at_least: bool = False
    digits: int = 2

    def line(self, figure: str, value: float, told: str = "", *, applies: bool = True) -> "Line":
        """Return a figure beside its target."""
        sign = "≥" if self.at_least else "≤"
        is_met = value >= self.must if self.at_least else value <= self.must
        measured = told or self._number(value)
        return Line(
            figure,
            measured,
            f"{sign} {self._number(self.must)}",
            self._number(self.aim),
            is_met if applies else None,
        )

    def _number(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


END_TO_END: Final = Target(0.5, 0.65, at_least=True)
SINGLE_P50: Final = Target(2, 1.6)
SINGLE_P99: Final = Target(2.5, 1.5)
CALLERS: Final = {16: Target(1.2, 2, at_least=True), 256: Target(4, 8, at_least=True)}
CATCH_UP: Final = Target(8000, 15_000, at_least=True, digits=0)
FURTHER_READER_US: Final = Target(6, 4, digits=1)
SENDER_RATIO: Final = Target(1.25, 1.10)
MEMORY_RATIO: Final = Target(1.10, 1.05)
STORED_RATIO: Final = Target(1.2, 1.05)
COLD_SYNC_S: Final = Target(20, 12, digits=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: measured, must, aim, and whether it is where it must be.

    `is_met` is None where nothing must be, or where it was measured at another size than
    the target is about.
    """

    figure: str
    measured: str
    must: str
    aim: str
    is_met: bool | None


def lines(result: Result) -> Iterator[Line]:
    """Yield the figures that have a target and were measured, as the targets are listed."""
    if result.end_to_end is not None:
        yield from _end_to_end(result.end_to_end)
    if result.postgres is not None:
        yield _postgres(result.postgres)
    if result.single is not None:
        yield from _single(result.single)
    for each in result.callers:
        yield from _callers(each)
    if result.catch_up is not None:
        yield _catch_up(result.catch_up)
    if len(result.fan_out) > 1:
        yield from _fan_out(result.fan_out)
    if len(result.stored) > 1:
        yield from _stored(result.stored)
    if result.as4 is not None:
        yield from _as4(result.as4)
    if result.cold_sync is not None:
        yield _cold_sync(result.cold_sync)


def told(ratio: Spread, *, digits: int = 2) -> str:
    """Return a ratio with its range as text."""
    return f"{ratio.median:,.{digits}f} ({ratio.low:,.{digits}f}–{ratio.high:,.{digits}f})"


def _end_to_end(each: EndToEnd) -> Iterator[Line]:
    yield END_TO_END.line("end to end, × the probe", each.ratio.median, told(each.ratio))
    name = "end to end, × the probe fed from memory"
    yield Line(name, told(each.ratio_from_memory), "stated", "–", None)


def _postgres(each: OnPostgres) -> Line:
    name = "end to end, hub on PostgreSQL, × a bare COPY"
    return Line(name, told(each.ratio), "stated", "0.60", None)


def _single(each: Single) -> Iterator[Line]:
    p50, p99 = each.ratio_p50, each.ratio_p99
    yield SINGLE_P50.line("one record, idle, p50, × the probe", p50.median, told(p50))
    yield SINGLE_P99.line("one record, idle, p99, × the probe", p99.median, told(p99))


def _callers(each: Callers) -> Iterator[Line]:
    target = CALLERS.get(each.callers)
    if target is not None and each.ratio is not None:
        name = f"{each.callers} callers, × NATS JetStream"
        yield target.line(name, each.ratio.median, told(each.ratio))


def _catch_up(each: CatchUp) -> Line:
    rate = each.rate
    return CATCH_UP.line("catch-up, records/s", rate.median, told(rate, digits=0))


# --- many readers ---------------------------------------------------------------------


def further_reader_us(first: FanOut, more: FanOut) -> float:
    """Return what each reader beyond the first costs the hub for a record, in µs."""
    return (more.hub_cpu_us - first.hub_cpu_us) / (more.readers - first.readers)


def _fan_out(figures: Sequence[FanOut]) -> Iterator[Line]:
    first, *others = figures
    judged = [each for each in others if each.apart == first.apart]
    for more in judged:
        name = f"hub, µs per record and further reader, {more.readers} readers"
        yield FURTHER_READER_US.line(
            name, further_reader_us(first, more), applies=_is_told_apart(more)
        )
    for more in judged if first.sender_cpu_us > 0 else ():
        name = f"sender, CPU for {more.readers} readers × that for {first.readers}"
        ratio = more.sender_cpu_us / first.sender_cpu_us
        yield SENDER_RATIO.line(name, ratio, applies=_is_told_apart(more))
    for more in others:
        if more not in judged and first.sender_cpu_us > 0:
            name = f"{more.readers} readers on any processor: hub, µs; sender, ×"
            ratio = more.sender_cpu_us / first.sender_cpu_us
            measured = f"{further_reader_us(first, more):.1f}; {ratio:.2f}"
            yield Line(name, measured, "stated", "–", None)


def _is_told_apart(more: FanOut) -> bool:
    """Tell whether records cost more than what is done idle: else nothing was measured."""
    return more.hub_cpu_us > 0 and more.sender_cpu_us > 0


# --- much stored ----------------------------------------------------------------------


def _stored(figures: Sequence[Stored]) -> Iterator[Line]:
    first, last = figures[0], figures[-1]
    name = f"cost of a record at {last.stored:,} stored, × that at {first.stored:,}"
    ratio = last.cost_us / first.cost_us
    yield STORED_RATIO.line(name, ratio, applies=last.stored >= MILLION)
    low, high = memory_levels(figures)
    if low is not high:
        growth = memory_growth(low, high)
        role = max(growth, key=lambda each: growth[each])
        name = f"peak memory at {high.stored:,} stored, × that at {low.stored:,} ({role})"
        applies = low.stored >= SETTLED_RECORDS and high.stored >= 10 * low.stored
        yield MEMORY_RATIO.line(name, growth[role], applies=applies)


def memory_levels(figures: Sequence[Stored]) -> tuple[Stored, Stored]:
    """Return the levels whose memory is compared.

    From the first of 50,000 on to ten times it; where a run has no such levels, its first
    and its last.
    """
    settled = [each for each in figures if each.stored >= SETTLED_RECORDS]
    if not settled:
        return figures[0], figures[-1]
    tenfold = [each for each in settled if each.stored >= 10 * settled[0].stored]
    return (settled[0], tenfold[0]) if tenfold else (figures[0], figures[-1])


def memory_growth(low: Stored, high: Stored) -> dict[str, float]:
    """Return by role how many times its peak became."""
    return {role: peak / low.peak_rss_mib[role] for role, peak in high.peak_rss_mib.items()}


# --- others ---------------------------------------------------------------------------


def _as4(each: As4) -> Iterator[Line]:
    name = "the same work by AS4, × its rate"
    yield Line(name, told(each.ratio, digits=0), "stated", "≥ 50", None)
    name = "the same work by AS4, its CPU × the product's"
    yield Line(name, told(each.cpu_ratio, digits=0), "stated", "–", None)


def _cold_sync(each: ColdSync) -> Line:
    name = f"a new reader has {each.records:,} live records, seconds"
    return COLD_SYNC_S.line(name, each.seconds, applies=each.records >= COLD_SYNC_RECORDS)
