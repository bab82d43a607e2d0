"""The root pin as people carry it, and the settings of each kind of work folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mithaq.cli.errors import CliError
from mithaq.cli.main import run
from mithaq.cli.pin import pin_of
from mithaq.hub import setup


def test_a_pin_is_sixty_four_hexadecimal_characters() -> None:
    assert pin_of("ab" * 32) == b"\xab" * 32
    for text in ("ab" * 31, "ab" * 33, "xy" * 32, ""):
        with pytest.raises(CliError, match="not a root pin"):
            pin_of(text)


def test_the_settings_of_a_hub_say_where_each_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.init(
        tmp_path / "hub",
        federation="euroarab.example",
        exchange_address="127.0.0.1:7443",
        enrolment_address="127.0.0.1:7444",
        at=datetime.now(UTC).replace(microsecond=0),
    )
    assert run(["config", "show", str(tmp_path / "hub"), "--origin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (federation,) = [line.split("\t") for line in lines if line.startswith("federation\t")]
    assert federation[1] == "euroarab.example"
    assert federation[2].startswith("file ")


def test_a_folder_that_is_nobodys_is_a_configuration_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "show", str(tmp_path)]) == 3
    assert "MQ-CONFIG-FOLDER" in capsys.readouterr().err
