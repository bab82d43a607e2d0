"""The short form of `make chaos`: real processes, a few faults of every kind, all checked."""

from pathlib import Path

import pytest

from tests.faults.running import Report, Run, described, perform

SEED = 20261122
FAULTS = 20


@pytest.mark.timeout(400)
def test_whatever_breaks_what_was_acknowledged_arrives_once_and_is_proved(tmp_path: Path) -> None:
    report = perform(Run(tmp_path / "chaos", FAULTS, SEED))
    assert report.holds, described(report)
    assert sum(report.kinds.values()) == FAULTS
    assert_load_was_steady(report)


def assert_load_was_steady(report: Report) -> None:
    for act in ("issued", "updated", "withdrawn"):
        assert report.acts[act] > 0, described(report)
    assert report.looks > 0
