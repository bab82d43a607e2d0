"""Running a process of ours: its event loop, its signals, and no core dump.

`main` gets an event that is set when the process is asked to stop; it then drains and
returns its exit code. The rule: the first signal asks, the second ends at once.
"""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

PR_SET_DUMPABLE = 4
# New objects between two looks for cycles: a batch of 256 records makes some thousands.
YOUNG_OBJECTS_MAX = 10_000
SIGNALLED = 128


def run(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run `main(stop)` on uvloop until it returns its exit code."""
    forbid_core_dumps()
    spare_collections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_stopped(main))


async def until_stopped(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run `main` with SIGTERM and SIGINT turned into its stop event."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: int) -> None:
        if stop.is_set():
            # The second time somebody means it: what is on disk is whole anyway.
            os._exit(SIGNALLED + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return await main(stop)


def spare_collections() -> None:
    """Look for cycles among new objects more seldom, and never among what an import made.

    Our own values hold no cycles, so what a collection walks through it mostly keeps; it
    took a seventh of a sender's time (measured), most of it walking through modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, *gc.get_threshold()[1:])


def forbid_core_dumps() -> None:
    """Keep keys out of core files and out of reach of a debugger of the same user.

    Python can't wipe memory (LIMITS), so the memory must not reach a disk.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
