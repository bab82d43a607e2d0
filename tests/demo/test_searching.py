"""The search for texts finds every writing that it claims to, and nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.cli.demo.searching import Needles, find_bytes, writings

TEXT = "زانروش Al-Timsar"


@pytest.mark.parametrize("writing", sorted(writings(TEXT)))
def test_each_writing_of_a_text_is_found(tmp_path: Path, writing: str) -> None:
    (tmp_path / "file").write_bytes(b"before " + writings(TEXT)[writing] + b" after")
    assert writing in {each.writing for each in find_bytes(Needles.of([TEXT]), tmp_path)}


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_base64_of_a_longer_text_is_found_wherever_the_text_begins(
    before: bytes, after: bytes
) -> None:
    encoded = base64.b64encode(before + TEXT.encode() + after)
    assert any(form in encoded for name, form in writings(TEXT).items() if "base64" in name)


def test_json_escapes_of_an_arabic_text_are_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(json.dumps({"name": TEXT}), encoding="ascii")
    assert [each.writing for each in find_bytes(Needles.of([TEXT]), tmp_path)] == ["JSON escapes"]


def test_nothing_is_found_where_nothing_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "empty").write_bytes(b"")
    assert find_bytes(Needles.of([TEXT]), tmp_path) == []
