"""A log line shows what was let out by name; what was forgotten is dropped."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import cast

import pytest

from mithaq.service.logging import (
    DROPPED,
    ITEMS_MAX,
    UNDECLARED,
    configure,
    declare,
    describe_exception,
    logger,
    safe,
    silence,
)

TESTED = declare("tested event", "stream", "count", "at_time")
CANARY = "Fatima Example, born 1980, document A1234567"


class Colour(Enum):
    """Example of an enumeration."""

    RED = "red"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Yield what a configured process writes; afterwards there is no log again."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    configure("test", stream=stream)
    yield stream
    silence()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def line(out: io.StringIO) -> dict[str, object]:
    """Return the one line that was written."""
    (text,) = out.getvalue().splitlines()
    found: dict[str, object] = json.loads(text)
    return found


def chain_of(written: dict[str, object]) -> list[dict[str, object]]:
    """Return the exceptions of a line, the outermost first."""
    exception = cast("dict[str, list[dict[str, object]]]", written["exception"])
    return exception["chain"]


def test_declared_fields_are_written_as_json(out: io.StringIO) -> None:
    logger().info(TESTED, stream="ab12", count=3, at_time=datetime(2026, 3, 4, tzinfo=UTC))
    written = line(out)
    assert datetime.fromisoformat(str(written.pop("at"))).tzinfo is not None
    assert written == {
        "event": "tested event",
        "level": "info",
        "component": "test",
        "stream": "ab12",
        "count": 3,
        "at_time": "2026-03-04T00:00:00+00:00",
    }


def test_what_was_not_declared_is_left_out(out: io.StringIO) -> None:
    logger().info(TESTED, stream="ab12", name=CANARY)
    assert "Fatima" not in out.getvalue()
    assert "name" not in line(out)


@pytest.mark.parametrize(
    "value", [CANARY, "two words", "x" * 129, "تونس", b"bytes", {"a": 1}, object()]
)
def test_free_text_and_bytes_are_dropped_even_in_declared_fields(
    out: io.StringIO, value: object
) -> None:
    logger().info(TESTED, stream=value)
    assert line(out)["stream"] == DROPPED


def test_an_event_that_was_not_declared_loses_even_its_name(out: io.StringIO) -> None:
    logger().info(f"found {CANARY}", stream="ab12")
    written = line(out)
    assert (written["event"], "stream" in written) == (UNDECLARED, False)
    assert "Fatima" not in out.getvalue()


def test_an_exception_shows_where_but_not_what(out: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(CANARY) from KeyError(CANARY)

    try:
        fail()
    except ValueError:
        logger().error(TESTED, exc_info=True)
    assert "Fatima" not in out.getvalue()
    first, second = chain_of(line(out))
    assert (first["class"], second["class"]) == ("ValueError", "KeyError")
    assert str(first["frames"]).endswith(":fail']")


def test_a_coded_exception_shows_its_code() -> None:
    error = type("CodedError", (Exception,), {"code": "MQ-X"})(CANARY)
    assert describe_exception(error)["code"] == "MQ-X"


def test_what_libraries_log_is_told_without_its_text(out: io.StringIO) -> None:
    logging.getLogger("some.library").warning("row %s", CANARY)
    logging.getLogger("some.library").info("not worth a line")
    written = line(out)
    assert (written["event"], written["logger"]) == ("library message", "some.library")
    assert "Fatima" not in out.getvalue()


def test_levels_below_the_one_set_are_not_written(out: io.StringIO) -> None:
    configure("test", stream=out, level=logging.ERROR)
    logger().info(TESTED)
    assert out.getvalue() == ""


def test_before_it_is_configured_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    silence()
    logger().error(TESTED, stream="ab12")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (Colour.RED, "red"),
        ("eg-moi", "eg-moi"),
        ("", ""),
        (("a", CANARY), ["a", DROPPED]),
        (["a"] * (ITEMS_MAX + 1), ["a"] * ITEMS_MAX),
    ],
)
def test_values_are_shown_by_kind(value: object, shown: object) -> None:
    assert safe(value) == shown


@pytest.mark.parametrize("name", ["Upper case", "x", "with {braces}", "a" * 62, ""])
def test_an_event_is_named_by_a_few_lower_case_words(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words"):
        declare(name)


def test_an_event_is_declared_once_with_its_fields() -> None:
    assert declare("tested event", "stream", "count", "at_time") == TESTED
    with pytest.raises(ValueError, match="twice"):
        declare("tested event", "other")
