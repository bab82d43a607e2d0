"""`mithaq demo` as somebody types it: what it refuses, and that it leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from mithaq.cli.demo.stage import Stage
from mithaq.cli.demo.watching import CheckFailedError, wait_until
from mithaq.cli.errors import EXIT_INTERRUPTED
from mithaq.cli.main import run

EXIT_CONFLICT = 9
STOP_SECONDS_MAX = 60


def test_a_folder_that_is_not_empty_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "something").touch()
    assert run(["demo", "--dir", str(tmp_path)]) == EXIT_CONFLICT
    assert "error[MQ-CONFLICT-FOLDER]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


@pytest.mark.parametrize("arguments", [("--records", "29"), ("--nodes", "2"), ("--nodes", "33")])
def test_sizes_outside_the_limits_are_refused(
    arguments: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--dir", str(tmp_path / "new"), *arguments]) == 2
    assert arguments[0] in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.timeout(200)
def test_an_interrupt_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [sys.executable, "-m", "mithaq.cli", "demo", "--dir", folder, "--records", "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            # Registrar and hub run by then, and agencies join.
            wait_for(folder / "eg-moi" / "offline", demo)
            demo.send_signal(signal.SIGINT)
            # The impatient press twice; the second must not cut the stopping short.
            time.sleep(0.2)
            demo.send_signal(signal.SIGINT)
            said, _ = demo.communicate(timeout=STOP_SECONDS_MAX)
        finally:
            demo.kill()
    # By the second signal, where all was stopped when it came.
    assert demo.returncode in {EXIT_INTERRUPTED, -signal.SIGINT}, said
    assert said.rstrip().endswith("stopped")
    assert processes_of(folder) == []


def wait_for(path: Path, demo: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert demo.poll() is None, "the demo ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """Return the processes that name the folder, as the system lists them."""
    lines = [
        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (entry / "cmdline").exists()
    ]
    return [line for line in lines if str(folder) in line]


def test_a_wait_that_is_in_vain_says_for_what(tmp_path: Path) -> None:
    empty = Stage(folder=tmp_path, records=30, roles=(), rng=Random(1))  # noqa: S311
    with pytest.raises(CheckFailedError, match="it did not come about that pigs fly"):
        wait_until(empty, lambda _: False, what="pigs fly", still_seconds=0)
