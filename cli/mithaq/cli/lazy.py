"""Groups that are imported when they are called.

`mithaq --help` must answer at once and without gRPC, so the root knows only a
name, one line of help and a function that imports the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command's line of help, and the function that imports it."""

    help: str
    load: Callable[[], click.Command]


class LazyGroup(click.Group):
    """A click group whose commands are imported on first use."""

    def __init__(
        self,
        *,
        lazy_commands: Mapping[str, LazyCommand] | None = None,
        **attributes: Any,  # noqa: ANN401 (click.Group's own)
    ) -> None:
        """Take the commands by name; `attributes` go to click.Group."""
        super().__init__(**attributes)
        self._lazy_commands: dict[str, LazyCommand] = dict(lazy_commands or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were given."""
        return [*self._lazy_commands, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None where the name is unknown."""
        lazy = self._lazy_commands.get(cmd_name)
        return lazy.load() if lazy is not None else super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines without importing any command."""
        rows = [(name, lazy.help) for name, lazy in self._lazy_commands.items()]
        for name in super().list_commands(ctx):
            command = super().get_command(ctx, name)
            if command is not None:
                rows.append((name, command.get_short_help_str(80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
