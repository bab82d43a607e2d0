"""One federation for all: played to its end once; a copy of it is there to be sabotaged."""

import contextlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithaq.cli.demo.command import perform
from mithaq.cli.demo.issuing import ISSUER, wait_receipts
from mithaq.cli.demo.play import ACTS, Options, new_stage
from mithaq.cli.demo.stage import EXPECTED_ALARMS, Issued, Stage
from mithaq.cli.demo.watching import note_alarms, wait_until
from mithaq.node.exchange.withdrawing import ASKED
from mithaq.node.folder import NodeFolder

Between = Callable[[str, Stage], None]
RECORDS = 40
# With two states beside the issuer: what goes to states goes to two readers.
NODES = 4
# Short enough that a test sees them missed, long enough for a node that was killed.
DELIVERY = timedelta(seconds=30)
# Missed before that, so that each can be told from the other.
ERASURE = timedelta(seconds=10)
OVERDUE = frozenset({"receipt overdue", "erasure overdue"})


@dataclass(frozen=True, slots=True)
class Performance:
    """The demo as it was played to the end, and a copy of the stage after `open`."""

    exit_code: int
    printed: dict[str, Any]
    stage: Stage
    copy: Path
    issued: Issued


@pytest.fixture(scope="session")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Performance:
    folder = tmp_path_factory.mktemp("demo")
    stage = new_stage(Options(folder / "stage", records=RECORDS, nodes=NODES))
    stage.folder.mkdir(mode=0o700)
    stage.deadlines |= {"delivery_receipt": DELIVERY, "erasure_receipt": ERASURE}
    kept: list[Issued] = []

    def keep(act: str, stage: Stage) -> None:
        if act == "open":
            copy_running(stage.folder, folder / "copy")
            kept.append(deepcopy(stage.issued))

    try:
        exit_code, printed = performed(stage, between=keep)
    finally:
        stage.stop()
    return Performance(exit_code, printed, stage, folder / "copy", kept[0])


def copy_running(source: Path, target: Path) -> None:
    """Copy work folders while their processes run: databases as they stand committed."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.db", "*.db-*", "*.db.lock"))
    for path in source.rglob("*.db"):
        copy_database(path, target / path.relative_to(source))


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that another process uses."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


@pytest.fixture(scope="session")
def running(performance: Performance) -> Iterator[Stage]:
    """Yield the copy, running, with its records issued and opened."""
    assert performance.exit_code == 0, performance.printed["failed"]
    stage = replace(performance.stage, folder=performance.copy, issued=performance.issued)
    try:
        stage.start(*stage.processes)
        yield stage
    finally:
        stage.stop()


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    """Yield the running federation, and afterwards see that everybody has caught up."""
    yield running
    note_alarms(running)
    # What a sabotage kept from coming in time may come late.
    running.expected_alarms |= OVERDUE
    wait_receipts(running)
    wait_until(running, lambda _: not owes_erasures(running), what="all that was asked is erased")
    note_alarms(running)
    running.expected_alarms = EXPECTED_ALARMS
    # What a test has changed or withdrawn is nothing to begin the next one with.
    alerts = running.issued.alerts
    alerts[ISSUER] = [each for each in alerts[ISSUER] if is_untouched(running, each.alert_id)]


def owes_erasures(stage: Stage) -> bool:
    """Return whether anybody still waits for a reader's erasure."""
    asked = "SELECT count(*) FROM node_erasure WHERE state = ?"
    for member in stage.members.values():
        uri = f"file:{NodeFolder(member.folder).path / 'node.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            if database.execute(asked, (ASKED,)).fetchone()[0]:
                return True
    return False


def is_untouched(stage: Stage, alert_id: str) -> bool:
    steps = stage.command_as(ISSUER, "officer", "alert", "trace", alert_id)["steps"]
    return all(row["version"] == 1 and row["step"] != "withdrawn" for row in steps)


def _nothing(_act: str, _stage: Stage) -> None:
    """Do nothing between two acts."""


def performed(
    stage: Stage, *, acts: Sequence[str] = tuple(ACTS), between: Between = _nothing
) -> tuple[int, dict[str, Any]]:
    """Play on a stage as the command does; return its exit code and the object it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exit_code = perform(stage, as_json=True, acts=acts, between=between)
    return exit_code, json.loads(out.getvalue())
