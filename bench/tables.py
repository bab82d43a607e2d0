"""The figures of a run as plain tables: what the terminal and docs/performance.md show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.result import CatchUp, EndToEnd, FanOut, Result, Stored, Throughput
from bench.targets import lines

ROLES: Final = ("sender", "hub", "reader")
_MET: Final = {True: "yes", False: "no", None: "–"}


@dataclass(frozen=True, slots=True)
class Table:
    """A title, names of columns, and rows as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Result) -> Iterator[Table]:
    """Yield a table for each thing that was measured, targets first."""
    targets = tuple(
        (each.figure, each.measured, each.must, each.aim, _MET[each.is_met])
        for each in lines(result)
    )
    if targets:
        yield Table("Against the targets", ("figure", "measured", "must", "aim", "met"), targets)
    if result.end_to_end is not None:
        yield from _end_to_end(result.end_to_end)
    if result.single is not None:
        pair = (("product", result.single.product), ("probe", result.single.probe))
        rows = tuple(
            (name, str(one.count), f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", _by_role(one.cpu_us))
            for name, one in pair
        )
        title = "One record on an idle federation, until it can be found"
        yield Table(title, ("", "records", "p50 ms", "p99 ms", "CPU"), rows)
    yield from _others(result)


def _end_to_end(each: EndToEnd) -> Iterator[Table]:
    rows = tuple(
        (
            str(number),
            f"{one.product.records_per_second:,.0f}",
            f"{one.probe.records_per_second:,.0f}",
            f"{one.from_memory.records_per_second:,.0f}",
            f"{one.ratio:.3f}",
            f"{one.cpu_ratio:.3f}",
            _by_role(one.product.cpu_us),
            _by_role(one.probe.cpu_us),
        )
        for number, one in enumerate(each.rounds, start=1)
    )
    last = each.rounds[-1]
    rows += (
        (
            "peak MiB",
            "",
            "",
            "",
            "",
            "",
            _by_role(last.product.peak_rss_mib),
            _by_role(last.probe.peak_rss_mib),
        ),
    )
    yield Table(
        "End to end, in bulk, until opened and searchable (CPU: µs per record at "
        "sender / hub / reader)",
        (
            "round",
            "product records/s",
            "probe records/s",
            "from memory",
            "ratio",
            "by CPU",
            "product CPU",
            "probe CPU",
        ),
        rows,
    )


def _by_role(values: Mapping[str, float]) -> str:
    return " / ".join(f"{values[role]:.0f}" for role in ROLES)


def _others(result: Result) -> Iterator[Table]:
    if result.fsync is not None:
        row = f"{result.fsync.p50_us:,.0f}", f"{result.fsync.p99_us:,.0f}"
        yield Table("A page of 16 KiB written and synced", ("p50 µs", "p99 µs"), (row,))
    if result.callers:
        rows = tuple(
            (
                str(each.callers),
                f"{each.records / each.answered_seconds:,.0f}",
                f"{each.records / each.opened_seconds:,.0f}",
                _by_role(each.cpu_us),
            )
            for each in result.callers
        )
        yield Table(
            "One by one, by so many callers", ("callers", "answered/s", "opened/s", "CPU"), rows
        )
    if result.catch_up is not None:
        yield _catch_up(result.catch_up)
    if result.fan_out:
        readers = ("readers", "hub CPU, µs per record", "sender CPU, µs per record")
        yield Table("Many readers", readers, tuple(map(_fan_out, result.fan_out)))
    if result.stored:
        stored = ("stored", "records/s", "CPU", "peak MiB")
        yield Table("With so much stored", stored, tuple(map(_stored, result.stored)))


def _catch_up(each: CatchUp) -> Table:
    row = (
        f"{each.records:,}",
        f"{each.records / each.seconds:,.0f}",
        f"{each.reader_cpu_us:.0f}",
    )
    columns = ("records", "records/s", "reader's CPU, µs per record")
    return Table("Catching up after an absence", columns, (row,))


def _fan_out(each: FanOut) -> tuple[str, ...]:
    return (str(each.readers), f"{each.hub_cpu_us:.0f}", f"{each.sender_cpu_us:.0f}")


def _stored(each: Stored) -> tuple[str, ...]:
    through: Throughput = each.throughput
    return (
        f"{each.stored:,}",
        f"{through.records_per_second:,.0f}",
        _by_role(through.cpu_us),
        _by_role(through.peak_rss_mib),
    )
