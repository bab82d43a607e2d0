"""Ctrl-C in the demo: no key stays behind in a folder that nobody named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mithaq.cli.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from pathlib import Path

WAIT_SECONDS_MAX = 60


@pytest.mark.timeout(150)
def test_an_interrupted_demo_removes_its_own_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mithaq.cli", "demo", "--records", "30"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            deadline = time.monotonic() + WAIT_SECONDS_MAX
            while not list(tmp_path.glob("mithaq-demo-*/registrar")):
                assert demo.poll() is None, "the demo ended by itself"
                assert time.monotonic() < deadline
                time.sleep(0.05)
            demo.send_signal(signal.SIGINT)
            _, said = demo.communicate(timeout=WAIT_SECONDS_MAX)
        finally:
            demo.kill()
    assert demo.returncode == EXIT_INTERRUPTED, said
    assert not list(tmp_path.glob("mithaq-demo-*"))
