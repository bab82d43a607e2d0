"""What a command prints: a table for people, plain rows in a pipe, JSON for programs.

JSON is one object with `schema` (`mithaq.<command>/<version>`), so that a
program can tell what it reads. Messages for people go to standard error.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mithaq.service.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA_VERSION = 1

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object with a versioned schema."
)


def note(text: str) -> None:
    """Write a line for people to standard error."""
    click.echo(plain(text), err=True)


def instant(milliseconds: int) -> str:
    """Return an instant (milliseconds since 1970) as UTC text, or a dash for none."""
    if milliseconds <= 0:
        return "–"
    at = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def day(seconds: int) -> str:
    """Return the UTC day of seconds since 1970, or a dash for none."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d") if seconds > 0 else "–"


def print_json(command: str, content: Mapping[str, Any]) -> None:
    """Print one object with its schema."""
    document = {"schema": f"mithaq.{command}/{SCHEMA_VERSION}", **content}
    click.echo(json.dumps(document, ensure_ascii=False, sort_keys=False))


def present(command: str, row: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Print one thing: its fields below one another."""
    if as_json:
        print_json(command, row)
        return
    if not sys.stdout.isatty():
        for name, value in row.items():
            click.echo(f"{name}\t{_plain(value)}")
        return
    table = Table(title=title or None, show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(name.replace("_", " "), escape(_plain(value)))
    Console().print(table)


def present_rows(
    command: str,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    columns: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Print many things of one shape; `columns` are shown to people, JSON has all fields."""
    if as_json:
        print_json(command, {**(extra or {}), key: list(rows)})
        return
    names = list(columns) or (list(rows[0]) if rows else [])
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_plain(row.get(name, "")) for name in names))
        return
    _print_table(rows, names, title=title)


def _print_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, title: str) -> None:
    if not rows:
        click.echo(f"{title}: none" if title else "none")
        return
    table = Table(title=title or None, title_justify="left")
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_plain(row.get(name, ""))) for name in names))
    Console().print(table)


def _plain(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return plain(", ".join(str(item) for item in items))
    return plain(str(value))
