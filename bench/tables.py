"""The figures of a run as plain tables: what the terminal and docs/performance.md show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.result import (
    As4,
    Callers,
    CatchUp,
    ColdSync,
    Content,
    EndToEnd,
    FanOut,
    Fsync,
    OnPostgres,
    Reconnect,
    Result,
    Single,
    Stored,
)
from bench.targets import lines

ROLES: Final = ("sender", "hub", "reader")
AS4_PARTS: Final = ("send", "receive", "receipt")
_MET: Final = {True: "yes", False: "no", None: "–"}


@dataclass(frozen=True, slots=True)
class Table:
    """A title, names of columns, and rows as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Result) -> Iterator[Table]:
    """Yield a table for each thing that was measured, targets first; and what was not."""
    targets = tuple(
        (each.figure, each.measured, each.must, each.aim, _MET[each.is_met])
        for each in lines(result)
    )
    if targets:
        yield Table("Against the targets", ("figure", "measured", "must", "aim", "met"), targets)
    if result.not_measured:
        missing = tuple(sorted(result.not_measured.items()))
        yield Table("Not measured", ("figure", "why"), missing)
    yield from _beside_the_probe(result)
    yield from _alone(result)


def _beside_the_probe(result: Result) -> Iterator[Table]:
    if result.end_to_end is not None:
        yield _end_to_end(result.end_to_end)
    if result.postgres is not None:
        yield _postgres(result.postgres)
    if result.single is not None:
        yield _single(result.single)
    if result.fsync is not None:
        yield _fsync(result.fsync)
    if result.content is not None:
        yield _content(result.content, result.end_to_end)
    if result.callers:
        yield _callers(result.callers)


def _alone(result: Result) -> Iterator[Table]:
    if result.catch_up is not None:
        yield _catch_up(result.catch_up)
    if result.fan_out:
        yield _fan_out(result.fan_out)
    if result.stored:
        yield _stored(result.stored)
    if result.cold_sync is not None:
        yield _cold_sync(result.cold_sync)
    if result.reconnect:
        yield _reconnect(result.reconnect)
    if result.as4 is not None:
        yield _as4(result.as4)


def by_role(values: Mapping[str, float]) -> str:
    """Return one figure for each of the three processes."""
    return " / ".join(f"{values[role]:.0f}" for role in ROLES)


# --- beside something else ------------------------------------------------------------


def _end_to_end(each: EndToEnd) -> Table:
    rows = [
        (
            str(number),
            f"{one.product.records_per_second:,.0f}",
            f"{one.probe.records_per_second:,.0f}",
            f"{one.from_memory.records_per_second:,.0f}",
            f"{one.ratio:.3f}",
            f"{one.cpu_ratio:.3f}",
            by_role(one.product.cpu_us),
            by_role(one.probe.cpu_us),
        )
        for number, one in enumerate(each.rounds, start=1)
    ]
    last = each.rounds[-1]
    peaks = by_role(last.product.peak_rss_mib), by_role(last.probe.peak_rss_mib)
    rows.append(("peak MiB", "", "", "", "", "", *peaks))
    return Table(
        "End to end, in bulk, until opened and searchable (rates in records/s; CPU in µs per "
        "record at sender / hub / reader)",
        (
            "round",
            "product",
            "probe",
            "probe from memory",
            "ratio",
            "by CPU",
            "product CPU",
            "probe CPU",
        ),
        tuple(rows),
    )


def _postgres(each: OnPostgres) -> Table:
    rows = tuple(
        (
            str(number),
            f"{one.product.records_per_second:,.0f}",
            f"{one.product.records / one.copy_seconds:,.0f}",
            f"{one.ratio:.3f}",
            by_role(one.product.cpu_us),
        )
        for number, one in enumerate(each.rounds, start=1)
    )
    columns = ("round", "product records/s", "COPY records/s", "ratio", "product CPU")
    return Table("End to end with the hub on PostgreSQL", columns, rows)


def _single(each: Single) -> Table:
    rows = tuple(
        (name, str(one.count), f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", by_role(one.cpu_us))
        for name, one in (("product", each.product), ("probe", each.probe))
    )
    title = "One record on an idle federation, until it can be found"
    return Table(title, ("", "records", "p50 ms", "p99 ms", "CPU"), rows)


def _fsync(each: Fsync) -> Table:
    row = f"{each.p50_us:,.0f}", f"{each.p99_us:,.0f}"
    return Table("A page of 16 KiB written and synced", ("p50 µs", "p99 µs"), (row,))


def _content(each: Content, beside: EndToEnd | None) -> Table:
    share = "–"
    if beside is not None:
        probe_us = median(sum(one.probe.cpu_us.values()) for one in beside.rounds)
        share = f"{each.share_at_most(probe_us):.2f}"
    row = f"{each.reading_us.median:.0f}", f"{each.indexing_us.median:.0f}", share
    columns = "read once, µs", "index entries, µs", "at most, × the probe by CPU"
    return Table("The content of a record alone, at both ends", columns, (row,))


def _callers(figures: tuple[Callers, ...]) -> Table:
    rows = tuple(
        (
            f"{each.callers}, round {number}",
            f"{each.records / one.answered_seconds:,.0f}",
            f"{each.records / one.opened_seconds:,.0f}",
            f"{each.records / one.nats_seconds:,.0f}" if one.nats_seconds is not None else "–",
            f"{one.ratio:.2f}" if one.ratio is not None else "–",
            by_role(one.cpu_us),
            f"{one.nats_cpu_us:.0f}" if one.nats_cpu_us is not None else "–",
        )
        for each in figures
        for number, one in enumerate(each.rounds, start=1)
    )
    columns = ("callers", "answered/s", "opened/s", "NATS answers/s", "ratio", "CPU", "NATS CPU")
    return Table("One by one, by so many callers", columns, rows)


# --- the product alone ----------------------------------------------------------------


def _catch_up(each: CatchUp) -> Table:
    rows = tuple(
        (
            f"{each.records:,}",
            f"{each.records / one.seconds:,.0f}",
            f"{one.reader_cpu_us:.0f}",
        )
        for one in each.absences
    )
    columns = ("records", "records/s", "reader's CPU, µs per record")
    return Table("Catching up after an absence", columns, rows)


def _fan_out(figures: tuple[FanOut, ...]) -> Table:
    rows = tuple(
        (
            str(each.readers),
            "of their own" if each.apart else "any",
            f"{each.hub_cpu_us:.0f}",
            f"{each.sender_cpu_us:.0f}",
        )
        for each in figures
    )
    columns = ("readers", "their processor", "hub CPU, µs per record", "sender CPU, µs per record")
    return Table("Many readers", columns, rows)


def _stored(figures: tuple[Stored, ...]) -> Table:
    rows = tuple(
        (
            f"{each.stored:,}",
            f"{one.records_per_second:,.0f}",
            by_role(one.cpu_us),
            by_role(one.peak_rss_mib),
        )
        for each in figures
        for one in each.rounds
    )
    return Table("With so much stored", ("stored", "records/s", "CPU", "peak MiB"), rows)


def _cold_sync(each: ColdSync) -> Table:
    row = (
        f"{each.records:,}",
        f"{each.seconds:.1f}",
        f"{each.records / each.seconds:,.0f}",
        by_role(each.cpu_us),
    )
    columns = ("live records", "seconds", "records/s", "CPU at sender / hub / newcomer")
    return Table("A party joins and is told everything", columns, (row,))


def _reconnect(figures: tuple[Reconnect, ...]) -> Table:
    rows = tuple(
        (
            str(each.nodes),
            f"{each.stored:,}",
            f"{each.bytes_up:,.0f}",
            f"{each.bytes_down:,.0f}",
            f"{each.hub_cpu_us:,.0f}",
            f"{each.node_cpu_us:,.0f}",
            f"{each.seconds:.2f}",
            f"{each.idle_hub_us_per_s:,.0f} / {each.idle_node_us_per_s:,.0f}",
        )
        for each in figures
    )
    columns = (
        "nodes",
        "stored",
        "bytes to the hub",
        "bytes from it",
        "hub µs",
        "node µs",
        "s until the last",
        "idle, µs a second: hub / node",
    )
    return Table("All come back at once and nothing is new (per node and return)", columns, rows)


def _as4(each: As4) -> Table:
    rows = tuple(
        (
            str(number),
            f"{one.product.records_per_second:,.0f}",
            f"{one.as4_records / one.as4_seconds:,.0f}",
            f"{one.ratio:.0f}",
            f"{sum(one.product.cpu_us.values()):,.0f}",
            " / ".join(f"{one.as4_cpu_us[part]:,.0f}" for part in AS4_PARTS),
        )
        for number, one in enumerate(each.rounds, start=1)
    )
    columns = ("round", "product", "AS4", "ratio", "product CPU", "AS4 CPU")
    title = (
        "The same records by AS4 (rates in records/s; CPU in µs per record, of AS4: build / "
        "receive and receipt / verify the receipt)"
    )
    return Table(title, columns, rows)
