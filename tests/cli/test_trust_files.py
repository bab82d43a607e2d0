"""Files that a trust command is given: a wrong one is the caller's mistake, and is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mithaq.cli.errors import EXIT_USAGE
from mithaq.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_request_of_a_hub_that_is_not_there_is_a_usage_error_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, missing = tmp_path / "cairo.key", tmp_path / "hub-request"
    key.touch()
    words = ["trust", "approve", str(missing), "--hub-request", "--as", "cairo"]
    assert run([*words, "--key", str(key), "--profile", str(tmp_path)]) == EXIT_USAGE
    shown = "".join(capsys.readouterr().err.split())
    assert "MQ-REQUEST-FILE" in shown
    assert str(missing) in shown
