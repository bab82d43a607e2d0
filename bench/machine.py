"""What the run is made on: enough to compare by, nothing that names the machine."""

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.result import Fsync, Machine
from bench.statistics import percentile

ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("grpcio", "cryptography", "protobuf", "sqlalchemy", "uvloop")
# What runs in the measured processes.
_ROOMS: Final = (
    "protos",
    "ledger",
    "agreements",
    "certs",
    "store",
    "service",
    "hub",
    "node",
    "cli",
)
PAGE: Final = bytes(16_384)
SYNCS: Final = 300


def describe() -> Machine:
    """Return the machine and what runs on it; never its name."""
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        ram_gib=round(pages * page_size / 1024**3, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: version(name) for name in _PACKAGES} | {"sqlite": sqlite3.sqlite_version},
    )


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def commit() -> str:
    """Return the short hash of what is measured, with a plus where a room differs from it."""
    head = _git("rev-parse", "--short=10", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", *_ROOMS) else "")


def _git(*arguments: str) -> str:
    answer = subprocess.run(  # noqa: S603 (words of our own)
        ["git", *arguments],  # noqa: S607 (whichever git made the clone)
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.strip()


def fsync_cost(folder: Path) -> Fsync:
    """Write a page and sync it, again and again, where the databases will be."""
    path = folder / "fsync"
    times: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(PAGE)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e6)
    path.unlink()
    return Fsync(count=SYNCS, p50_us=percentile(times, 0.5), p99_us=percentile(times, 0.99))
