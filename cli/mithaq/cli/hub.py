"""`mithaq hub`: prepare, run and look at the hub that relays what it cannot read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mithaq.cli.output import instant, json_option, note, present, present_rows
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
        setup.complete(folder, approval.read_bytes(), root_pin=bytes.fromhex(root_pin))
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
    row = {"folder": str(folder), "request": str(request), "ready": False}
    present("hub.init", row, as_json=as_json, title="Hub")
    if not as_json:
        note(f"next: `mithaq trust approve {request} --hub-request --out approval`")


@hub.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def run(*, folder: Path) -> int:
    """Run the hub of FOLDER until it is stopped."""
    from mithaq.hub.app import run_hub

    return run_hub(folder)


@hub.command()
@profile_option
@json_option
def status(*, profile: Path, as_json: bool) -> None:
    """Show streams, backlog, members connected and the registry's state."""
    with connected(profile) as channel:
        answer = hub_pb2_grpc.HubServiceStub(channel).GetStatus(
            hub_pb2.GetStatusRequest(), timeout=DEADLINE_SECONDS
        )
    rows = [
        {
            "member": each.member,
            "connected": each.connected,
            "registry_verified": each.verified_size,
            "streams": each.streams,
        }
        for each in answer.members
    ]
    present_rows(
        "hub.status",
        "members",
        rows,
        as_json=as_json,
        title=f"Hub: registry size {answer.registry_size} at {instant(answer.registry_time_ms)}",
        extra={"registry_size": answer.registry_size, "streams": len(answer.streams)},
    )
