"""`mithaq trust`: set up a federation; invite, approve and revoke members.

Administrators' keys sign here, at the caller; the registrar gets signatures.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from mithaq.certs.entries import (
    EntrySigner,
    MemberRevoked,
    NarrowingReason,
    Policy,
    SignedEntry,
    draw_up,
    parse_body,
    sign_entry,
)
from mithaq.cli.errors import CliError
from mithaq.cli.offlinekeys import key_option, load_pair, passphrase_option, read_passphrase
from mithaq.cli.output import instant, json_option, note, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.v1 import trust_pb2, trust_pb2_grpc

WATCH_SECONDS = 120.0


@click.group()
def trust() -> None:
    """Set up a federation: invite, approve, revoke members."""


@trust.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--federation", required=True, help="Its name, like a DNS name.")
@click.option("--administrator", "administrators", multiple=True, required=True)
@click.option("--threshold", required=True, type=click.IntRange(1, 16), help="k of n.")
@click.option("--listen", "local_listen", default="127.0.0.1:7446", show_default=True)
@click.option("--metrics-port", default=7456, show_default=True)
@click.option("--checkpoint-seconds", default=30.0, show_default=True)
@passphrase_option
@json_option
def init(
    *,
    folder: Path,
    federation: str,
    administrators: tuple[str, ...],
    threshold: int,
    local_listen: str,
    metrics_port: int,
    checkpoint_seconds: float,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Found a federation in FOLDER: administrators' keys, issuing CA, first entry."""
    from mithaq.registrar.config import RegistrarConfig
    from mithaq.registrar.founding import found_federation

    config = RegistrarConfig(
        federation=federation,
        directory=folder.resolve(),
        local_listen=local_listen,
        metrics_port=metrics_port,
        checkpoint_seconds=checkpoint_seconds,
    )
    founding = found_federation(
        config,
        administrators=administrators,
        threshold=threshold,
        passphrase=read_passphrase(passphrase_file, new=True),
        policy=Policy(),
        at=datetime.now(UTC).replace(microsecond=0),
    )
    row = {
        "federation": founding.federation,
        "root_pin": founding.genesis_hash.hex(),
        "profile": str(founding.profile),
        "administrators": [str(path) for path in founding.administrators],
    }
    present("trust.init", row, as_json=as_json, title="Federation")
    if not as_json:
        note("carry each administrator's key away; the registrar runs without them")


@trust.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def run(*, folder: Path) -> int:
    """Run the registrar of FOLDER until it is stopped."""
    from mithaq.registrar.app import run_registrar

    return run_registrar(folder)


@trust.command()
@click.argument("member")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 90))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write the invitation to a file of mode 0600: it holds a secret.",
)
@profile_option
@json_option
def invite(*, member: str, days: int, out: Path | None, profile: Path, as_json: bool) -> None:
    """Invite an agency: one string, to be used once."""
    from mithaq.service.profile import write_private

    request = trust_pb2.InviteRequest(
        member=member, valid_seconds=int(timedelta(days=days).total_seconds())
    )
    with connected(profile) as channel:
        answer = trust_pb2_grpc.TrustServiceStub(channel).Invite(request, timeout=DEADLINE_SECONDS)
    if out is not None:
        write_private(out, answer.invitation.encode() + b"\n")
    row = {
        "member": member,
        "invitation": str(out) if out is not None else answer.invitation,
        "expires": instant(answer.expires_at * 1000),
    }
    present("trust.invite", row, as_json=as_json, title="Invitation")


@trust.command()
@profile_option
@json_option
def pending(*, profile: Path, as_json: bool) -> None:
    """List what waits for administrators' signatures."""
    with connected(profile) as channel:
        answer = trust_pb2_grpc.TrustServiceStub(channel).ListPending(
            trust_pb2.ListPendingRequest(), timeout=DEADLINE_SECONDS
        )
    rows = [
        {
            "item": item.item_id,
            "kind": item.kind,
            "subject": item.subject,
            "signatures": f"{item.signatures} of {item.threshold}",
            "fingerprint": item.fingerprint,
        }
        for item in answer.items
    ]
    present_rows("trust.pending", "items", rows, as_json=as_json, title="Waiting")


