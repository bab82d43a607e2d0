"""The demo's processes: started, watched, killed and stopped, each by its own id.

A process is `mithaq … run` with its own folder and log file. It is ready when
its health port says so, and the demo ends only processes that it started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from mithaq.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


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
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the process; its log goes on where it ended."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-m", "mithaq.cli", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )

    def wait_ready(self) -> None:
        """Wait until the health port answers that it is ready."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise self._failed("ended before it was ready")
            if self._answers_ready():
                return
            time.sleep(POLL_SECONDS)
        raise self._failed("was not ready in time")

    def kill(self) -> int:
        """End the process with SIGKILL; return its id."""
        return self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the process to stop, and end it if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        process.wait(STOP_SECONDS_MAX)
        return process.pid

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
        return " | ".join(lines[-3:])[-600:]
