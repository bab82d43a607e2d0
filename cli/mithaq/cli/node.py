"""`mithaq node`: join a federation, run an agency's node, look at it, manage its users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from mithaq.cli.alertview import stream_text
from mithaq.cli.officer import officer
from mithaq.cli.offlinekeys import passphrase_option, read_passphrase
from mithaq.cli.output import (
    instant,
    json_option,
    note,
    present,
    present_rows,
    print_json,
    separate,
)
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.screen import PROSE, Column
from mithaq.v1 import local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group()
def node() -> None:
    """Join a federation and run an agency's node."""


node.add_command(officer)


@node.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--invitation-file",
    type=click.File(),
    default="-",
    help="File with the invitation; it holds a secret. Standard input if absent.",
)
@click.option("--name", "display_name", required=True, help="What the agency is called.")
@click.option("--country", required=True, help="Country code (EGY, TUN, …) or organisation's.")
@click.option("--signatory", "signatories", multiple=True, help="A signatory; at least two.")
@click.option("--administrator", default="administrator", show_default=True)
@click.option("--listen", "local_listen", default="127.0.0.1:7450", show_default=True)
@click.option("--metrics-port", default=7451, show_default=True)
@click.option("--database-url", default="", help="PostgreSQL URL; SQLite in FOLDER if absent.")
@click.option("--wait/--no-wait", default=True, help="Wait for the administrators' approval.")
@passphrase_option
@json_option
def join(
    *,
    folder: Path,
    invitation_file: TextIO,
    display_name: str,
    country: str,
    signatories: tuple[str, ...],
    administrator: str,
    local_listen: str,
    metrics_port: int,
    database_url: str,
    wait: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> int:
    """Join a federation with an invitation.

    Run it again to go on waiting for the administrators' approval.
    """
    from mithaq.node.join import JoinRequest, join_federation

    joined = join_federation(
        JoinRequest(
            folder=folder.resolve(),
            invitation=invitation_file.read().strip(),
            display_name=display_name,
            country=country,
            signatories=signatories or ("signatory-1", "signatory-2"),
            administrator=administrator,
            local_listen=local_listen,
            metrics_port=metrics_port,
            database_url=database_url,
        ),
        passphrase=read_passphrase(passphrase_file, new=True),
        wait=wait,
    )
    row = {
        "member": joined.member,
        "federation": joined.federation,
        "approved": joined.approved,
        "fingerprint": joined.fingerprint,
        "profile": str(joined.profile),
        "offline_keys": str(joined.offline),
    }
    present("node.join", row, as_json=as_json, title="Node")
    if not as_json and not joined.approved:
        note("compare the fingerprint with the administrators over another channel")
    return 0


@node.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def run(*, folder: Path) -> int:
    """Run the node of FOLDER until it is stopped."""
    from mithaq.node.app import run_node

    return run_node(folder)


@node.command()
@profile_option
@json_option
def status(*, profile: Path, as_json: bool) -> None:
    """Show connection, registry, streams, readers and alarms.

    Of an own stream: how far the hub has accepted it, and how far each reader has signed
    that it holds and has opened it. Of another's: how far this node has opened it.
    """
    with connected(profile) as channel:
        answer = local_pb2_grpc.NodeServiceStub(channel).GetNodeStatus(
            local_pb2.GetNodeStatusRequest(), timeout=DEADLINE_SECONDS
        )
    head = status_head(answer)
    streams = [stream_fields(row, answer) for row in answer.streams]
    alarms = [_alarm(row) for row in answer.alarms]
    if as_json:
        print_json("node.status", {**head, "streams": streams, "alarms": alarms})
        return
    present("node.status", head, as_json=False, title=f"Node of {answer.member}")
    own = [row for row in streams if row["sender"] == answer.member]
    others = [row for row in streams if row["sender"] != answer.member]
    for title, rows, columns in (
        ("Own streams", own, OWN_STREAMS),
        ("Others' streams", others, OTHERS_STREAMS),
        ("Alarms", alarms, ("alarm", "at", "subject", "evidence")),
    ):
        separate()
        present_rows("node.status", "rows", rows, as_json=False, title=title, columns=columns)


def status_head(answer: local_pb2.GetNodeStatusResponse) -> dict[str, Any]:
    """Return what holds for the node as a whole."""
    return {
        "member": answer.member,
        "federation": answer.federation,
        "connected": answer.connected,
        "standing": answer.standing,
        "turned_away": answer.turned_away,
        "certificate_expires": instant(answer.certificate_expires_at * 1000),
        "renewing": answer.renewing,
        "registry_size": answer.registry_size,
        "registry_time": instant(answer.registry_time_ms),
        "outbox": answer.outbox_entries,
        "alerts_own": answer.alerts_own,
        "alerts_received": answer.alerts_received,
        "hits": answer.hits,
        "erased": answer.erased,
        "erasure_receipts": answer.erasure_receipts,
    }


def stream_fields(
    row: local_pb2.StreamRow, answer: local_pb2.GetNodeStatusResponse
) -> dict[str, Any]:
    """Return a stream, an own one with the newest receipts of its readers."""
    return {
        "stream": row.stream_id.hex(),
        "sender": row.sender,
        "audience": list(row.audience),
        "agreement": row.agreement_id,
        "role": row.role,
        "size": row.size,
        "accepted": row.accepted_size,
        "opened": row.opened_size,
        "closed": row.closed,
        "readers": [
            {"reader": each.reader, "held": each.held_size, "opened": each.opened_size}
            for each in answer.readers
            if each.stream_id == row.stream_id
        ],
    }


def _readers(row: Mapping[str, Any]) -> str:
    """Return held/opened of each reader, also of those that have signed nothing yet."""
    signed = {each["reader"]: (each["held"], each["opened"]) for each in row["readers"]}
    told = (f"{name}:{'/'.join(map(str, signed.get(name, (0, 0))))}" for name in row["audience"])
    return " ".join(told)


OWN_STREAMS: Final = (
    Column("stream", text=stream_text),
    Column("role"),
    Column("size"),
    Column("accepted"),
    Column("readers", "reader:held/opened", _readers, fold=PROSE),
    Column("closed"),
    Column("agreement", spare=True),
)
OTHERS_STREAMS: Final = (
    Column("stream", text=stream_text),
    Column("role"),
    Column("size"),
    Column("opened"),
    Column("sender"),
    Column("audience", fold=PROSE),
    Column("closed"),
    Column("agreement", spare=True),
)


def _alarm(row: local_pb2.AlarmRow) -> dict[str, Any]:
    return {
        "alarm": row.name,
        "at": instant(row.at_ms),
        "subject": row.subject,
        "evidence": row.evidence,
    }
