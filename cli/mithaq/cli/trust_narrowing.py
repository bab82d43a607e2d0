"""What one administrator does at once: suspend, revoke, end, remove."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mithaq.certs import acts
from mithaq.cli.errors import CliError
from mithaq.cli.profile import connected
from mithaq.cli.trust_calls import (
    administrator_options,
    listed,
    narrow,
    reason_of,
    reason_option,
    signer_of,
)
from mithaq.v1 import trust_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mithaq.certs.acts import Act

_F = TypeVar("_F", bound="Callable[..., Any]")
_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")
# 64 bits of a SHA-256 are not met by chance.
KEY_ID_LETTERS_MIN: Final = 16


def _options(function: _F) -> _F:
    return reason_option(administrator_options(function))


def _enter(
    command: str,
    act_of: Callable[[trust_pb2_grpc.TrustServiceStub], Act],
    *,
    administrator: str,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
) -> int:
    signer = signer_of(administrator, key_file=key_file, passphrase_file=passphrase_file)
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        return narrow(stub, act_of(stub), signer, command=command, as_json=as_json)


@click.command()
@click.argument("member")
@_options
def suspend(*, member: str, reason: str, **given: Any) -> int:  # noqa: ANN401 (the common options)
    """Suspend MEMBER at once, until it is reinstated; wait until every node enforces it."""

    def act_of(stub: trust_pb2_grpc.TrustServiceStub) -> Act:
        return acts.MemberSuspended(_member(stub, member), reason_of(reason))

    return _enter("trust.suspend", act_of, **given)


@click.command()
@click.argument("member")
@_options
def revoke(*, member: str, reason: str, **given: Any) -> int:  # noqa: ANN401 (as above)
    """Revoke MEMBER at once and for ever, and wait until every node enforces it."""

    def act_of(stub: trust_pb2_grpc.TrustServiceStub) -> Act:
        return acts.MemberRevoked(_member(stub, member), reason_of(reason))

    return _enter("trust.revoke", act_of, **given)


def _member(stub: trust_pb2_grpc.TrustServiceStub, name: str) -> str:
    if name not in {each.member for each in listed(stub).members}:
        raise CliError(
            "MQ-TRUST-NO-MEMBER",
            f"the registry has no member {name}",
            fix="copy the name from `mithaq trust members`",
        )
    return name


@click.command("revoke-key")
@click.argument("key")
@_options
def revoke_key(*, key: str, reason: str, **given: Any) -> int:  # noqa: ANN401 (as above)
    """Revoke one certificate or reception key at once.

    KEY is its fingerprint in hex as `mithaq trust keys` lists it, or its first 16 letters.
    A member whose last certificate ends so asks for another by its log key.
    """

    def act_of(stub: trust_pb2_grpc.TrustServiceStub) -> Act:
        return acts.KeyRevoked(_key_id(stub, key), reason_of(reason))

    return _enter("trust.revoke-key", act_of, **given)


def _key_id(stub: trust_pb2_grpc.TrustServiceStub, text: str) -> bytes:
    letters = "".join(text.split()).lower()
    revocable = {"certificate", "reception"}
    found = {
        bytes(key.fingerprint)
        for member in listed(stub).members
        for key in member.keys
        if key.purpose in revocable and key.fingerprint.hex().startswith(letters)
    }
    if not found and _KEY_ID.fullmatch(letters):
        # One that is listed no more, such as an older reception key.
        return bytes.fromhex(letters)
    if len(letters) < KEY_ID_LETTERS_MIN or len(found) != 1:
        raise CliError(
            "MQ-REQUEST-KEY",
            f"{text} names no certificate or reception key",
            fix="copy the fingerprint from `mithaq trust keys`, at least 16 letters of it",
        )
    return found.pop()


@click.command("suspend-agreement")
@click.argument("agreement_id")
@_options
def suspend_agreement(*, agreement_id: str, reason: str, **given: Any) -> int:  # noqa: ANN401 - common options
    """Suspend an agreement for all its parties, until `mithaq trust lift`."""
    act = acts.AgreementSuspended(agreement_id, reason_of(reason))
    return _enter("trust.suspend-agreement", lambda _: act, **given)


@click.command("end-agreement")
@click.argument("agreement_id")
@_options
def end_agreement(*, agreement_id: str, reason: str, **given: Any) -> int:  # noqa: ANN401 - common options
    """End an agreement for all its parties, for ever; what was shared is wound down."""
    act = acts.AgreementEnded(agreement_id, reason_of(reason))
    return _enter("trust.end-agreement", lambda _: act, **given)


@click.command("remove-administrator")
@click.argument("name")
@_options
def remove_administrator(*, name: str, reason: str, **given: Any) -> int:  # noqa: ANN401 - common options
    """Remove the administrator NAME at once; k always stay."""
    act = acts.AdministratorRemoved(name, reason_of(reason))
    return _enter("trust.remove-administrator", lambda _: act, **given)


COMMANDS: Final = {
    "suspend": suspend,
    "revoke": revoke,
    "revoke-key": revoke_key,
    "suspend-agreement": suspend_agreement,
    "end-agreement": end_agreement,
    "remove-administrator": remove_administrator,
}
