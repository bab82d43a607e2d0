"""Texts of records, searched for in what every process of the demo says: logs and metrics."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithaq.cli.demo.checks import record_texts
from mithaq.cli.demo.processes import Process
from mithaq.cli.demo.searching import Needles, find_bytes
from mithaq.cli.demo.stage import Stage
from tests.demo.played.conftest import Performance

# All on one federation, which is founded once for each process of the test run.
pytestmark = pytest.mark.timeout(400)


def needles(performance: Performance) -> Needles:
    """Return the texts of all records that were issued, updated, withdrawn and found."""
    alerts = performance.stage.issued.alerts.values()
    return Needles.of(text for each in alerts for alert in each for text in record_texts(alert))


def metrics_of(processes: list[Process], folder: Path) -> Iterator[Path]:
    """Yield a file with the metrics of each process."""
    for each in processes:
        file = folder / each.name
        url = f"http://127.0.0.1:{each.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            file.write_bytes(answer.read())
        yield file


def test_no_text_of_a_record_stands_in_the_log_of_any_process(performance: Performance) -> None:
    logs = performance.stage.logs
    assert find_bytes(needles(performance), logs) == []
    # The same search sees what they may say: each has told that it started.
    said = {each.file for each in find_bytes(Needles({b'"event"': "event"}), logs)}
    names = {each.log_file.name for each in performance.stage.processes}
    assert said == names - {performance.stage.hub.log_file.name}


def test_no_text_of_a_record_stands_in_the_metrics_of_any_process(
    performance: Performance, running: Stage, tmp_path: Path
) -> None:
    files = list(metrics_of(running.processes, tmp_path))
    assert find_bytes(needles(performance), tmp_path) == []
    counted = {each.file for each in find_bytes(Needles({b"mithaq_": "metric"}), tmp_path)}
    assert counted == {each.name for each in files}
