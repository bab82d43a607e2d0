"""`mithaq node officer`: who may use this node, and as what."""

from __future__ import annotations

from pathlib import Path

import click

from mithaq.cli.output import instant, json_option, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.v1 import local_pb2, local_pb2_grpc

ROLES = ("officer", "duty-supervisor", "administrator", "auditor", "system")


@click.group()
def officer() -> None:
    """Add, list and remove the people and systems that use this node."""


@officer.command()
@click.argument("user")
@click.option("--role", required=True, type=click.Choice(ROLES))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the user's new profile; it will hold a private key.",
)
@profile_option
@json_option
def add(*, user: str, role: str, out: Path, profile: Path, as_json: bool) -> None:
    """Give USER access, and write a profile with a new key and certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key, tls_key_to_pem
    from mithaq.service.profile import Profile, read_profile, write_profile

    key = new_tls_key()
    with connected(profile) as channel:
        stub = local_pb2_grpc.NodeServiceStub(channel)
        status = stub.GetNodeStatus(local_pb2.GetNodeStatusRequest(), timeout=DEADLINE_SECONDS)
        identity = SpiffeId(status.federation, IdentityKind.OFFICER, status.member, user)
        asked = x509.load_der_x509_csr(csr(key, identity)).public_bytes(Encoding.PEM)
        request = local_pb2.AddOfficerRequest(
            user=user, role=role, certificate_request=asked.decode()
        )
        answer = stub.AddOfficer(request, timeout=DEADLINE_SECONDS)
    mine = read_profile(profile)
    write_profile(
        out,
        Profile(
            address=mine.address,
            server_name=mine.server_name,
            server_ca=mine.server_ca,
            certificate=answer.certificate_chain.encode(),
            key=tls_key_to_pem(key),
        ),
    )
    row = {"user": user, "role": role, "profile": str(out)}
    present("node.officer.add", row, as_json=as_json, title="Officer")


@officer.command("list")
@profile_option
@json_option
def list_officers(*, profile: Path, as_json: bool) -> None:
    """List who has, or had, access."""
    with connected(profile) as channel:
        answer = local_pb2_grpc.NodeServiceStub(channel).ListOfficers(
            local_pb2.ListOfficersRequest(), timeout=DEADLINE_SECONDS
        )
    rows = [
        {
            "user": row.user,
            "role": row.role,
            "active": row.active,
            "added": instant(row.added_at_ms),
        }
        for row in answer.officers
    ]
    present_rows("node.officer.list", "officers", rows, as_json=as_json, title="Officers")


@officer.command()
@click.argument("user")
@profile_option
@json_option
def remove(*, user: str, profile: Path, as_json: bool) -> None:
    """Take access away, from the next call on."""
    with connected(profile) as channel:
        local_pb2_grpc.NodeServiceStub(channel).RemoveOfficer(
            local_pb2.RemoveOfficerRequest(user=user), timeout=DEADLINE_SECONDS
        )
    present("node.officer.remove", {"user": user, "active": False}, as_json=as_json)
