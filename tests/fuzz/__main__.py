"""`make fuzz`: run targets; or keep of the inputs that runs have found what adds something.

    python -m tests.fuzz run --seconds 60 note terms
    python -m tests.fuzz keep note
    python -m tests.fuzz bare note -- build/fuzz/findings/note-crash-…

Ends with 1 if something was found; the inputs lie in build/fuzz/findings, and the stack of
each stands in what was printed.
"""

import argparse
import os
import sys
from pathlib import Path

from atheris.import_hook import instrument_imports

from tests.fuzz.driver import BUILD, Plan, bare, fuzz_all, keep
from tests.fuzz.target import Target


def main() -> int:
    """Do what the command line says; return the exit code."""
    asked, options = _arguments()
    targets, corpus = _instrumented()
    named = [targets[each] for each in asked.targets] or list(targets.values())
    if asked.command == "bare":
        bare(named[0], options)
    plan = Plan(
        seconds=asked.seconds,
        processes=asked.processes,
        seed=asked.seed,
        corpus=corpus,
        findings=BUILD / "findings",
        grown=BUILD / "corpus",
    )
    if asked.command == "keep":
        for target in named:
            say(f"{target.name}: {keep(target, plan)} inputs")
        return 0
    failed = fuzz_all(named, plan)
    if failed:
        say(f"found in {', '.join(failed)}: inputs are in {plan.findings}")
    return 1 if failed else 0


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return what was asked for, and what follows `--`."""
    own = sys.argv[1:]
    place = own.index("--") if "--" in own else len(own)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("command", choices=("run", "keep", "bare"))
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer's chance; 0: any")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(own[:place]), own[place + 1 :]


def _instrumented() -> tuple[dict[str, Target], Path]:
    """Return the targets, whose parsers are instrumented while they are read, and the corpus."""
    with instrument_imports(include=["mithaq"]):
        from tests.fuzz import targets  # noqa: PLC0415 - here, and not before

    return dict(targets.BY_NAME), targets.CORPUS


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
