"""The demo's processes: started, watched, killed and stopped, each by its own id.

A process is `mithaq … run` with its own folder and log file. It is ready when
its health port says so, and the demo ends only processes that it started.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from mithaq.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

READY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.1
# Below what systems hand out to outgoing connections (from 32768 on Linux): a port
# that is free now is still free when its process binds it.
PORT_MIN = 20_000
PORT_MAX = 32_000
PORTS_TRIED_MAX = 2_000
_given: Final[set[int]] = set()


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on; raise CliError.

    Each is given once: whoever was given it before may not listen there yet.
    """
    found: set[int] = set()
    for _ in range(PORTS_TRIED_MAX):
        if len(found) == count:
            return sorted(found)
        port = PORT_MIN + secrets.randbelow(PORT_MAX - PORT_MIN)
        if port not in _given and is_free(port):
            found.add(port)
            _given.add(port)
    raise CliError(
        "MQ-CONFLICT-PORTS",
        f"no {count} free ports between {PORT_MIN} and {PORT_MAX}",
        fix="end what listens there, or play with fewer --nodes",
    )


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port of the loopback interface."""
    with socket.socket() as probe:
        # As servers do: connections that have ended don't hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(slots=True)
class Process:
    """One part of the demo: a command line, a log file, and a health port."""

    name: str
    arguments: Sequence[str]
    log_file: Path
    metrics_port: int
    # Settings (MITHAQ_…) beside those of this process.
    environment: dict[str, str] = field(default_factory=dict[str, str])
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """The id of the running process, or 0."""
        return self._process.pid if self.is_running and self._process else 0

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; its log goes on where it ended."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-m", "mithaq.cli", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the demo alone, which stops the others in order.
                start_new_session=True,
                env={**os.environ, **self.environment},
            )

    def wait_ready(self) -> None:
        """Wait until the health port answers that it is ready; raise CliError."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            if not self.is_running:
                raise self._failed("ended before it was ready")
            if self._answers_ready():
                return
            time.sleep(POLL_SECONDS)
        raise self._failed("was not ready in time")

    def kill(self) -> int:
        """End the process with SIGKILL; return its id."""
        process = self._process
        if process is None:
            return 0
        process.kill()
        process.wait(STOP_SECONDS_MAX)
        return process.pid

    def ask_to_stop(self) -> None:
        """Ask the process to stop, if it runs."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def wait_stopped(self, *, until: float) -> None:
        """Wait for its end until a moment of the monotonic clock, then end it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()

    def _answers_ready(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.metrics_port}/readyz", timeout=1
            ) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            return False

    def _failed(self, what: str) -> CliError:
        return CliError(
            "MQ-DEMO-PROCESS",
            f"{self.name} {what}",
            why=self._last_words(),
            fix=f"read {self.log_file}",
        )

    def _last_words(self) -> str:
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        # A part that can't run says so with a code; what its libraries add follows.
        coded = [at for at, line in enumerate(lines) if line.startswith("error[")]
        said = lines[coded[-1] :][:3] if coded else lines[-3:]
        return " | ".join(line.strip() for line in said)[-600:]


def stop_together(processes: Iterable[Process]) -> None:
    """Ask all to stop, wait for all, and end those that do not stop in time."""
    asked = list(processes)
    for process in asked:
        process.ask_to_stop()
    until = time.monotonic() + STOP_SECONDS_MAX
    for process in asked:
        process.wait_stopped(until=until)
