"""`mithaq hub`: prepare, run and look at the hub that relays what it cannot read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mithaq.certs.keys import grouped
from mithaq.certs.renewal import hash_of
from mithaq.cli.output import instant, json_option, note, present, present_rows, print_json
from mithaq.cli.pin import pin_of
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.v1 import hub_pb2, hub_pb2_grpc


@click.group()
def hub() -> None:
    """Run the hub that relays what it cannot read."""


@hub.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--federation", default="", help="Its name; needed for the first step.")
@click.option("--exchange", "exchange_address", default="127.0.0.1:7443", show_default=True)
@click.option("--enrolment", "enrolment_address", default="127.0.0.1:7444", show_default=True)
@click.option("--listen", "local_listen", default="127.0.0.1:7447", show_default=True)
@click.option("--metrics-port", default=7457, show_default=True)
@click.option("--database-url", default="", help="PostgreSQL URL; SQLite in FOLDER if absent.")
@click.option(
    "--approval",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Second step: the file that `mithaq trust approve --out` wrote.",
)
@click.option("--root-pin", default="", help="Second step: the root pin of `mithaq trust init`.")
@json_option
def init(
    *,
    folder: Path,
    federation: str,
    exchange_address: str,
    enrolment_address: str,
    local_listen: str,
    metrics_port: int,
    database_url: str,
    approval: Path | None,
    root_pin: str,
    as_json: bool,
) -> None:
    """Prepare a hub in FOLDER: first its request, then with --approval its certificate."""
    from mithaq.hub import setup

    if approval is not None:
        setup.complete(folder, approval.read_bytes(), root_pin=pin_of(root_pin))
        present("hub.init", {"folder": str(folder), "ready": True}, as_json=as_json, title="Hub")
        return
    request = setup.init(
        folder,
        federation=federation,
        exchange_address=exchange_address,
        enrolment_address=enrolment_address,
        local_listen=local_listen,
        metrics_port=metrics_port,
        database_url=database_url,
        at=datetime.now(UTC).replace(microsecond=0),
    )
    row = {
        "folder": str(folder),
        "request": str(request),
        "fingerprint": grouped(hash_of(request.read_bytes())),
        "ready": False,
    }
    present("hub.init", row, as_json=as_json, title="Hub")
    if not as_json:
        note("read the fingerprint to the administrators over another channel")
        note(f"next: `mithaq trust approve {request} --hub-request --out approval`")


@hub.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def run(*, folder: Path) -> int:
    """Run the hub of FOLDER until it is stopped."""
    from mithaq.hub.app import run_hub

    return run_hub(folder)


@hub.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--user", required=True, help="Whose it is.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the new profile; it holds a private key.",
)
@json_option
def profile(*, folder: Path, user: str, out: Path, as_json: bool) -> None:
    """Make a further operator's profile for the hub of FOLDER, which may run."""
    from mithaq.hub.work_folder import load_config, local_api

    config = load_config(folder).value
    api = local_api(folder, config.federation)
    api.new_profile(out, user=user, address=config.local_listen, at=datetime.now(UTC))
    present("hub.profile", {"user": user, "profile": str(out)}, as_json=as_json, title="Profile")


@hub.command()
@profile_option
@json_option
def status(*, profile: Path, as_json: bool) -> None:
    """Show streams, backlog, members connected and the registry's state."""
    with connected(profile) as channel:
        answer = hub_pb2_grpc.HubServiceStub(channel).GetHubStatus(
            hub_pb2.GetHubStatusRequest(), timeout=DEADLINE_SECONDS
        )
    peers = [_peer(each) for each in answer.peers]
    streams = [_stream(each) for each in answer.streams]
    alarms = [
        {"alarm": each.alarm, "accused": each.accused, "at": instant(each.at_ms), "file": each.file}
        for each in answer.alarms
    ]
    head = {
        "federation": answer.federation,
        "registry_size": answer.registry_size,
        "registry_time": instant(answer.registry_time_ms),
        "registry_fresh": answer.registry_fresh,
        "entries_admitted": answer.entries_admitted,
        "entries_refused": answer.entries_refused,
    }
    if as_json:
        lists = {"peers": peers, "streams": streams, "alarms": alarms}
        print_json("hub.status", {**head, **lists})
        return
    present("hub.status", head, as_json=False, title="Hub")
    present_rows("hub.status", "peers", peers, as_json=False, title="Members")
    present_rows("hub.status", "streams", streams, as_json=False, title="Streams")
    present_rows("hub.status", "alarms", alarms, as_json=False, title="Alarms")


def _peer(each: hub_pb2.HubPeerStatus) -> dict[str, Any]:
    return {
        "member": each.member,
        "state": each.state,
        "publishing": each.publishing,
        "subscribed": each.subscribed,
        "registry": each.verified_registry_size,
    }


def _stream(each: hub_pb2.HubStreamStatus) -> dict[str, Any]:
    return {
        "stream": each.stream_id.hex()[:8],
        "sender": each.sender,
        "audience": list(each.audience),
        "size": each.size,
        "closed": each.closed,
        "waiting_bytes": each.stored_bytes,
        "opened": [f"{reader.member} {reader.opened_size}" for reader in each.readers],
    }
