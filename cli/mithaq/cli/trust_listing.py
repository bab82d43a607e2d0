"""`mithaq trust invite`, `members`, `keys` and `pending`: what is, and what waits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from mithaq.certs.keys import grouped
from mithaq.cli.output import instant, json_option, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.trust_calls import listed, waiting
from mithaq.v1 import trust_pb2, trust_pb2_grpc

MILLISECONDS: Final = 1000
# Which of a part's keys people compare: the one that speaks for it.
_MAIN: Final = {"hub": "cosigning", "registrar": "ordering", "node": "log"}


@click.command()
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
        "expires": instant(answer.expires_at * MILLISECONDS),
    }
    present("trust.invite", row, as_json=as_json, title="Invitation")


@click.command()
@profile_option
@json_option
def pending(*, profile: Path, as_json: bool) -> None:
    """List what waits for administrators' signatures."""
    with connected(profile) as channel:
        items = waiting(trust_pb2_grpc.TrustServiceStub(channel))
    rows = [
        {
            "item": item.item_id,
            "kind": item.kind,
            "subject": item.subject,
            "signatures": f"{item.signatures} of {item.threshold}",
            "fingerprint": item.fingerprint,
        }
        for item in items
    ]
    present_rows("trust.pending", "items", rows, as_json=as_json, title="Waiting")


@click.command()
@profile_option
@json_option
def members(*, profile: Path, as_json: bool) -> None:
    """List hub, registrar and members: state, certificate's end, verified registry."""
    with connected(profile) as channel:
        answer = listed(trust_pb2_grpc.TrustServiceStub(channel))
    rows = [_member(row) for row in answer.members]
    administrators = [
        {"name": each.name, "fingerprint": grouped(each.fingerprint)}
        for each in answer.administrators
    ]
    present_rows(
        "trust.members",
        "members",
        rows,
        as_json=as_json,
        title=f"{answer.federation}: registry size {answer.registry_size}",
        columns=("member", "kind", "name", "state", "verified", "certificate_expires"),
        extra={
            "federation": answer.federation,
            "registry_size": answer.registry_size,
            "registry_time": instant(answer.registry_time_ms),
            "threshold": answer.threshold,
            "administrators": administrators,
            "issuing_cas": [grouped(each) for each in answer.ca_fingerprints],
        },
    )


def _member(row: trust_pb2.MemberRow) -> dict[str, Any]:
    main = [each for each in row.keys if each.purpose == _MAIN.get(row.kind)]
    return {
        "member": row.member,
        "kind": row.kind,
        "name": row.display_name,
        "state": row.state,
        "verified": row.verified_registry_size,
        "certificate_expires": instant(row.certificate_expires_at * MILLISECONDS),
        "fingerprint": grouped(main[0].fingerprint) if main else "",
    }


@click.command()
@click.argument("member", default="")
@profile_option
@json_option
def keys(*, member: str, profile: Path, as_json: bool) -> None:
    """List keys and certificates, of MEMBER (`hub`, `registrar`, a member's id) or of all."""
    with connected(profile) as channel:
        answer = listed(trust_pb2_grpc.TrustServiceStub(channel))
    rows = [
        {
            "holder": row.member,
            "purpose": key.purpose,
            "fingerprint": key.fingerprint.hex(),
            "expires": instant(key.expires_at * MILLISECONDS),
        }
        for row in answer.members
        if member in {"", row.member}
        for key in row.keys
    ]
    if not member:
        rows += [
            {
                "holder": each.name,
                "purpose": "administrator",
                "fingerprint": each.fingerprint.hex(),
                "expires": instant(0),
            }
            for each in answer.administrators
        ]
    present_rows("trust.keys", "keys", rows, as_json=as_json, title="Keys")


COMMANDS: Final = {"invite": invite, "members": members, "keys": keys, "pending": pending}
