"""`mithaq hit`: confirm or reject a match; read hit reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mithaq.cli.grounds import grounds_of, grounds_options
from mithaq.cli.output import instant, json_option, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.recordview import hit_lines, record_fields
from mithaq.cli.screen import Column
from mithaq.v1 import local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping


def _id(row: Mapping[str, Any]) -> str:
    """Return what `hit show`, `hit confirm` and `hit reject` are given."""
    return str(row["hit_id"] or row["match_id"])


HITS: Final = (
    Column("hit_id", "hit or match", _id),
    Column("status", head=True),
    Column("action_taken", "action"),
    Column("reporter", "reported by"),
    Column("at"),
    Column("alert_id", "on alert"),
)


@click.group()
def hit() -> None:
    """Confirm or reject a match; read hit reports."""


@hit.command()
@click.argument("match_id")
@click.option(
    "--action",
    "action_taken",
    required=True,
    type=click.Choice(["taken", "partly", "not_possible"]),
    help="Whether the action to be taken was carried out.",
)
@click.option("--place", default="", help="Where the person or object was found.")
@click.option("--note", "remark", default="", help="What the issuer should know.")
@grounds_options
@profile_option
@json_option
def confirm(
    *,
    match_id: str,
    action_taken: str,
    place: str,
    remark: str,
    profile: Path,
    as_json: bool,
    **grounds: str,
) -> None:
    """Confirm a match: it is the person or object of the alert.

    The hit report goes to the issuer at once.
    """
    request = local_pb2.ConfirmHitRequest(
        match_id=match_id,
        grounds=grounds_of(**grounds),
        action_taken=action_taken,
        place=place,
        note=remark,
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.HitServiceStub(channel).ConfirmHit(
            request, timeout=DEADLINE_SECONDS
        )
    row = {"hit_id": answer.hit_id, "reported_to": list(answer.disclosure.recipients)}
    present("hit.confirm", row, as_json=as_json, title="Hit confirmed")


@hit.command()
@click.argument("match_id")
@grounds_options
@profile_option
@json_option
def reject(*, match_id: str, profile: Path, as_json: bool, **grounds: str) -> None:
    """Reject a match: it is somebody or something else."""
    request = local_pb2.RejectHitRequest(match_id=match_id, grounds=grounds_of(**grounds))
    with connected(profile) as channel:
        local_pb2_grpc.HitServiceStub(channel).RejectHit(request, timeout=DEADLINE_SECONDS)
    present("hit.reject", {"match_id": match_id, "rejected": True}, as_json=as_json)


@hit.command("list")
@click.option("--alert", "alert_id", default="", help="Only hits on this alert.")
@profile_option
@json_option
def list_hits(*, alert_id: str, profile: Path, as_json: bool) -> None:
    """List matches and hits, without personal data."""
    request = local_pb2.ListHitsRequest(alert_id=alert_id)
    with connected(profile) as channel:
        answer = local_pb2_grpc.HitServiceStub(channel).ListHits(request, timeout=DEADLINE_SECONDS)
    present_rows(
        "hit.list",
        "hits",
        [hit_row(row) for row in answer.hits],
        as_json=as_json,
        title="Hits",
        columns=HITS,
    )


@hit.command()
@click.argument("hit_id")
@grounds_options
@profile_option
@json_option
def show(*, hit_id: str, profile: Path, as_json: bool, **grounds: str) -> None:
    """Show one hit report."""
    request = local_pb2.ShowHitRequest(hit_id=hit_id, grounds=grounds_of(**grounds))
    with connected(profile) as channel:
        answer = local_pb2_grpc.HitServiceStub(channel).ShowHit(request, timeout=DEADLINE_SECONDS)
    row = {**hit_row(answer.row), **record_fields(answer.record)}
    lines = hit_lines(answer)
    present("hit.show", row, as_json=as_json, title="Hit report", lines=lines)


def hit_row(row: local_pb2.HitRow) -> dict[str, Any]:
    """Return a hit's row as fields."""
    return {
        "hit_id": row.hit_id,
        "match_id": row.match_id,
        "alert_id": row.alert_id,
        "alert_version": row.alert_version,
        "reporter": row.reporter,
        "issuer": row.issuer,
        "action_taken": row.action_taken,
        "status": row.status,
        "at": instant(row.at_ms),
    }
