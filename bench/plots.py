"""The figures of a run as pictures for docs/performance.md, drawn from the JSON alone.

The rule: what was not measured is not drawn.
"""

# Further keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.result import Callers, EndToEnd, FanOut, Result, Single, Stored
from bench.tables import ROLES
from bench.targets import CALLERS, END_TO_END, FURTHER_READER_US, further_reader_us

PANEL_INCHES: Final = (4.0, 2.8)
DOTS_PER_INCH: Final = 100
# Of Okabe and Ito, told apart by the colour-blind as well.
PRODUCT: Final = "#0072B2"
OTHER: Final = "#999999"
GOAL: Final = "#D55E00"
BY_ROLE: Final = {"sender": "#0072B2", "hub": "#E69F00", "reader": "#009E73"}
BAR: Final = 0.38
HEADROOM: Final = 1.25
Panel = Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: the name of its file, and what it shows in words."""

    name: str
    words: str
    panels: tuple[Panel, ...]

    def draw(self, folder: Path) -> None:
        """Write the picture as PNG into a folder."""
        width, height = PANEL_INCHES
        size = width * len(self.panels), height
        figure = Figure(size, dpi=DOTS_PER_INCH, layout="constrained")
        for number, panel in enumerate(self.panels, start=1):
            panel(figure.add_subplot(1, len(self.panels), number))
        # Without the version of the library, equal figures give equal bytes.
        path = folder / f"{self.name}.png"
        figure.savefig(path, metadata={"Software": None})


def plots(result: Result) -> Iterator[Plot]:
    """Yield the pictures of a run."""
    beside: list[Panel] = []
    if (end_to_end := result.end_to_end) is not None:
        beside += [partial(_ratios, each=end_to_end), partial(_cpu, each=end_to_end)]
    if (single := result.single) is not None:
        beside.append(partial(_latency, each=single))
    if beside:
        words = "product beside probe: ratio of each round, CPU of a record, time of one record"
        yield Plot("beside-the-probe", words, tuple(beside))
    if callers := result.callers:
        words = "records issued one by one: answers per second, and as a multiple of NATS"
        panels = partial(_answers, figures=callers), partial(_multiples, figures=callers)
        yield Plot("callers", words, panels)
    if len(fan_out := alike(result.fan_out)) > 1:
        words = "CPU of a record at hub and sender by the number of readers"
        yield Plot("readers", words, (partial(_readers, figures=fan_out),))
    if len(stored := result.stored) > 1:
        words = "CPU of a record and peak memory by what is stored"
        panels = partial(_cost, figures=stored), partial(_memory, figures=stored)
        yield Plot("stored", words, panels)


# --- beside the probe -----------------------------------------------------------------


def _ratios(axes: Axes, each: EndToEnd) -> None:
    numbers = range(1, len(each.rounds) + 1)
    axes.bar(numbers, [one.ratio for one in each.rounds], color=PRODUCT)
    _goals(axes, must=END_TO_END.must, aim=END_TO_END.aim)
    axes.set_xticks(numbers)
    _name(axes, "end to end, × the probe", x="round", y="ratio of rates")


def _cpu(axes: Axes, each: EndToEnd) -> None:
    names = ("product", "probe")
    under = [0.0, 0.0]
    for role in ROLES:
        sides = (
            median(one.product.cpu_us[role] for one in each.rounds),
            median(one.probe.cpu_us[role] for one in each.rounds),
        )
        axes.bar(names, sides, bottom=under, color=BY_ROLE[role], label=role)
        under = [low + more for low, more in zip(under, sides, strict=True)]
    axes.legend(fontsize="small")
    _name(axes, "CPU of a record", x="", y="µs")


def _latency(axes: Axes, each: Single) -> None:
    pairs = (("product", each.product, PRODUCT), ("probe", each.probe, OTHER))
    for shift, (name, side, colour) in enumerate(pairs):
        places = [place + (shift - 0.5) * BAR for place in (0, 1)]
        axes.bar(places, (side.p50_ms, side.p99_ms), BAR, color=colour, label=name)
    axes.set_xticks((0, 1), ("p50", "p99"))
    axes.legend(fontsize="small")
    _name(axes, "one record, idle", x="", y="ms until found")


# --- many callers ---------------------------------------------------------------------


def _answers(axes: Axes, figures: Sequence[Callers]) -> None:
    places = range(len(figures))
    ours = [median(each.records / one.answered_seconds for one in each.rounds) for each in figures]
    axes.bar([at - BAR / 2 for at in places], ours, BAR, color=PRODUCT, label="product")
    theirs = [
        [each.records / one.nats_seconds for one in each.rounds if one.nats_seconds is not None]
        for each in figures
    ]
    if all(theirs):
        rates = [median(each) for each in theirs]
        axes.bar([at + BAR / 2 for at in places], rates, BAR, color=OTHER, label="NATS JetStream")
    axes.set_xticks(places, [str(each.callers) for each in figures])
    axes.legend(fontsize="small")
    _name(axes, "answered, durable", x="callers", y="records/s")


def _multiples(axes: Axes, figures: Sequence[Callers]) -> None:
    compared = [(each.callers, each.ratio) for each in figures if each.ratio is not None]
    for place, (callers, ratio) in enumerate(compared):
        axes.bar(place, ratio.median, BAR * 2, color=PRODUCT)
        if (target := CALLERS.get(callers)) is not None:
            ends = place - BAR, place + BAR
            axes.hlines(target.must, *ends, colors=GOAL, label="must")
            axes.hlines(target.aim, *ends, colors=GOAL, linestyles="dashed", label="aim")
    axes.set_xticks(range(len(compared)), [str(callers) for callers, _ in compared])
    _name(axes, "× NATS (must —, aim - -)", x="callers", y="ratio of rates")


# --- many readers, much stored --------------------------------------------------------


def alike(figures: Sequence[FanOut]) -> Sequence[FanOut]:
    """Return those that were played as the first was: on processors apart, or not."""
    return [each for each in figures if each.apart == figures[0].apart]


def _readers(axes: Axes, figures: Sequence[FanOut]) -> None:
    readers = [each.readers for each in figures]
    axes.plot(readers, [each.hub_cpu_us for each in figures], "o-", color=BY_ROLE["hub"])
    axes.plot(readers, [each.sender_cpu_us for each in figures], "s-", color=BY_ROLE["sender"])
    first, last = figures[0], figures[-1]
    must = [first.hub_cpu_us + FURTHER_READER_US.must * (each - first.readers) for each in readers]
    axes.plot(readers, must, "--", color=GOAL)
    axes.legend(("hub", "sender", "hub, must"), fontsize="small")
    further = further_reader_us(first, last)
    _name(axes, f"{further:.1f} µs per further reader", x="readers", y="µs CPU of a record")


def _cost(axes: Axes, figures: Sequence[Stored]) -> None:
    stored = [each.stored for each in figures]
    for role in ROLES:
        costs = [median(one.cpu_us[role] for one in each.rounds) for each in figures]
        axes.plot(stored, costs, "o-", color=BY_ROLE[role], label=role)
    axes.set_xscale("log")
    axes.legend(fontsize="small")
    _name(axes, "CPU of a record", x="stored", y="µs")


def _memory(axes: Axes, figures: Sequence[Stored]) -> None:
    stored = [each.stored for each in figures]
    for role in ROLES:
        peaks = [each.peak_rss_mib[role] for each in figures]
        axes.plot(stored, peaks, "o-", color=BY_ROLE[role], label=role)
    axes.set_xscale("log")
    _name(axes, "peak memory", x="stored", y="MiB")


def _goals(axes: Axes, *, must: float, aim: float) -> None:
    axes.axhline(must, color=GOAL, label="must")
    axes.axhline(aim, color=GOAL, linestyle="dashed", label="aim")
    axes.legend(fontsize="small")


def _name(axes: Axes, title: str, *, x: str, y: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, axes.get_ylim()[1] * HEADROOM)
