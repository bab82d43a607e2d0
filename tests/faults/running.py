"""One run: a federation under load, a plan of faults, and the checker at the end."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.breaking import Breaker
from tests.faults.checking import Findings, check, unsigned_bodies
from tests.faults.load import Load
from tests.faults.parts import Ended, Parts, running_parts
from tests.faults.plan import MEMBERS, Fault, plan
from tests.faults.server import running_server

LOOK_S: Final = 3.0
LOAD_PAUSE_S: Final = 0.4
LAST_ACT_S: Final = 120.0
# Lines of a log that a fault explains and that are worth a count.
EVENT: Final = re.compile(r'"event": ?"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked for."""

    folder: Path
    faults: int
    seed: int
    postgresql: bool = False
    load_pause_s: float = LOAD_PAUSE_S


@dataclass(slots=True)
class Report:
    """What came of it."""

    run: Run
    kinds: Counter[str] = field(default_factory=Counter[str])
    missed: Counter[str] = field(default_factory=Counter[str])
    acts: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    network: Counter[str] = field(default_factory=Counter[str])
    ended: list[Ended] = field(default_factory=list[Ended])
    exceptions: Counter[str] = field(default_factory=Counter[str])
    findings: Findings = field(default_factory=Findings)
    looks: int = 0
    faults_s: float = 0.0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything held."""
        return not self.findings.faults


def perform(run: Run, say: Callable[[str], None] = lambda _line: None) -> Report:
    """Run a plan of faults to its end, and check."""
    report = Report(run)
    with ExitStack() as stack:
        server = stack.enter_context(running_server()) if run.postgresql else None
        say("founding a federation")
        parts = stack.enter_context(
            running_parts(run.folder, seed=run.seed, hub_database=server.url if server else "")
        )
        _break_and_check(run, parts, Breaker(parts, server), report, say)
    report.seconds = parts.seconds()
    return report


def _break_and_check(
    run: Run, parts: Parts, breaker: Breaker, report: Report, say: Callable[[str], None]
) -> None:
    def carry_out() -> None:
        faults = plan(seed=run.seed, faults=run.faults, postgresql=run.postgresql)
        breaker.carry_out(faults, lambda fault, at_s: say(_line(fault, at_s)))

    check_under_load(parts, carry_out, report, say)
    report.kinds.update({kind.value: count for kind, count in breaker.done.items()})
    report.missed.update({kind.value: count for kind, count in breaker.missed.items()})


def check_under_load(
    parts: Parts, breaking: Callable[[], None], report: Report, say: Callable[[str], None]
) -> None:
    """Break what `breaking` breaks while all members work; then check all that must hold."""
    run = report.run
    load = Load.of(parts.stage, seed=run.seed, pause_s=run.load_pause_s)
    began = parts.seconds()
    say(f"founded after {began} s; load begins")
    stop = threading.Event()
    looking = threading.Thread(target=_look, args=(parts, report, stop), name="checker")
    load.start()
    looking.start()
    try:
        breaking()
        report.faults_s = round(parts.seconds() - began, 1)
        say("all faults are over; the last acts come to their end")
        late = load.stop(within_s=LAST_ACT_S)
        report.findings.expect(not late, f"acts never came to an end: {', '.join(late)}")
    finally:
        stop.set()
        looking.join()
    check(parts, {name: load.members[name] for name in MEMBERS}, report.findings)
    report.acts, report.refused = load.counted(), load.refused()
    report.network, report.ended = parts.network.counted(), list(parts.ended)
    report.exceptions = Counter(_exceptions(parts))
    report.findings.expect(
        not report.acts["done before it was asked"], "an act was done before it was asked for"
    )


def _line(fault: Fault, at_s: float) -> str:
    return f"{at_s:8.1f} s  {fault.number:5}  {fault.target:9}  {fault.kind} for {fault.lasts_s} s"


def _look(parts: Parts, report: Report, stop: threading.Event) -> None:
    """Look now and then whether a reader has what it has not signed for."""
    while not stop.wait(LOOK_S):
        for member in MEMBERS:
            try:
                report.findings.expect_all(unsigned_bodies(parts, member))
                report.looks += 1
            except Exception:  # noqa: BLE001, S112 - the database may be away, as planned
                continue


def _exceptions(parts: Parts) -> Iterator[str]:
    """Yield what each process logged as an exception: event, classes, innermost place."""
    for name, part in parts.by_name.items():
        for line in part.process.log_file.read_text(
            encoding="utf-8", errors="replace"
        ).splitlines():
            if line.startswith("{") and '"exception"' in line:
                yield f"{name}: {_told(line)}"
            elif line.startswith(("Traceback", "error[")):
                yield f"{name}: {line[:200]}"


def _told(line: str) -> str:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return "a line that was cut off"
    chain = event["exception"]["chain"]
    classes = " from ".join(each["class"] for each in chain)
    place = next((each["frames"][-1] for each in chain if each["frames"]), "")
    return f"{event['event']}: {classes} at {place}"


def table(counts: Counter[str]) -> str:
    """Return counts as lines, largest first."""
    return "\n".join(f"  {count:7}  {name}" for name, count in counts.most_common())


def described(report: Report) -> str:
    """Return the report as a person reads it."""
    run = report.run
    database = "postgresql" if run.postgresql else "sqlite"
    done = sum(report.kinds.values())
    parts = [
        f"seed {run.seed}, {done} faults on {database}",
        f"{report.faults_s} s of faults, {report.seconds} s in all",
        "faults:\n" + table(report.kinds),
        "not to be done (a lock that was not to be had, a process that was down):\n"
        + table(report.missed),
        "acts:\n" + table(report.acts),
        "answers that were asked for again:\n" + table(report.refused),
        "links:\n" + table(report.network),
        "checked:\n"
        + table(Counter(report.findings.figures | {"looks while running": report.looks})),
        f"ended by itself: {len(report.ended)}\n"
        + "\n".join(f"  {each.at_s:8.1f} s  {each.part}: {each.said}" for each in report.ended),
        "exceptions in logs:\n" + table(report.exceptions),
        "everything held" if report.holds else "DOES NOT HOLD:\n" + _listed(report.findings.faults),
    ]
    return "\n\n".join(parts)


def _listed(faults: list[str]) -> str:
    return "\n".join(f"  {each}" for each in faults)
