"""Atheris and libFuzzer for one target after the other, each in a process of its own.

The interpreter is started and `mithaq` instrumented once, which takes longer than many a
short run; targets run in children of that process. A finding ends its child and no other;
its input stays in the folder of findings.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import atheris

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

BUILD = Path(__file__).parents[2] / "build" / "fuzz"
# On the clock, so with room for a machine that does more than this.
INPUT_SECONDS_MAX = 60
MEMORY_MIB_MAX = 2048
UNBEGUN = 3
# Findings of more than one kind are seldom; the rest of a list would be the same one.
QUIET = "-verbosity=0"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each target runs, how many at a time, and where its inputs are and go."""

    seconds: int
    processes: int
    corpus: Path
    findings: Path
    # Where new inputs go; the kept corpus itself is read and not written.
    grown: Path
    runs: int = -1
    # Where libFuzzer's chance begins; 0 is another place each time.
    seed: int = 0
    # No input may take longer or more; what does is a finding.
    input_seconds_max: int = INPUT_SECONDS_MAX
    memory_mib_max: int = MEMORY_MIB_MAX


def fuzz_all(targets: Sequence[Target], plan: Plan) -> list[str]:
    """Run the targets and return the names of those in which something was found."""
    # Children end without tidying up, so their databases lie where they can be removed.
    BUILD.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = tempfile.mkdtemp(prefix="work-", dir=BUILD)
    failed = _run_all(list(targets), plan)
    # Not in a `finally`: a child that found something leaves by this way, too.
    shutil.rmtree(tempfile.tempdir)
    return failed


def _run_all(waiting: list[Target], plan: Plan) -> list[str]:
    running, failed = dict[int, str](), list[str]()
    while waiting or running:
        if waiting and len(running) < plan.processes:
            target = waiting.pop(0)
            running[_start(target, plan)] = target.name
            continue
        process, status = os.wait()
        name = running.pop(process)
        code = os.waitstatus_to_exitcode(status)
        print(f"{name}: {'ok' if code == 0 else 'FOUND'}", flush=True)  # noqa: T201 - a program's
        if code:
            failed.append(name)
    return sorted(failed)


def _start(target: Target, plan: Plan) -> int:
    process = os.fork()
    if process:
        return process
    # Ends the process.
    _fuzz(target, plan)
    sys.exit(UNBEGUN)


def _fuzz(target: Target, plan: Plan) -> None:
    grown, kept = plan.grown / target.name, plan.corpus / target.name
    for folder in (grown, kept, plan.findings):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        sys.argv[0],
        f"-max_total_time={plan.seconds}",
        f"-runs={plan.runs}",
        f"-seed={plan.seed}",
        f"-max_len={target.size_bytes_max}",
        f"-timeout={plan.input_seconds_max}",
        f"-rss_limit_mb={plan.memory_mib_max}",
        f"-artifact_prefix={plan.findings}/{target.name}-",
        "-print_final_stats=1",
        QUIET,
        str(grown),
        str(kept),
    ]
    atheris.Setup(options, _keeping(target, plan.findings), **_mutator(target))
    atheris.Fuzz()


def _keeping(target: Target, findings: Path) -> Callable[[bytes], None]:
    """Return the target's check, which keeps the input of what it raises by itself.

    libFuzzer keeps those that take too long or too much, and these only where nothing
    else ends the process first: the parsers' own threads may.
    """

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            (findings / f"{target.name}-crash-{name}").write_bytes(data)
            raise

    return check


def _mutator(target: Target) -> dict[str, Callable[[bytes, int, int], bytes]]:
    kind = target.message
    if kind is None:
        return {}

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        return mutated(
            kind,
            data,
            size_max,
            seed=seed,
            change_bytes=atheris.Mutate,
        )

    return {"custom_mutator": mutate}


def keep(target: Target, plan: Plan) -> int:
    """Replace the kept corpus by the smallest inputs, kept and grown, that cover as much.

    Return their number. libFuzzer measures each input, as for its own merge; a child does
    it, for this process is instrumented already and libFuzzer would begin a new one.
    """
    kept, grown = plan.corpus / target.name, plan.grown / target.name
    by_name = {each.name: each for each in (*grown.glob("*"), *kept.glob("*"))}
    files = sorted(by_name.values(), key=lambda each: (_size(each), each.name))
    contents = {each.name: each.read_bytes() for each in files}
    covered: set[str] = set()
    chosen: list[str] = []
    for name, branches in zip(contents, _branches(target, files), strict=True):
        if branches - covered:
            covered |= branches
            chosen.append(name)
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in chosen:
        (kept / name).write_bytes(contents[name])
    return len(chosen)


def _branches(target: Target, files: Sequence[Path]) -> list[set[str]]:
    """Return what each input covers, in order, as libFuzzer numbers branches."""
    control = BUILD / f"merge-{target.name}"
    # The number of files, how many of them were chosen before, and their names.
    control.write_text("\n".join((str(len(files)), "0", *map(str, files), "")), encoding="ascii")
    process = os.fork()
    if not process:
        options = ["-merge_inner=1", f"-merge_control_file={control}", QUIET]
        bare(target, [*options, f"-max_len={target.size_bytes_max}"])
        sys.exit(UNBEGUN)
    os.waitpid(process, 0)
    lines = control.read_text(encoding="ascii").splitlines()
    found: dict[int, set[str]] = {number: set() for number in range(len(files))}
    for line in lines:
        if line.startswith("COV "):
            _, number, *branches = line.split(" ")
            found[int(number)].update(branches)
    return list(found.values())


def _size(file: Path) -> int:
    return file.stat().st_size


def bare(target: Target, options: Sequence[str]) -> None:
    """Run libFuzzer with these options in this process; does not return."""
    atheris.Setup([sys.argv[0], *options], target.check, **_mutator(target))
    atheris.Fuzz()
