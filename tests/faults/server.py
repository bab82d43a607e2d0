"""A PostgreSQL server that can be taken away and brought back on the same files."""

import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.postgres import (
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    Owner,
    await_answer,
    binaries,
    owner_of_server,
)


@dataclass(slots=True)
class Server:
    """One cluster in a folder, on a Unix socket only."""

    folder: Path
    owner: Owner
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The address of its first database."""
        return sa.URL.create(
            "postgresql+psycopg", "postgres", database="postgres", query={"host": str(self.folder)}
        ).render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it and wait until it answers; after a crash it replays its own log first."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binaries() / "postgres", "-k", self.folder, "-h", "",
                 "-D", self.folder / "cluster"],
                stdout=log, stderr=log, cwd=self.folder, **self.owner,
            )  # fmt: skip
        await_answer(self.folder, self._process)

    def stop(self, *, crash: bool) -> None:
        """Stop it: sessions are ended, and after a crash nothing is tidied up."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None


@contextmanager
def running_server() -> Generator[Server]:
    """Run a server of our own until the block ends."""
    # A short path: a Unix socket's name has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        owner = owner_of_server(folder)
        subprocess.run(
            [binaries() / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale",
             "--no-sync", "-D", folder / "cluster"],
            check=True, capture_output=True, cwd=folder, timeout=START_TIMEOUT_S, **owner,
        )  # fmt: skip
        server = Server(folder, owner)
        try:
            server.start()
            yield server
        finally:
            server.stop(crash=False)
