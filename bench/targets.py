"""What each figure must be and aims to be, beside what it was."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.result import CatchUp, EndToEnd, FanOut, Result, Single, Spread, Stored

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: measured, must, aim, and whether it is where it must be.

    `is_met` is None where it was measured at another size than the target is about.
    """

    figure: str
    measured: str
    must: str
    aim: str
    is_met: bool | None


def lines(result: Result) -> Iterator[Line]:
    """Yield the figures that have a target and were measured."""
    if result.end_to_end is not None:
        yield from _ratios(result.end_to_end)
    if result.single is not None:
        yield from _latency(result.single)
    if result.catch_up is not None:
        yield _catch_up(result.catch_up)
    if len(result.fan_out) > 1:
        yield from _fan_out(result.fan_out)
    if len(result.stored) > 1:
        yield from _stored(result.stored)


def further_reader_us(fan_out: tuple[FanOut, ...]) -> float:
    """Return what each reader beyond the first costs the hub for a record, in µs."""
    first, last = fan_out[0], fan_out[-1]
    return (last.hub_cpu_us - first.hub_cpu_us) / (last.readers - first.readers)


def _told(ratio: Spread) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _ratios(each: EndToEnd) -> Iterator[Line]:
    is_met = each.ratio.median >= 0.5  # noqa: PLR2004
    yield Line("end to end, × the probe", _told(each.ratio), "≥ 0.5", "0.65", is_met)
    name = "the same, × the probe fed from memory"
    yield Line(name, _told(each.ratio_from_memory), "stated", "–", None)


def _latency(each: Single) -> Iterator[Line]:
    p50, p99 = each.ratio_p50, each.ratio_p99
    name = "one record, idle, p50, × the probe"
    yield Line(name, _told(p50), "≤ 2", "1.6", p50.median <= 2)  # noqa: PLR2004
    name = "one record, idle, p99, × the probe"
    yield Line(name, _told(p99), "≤ 2.5", "1.5", p99.median <= 2.5)  # noqa: PLR2004


def _catch_up(each: CatchUp) -> Line:
    rate = each.records / each.seconds
    return Line("catch-up, records/s", f"{rate:,.0f}", "≥ 8,000", "15,000", rate >= 8000)  # noqa: PLR2004


def _fan_out(each: tuple[FanOut, ...]) -> Iterator[Line]:
    hub = further_reader_us(each)
    name = f"hub, µs per record and further reader (to {each[-1].readers})"
    yield Line(name, f"{hub:.1f}", "≤ 6", "4", hub <= 6)  # noqa: PLR2004
    more = (each[-1].sender_cpu_us / each[0].sender_cpu_us - 1) * 100
    name = f"sender, more CPU for {each[-1].readers} readers than for 1"
    yield Line(name, f"{more:+.0f} %", "≤ +25 %", "+10 %", more <= 25)  # noqa: PLR2004


def _stored(each: tuple[Stored, ...]) -> Iterator[Line]:
    first, last = each[0], each[-1]
    costs = [sum(one.throughput.cpu_us.values()) for one in (first, last)]
    peaks = [max(one.throughput.peak_rss_mib.values()) for one in (first, last)]
    name = f"cost of a record at {last.stored:,} stored, × that at {first.stored:,}"
    ratio = costs[1] / costs[0]
    is_met = ratio <= 1.2 if last.stored >= MILLION else None  # noqa: PLR2004
    yield Line(name, f"{ratio:.2f}", "≤ 1.2 (at 1 M)", "–", is_met)
    name = f"largest peak of memory at {last.stored:,} stored, against {first.stored:,}"
    growth = peaks[1] / peaks[0]
    measured = f"{(growth - 1) * 100:+.0f} %"
    is_met = growth <= 1.1 if last.stored >= MILLION // 2 else None  # noqa: PLR2004
    yield Line(name, measured, "≤ +10 % (50 k to 500 k)", "–", is_met)
