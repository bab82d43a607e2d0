"""`mithaq config`: the settings in force, and where each comes from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mithaq.cli.errors import CliError
from mithaq.cli.output import json_option, present_rows
from mithaq.cli.screen import NOTHING, PROSE, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from mithaq.service.config import Loaded


@click.group()
def config() -> None:
    """Show the settings in force, and where each comes from."""


@config.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
def show(*, folder: Path, origin: bool, as_json: bool) -> None:
    """Show the settings of a registrar's, a hub's or a node's FOLDER."""
    loaded = _load(folder)
    rows = [
        {"setting": name, "value": str(_value(loaded.value, name)), "origin": where}
        for name, where in loaded.origins.items()
    ]
    columns = [Column("setting"), Column("value", text=_set_to, fold=PROSE)]
    if origin:
        columns.append(Column("origin", text=partial(_origin, f"{folder.resolve()}/")))
    present_rows(
        "config.show", "settings", rows, as_json=as_json, title=str(folder), columns=columns
    )


def _set_to(row: Mapping[str, Any]) -> str:
    return NOTHING if row["value"] in {"", "()"} else str(row["value"])


def _origin(inside: str, row: Mapping[str, Any]) -> str:
    """Return where a value comes from; a file of the folder in the title by its name."""
    return str(row["origin"]).replace(inside, "")


def _load(folder: Path) -> Loaded[Any]:
    # Each part is imported only where its own file is found: an image has one of them.
    if (folder / "registrar.toml").exists():
        from mithaq.registrar.config import RegistrarConfig

        return RegistrarConfig.read(folder)
    if (folder / "hub.toml").exists():
        from mithaq.hub.work_folder import load_config

        return load_config(folder)
    if (folder / "node.toml").exists():
        from mithaq.node.config import NodeConfig

        return NodeConfig.read(folder)
    raise CliError(
        "MQ-CONFIG-FOLDER",
        f"{folder} is no work folder",
        why="it has no registrar.toml, hub.toml or node.toml",
        fix="name the folder that `init` or `join` made",
    )


def _value(model: BaseModel, name: str) -> object:
    value: object = model
    for part in name.split("."):
        value = getattr(value, part)
    return value
