"""Sender, hub and receivers killed together under load, and started in every order."""

import itertools
import time
from pathlib import Path

import pytest

from tests.faults.parts import Parts, running_parts
from tests.faults.plan import HUB
from tests.faults.running import Report, Run, check_under_load, described
from tests.faults.test_chaos import assert_load_was_steady

SEED = 20261128
# Long enough for one to look for the others and not find them.
BETWEEN_S = 0.7
WORK_S = 2.0
SENDER, RECEIVERS = ("eg-moi",), ("tn-dgsn", "int-iom")
ORDERS = tuple(itertools.permutations((SENDER, (HUB,), RECEIVERS)))


def restart_in_every_order(parts: Parts) -> None:
    """Kill all and start them anew, once for each order; all work in between."""
    for order in ORDERS:
        time.sleep(WORK_S)
        names = [name for group in order for name in group]
        for name in names:
            parts.by_name[name].kill()
        for group in order:
            for name in group:
                parts.by_name[name].start()
            time.sleep(BETWEEN_S)
        for name in names:
            parts.by_name[name].wait_ready()


@pytest.mark.timeout(600)
def test_in_whatever_order_they_come_back_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    report = Report(Run(tmp_path / "orders", len(ORDERS), SEED))
    with running_parts(tmp_path / "orders", seed=SEED) as parts:
        check_under_load(parts, lambda: restart_in_every_order(parts), report, lambda _line: None)
    assert report.holds, described(report)
    assert_load_was_steady(report)
    assert report.ended == [], "nobody may end because another is not there"
