"""How each fault is done and undone: from outside, to processes, links and files alone.

Up to a few faults at a time, never two of one part. The one rule: whatever a fault does is
undone when its time is over, whoever else failed meanwhile.
"""

import contextlib
import resource
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from tests.faults.parts import Part, Parts
from tests.faults.plan import Fault, Kind
from tests.faults.server import Server

AT_ONCE_MAX: Final = 3
LOCK_TIMEOUT_S: Final = 10.0
STARTING_S: Final = 0.2


@dataclass(slots=True)
class Breaker:
    """Carries out a plan on running parts."""

    parts: Parts
    server: Server | None = None
    done: Counter[Kind] = field(default_factory=Counter[Kind])
    # What a fault met that could not be done, such as a lock that was not to be had.
    missed: Counter[Kind] = field(default_factory=Counter[Kind])

    def carry_out(self, faults: Iterable[Fault], note: Callable[[Fault, float], None]) -> None:
        """Do all faults of a plan, each after its wait; return when the last is undone."""
        room = threading.Semaphore(AT_ONCE_MAX)
        with ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="fault") as pool:
            doing: list[Future[None]] = []
            for fault in faults:
                time.sleep(fault.wait_s)
                room.acquire()
                part = self.parts.by_name[fault.target]
                part.meeting.acquire()
                note(fault, self.parts.seconds())
                doing.append(pool.submit(self._meet, fault, part, room))
            for each in doing:
                each.result()

    def _meet(self, fault: Fault, part: Part, room: threading.Semaphore) -> None:
        try:
            _FAULTS[fault.kind](self, fault, part)
            self.done[fault.kind] += 1
        finally:
            part.meeting.release()
            room.release()

    # --- processes --------------------------------------------------------------------

    def kill(self, fault: Fault, part: Part) -> None:
        """SIGKILL, a while down, a start."""
        part.kill()
        time.sleep(fault.lasts_s)
        part.start()
        part.wait_ready()

    def kill_starting(self, fault: Fault, part: Part) -> None:
        """SIGKILL once more while it comes up from the last one."""
        part.kill()
        part.start()
        time.sleep(STARTING_S + fault.lasts_s)
        part.kill()
        part.start()
        part.wait_ready()

    def pause(self, fault: Fault, part: Part) -> None:
        """Have a process stand still."""
        part.signal(signal.SIGSTOP)
        try:
            time.sleep(fault.lasts_s)
        finally:
            part.signal(signal.SIGCONT)

    # --- links ------------------------------------------------------------------------

    def cut(self, fault: Fault, part: Part) -> None:
        """End the connections, and take no other for a while."""
        self.parts.network.cut(part.name)
        time.sleep(fault.lasts_s)
        self.parts.network.links[part.name].is_cut = False

    def slow(self, fault: Fault, part: Part) -> None:
        """Delay every chunk; lose or stall some."""
        link = self.parts.network.links[part.name]
        link.is_slow = True
        time.sleep(fault.lasts_s)
        link.is_slow = False

    def silence(self, fault: Fault, part: Part) -> None:
        """Carry nothing, and tell nobody."""
        link = self.parts.network.links[part.name]
        link.is_silent = True
        time.sleep(fault.lasts_s)
        link.is_silent = False

    def flip(self, fault: Fault, part: Part) -> None:
        """Turn over one bit of whatever comes next."""
        self.parts.network.links[part.name].flips_next = True
        time.sleep(fault.lasts_s)

    # --- databases --------------------------------------------------------------------

    def lock(self, fault: Fault, part: Part) -> None:
        """Hold the write lock of a node's or the hub's file."""
        path = self.parts.database(part.name)
        with closing(
            sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)
        ) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self.missed[fault.kind] += 1
                return
            time.sleep(fault.lasts_s)
            database.execute("ROLLBACK")

    def refuse_writes(self, fault: Fault, part: Part) -> None:
        """Let a process write to no file (RLIMIT_FSIZE of zero): every write is an error."""
        pid = part.process.pid
        if not pid:
            self.missed[fault.kind] += 1
            return
        # It may end meanwhile; the next one has no limit.
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
            time.sleep(fault.lasts_s)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    def take_server_away(self, fault: Fault, part: Part) -> None:
        """Stop the hub's database server, every second time as in a crash."""
        del part
        if self.server is None:
            raise ValueError("this plan needs a database server")
        self.server.stop(crash=fault.number % 2 == 0)
        time.sleep(fault.lasts_s)
        self.server.start()

    # --- clocks -----------------------------------------------------------------------

    def move_clock(self, fault: Fault, part: Part) -> None:
        """Move a clock, and after a while move it back."""
        part.move_clock(fault.seconds)
        time.sleep(fault.lasts_s)
        part.move_clock(0)


_FAULTS: Final[dict[Kind, Callable[[Breaker, Fault, Part], None]]] = {
    Kind.KILLED: Breaker.kill,
    Kind.KILLED_STARTING: Breaker.kill_starting,
    Kind.PAUSED: Breaker.pause,
    Kind.CUT: Breaker.cut,
    Kind.SLOW: Breaker.slow,
    Kind.SILENT: Breaker.silence,
    Kind.FLIPPED: Breaker.flip,
    Kind.LOCKED: Breaker.lock,
    Kind.AWAY: Breaker.take_server_away,
    Kind.NO_WRITE: Breaker.refuse_writes,
    Kind.CLOCK: Breaker.move_clock,
}
