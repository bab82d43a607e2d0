"""`mithaq version`."""

from __future__ import annotations

from importlib.metadata import version as distribution_version

import click

from mithaq.cli.output import json_option, present

PROTOCOL_VERSION = 1


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Show the versions of Mithaq and of its protocol."""
    row = {"mithaq": distribution_version("mithaq"), "protocol": PROTOCOL_VERSION}
    present("version", row, as_json=as_json, title="Mithaq")
