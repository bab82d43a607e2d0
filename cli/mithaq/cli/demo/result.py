"""What the demo found out: one object for programs, a table and three commands for people."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mithaq.cli import screen
from mithaq.cli.demo.issuing import ISSUER
from mithaq.cli.demo.life import (
    AUDITOR,
    CASE,
    OFFICER,
    PURPOSE,
    READER,
    document_of,
    with_document,
)
from mithaq.cli.demo.stage import AGREEMENT
from mithaq.cli.output import print_lines, width
from mithaq.cli.screen import INDENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    rows = [
        {
            "member": name,
            "issued": stage.issued.by_member[name],
            "opened": result.opened.get(name, 0),
            "hits": status.hits,
            "erased": result.erased.get(name, 0),
            "registry": status.registry_size,
        }
        for name, status in stage.statuses().items()
    ]
    _print("", "At the end")
    if rows:
        print_lines(screen.table(rows, list(rows[0]), width=width()), err=True)


def print_next(stage: Stage, *, kept: bool) -> None:
    """Print three commands to try next; each finds something when it is typed."""
    _print("", "Try next:", *activation())
    if not kept:
        _print_commands(
            "mithaq demo --keep               # leaves it running, to look around in",
            "mithaq demo --nodes 8            # more agencies",
            "mithaq demo --json               # the figures, for a program",
        )
        return
    for words in _commands(stage):
        _print(*command_lines(words))
    _print(
        f"{AGREEMENT} is suspended by now: {ISSUER} still finds its own alerts, and nobody",
        "finds another's.",
    )


def _commands(stage: Stage) -> Iterator[tuple[str, ...]]:
    """Yield commands about the alert that the hit was on, or lists where there was none."""
    issuer, reader = stage.members[ISSUER], stage.members[READER]
    auditor = ("--profile", str(reader.profile(AUDITOR)))
    officer = ("--profile", str(issuer.profile(OFFICER)))
    if not stage.issued.alerts.get(ISSUER):
        yield ("agreement", "list", *officer)
        yield ("audit", "list", *auditor)
        return
    alert = with_document(stage)
    yield ("alert", "trace", alert.alert_id, *officer)
    yield ("audit", "list", "--alert", alert.alert_id, *auditor)
    # A made-up number may be printed; a listed person's may not.
    look: tuple[str, ...] = ("alert", "show", alert.alert_id)
    if alert.alert.HasField("travel_document"):
        look = ("alert", "find", "--document", document_of(alert))
    grounds = ("--purpose", PURPOSE, "--case", CASE, "--justification", "Seen at the harbour")
    yield (*look, *grounds, *officer)


def command_lines(words: Sequence[str], *, room: int = 0, indent: int = INDENT) -> Iterator[str]:
    """Yield a command as it may be pasted, broken before an option where it is too long.

    `room` is a line's width in cells; the terminal's if it is not given.
    """
    room = (room or width()) - len(" \\")
    line = " " * indent
    for number, part in enumerate(re.split(r" (?=--)", shlex.join(("mithaq", *words)))):
        if number and len(line) + 1 + len(part) > room:
            yield line + " \\"
            line = " " * (indent + 2 * INDENT) + part
        else:
            line += f" {part}" if number else part
    yield line


def activation() -> Iterator[str]:
    """Yield the command that makes `mithaq` a command of the reader's shell, if it is none yet."""
    script = Path(sys.executable).with_name("activate")
    if shutil.which("mithaq") is None and script.exists():
        yield f"  . {shlex.quote(os.path.relpath(script))}"


def _print_commands(*commands: str) -> None:
    _print(*(f"  {each}" for each in commands))


def print_parts(stage: Stage) -> None:
    """Print how to talk to each part that was left running, and how to stop it."""
    parts = zip(stage.processes, _statuses(stage), strict=True)
    # One that never ran has no id, and `kill 0` would stop the reader's own shell.
    running = [(each, words) for each, words in parts if each.pid]
    if not running:
        return
    pids = stage.folder / PIDS_FILE
    pids.write_text("".join(f"{each.pid}\n" for each, _ in running), encoding="ascii")
    _print("", f"Left running in {stage.folder}. How each part is:")
    for process, words in running:
        _print(f"  {process.name}, process {process.pid}:", *command_lines(words, indent=6))
    _print(
        "Each member has the users administrator, officer, system and auditor; name the",
        "folder of another one in --profile to be that one.",
        "",
        "Stop all of it:",
        f"  kill $(cat {shlex.quote(str(pids))})",
    )


def _statuses(stage: Stage) -> Iterator[tuple[str, ...]]:
    yield ("trust", "members", "--profile", str(stage.trust_profile))
    yield ("hub", "status", "--profile", str(stage.hub_profile))
    for each in stage.members.values():
        yield ("node", "status", "--profile", str(each.profile(OFFICER)))


def _print(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
