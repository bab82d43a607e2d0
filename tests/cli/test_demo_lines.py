"""What the demo prints to be pasted: the same words, on lines that fit."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from rich.cells import cell_len

from mithaq.cli.demo.result import activation, command_lines

ALERT = "eg-moi-01M7ZXWM8YCJ1JR5455VZ56396"
WORDS = (
    "alert", "show", ALERT, "--purpose", "BORDER_CONTROL", "--case", "TUN-2026-0042",
    "--justification", "Seen at the harbour", "--profile", "demo/tn-dgsn/profiles/officer",
)  # fmt: skip


@pytest.mark.parametrize("room", [80, 140])
def test_a_command_to_try_next_fits_and_pastes_as_it_is(room: int) -> None:
    lines = list(command_lines(WORDS, room=room))
    assert all(cell_len(line) <= room for line in lines)
    assert any(ALERT in line for line in lines)
    pasted = "\n".join(lines).replace("\\\n", "")
    assert shlex.split(pasted) == ["mithaq", *WORDS]


def test_a_short_command_stays_on_one_line() -> None:
    assert list(command_lines(("hub", "status"), room=80)) == ["  mithaq hub status"]


def test_a_reader_whose_shell_has_no_mithaq_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    environment.mkdir()
    (environment / "activate").touch()
    monkeypatch.setattr("sys.executable", str(environment / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(activation()) == ["  . environment/activate"]
    (tmp_path / "mithaq").write_text("#!/bin/sh\n", encoding="ascii")
    (tmp_path / "mithaq").chmod(0o700)
    assert not list(activation())
