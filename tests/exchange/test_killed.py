"""Killed at any moment: what was answered is there, once, and the rest as if never asked."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def run(mode: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.exchange.killed", mode, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def work_and_kill(folder: Path, *, after_s: float) -> list[list[str]]:
    """Let the process work for a while, kill it, and return what it had answered."""
    process = run("work", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, said
    # A line that was cut off was not an answer.
    return [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]


def check(folder: Path) -> dict[str, Any]:
    process = run("check", folder)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.timeout(240)
def test_a_node_killed_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(20)  # noqa: S311 - when to kill, not a secret
    answered: dict[str, str] = {}
    for _ in range(ROUNDS):
        said = work_and_kill(tmp_path, after_s=chance.uniform(0.05, 1.2))
        answered.update((alert_id, word) for word, alert_id in said)
    found = check(tmp_path)
    sent = {(alert_id, version): status for alert_id, version, status in found["sent"]}
    for alert_id, word in answered.items():
        version = 2 if word == "updated" else 1
        assert (alert_id, version) in sent, word
        if word == "withdrawn":
            assert sent[alert_id, 1] == "withdrawn"
    assert answered, "it was given the time to answer something"
    assert found["twice"] == []
    assert found["alarms"] == []
    assert found["heads"][0][: len(found["heads"][1])] == found["heads"][1]
    assert readable(found["received"]) == readable(found["sent"])


def readable(rows: list[list[Any]]) -> set[tuple[str, int]]:
    """Return the versions that stand in the store unerased."""
    gone = {"withdrawn", "erased"}
    return {(alert_id, version) for alert_id, version, status in rows if status not in gone}
