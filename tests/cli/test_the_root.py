"""The root of the command line: help without weight, errors with a code, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from grpc import StatusCode

from mithaq.certs.errors import GenesisMismatchError, KeyExistsError, KeystoreModeError
from mithaq.cli.__main__ import main as entry_point
from mithaq.cli.errors import EXIT_USAGE, CliError, describe
from mithaq.cli.main import cli, main, run
from mithaq.cli.output import present
from mithaq.node.config import NodeConfig
from mithaq.service.config import ConfigError
from mithaq.service.errors import MithaqError

HEAVY = ("grpc", "sqlmodel", "sqlalchemy", "cryptography", "google.protobuf", "pydantic")


def test_help_loads_neither_grpc_nor_a_database_driver() -> None:
    program = (
        "import sys\n"
        "from mithaq.cli.main import run\n"
        "code = run(['--help'])\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {heavy}' if heavy or code else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Commands:" in done.stdout


@pytest.mark.parametrize(
    "group",
    ["trust", "hub", "node", "agreement", "alert", "hit", "audit", "demo", "config", "version"],
)
def test_every_command_of_the_root_can_be_loaded(group: str) -> None:
    result = CliRunner().invoke(cli, [group, "--help"])
    assert result.exit_code == 0, result.output


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts"]) == EXIT_USAGE
    assert "No such command" in capsys.readouterr().err


def test_an_error_shows_its_code_why_and_what_to_do() -> None:
    text, _ = describe(CliError("MQ-CONFIG-X", "it does not hold", why="it is old", fix="renew it"))
    assert text.splitlines() == [
        "error[MQ-CONFIG-X]: it does not hold",
        "  why: it is old",
        "  fix: renew it",
    ]


def test_an_unforeseen_error_shows_nothing_that_it_says() -> None:
    text, exit_code = describe(ValueError("a passport number"))
    assert "passport" not in text
    assert exit_code == 1


class _FailureError(MithaqError):
    def __init__(self, code: str, status: StatusCode) -> None:
        super().__init__(code=code, grpc_status=status)


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("MQ-REQUEST-INVALID", StatusCode.INVALID_ARGUMENT, 2),
        ("MQ-CONFIG-INVALID", StatusCode.INVALID_ARGUMENT, 3),
        ("MQ-IDENTITY-UNKNOWN", StatusCode.UNAUTHENTICATED, 4),
        ("MQ-DENIED", StatusCode.PERMISSION_DENIED, 5),
        ("MQ-ALERT-MISSING", StatusCode.NOT_FOUND, 6),
        ("MQ-UNREACHABLE", StatusCode.UNAVAILABLE, 7),
        ("MQ-AUDIT-ROOT", StatusCode.DATA_LOSS, 8),
        ("MQ-CONFLICT-FOLDER", StatusCode.ALREADY_EXISTS, 9),
    ],
)
def test_the_exit_code_follows_from_the_error(
    code: str, status: StatusCode, exit_code: int
) -> None:
    assert describe(_FailureError(code, status))[1] == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (GenesisMismatchError(), 8),
        (KeyExistsError(), 9),
        (CliError("MQ-TRUST-NOT-PENDING", "nothing waits"), 6),
        (CliError("MQ-TRUST-NO-MEMBER", "no member"), 6),
    ],
)
def test_errors_about_trust_end_by_what_they_are(error: Exception, exit_code: int) -> None:
    assert describe(error)[1] == exit_code


def test_an_alert_of_another_form_is_a_usage_error_that_names_line_field_and_nearest_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alert.yaml"
    file.write_text("category: DOC_INVALID\nreasn: hidden\n", encoding="utf-8")
    assert run(["alert", "issue", str(file), "--profile", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "error[MQ-RECORD-FORM]" in said
    assert "alert: line 2: expected a known field; did you mean `reason`?" in said
    assert "fix: " in said
    assert "hidden" not in said


def test_a_key_that_others_can_read_is_named_by_its_path(tmp_path: Path) -> None:
    text, exit_code = describe(KeystoreModeError("it is open to others", path=tmp_path / "a.key"))
    assert f"  why: {tmp_path / 'a.key'}: it is open to others" in text.splitlines()
    assert exit_code == 4


def test_settings_that_are_no_toml_are_named_by_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "node.toml").write_text("member = \n", encoding="utf-8")
    assert run(["config", "show", str(tmp_path)]) == 3
    said = "".join(capsys.readouterr().err.split())
    assert str(tmp_path / "node.toml") in said
    assert "line1" in said


def test_a_node_that_has_not_joined_yet_is_told_to_join_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig.read(tmp_path)
    text, exit_code = describe(caught.value)
    assert "has not joined yet" in text
    assert "`mithaq node join` again" in text
    assert exit_code == 3


def test_version_prints_one_object_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json"]) == 0
    assert '"schema": "mithaq.version/1"' in capsys.readouterr().out


def test_what_another_state_wrote_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    present("alert.show", {"name": "A\x1b[2Jl \u202ebar [red]x[/red]"}, as_json=False)
    assert capsys.readouterr().out == "name\tA[2Jl bar [red]x[/red]\n"


def test_the_module_runs_as_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["version"])
    assert ended.value.code == 0
    assert entry_point is main
    assert "mithaq" in capsys.readouterr().out
