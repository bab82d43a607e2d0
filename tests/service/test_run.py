"""A process stops when asked, at once when asked twice, and leaves no memory on disk."""

import signal
import subprocess
import sys
import time

import pytest

from mithaq.service.run import SIGNALLED

PROGRAM = """
import asyncio, ctypes, resource, sys
from mithaq.service.run import run

async def main(stop):
    print(type(asyncio.get_running_loop()).__module__)
    print(resource.getrlimit(resource.RLIMIT_CORE))
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
    await stop.wait()
    print("asked", flush=True)
    if sys.argv[1] == "stubborn":
        await asyncio.Event().wait()
    return 7

sys.exit(run(main))
"""


def start(kind: str) -> "subprocess.Popen[str]":
    """Start a process and return it once it runs its loop."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("uvloop")
    assert process.stdout.readline() == "(0, 0)\n"
    # PR_GET_DUMPABLE: 0 where there can be no core file and no debugger of the same user.
    assert process.stdout.readline() == ("0\n" if sys.platform == "linux" else "-1\n")
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_the_process_returns_its_own_code(number: signal.Signals) -> None:
    with start("willing") as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("asked\n", 7)


def test_a_second_signal_ends_at_once() -> None:
    with start("stubborn") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
    assert process.returncode == SIGNALLED + signal.SIGINT


CYCLES = """
import weakref
from mithaq.service.run import YOUNG_OBJECTS_MAX, run

class Knot:
    def __init__(self):
        self.itself = self

async def main(stop):
    made = [weakref.ref(Knot()) for _ in range(3 * YOUNG_OBJECTS_MAX)]
    print(sum(each() is not None for each in made) <= YOUNG_OBJECTS_MAX, flush=True)
    return 0

run(main)
"""


def test_cycles_are_still_collected_and_no_more_of_them_wait_than_the_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"
