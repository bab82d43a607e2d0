"""What k administrators do together: reinstate, lift, add an administrator or a CA.

Each gives the same command with its own key, on its own machine; the last one enters it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mithaq.certs import acts
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import (
    EntrySigner,
    SignedEntry,
    SignerRole,
    draw_up,
    merge_signatures,
    parse_body,
    sign_entry,
)
from mithaq.certs.tls import load_certificate, to_der
from mithaq.cli.errors import CliError
from mithaq.cli.offlinekeys import key_option, load_pair
from mithaq.cli.output import json_option, present
from mithaq.cli.profile import connected
from mithaq.cli.trust_calls import administrator_options, listed, now, say, signer_of, widen
from mithaq.service.profile import write_private
from mithaq.v1 import trust_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from mithaq.certs.acts import Act

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _sign(
    command: str,
    act_of: Callable[[trust_pb2_grpc.TrustServiceStub], Act],
    *,
    administrator: str,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
    asked: SignedEntry | None = None,
) -> None:
    signer = signer_of(administrator, key_file=key_file, passphrase_file=passphrase_file)
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        widen(stub, act_of(stub), signer, command=command, as_json=as_json, asked=asked)


@click.command()
@click.argument("member")
@administrator_options
def reinstate(*, member: str, **given: Any) -> None:  # noqa: ANN401 (the common options)
    """Let the suspended MEMBER act again, once k administrators have signed."""
    act = acts.MemberReinstated(member)
    _sign("trust.reinstate", lambda _: act, **given)


@click.command()
@click.argument("agreement_id")
@click.option(
    "--request",
    "request_file",
    type=_FILE,
    default=None,
    help="To lift a party's own suspension: what its signatories signed with `request-lift`.",
)
@administrator_options
def lift(*, agreement_id: str, request_file: Path | None, **given: Any) -> None:  # noqa: ANN401 - common options
    """Lift the administrators' suspension of an agreement, or with --request a party's own."""
    if request_file is None:
        act = acts.AgreementLifted(agreement_id)
        _sign("trust.lift", lambda _: act, **given)
        return
    asked = SignedEntry.from_bytes(request_file.read_bytes())
    lifted = parse_body(asked.body).act
    if not isinstance(lifted, acts.AgreementLifted) or lifted.agreement_id != agreement_id:
        raise CliError(
            "MQ-REQUEST-ENTRY",
            f"{request_file} does not ask to lift {agreement_id}",
            fix="use the file that `mithaq trust request-lift` wrote for this agreement",
        )
    _sign("trust.lift", lambda _: lifted, asked=asked, **given)


@click.command("request-lift")
@click.argument("agreement_id")
@click.option("--federation", required=True, help="The federation's name.")
@click.option("--member", required=True, help="The party that suspended it.")
@click.option("--name", required=True, help="Which of its signatories signs.")
@click.option(
    "--request",
    "request_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file that both signatories sign, one after the other.",
)
@key_option
@json_option
def request_lift(
    *,
    agreement_id: str,
    federation: str,
    member: str,
    name: str,
    request_file: Path,
    key_file: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Ask, as a party's signatory, to lift the party's own suspension.

    Two of them sign the same file; then k administrators give `trust lift --request`.
    """
    act = acts.AgreementLifted(agreement_id, member)
    if request_file.exists():
        entry = SignedEntry.from_bytes(request_file.read_bytes())
        if parse_body(entry.body).act != act:
            raise CliError("MQ-REQUEST-ENTRY", f"{request_file} asks for something else")
    else:
        entry = SignedEntry(draw_up(act, federation=federation, at=now()), ())
    if not as_json:
        say(act)
    signer = EntrySigner.signatory(member, name, load_pair(key_file, passphrase_file))
    entry = merge_signatures(entry, sign_entry(entry.body, [signer]).signatures)
    write_private(request_file, entry.to_bytes())
    row = {
        "agreement": agreement_id,
        "member": member,
        "request": str(request_file),
        "signed_by": [each.name for each in entry.signatures],
    }
    present("trust.request-lift", row, as_json=as_json, title="Request")


@click.command("add-administrator")
@click.argument("card", type=_FILE)
@administrator_options
def add_administrator(*, card: Path, **given: Any) -> None:  # noqa: ANN401 (the common options)
    """Add the administrator whose CARD `mithaq trust card` wrote.

    Compare the fingerprint that is shown with the one that its owner was shown.
    """
    read = KeyCard.from_bytes(card.read_bytes())

    def act_of(stub: trust_pb2_grpc.TrustServiceStub) -> Act:
        read.check(federation=listed(stub).federation, role=SignerRole.ADMINISTRATOR)
        return acts.AdministratorAdded(read.named_pair)

    _sign("trust.add-administrator", act_of, **given)


@click.command("add-ca")
@click.argument("certificate", type=_FILE)
@administrator_options
def add_ca(*, certificate: Path, **given: Any) -> None:  # noqa: ANN401 (the common options)
    """Let hub and nodes trust one more issuing CA, by its CERTIFICATE (PEM or DER).

    The registrar goes on issuing with the CA that it holds.
    """
    act = acts.CaAdded(to_der(load_certificate(certificate.read_bytes())))
    _sign("trust.add-ca", lambda _: act, **given)


COMMANDS: Final = {
    "reinstate": reinstate,
    "lift": lift,
    "request-lift": request_lift,
    "add-administrator": add_administrator,
    "add-ca": add_ca,
}