@trust.command()
@click.argument("item")
@click.option("--as", "administrator", required=True, help="Which administrator signs.")
@click.option(
    "--hub-request",
    is_flag=True,
    help="ITEM is the file that `mithaq hub init` wrote.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="For a hub: where to write its approval.",
)
@key_option
@profile_option
@json_option
def approve(
    *,
    item: str,
    administrator: str,
    hub_request: bool,
    out: Path | None,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
) -> None:
    """Sign the waiting ITEM (an id, a member's name, or a hub's request file)."""
    signer = EntrySigner.administrator(administrator, load_pair(key_file, passphrase_file))
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        if hub_request:
            added = stub.AddHub(
                trust_pb2.AddHubRequest(request=Path(item).read_bytes()), timeout=DEADLINE_SECONDS
            )
            item = added.item_id
        waiting = _find(stub, item)
        if not as_json:
            note(f"signing {waiting.kind} {waiting.subject}, fingerprint {waiting.fingerprint}")
        entry = sign_entry(waiting.body, [signer])
        answer = stub.Approve(
            trust_pb2.ApproveRequest(item_id=waiting.item_id, signed_entry=entry.to_bytes()),
            timeout=DEADLINE_SECONDS,
        )
    if out is not None and answer.hub_approval:
        out.write_bytes(answer.hub_approval)
    row = {
        "item": waiting.item_id,
        "kind": waiting.kind,
        "subject": waiting.subject,
        "signatures": f"{answer.signatures} of {answer.threshold}",
        "entered": answer.entered,
        "registry_size": answer.registry_size,
    }
    present("trust.approve", row, as_json=as_json, title="Approval")


def _find(stub: trust_pb2_grpc.TrustServiceStub, item: str) -> trust_pb2.PendingItem:
    answer = stub.ListPending(trust_pb2.ListPendingRequest(), timeout=DEADLINE_SECONDS)
    found = [each for each in answer.items if item in {each.item_id, each.subject}]
    if not found:
        raise CliError(
            "MQ-TRUST-NOT-PENDING",
            f"nothing named {item} waits for signatures",
            fix="list what waits with `mithaq trust pending`",
        )
    # What is signed is what these bytes say, so they are read here and not taken on trust.
    parse_body(found[0].body)
    return found[0]


@trust.command()
@profile_option
@json_option
def members(*, profile: Path, as_json: bool) -> None:
    """List the members, and how far each has verified the registry."""
    with connected(profile) as channel:
        answer = trust_pb2_grpc.TrustServiceStub(channel).ListMembers(
            trust_pb2.ListMembersRequest(), timeout=DEADLINE_SECONDS
        )
    rows = [
        {
            "member": row.member,
            "kind": row.kind,
            "name": row.display_name,
            "state": row.state,
            "verified": row.verified_registry_size,
            "certificate_expires": instant(row.certificate_expires_at * 1000),
        }
        for row in answer.members
    ]
    present_rows(
        "trust.members",
        "members",
        rows,
        as_json=as_json,
        title=f"{answer.federation}: registry size {answer.registry_size}",
        extra={
            "federation": answer.federation,
            "registry_size": answer.registry_size,
            "registry_time": instant(answer.registry_time_ms),
        },
    )


@trust.command()
@click.argument("member")
@click.option("--as", "administrator", required=True, help="Which administrator signs.")
@click.option(
    "--reason",
    type=click.Choice([each.name.lower() for each in NarrowingReason]),
    default=NarrowingReason.ADMINISTRATIVE.name.lower(),
    show_default=True,
)
@key_option
@profile_option
@json_option
def revoke(
    *,
    member: str,
    administrator: str,
    reason: str,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
) -> int:
    """Revoke MEMBER at once, and wait until every node enforces it."""
    signer = EntrySigner.administrator(administrator, load_pair(key_file, passphrase_file))
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        federation = stub.ListMembers(
            trust_pb2.ListMembersRequest(), timeout=DEADLINE_SECONDS
        ).federation
        act = MemberRevoked(member, NarrowingReason[reason.upper()])
        body = draw_up(act, federation=federation, at=datetime.now(UTC).replace(microsecond=0))
        return _enter(stub, sign_entry(body, [signer]), as_json=as_json)


def _enter(stub: trust_pb2_grpc.TrustServiceStub, entry: SignedEntry, *, as_json: bool) -> int:
    last = trust_pb2.EnterResponse()
    for last in stub.Enter(
        trust_pb2.EnterRequest(signed_entry=entry.to_bytes()), timeout=WATCH_SECONDS
    ):
        if not as_json:
            note(f"enforced by {', '.join(last.enforced_by) or 'nobody yet'}")
    row = {
        "registry_size": last.registry_size,
        "enforced_by": list(last.enforced_by),
        "awaited": list(last.awaited),
        "complete": last.complete,
    }
    present("trust.revoke", row, as_json=as_json, title="Revoked")
    return 0 if last.complete else 1
