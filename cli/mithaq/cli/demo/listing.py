"""`mithaq demo --list FILE`: a list file is issued instead of synthetic alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mithaq.cli.demo.stage import CheckFailedError, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mithaq.cli.demo.issuing import Issued

ISSUER = "eg-moi"


def issue_list(
    stage: Stage,
    issued: Issued,
    file: Path,
    say: Callable[[str], None],
    advance: Callable[[int], None],
) -> None:
    """Import the UN Security Council's consolidated list at one member."""
    answer = stage.command_as(ISSUER, "system", "alert", "import", str(file))
    if answer["faults"]:
        raise CheckFailedError(f"{len(answer['faults'])} entries of the list were not taken")
    issued.records = int(answer["new"])
    advance(issued.records)
    own = stage.status(ISSUER)
    readers = {
        name
        for row in own.streams
        if row.sender == ISSUER and row.role == "disclosure" and row.size > 2  # noqa: PLR2004 (OPEN and EPOCH)
        for name in row.audience
    }
    issued.expected = dict.fromkeys(sorted(readers), issued.records)
    told = ", ".join(sorted(readers))
    say(f"{ISSUER} issues the {issued.records} entries of {file.name} to {told}")
