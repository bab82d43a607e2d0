"""What the demo found out: one object for programs, a table and three commands for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mithaq.cli.demo.stage import Stage


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
    failed: str = ""
    alarms: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """Return the object that `mithaq demo --json` prints."""
        return asdict(self)


def print_members(stage: Stage, result: Result) -> None:
    """Print a table with a row for each member."""
    table = Table(title="At the end", title_justify="left")
    for column in ("member", "issued", "opened", "hits", "erased", "registry"):
        table.add_column(column, justify="left" if column == "member" else "right")
    for name in stage.members:
        status = stage.status(name)
        table.add_row(
            name,
            str(status.alerts_own),
            str(result.opened.get(name, 0)),
            str(status.hits),
            str(result.erased.get(name, 0)),
            str(status.registry_size),
        )
    Console(stderr=True).print(table)


def print_next(stage: Stage) -> None:
    """Print three commands to try next on what was kept running."""
    officer = stage.members["tn-dgsn"].profile("officer")
    auditor = stage.members["tn-dgsn"].profile("auditor")
    console = Console(stderr=True, soft_wrap=True)
    console.print("Try next:")
    for line in (
        f"mithaq alert list --profile {officer}",
        f"mithaq audit list --profile {auditor}",
        f"mithaq trust members --profile {stage.trust_profile}",
    ):
        console.print(f"  {line}", highlight=False)
