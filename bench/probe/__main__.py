"""One process of the probe: `python -m bench.probe ROLE FOLDER`."""

import asyncio
import sys
from pathlib import Path

import uvloop

from bench.probe.roles import run

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], Path(sys.argv[2])))
