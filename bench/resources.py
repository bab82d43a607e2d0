"""What processes have used of the machine, as Linux counts it for each of them."""

import os
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Of /proc/<pid>/stat, counted behind the name, which may hold blanks (man 5 proc).
_UTIME: Final = 11
_STIME: Final = 12
_KIB_PER_MIB: Final = 1024
QUIET_SHARE: Final = 0.08
QUIET_SECONDS: Final = 0.5
QUIET_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds (user and system) and the peak of resident memory of one process."""

    cpu_s: float
    peak_rss_mib: float


def used_by(pid: int) -> Used:
    """Return what a process has used since it began."""
    behind_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks = int(behind_name[_UTIME]) + int(behind_name[_STIME])
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return Used(ticks / _TICKS_PER_S, int(peak.split()[1]) / _KIB_PER_MIB)


def sample(pids: Mapping[str, int]) -> dict[str, Used]:
    """Return what several processes have used, by role."""
    return {role: used_by(pid) for role, pid in pids.items()}


def cpu_us_per_record(
    before: Mapping[str, Used], after: Mapping[str, Used], *, records: int
) -> dict[str, float]:
    """Return what each process spent on a record between two samples, in µs."""
    return {role: (after[role].cpu_s - before[role].cpu_s) * 1e6 / records for role in before}


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU of some processes by role, in a time."""

    seconds: float
    cpu_s: dict[str, float]

    def beyond(self, idle: "Usage", role: str) -> float:
        """Return the CPU seconds of a role without what it uses when nothing happens."""
        return self.cpu_s[role] - idle.cpu_s[role] / idle.seconds * self.seconds


async def used_while(pids: Mapping[str, int], act: Awaitable[None]) -> Usage:
    """Return what processes use until an act is over."""
    before, began = sample(pids), time.perf_counter()
    await act
    seconds, after = time.perf_counter() - began, sample(pids)
    return Usage(seconds, {role: after[role].cpu_s - before[role].cpu_s for role in pids})


def keep_on(pids: Iterable[int], processors: Iterable[int]) -> None:
    """Let processes run on these processors only, with all threads that they have or begin."""
    wanted = set(processors)
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), wanted)


def wait_quiet(pids: Mapping[str, int], *, within_s: float = QUIET_SECONDS_MAX) -> None:
    """Return when the processes do next to nothing any more, or after a bounded time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        before = sum(each.cpu_s for each in sample(pids).values())
        time.sleep(QUIET_SECONDS)
        after = sum(each.cpu_s for each in sample(pids).values())
        if after - before <= QUIET_SHARE * QUIET_SECONDS:
            return
