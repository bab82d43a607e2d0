"""`mithaq trust approve` and `reject`: sign what waits, or turn it down."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from mithaq.certs.entries import body_hash, parse_body
from mithaq.certs.rejection import sign_rejection
from mithaq.cli.errors import CliError
from mithaq.cli.offlinekeys import load_pair
from mithaq.cli.output import present
from mithaq.cli.profile import DEADLINE_SECONDS, connected
from mithaq.cli.trust_calls import (
    administrator_options,
    find_waiting,
    say,
    sign_waiting,
    signer_of,
)
from mithaq.v1 import trust_pb2, trust_pb2_grpc


@click.command()
@click.argument("item")
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
@administrator_options
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
    request = _request_of(Path(item)) if hub_request else None
    signer = signer_of(administrator, key_file=key_file, passphrase_file=passphrase_file)
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        if request is not None:
            added = stub.AddHub(trust_pb2.AddHubRequest(request=request), timeout=DEADLINE_SECONDS)
            item = added.item_id
        found = find_waiting(stub, item)
        answer = sign_waiting(stub, found, signer, quiet=as_json)
    if out is not None and answer.hub_approval:
        out.write_bytes(answer.hub_approval)
    row = {
        "item": found.item_id,
        "kind": found.kind,
        "subject": found.subject,
        "fingerprint": found.fingerprint,
        "signatures": f"{answer.signatures} of {answer.threshold}",
        "entered": answer.entered,
        "registry_size": answer.registry_size,
    }
    present("trust.approve", row, as_json=as_json, title="Approval")


def _request_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CliError(
            "MQ-REQUEST-FILE",
            f"{file} can't be read: {error.strerror}",
            fix="name the file `hub-request` in the work folder that `mithaq hub init` made",
        ) from None


@click.command()
@click.argument("item")
@administrator_options
def reject(
    *,
    item: str,
    administrator: str,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
) -> None:
    """Turn down the waiting ITEM (an id or a name); one administrator is enough."""
    pair = load_pair(key_file, passphrase_file)
    with connected(profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        found = find_waiting(stub, item)
        body = parse_body(found.body)
        if not as_json:
            say(body.act, fingerprint=found.fingerprint)
        rejection = sign_rejection(
            body_hash(found.body),
            federation=body.federation,
            administrator=administrator,
            pair=pair,
        )
        request = trust_pb2.RejectRequest(
            item_id=found.item_id,
            administrator=administrator,
            ed25519=rejection.signature.ed25519,
            mldsa44=rejection.signature.mldsa44,
        )
        stub.Reject(request, timeout=DEADLINE_SECONDS)
    row = {
        "item": found.item_id,
        "kind": found.kind,
        "subject": found.subject,
        "rejected_by": administrator,
    }
    present("trust.reject", row, as_json=as_json, title="Rejected")


COMMANDS: Final = {"approve": approve, "reject": reject}
