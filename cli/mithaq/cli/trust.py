"""`mithaq trust`: found a federation, decide who takes part, and with which keys.

Administrators' keys sign here, at the caller; the registrar gets signatures. What widens
takes k of them, each given on its owner's own machine; what narrows takes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mithaq.cli.lazy import LazyCommand, LazyGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


def _founding(name: str) -> Callable[[], click.Command]:
    def load() -> click.Command:
        from mithaq.cli import trust_founding

        return trust_founding.COMMANDS[name]

    return load


def _listing(name: str) -> Callable[[], click.Command]:
    def load() -> click.Command:
        from mithaq.cli import trust_listing

        return trust_listing.COMMANDS[name]

    return load


def _deciding(name: str) -> Callable[[], click.Command]:
    def load() -> click.Command:
        from mithaq.cli import trust_deciding

        return trust_deciding.COMMANDS[name]

    return load


def _widening(name: str) -> Callable[[], click.Command]:
    def load() -> click.Command:
        from mithaq.cli import trust_widening

        return trust_widening.COMMANDS[name]

    return load


def _narrowing(name: str) -> Callable[[], click.Command]:
    def load() -> click.Command:
        from mithaq.cli import trust_narrowing

        return trust_narrowing.COMMANDS[name]

    return load


_COMMANDS: Final = {
    "init": LazyCommand("Found a federation.", _founding("init")),
    "card": LazyCommand("Make an administrator's key, and its card.", _founding("card")),
    "sign": LazyCommand("Sign the first entry as an administrator.", _founding("sign")),
    "run": LazyCommand("Run the registrar.", _founding("run")),
    "profile": LazyCommand("Let another machine call the registrar.", _founding("profile")),
    "invite": LazyCommand("Invite an agency.", _listing("invite")),
    "members": LazyCommand("List hub, registrar and members.", _listing("members")),
    "keys": LazyCommand("List keys and certificates.", _listing("keys")),
    "pending": LazyCommand("List what waits for signatures.", _listing("pending")),
    "approve": LazyCommand("Sign what waits.", _deciding("approve")),
    "reject": LazyCommand("Turn down what waits.", _deciding("reject")),
    "reinstate": LazyCommand("Let a suspended member act again (k).", _widening("reinstate")),
    "lift": LazyCommand("Lift an agreement's suspension (k).", _widening("lift")),
    "request-lift": LazyCommand("Ask to lift a party's own.", _widening("request-lift")),
    "add-administrator": LazyCommand(
        "Add an administrator by card (k).", _widening("add-administrator")
    ),
    "add-ca": LazyCommand("Trust one more issuing CA (k).", _widening("add-ca")),
    "suspend": LazyCommand("Suspend a member (one).", _narrowing("suspend")),
    "revoke": LazyCommand("End a membership (one).", _narrowing("revoke")),
    "revoke-key": LazyCommand(
        "End a certificate or reception key (one).", _narrowing("revoke-key")
    ),
    "suspend-agreement": LazyCommand(
        "Suspend an agreement for all (one).", _narrowing("suspend-agreement")
    ),
    "end-agreement": LazyCommand("End an agreement for all (one).", _narrowing("end-agreement")),
    "remove-administrator": LazyCommand(
        "Remove an administrator (one).", _narrowing("remove-administrator")
    ),
}

trust = LazyGroup(
    name="trust",
    lazy_commands=_COMMANDS,
    help="Found a federation; decide who takes part, and with which keys.",
)
