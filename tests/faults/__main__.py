"""`make chaos`: break things at random for as many faults as asked for, then check all."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.running import Run, described, perform


def main() -> int:
    """Run as the arguments say; return 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--dir", type=Path, help="work folder, left there; a temporary one if absent"
    )
    asked = parser.parse_args()
    # Whoever bounds its time asks it to end: what it started has to end with it.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    folder = asked.dir or Path(tempfile.mkdtemp(prefix="mithaq-faults-"))
    run = Run(folder.resolve(), asked.faults, asked.seed, asked.database == "postgresql")
    report = perform(run, say)
    say("")
    say(described(report))
    say(f"\nlogs and databases are in {folder}")
    return 0 if report.holds else 1


def say(line: str) -> None:
    """Print a line at once: somebody watches, or it is cut off."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
