"""Files that a command is handed: one that holds something else is the caller's mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mithaq.cli.errors import CliError
from mithaq.cli.main import run
from mithaq.cli.package import Package, read_package
from mithaq.service.profile import PROFILE_FILE, ProfileError, read_profile
from tests.federation import agreement

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = (
    'address = "127.0.0.1:1"\nserver_name = "node"\n'
    'server_ca = "{}"\ncertificate = "a.pem"\nkey = "a.pem"\n'
)


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"\xff", b"[]", b"null", b"{}"],
    ids=["nested", "no text", "a list", "nothing", "empty"],
)
def test_what_is_no_package_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "package.json"
    path.write_bytes(content)
    with pytest.raises(CliError, match="no agreement package"):
        read_package(path)


def test_a_package_by_half_a_name_is_none(tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    Package(agreement("eg-moi", "tn-dgsn").to_bytes()).write(path)
    assert read_package(path).signatures == ()
    signature = '{"member": "\\ud800", "name": "a", "ed25519": "", "mldsa44": ""}'
    text = path.read_text(encoding="utf-8").replace("[]", f"[{signature}]")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CliError, match="no agreement package"):
        read_package(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"address = " + b"[" * 5000,
        b"a = " + b"1" * 5000,
        PROFILE.format("\\u0000").encode(),
    ],
    ids=["no text", "nested", "digits", "no file name"],
)
def test_what_is_no_profile_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pem").touch()
    (tmp_path / PROFILE_FILE).write_text(PROFILE.format("a.pem"), encoding="utf-8")
    assert read_profile(tmp_path).server_name == "node"
    (tmp_path / PROFILE_FILE).write_bytes(content)
    with pytest.raises(ProfileError):
        read_profile(tmp_path)


def test_terms_that_are_no_text_are_a_mistake_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "terms.yaml"
    path.write_bytes(b"id: \xff\n")
    run(["agreement", "lint", str(path)])
    assert "not in UTF-8" in " ".join(capsys.readouterr().err.split())
