"""The root of the command line: lazy groups, and one place where errors end."""

from __future__ import annotations

import os
import sys
import traceback

import click

from mithaq.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, TRACEBACK_VARIABLE, describe
from mithaq.cli.lazy import LazyCommand, LazyGroup


def _trust() -> click.Command:
    from mithaq.cli.trust import trust

    return trust


def _hub() -> click.Command:
    from mithaq.cli.hub import hub

    return hub


def _node() -> click.Command:
    from mithaq.cli.node import node

    return node


def _agreement() -> click.Command:
    from mithaq.cli.agreement import agreement

    return agreement


def _alert() -> click.Command:
    from mithaq.cli.alert import alert

    return alert


def _hit() -> click.Command:
    from mithaq.cli.hit import hit

    return hit


def _audit() -> click.Command:
    from mithaq.cli.audit import audit

    return audit


def _demo() -> click.Command:
    from mithaq.cli.demo.command import demo

    return demo


def _config() -> click.Command:
    from mithaq.cli.config import config

    return config


def _version() -> click.Command:
    from mithaq.cli.version import version

    return version


_COMMANDS = {
    "trust": LazyCommand("Set up a federation: invite, approve, revoke members.", _trust),
    "hub": LazyCommand("Run the hub that relays what it cannot read.", _hub),
    "node": LazyCommand("Join a federation and run an agency's node.", _node),
    "agreement": LazyCommand("Draft, sign, submit, explain and suspend agreements.", _agreement),
    "alert": LazyCommand("Issue, find, show, update, withdraw and trace alerts.", _alert),
    "hit": LazyCommand("Confirm or reject a match; read hit reports.", _hit),
    "audit": LazyCommand("List, verify, export and reconcile audit logs; check evidence.", _audit),
    "demo": LazyCommand("Play the whole story with a registrar, a hub and three nodes.", _demo),
    "config": LazyCommand("Show the settings in force, and where each comes from.", _config),
    "version": LazyCommand("Show the versions of Mithaq and of its protocol.", _version),
}


_EXIT_CODES = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 identity, 5 denied by agreement, "
    "6 not found, 7 unreachable, 8 verification failed, 9 conflict."
)


@click.group(
    cls=LazyGroup,
    lazy_commands=_COMMANDS,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Share alerts with the partners you have an agreement with, and with nobody else."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to standard error."""
    try:
        result = cli.main(args=arguments, prog_name="mithaq", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the one place where errors end)
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exception(error)
        from mithaq.cli.output import fit

        text, exit_code = describe(error)
        click.echo(fit(text), err=True)
        return exit_code
    return result if isinstance(result, int) else 0
