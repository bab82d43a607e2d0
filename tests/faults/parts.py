"""The processes under fault: started by whoever keeps them running, and killed by id.

What runs is what `mithaq demo` runs, with the nodes' way to the hub laid through links of
ours. A part that ends by itself is started again, as a service manager would, and that is
noted: the checker asks whether a fault explains it. The one rule: only what was started
here is ever signalled.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from mithaq.cli.demo import founding
from mithaq.cli.demo.play import Options, new_stage
from mithaq.cli.demo.processes import Process
from mithaq.cli.demo.stage import Stage
from mithaq.cli.errors import CliError
from tests.faults.links import Network
from tests.faults.plan import HUB, MEMBERS, REGISTRAR

ROOT: Final = Path(__file__).parents[2]
WATCH_S: Final = 0.2
# After it ended by itself a part is started again so much later, as a service manager does.
RESTART_S: Final = 0.5
# Long enough for a part to come back under load; what takes longer is an alarm to look at.
RECEIPT: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Ended:
    """A part that ended by itself, and what it said last."""

    part: str
    at_s: float
    said: str


@dataclass(slots=True)
class PipedProcess(Process):
    """A process whose log goes through a pipe, as to a service manager's journal.

    So a disk that refuses its writes does not silence it.
    """

    clock_file: Path | None = None

    def start(self) -> None:
        """Start it as the demo does, but for its log and, where it has one, its clock."""
        words = [sys.executable, "-m", "mithaq.cli", *self.arguments]
        if self.clock_file is not None:
            what, _, folder = self.arguments
            words = [sys.executable, "-m", "tests.faults.clocked", what, folder]
            words.append(str(self.clock_file))
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, **self.environment},
        )
        threading.Thread(target=self._keep_log, args=(self._process,), daemon=True).start()

    def _keep_log(self, process: "subprocess.Popen[bytes]") -> None:
        """Copy what one run says to the log file, until its end."""
        if process.stdout is not None:
            with process.stdout, self.log_file.open("ab") as log:
                for line in process.stdout:
                    log.write(line)
                    log.flush()


@dataclass(slots=True)
class Part:
    """A process that is kept running, but for the time that a fault keeps it down."""

    name: str
    process: Process
    # One fault at a time for one part.
    meeting: threading.Lock = field(default_factory=threading.Lock)
    is_held_down: bool = False
    _doing: threading.RLock = field(default_factory=threading.RLock)

    def kill(self) -> None:
        """End it at once."""
        with self._doing:
            self.is_held_down = True
            self.process.kill()

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._doing:
            self.is_held_down = False
            if not self.process.is_running:
                self.process.start()

    def revive(self) -> bool:
        """Start it again if it ended by itself; return whether it had."""
        with self._doing:
            if self.is_held_down or self.process.is_running:
                return False
            time.sleep(RESTART_S)
            self.process.start()
            return True

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        with self._doing, contextlib.suppress(ProcessLookupError):
            if self.process.pid:
                os.kill(self.process.pid, number)

    def wait_ready(self) -> None:
        """Wait until it is ready; if it ends before that, it is not for us to start it."""
        with contextlib.suppress(CliError):
            self.process.wait_ready()

    def move_clock(self, seconds: float) -> None:
        """Move its clock away from the machine's."""
        file = self.process.clock_file if isinstance(self.process, PipedProcess) else None
        if file is None:
            raise ValueError(f"the clock of {self.name} is the machine's")
        # In one step: it is read at any moment.
        fresh = file.with_suffix(".new")
        fresh.write_text(str(seconds), encoding="ascii")
        fresh.replace(file)

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self.process.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")[:500]


@dataclass(slots=True)
class Parts:
    """All processes, and the thread that keeps them running."""

    stage: Stage
    network: Network
    began: float
    by_name: dict[str, Part] = field(init=False)
    ended: list[Ended] = field(default_factory=list[Ended], init=False)
    _closing: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        """Name the processes as the plan does."""
        stage = self.stage
        processes = {REGISTRAR: stage.registrar, HUB: stage.hub} | {
            name: stage.members[name].process for name in MEMBERS
        }
        self.by_name = {name: Part(name, process) for name, process in processes.items()}

    def database(self, name: str) -> Path:
        """Return a part's database file."""
        if name in {HUB, REGISTRAR}:
            return self.stage.folder / name / f"{name}.db"
        return self.stage.members[name].folder / "node.db"

    def keep_running(self) -> None:
        """Start again what ended by itself, until closed."""
        while not self._closing.wait(WATCH_S):
            for part in self.by_name.values():
                said = "" if part.process.is_running else part.last_words()
                if part.revive():
                    self.ended.append(Ended(part.name, self.seconds(), said))

    def seconds(self) -> float:
        """Return how long it has been running."""
        return round(time.monotonic() - self.began, 1)

    def close(self) -> None:
        """Start nothing any more."""
        self._closing.set()


@contextmanager
def running_parts(folder: Path, *, seed: int, hub_database: str = "") -> Generator[Parts]:
    """Found a federation, and keep its parts running while the block lasts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = new_stage(Options(folder, records=0, hub_database=hub_database))
    stage.rng = Random(seed)  # noqa: S311 - made-up persons, no secret
    stage.deadlines |= {"delivery_receipt": RECEIPT, "erasure_receipt": RECEIPT}
    network = Network(MEMBERS, hub_port=stage.ports[2], seed=seed)
    stage.registrar = _piped(stage.registrar)
    stage.hub = _piped(stage.hub, _clock(folder, HUB))
    for name, link in network.links.items():
        member = stage.members[name]
        process = _piped(member.process, _clock(folder, name))
        process.environment |= {"MITHAQ_HUB_ADDRESS": f"127.0.0.1:{link.port}"}
        stage.members[name] = replace(member, process=process)
    keeper: threading.Thread | None = None
    parts = Parts(stage, network, time.monotonic())
    try:
        founding.found(stage, lambda _line: None)
        keeper = threading.Thread(target=parts.keep_running, name="keeper")
        keeper.start()
        yield parts
    except CliError as error:
        # What the part said last; its log goes with the folder.
        error.add_note(error.why)
        raise
    finally:
        parts.close()
        if keeper is not None:
            keeper.join()
        for part in parts.by_name.values():
            part.signal(signal.SIGCONT)
        stage.stop()
        network.close()


def _clock(folder: Path, name: str) -> Path:
    """Return the file with the seconds that a part's clock is ahead: none."""
    file = folder / f"{name}.clock"
    file.write_text("0", encoding="ascii")
    return file


def _piped(process: Process, clock: Path | None = None) -> PipedProcess:
    """Return the same process with its log in a pipe and, if asked for, a clock of its own."""
    return PipedProcess(
        process.name,
        process.arguments,
        process.log_file,
        process.metrics_port,
        dict(process.environment),
        clock,
    )
