"""The threat model names tests: every one exists, and no attack that is played is left out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(\w+(?:/\w+)*\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`(\w+(?:/\w+)*/\w+\.py)[`:]", TEXT)))
ATTACKS = sorted((TESTS / "attacks").glob("test_*.py"))


@cache
def named_in(file: Path) -> frozenset[str]:
    """Return the names of a file's tests, those in classes too."""
    found = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(
        each.name
        for each in found
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name.startswith("test_")
    )


def missing(named: list[tuple[str, str]]) -> list[str]:
    """Return the tests that do not exist among those that are named."""
    return [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file() or name not in named_in(TESTS / file)
    ]


def test_every_test_that_the_threat_model_names_exists() -> None:
    assert len(NAMED) > 150, "the names are read from the page"
    assert missing(NAMED) == []


def test_a_name_that_no_test_has_is_found() -> None:
    assert missing([("attacks/test_evil_headers.py", "test_a_hub_is_honest")]) != []
    assert missing([("attacks/test_nothing.py", "test_a_hub_drops_an_entry")]) != []


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_the_threat_model_names_exists(file: str) -> None:
    assert (TESTS / file).is_file() or (ROOT / file).is_file() or _module(file).is_file()


@pytest.mark.parametrize("file", ATTACKS, ids=lambda each: each.stem)
def test_every_attack_that_is_played_stands_in_the_threat_model(file: Path) -> None:
    named = {name for each, name in NAMED if each == f"attacks/{file.name}"}
    assert named_in(file) <= named, named_in(file) - named


def _module(file: str) -> Path:
    """Return where a module lies that is named by its room: service/run.py."""
    room, _, rest = file.partition("/")
    return ROOT / room / "mithaq" / room / rest
