"""A hub or a node whose clock a test can move while it runs: `clocked hub|node FOLDER FILE`.

The processes have no option for their clock, and need none. This starts them as their
commands do, with a clock that adds the seconds that stand in a file. TLS goes by the
machine's clock all the same.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mithaq.hub.app import Hub
from mithaq.hub.work_folder import load_config
from mithaq.ledger.names import HUB
from mithaq.node.app import serve
from mithaq.node.config import NodeConfig
from mithaq.node.folder import NodeFolder
from mithaq.node.opening import Clockwork
from mithaq.service import logging, run


class MovedClock:
    """The machine's clock, and the seconds that a file adds to it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> datetime:
        """Return the instant by this clock."""
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text("ascii") or 0))


async def run_hub(folder: Path, clock: MovedClock, stop: asyncio.Event) -> int:
    """Do what `mithaq hub run` does."""
    hub = await Hub.start(load_config(folder).value, clock=clock)
    try:
        await hub.run_until(stop)
    finally:
        await hub.stop()
    return 0


async def run_node(folder: Path, clock: MovedClock, stop: asyncio.Event) -> int:
    """Do what `mithaq node run` does."""
    NodeFolder(folder).check_layout()
    return await serve(NodeConfig.read(folder).value, stop, clockwork=Clockwork(now=clock))


def main() -> int:
    """Run the part that the arguments name."""
    what, folder, file = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logging.configure(what)
    part = run_hub if what == HUB else run_node
    return run.run(lambda stop: part(folder, MovedClock(file), stop))


if __name__ == "__main__":
    sys.exit(main())
