"""What trust commands have in common: who signs, and how an act is handed in.

An act that widens is handed in by its first administrator and waits; whoever gives the
same command after that signs what waits, so that one command gathers k signatures on k
machines. The rule: a key signs only what was read here, out of the bytes themselves.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mithaq.certs.entries import (
    EntrySigner,
    NarrowingReason,
    SignedEntry,
    draw_up,
    merge_signatures,
    parse_body,
    sign_entry,
)
from mithaq.cli.errors import CliError
from mithaq.cli.offlinekeys import key_option, load_pair
from mithaq.cli.output import json_option, note, present
from mithaq.cli.profile import DEADLINE_SECONDS, profile_option
from mithaq.cli.trust_words import words
from mithaq.v1 import trust_pb2, trust_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from mithaq.certs.acts import Act

_F = TypeVar("_F", bound="Callable[..., Any]")
WATCH_SECONDS: Final = 120.0


def administrator_options(function: _F) -> _F:
    """Add who signs (`--as`, `--key`, `--passphrase-file`), `--profile` and `--json`."""
    signing = click.option("--as", "administrator", required=True, help="Which administrator.")
    return signing(key_option(profile_option(json_option(function))))


def reason_option(function: _F) -> _F:
    """Add `--reason`, a code: no free text stands in a log that all members read."""
    return click.option(
        "--reason",
        type=click.Choice([each.name.lower() for each in NarrowingReason]),
        default=NarrowingReason.ADMINISTRATIVE.name.lower(),
        show_default=True,
    )(function)


def reason_of(text: str) -> NarrowingReason:
    """Return the reason of an option."""
    return NarrowingReason[text.upper()]


def signer_of(administrator: str, *, key_file: Path, passphrase_file: Path | None) -> EntrySigner:
    """Return who signs."""
    return EntrySigner.administrator(administrator, load_pair(key_file, passphrase_file))


def now() -> datetime:
    """Return the present second."""
    return datetime.now(UTC).replace(microsecond=0)


def listed(stub: trust_pb2_grpc.TrustServiceStub) -> trust_pb2.ListMembersResponse:
    """Return who takes part."""
    return stub.ListMembers(trust_pb2.ListMembersRequest(), timeout=DEADLINE_SECONDS)


def waiting(stub: trust_pb2_grpc.TrustServiceStub) -> list[trust_pb2.PendingItem]:
    """Return what waits for signatures."""
    answer = stub.ListPending(trust_pb2.ListPendingRequest(), timeout=DEADLINE_SECONDS)
    return list(answer.items)


def find_waiting(stub: trust_pb2_grpc.TrustServiceStub, item: str) -> trust_pb2.PendingItem:
    """Return the one thing that waits under an id or a name; raise CliError."""
    found = [each for each in waiting(stub) if item in {each.item_id, each.subject}]
    if not found:
        raise CliError(
            "MQ-TRUST-NOT-PENDING",
            f"nothing named {item} waits for signatures",
            fix="list what waits with `mithaq trust pending`",
        )
    if len(found) > 1:
        raise CliError(
            "MQ-USAGE-AMBIGUOUS",
            f"{len(found)} things named {item} wait",
            why=", ".join(f"{each.item_id} ({each.kind})" for each in found),
            fix="name the one that is meant by its id",
        )
    return found[0]


def say(act: Act, *, fingerprint: str = "") -> None:
    """Tell a person what is about to be signed, read out of the bytes themselves."""
    for line in words(act):
        note(line)
    if fingerprint:
        note(f"fingerprint {fingerprint}")


def sign_waiting(
    stub: trust_pb2_grpc.TrustServiceStub,
    item: trust_pb2.PendingItem,
    signer: EntrySigner,
    *,
    quiet: bool,
) -> trust_pb2.ApproveResponse:
    """Sign what waits, once it was said what it is."""
    # What is signed is what these bytes say, so they are read here and not taken on trust.
    act = parse_body(item.body).act
    if not quiet:
        say(act, fingerprint=item.fingerprint)
    entry = sign_entry(item.body, [signer])
    request = trust_pb2.ApproveRequest(item_id=item.item_id, signed_entry=entry.to_bytes())
    return stub.Approve(request, timeout=DEADLINE_SECONDS)


def widen(
    stub: trust_pb2_grpc.TrustServiceStub,
    act: Act,
    signer: EntrySigner,
    *,
    command: str,
    as_json: bool,
    asked: SignedEntry | None = None,
) -> None:
    """Sign an act that takes k: the one that waits already, or a new one that will wait.

    `asked` is an entry that its own authors have signed, which administrators complete.
    """
    known = _same_waiting(stub, act, asked)
    if known is not None:
        answer = sign_waiting(stub, known, signer, quiet=as_json)
        item_id: str = known.item_id
        count, of, entered = answer.signatures, answer.threshold, answer.entered
        size = answer.registry_size
    else:
        proposed = _propose(stub, act, signer, asked=asked, quiet=as_json)
        item_id = proposed.item_id
        count, of, entered = proposed.signatures, proposed.threshold, proposed.entered
        size = proposed.registry_size
    row = {
        "item": item_id,
        "signatures": f"{count} of {of}",
        "entered": entered,
        "registry_size": size,
    }
    present(command, row, as_json=as_json, title="Signed")
    if not as_json and not entered:
        note("the other administrators give the same command, each with its own key")


def _same_waiting(
    stub: trust_pb2_grpc.TrustServiceStub, act: Act, asked: SignedEntry | None
) -> trust_pb2.PendingItem | None:
    for each in waiting(stub):
        if each.body == asked.body if asked else parse_body(each.body).act == act:
            return each
    return None


def _propose(
    stub: trust_pb2_grpc.TrustServiceStub,
    act: Act,
    signer: EntrySigner,
    *,
    asked: SignedEntry | None,
    quiet: bool,
) -> trust_pb2.ProposeResponse:
    if not quiet:
        say(act)
    body = asked.body if asked else draw_up(act, federation=listed(stub).federation, at=now())
    entry = sign_entry(body, [signer])
    if asked is not None:
        entry = merge_signatures(entry, asked.signatures)
    request = trust_pb2.ProposeRequest(signed_entry=entry.to_bytes())
    return stub.Propose(request, timeout=DEADLINE_SECONDS)


def narrow(
    stub: trust_pb2_grpc.TrustServiceStub,
    act: Act,
    signer: EntrySigner,
    *,
    command: str,
    as_json: bool,
) -> int:
    """Enter an act that takes one at once; wait for, and print, who enforces it."""
    if not as_json:
        say(act)
    body = draw_up(act, federation=listed(stub).federation, at=now())
    request = trust_pb2.EnterRequest(signed_entry=sign_entry(body, [signer]).to_bytes())
    last = trust_pb2.EnterResponse()
    for report in stub.Enter(request, timeout=WATCH_SECONDS):
        if not as_json and report != last:
            note(f"enforced by {', '.join(report.enforced_by) or 'nobody yet'}")
        last = report
    row = {
        "registry_size": last.registry_size,
        "enforced_by": list(last.enforced_by),
        "awaited": list(last.awaited),
        "complete": last.complete,
    }
    present(command, row, as_json=as_json, title="Entered")
    return 0 if last.complete else 1
