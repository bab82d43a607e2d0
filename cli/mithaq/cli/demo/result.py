"""What the demo found out: one object for programs, a table and three commands for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mithaq.cli.demo.stage import Stage

PIDS_FILE: Final = "pids"


@dataclass(slots=True)
class Result:
    """The demo's figures; `ok` only if every check held."""

    ok: bool = False
    issued: int = 0
    opened: dict[str, int] = field(default_factory=dict[str, int])
    held: int = 0
    roots_equal: bool = False
    streams: int = 0
    denied: int = 0
    hits_confirmed: int = 0
    withdrawn: int = 0
    erased: dict[str, int] = field(default_factory=dict[str, int])
    audit_verified: bool = False
    reconciled: bool = False
    killed_at: int = 0
    plaintext_found_at_hub: int = 0
    seconds: float = 0.0
    # What did not hold, and the name of its alarm where it has one.
    failed: str = ""
    alarm: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the object that `mithaq demo --json` prints."""
        return asdict(self)


def print_members(stage: Stage, result: Result) -> None:
    """Print a table with a row for each member."""
    table = Table(title="At the end", title_justify="left")
    for column in ("member", "issued", "opened", "hits", "erased", "registry"):
        table.add_column(column, justify="left" if column == "member" else "right")
    for name, status in stage.statuses().items():
        table.add_row(
            name,
            str(status.alerts_own),
            str(result.opened.get(name, 0)),
            str(status.hits),
            str(result.erased.get(name, 0)),
            str(status.registry_size),
        )
    Console(stderr=True).print(table)


def print_next(stage: Stage, *, kept: bool) -> None:
    """Print three commands to try next."""
    if not kept:
        _print_commands(
            "mithaq demo --keep               # leaves it running, to look around in",
            "mithaq demo --nodes 8            # more agencies",
            "mithaq demo --json               # the figures, for a program",
        )
        return
    member = stage.members["tn-dgsn"]
    _print_commands(
        f"mithaq alert list --profile {member.profile('officer')}",
        f"mithaq audit list --profile {member.profile('auditor')}",
        f"mithaq trust members --profile {stage.trust_profile}",
    )


def _print_commands(*commands: str) -> None:
    _print("Try next:", *(f"  {each}" for each in commands))


def print_parts(stage: Stage) -> None:
    """Print how to talk to each part that was left running, and how to stop it."""
    pids = stage.folder / PIDS_FILE
    pids.write_text("".join(f"{each.pid}\n" for each in stage.processes), encoding="ascii")
    _print(
        "",
        f"Left running in {stage.folder}; each part, its process and its --profile:",
        *_parts(stage),
        "Each member has the users administrator, officer, system and auditor in that folder.",
        f"Stop all of it:  kill $(cat {pids})",
    )


def _parts(stage: Stage) -> Iterable[str]:
    profiles: list[Path] = [stage.trust_profile, stage.hub_profile]
    profiles += [each.profile("officer") for each in stage.members.values()]
    for process, profile in zip(stage.processes, profiles, strict=True):
        yield f"  {process.name:<12} {process.pid:>8}  {profile}"


def _print(*lines: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False)
