"""`mithaq demo --list FILE`: a list file is issued instead of synthetic alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.issuing import ISSUER, kill, restart
from mithaq.cli.demo.life import OFFICER, grounds
from mithaq.cli.demo.stage import AGREEMENT, CALL_SECONDS, Stage
from mithaq.cli.demo.watching import CheckFailedError
from mithaq.node.records.model import seal_in
from mithaq.v1 import local_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mithaq.node.records.model import ParsedRecord

CATEGORY: Final = "UNSC_LISTED"
# How many entries are read back: the acts choose from them, and their texts are looked for.
SAMPLES_MAX: Final = 48


def issue_list(
    stage: Stage,
    file: Path,
    say: Callable[[str], None],
    advance: Callable[[int], None],
) -> None:
    """Import the UN Security Council's consolidated list at one member; kill a reader of it."""
    answer = stage.command_as(ISSUER, "system", "alert", "import", str(file))
    if answer["faults"]:
        raise CheckFailedError(f"{len(answer['faults'])} entries of the list were not taken")
    issued = stage.issued
    issued.records = issued.by_member[ISSUER] = int(answer["new"])
    readers = _readers(stage)
    issued.expected = dict.fromkeys(readers, issued.records)
    say(f"{ISSUER} issues the {issued.records} entries of {file.name} to {', '.join(readers)}")
    kill(stage, say)
    restart(stage, say)
    issued.alerts[ISSUER] = _samples(stage)
    advance(issued.records)


def _readers(stage: Stage) -> list[str]:
    """Return to whom the agreement lets the list go, as the evaluator explains it."""
    answer = stage.command_as(
        ISSUER, OFFICER, "agreement", "explain", AGREEMENT,
        "--from", ISSUER, "--category", CATEGORY,
    )  # fmt: skip
    return sorted({row["recipient"] for row in answer["rows"] if row["allowed"]})


def _samples(stage: Stage) -> list[ParsedRecord]:
    listed = stage.command_as(
        ISSUER, OFFICER, "alert", "list", "--category", CATEGORY, "--limit", "1000"
    )["alerts"]
    step = max(1, len(listed) // SAMPLES_MAX)
    with stage.alerts(ISSUER, OFFICER) as stub:
        shown = [
            stub.ShowAlert(
                local_pb2.ShowAlertRequest(alert_id=row["alert_id"], grounds=grounds()),
                timeout=CALL_SECONDS,
            )
            for row in listed[::step]
        ]
    return [seal_in(each.record) for each in shown]
