"""What a command prints: a screen for people, plain rows in a pipe, JSON for programs.

JSON is one object with `schema` (`mithaq.<command>/<version>`), so that a program can
tell what it reads. A pipe gets one line for each row, its fields in the order of the
JSON, between tabs. Both get everything whole; a screen is laid out by its width.
Messages for people go to standard error.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.text import Text

from mithaq.cli import screen
from mithaq.cli.screen import shown
from mithaq.service.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mithaq.cli.screen import Column, Line

SCHEMA_VERSION = 1
MILLISECONDS: Final = 1000

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object with a versioned schema."
)


def note(text: str) -> None:
    """Write a line for people to standard error, folded where it is a terminal."""
    click.echo(fit(plain(text)), err=True)


def fit(text: str) -> str:
    """Return lines folded to the width of standard error, or as they are in a pipe."""
    if not sys.stderr.isatty():
        return text
    lines = (screen.folded(line, width=width(), hanging=5) for line in text.splitlines())
    return "\n".join(part for line in lines for part in line)


def width() -> int:
    """Return how many cells a line of the terminal has (COLUMNS, or the terminal's own)."""
    return shutil.get_terminal_size().columns


def instant(milliseconds: int) -> str:
    """Return an instant (milliseconds since 1970) as UTC text, or a dash for none.

    What was signed in whole seconds is shown in whole seconds.
    """
    if milliseconds <= 0:
        return screen.NOTHING
    at = datetime.fromtimestamp(milliseconds // MILLISECONDS, tz=UTC)
    rest = milliseconds % MILLISECONDS
    return at.strftime("%Y-%m-%d %H:%M:%S") + (f".{rest:03d}Z" if rest else "Z")


def day(seconds: int) -> str:
    """Return the UTC day of seconds since 1970, or a dash for none."""
    if seconds <= 0:
        return screen.NOTHING
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d")


def print_json(command: str, content: Mapping[str, Any]) -> None:
    """Print one object with its schema."""
    document = {"schema": f"mithaq.{command}/{SCHEMA_VERSION}", **content}
    click.echo(json.dumps(document, ensure_ascii=False, sort_keys=False))


def present(
    command: str,
    row: Mapping[str, Any],
    *,
    as_json: bool,
    title: str = "",
    lines: Sequence[tuple[str, str]] = (),
) -> None:
    """Print one thing: its fields below one another; `lines` say them in people's words."""
    if as_json:
        print_json(command, row)
        return
    if not sys.stdout.isatty():
        for label, value in lines or row.items():
            click.echo(f"{label}\t{shown(value)}")
        return
    said = lines or [(name.replace("_", " "), shown(value)) for name, value in row.items()]
    _print_title(title)
    print_lines(screen.sheet(said, width=width()))


def present_rows(
    command: str,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    columns: Sequence[Column | str] = (),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Print many things of one shape; people are shown `columns`, programs all fields."""
    if as_json:
        print_json(command, {**(extra or {}), key: list(rows)})
    elif not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(shown, row.values())))
    elif not rows:
        click.echo(f"{title}: none" if title else "none")
    else:
        _print_title(title)
        print_lines(screen.table(rows, columns or list(rows[0]), width=width()))


def separate() -> None:
    """Print an empty line between two screens of one command."""
    if sys.stdout.isatty():
        click.echo()


def print_lines(lines: Iterable[Line], *, err: bool = False) -> None:
    """Print lines that fit already."""
    console = Console(stderr=err, highlight=False)
    for line in lines:
        console.print(Text(line.text, style="bold" if line.strong else ""), soft_wrap=True)


def _print_title(title: str) -> None:
    if title:
        print_lines([screen.Line(shown(title), strong=True)])
