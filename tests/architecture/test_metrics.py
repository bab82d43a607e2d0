"""A metric that is declared is one that some code sets, or an operator watches a zero for ever."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture import rooms

KINDS = {"Counter", "Enum", "Gauge", "Histogram", "Info", "Summary"}


def test_each_metric_that_is_declared_is_set() -> None:
    declared = {name for _, name in metrics(rooms.ROOT)}
    assert {"commit_seconds", "finished", "_queue"} <= declared, "else nothing is looked at"
    assert unset_metrics(rooms.ROOT) == []


def test_a_planted_metric_that_nothing_sets_is_found(tmp_path: Path) -> None:
    text = """
from prometheus_client import Counter, Histogram
class Metrics:
    def __init__(self):
        self.seen = Counter("seen", "Set below.")
        self.slow = Histogram("slow", "Set nowhere.")
    def see(self):
        self.seen.inc()
        self.slower.observe(1)
"""
    rooms.plant(tmp_path, {"hub/mithaq/hub/metrics.py": text})
    assert unset_metrics(tmp_path) == ["hub/mithaq/hub/metrics.py: slow"]


def unset_metrics(root: Path) -> list[str]:
    text = "\n".join(
        path.read_text("utf-8") for path in rooms.sources(root=root, folders=rooms.ROOMS)
    )
    acts = "inc|dec|set|set_function|set_to_current_time|state|info|observe|time|labels"
    return [
        f"{path.relative_to(root)}: {name}"
        for path, name in metrics(root)
        if not re.search(rf"\.{name}\.({acts})\b", text)
    ]


def metrics(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the attributes that metrics of the library are bound to, with their files."""
    for path in rooms.sources(root=root, folders=rooms.ROOMS):
        if "prometheus_client" not in rooms.imported_names(path):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and is_metric(node.value):
                yield from (
                    (path, each.attr) for each in node.targets if isinstance(each, ast.Attribute)
                )


def is_metric(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS
