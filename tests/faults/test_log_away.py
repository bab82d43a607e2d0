"""A log that cannot be written: the disk is full, or whoever read the pipe has gone."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from mithaq.service import logging
from mithaq.service.logging import declare, logger

EVENT = declare("log away")
LINES = 2000


def full_disk() -> TextIO:
    return Path("/dev/full").open("w", encoding="utf-8")


def broken_pipe() -> TextIO:
    reads, writes = os.pipe()
    os.close(reads)
    return os.fdopen(writes, "w", encoding="utf-8")


@pytest.fixture(autouse=True)
def silent_again() -> Iterator[None]:
    yield
    logging.silence()


@pytest.mark.parametrize("opened", [full_disk, broken_pipe])
def test_what_cannot_be_logged_is_dropped_and_ends_nothing(opened: Callable[[], TextIO]) -> None:
    stream = opened()
    logging.configure("node", stream=stream)
    for _ in range(LINES):
        logger().warning(EVENT)
    with pytest.raises(OSError, match=r"No space left|Broken pipe"):
        stream.close()


def test_what_can_be_logged_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        logging.configure("node", stream=stream)
        logger().warning(EVENT)
        assert '"event": "log away"' in (tmp_path / "log").read_text(encoding="utf-8")
