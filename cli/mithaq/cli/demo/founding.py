"""Act one: a federation is founded, agencies join, an agreement becomes active.

What costs time is done for all members together: keys of people are derived on every
processor at once, and administrators open their key once for all that waits.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mithaq.agreements import yaml_form
from mithaq.certs.entries import AgreementSignature, EntrySigner, sign_agreement, sign_entry
from mithaq.certs.offline import COST_MIN, Passphrase
from mithaq.cli.demo.commands import command
from mithaq.cli.demo.stage import AGREEMENT, FEDERATION, Member, Stage
from mithaq.cli.demo.watching import CheckFailedError, wait_until
from mithaq.cli.offlinekeys import load_pair
from mithaq.cli.package import Package
from mithaq.cli.profile import DEADLINE_SECONDS, connected
from mithaq.node.join import JoinRequest, join
from mithaq.service.profile import write_private
from mithaq.v1 import trust_pb2, trust_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from mithaq.cli.demo.cast import Role

    Say = Callable[[str], None]

ADMINISTRATORS: Final = ("cairo", "tunis", "geneva")
THRESHOLD: Final = 2
USERS: Final = (("officer", "officer"), ("system", "system"), ("auditor", "auditor"))
SIGNATORIES: Final = ("minister", "director")
ARRIVE_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.2
AT_ONCE: Final = os.cpu_count() or 1


def found(stage: Stage, say: Say) -> None:
    """Found the federation: registrar, hub, members, agreement."""
    stage.logs.mkdir(parents=True, exist_ok=True)
    write_private(stage.passphrase, b"synthetic passphrase of the demo\n")
    pin = _start_registrar(stage)
    say(f"{FEDERATION} is founded by {', '.join(ADMINISTRATORS)}: two of three widen, one narrows")
    _start_hub(stage, pin)
    say("the hub is admitted: it relays and cosigns, and holds no key that opens anything")
    _join_all(stage, say)
    _agree(stage)
    say(f"{AGREEMENT} is signed by two signatories of each party and is active")


def _start_registrar(stage: Stage) -> str:
    folder = stage.folder / "registrar"
    names = [part for name in ADMINISTRATORS for part in ("--administrator", name)]
    answer = command(
        "trust", "init", str(folder),
        "--federation", FEDERATION, *names, "--threshold", str(THRESHOLD),
        "--listen", f"127.0.0.1:{stage.ports[0]}", "--metrics-port", str(stage.ports[1]),
        "--checkpoint-seconds", "5", "--passphrase-file", str(stage.passphrase),
    )  # fmt: skip
    pin = str(answer["root_pin"])
    stage.root_pin.write_text(pin + "\n", encoding="ascii")
    stage.start(stage.registrar)
    return pin


def _start_hub(stage: Stage, pin: str) -> None:
    folder, ports = stage.hub_folder, stage.ports
    approval = stage.folder / "hub-approval"
    database = ("--database-url", stage.hub_database) if stage.hub_database else ()
    answer = command(
        "hub", "init", str(folder), "--federation", FEDERATION,
        "--exchange", f"127.0.0.1:{ports[2]}", "--enrolment", f"127.0.0.1:{ports[3]}",
        "--listen", f"127.0.0.1:{ports[4]}", "--metrics-port", str(ports[5]), *database,
    )  # fmt: skip
    for name in ADMINISTRATORS[:THRESHOLD]:
        command(
            "trust", "approve", str(answer["request"]), "--hub-request", "--out", str(approval),
            "--as", name, "--key", str(_administrator_key(stage, name)),
            "--passphrase-file", str(stage.passphrase), "--profile", str(stage.trust_profile),
        )  # fmt: skip
    command("hub", "init", str(folder), "--approval", str(approval), "--root-pin", pin)
    stage.start(stage.hub)


def _administrator_key(stage: Stage, name: str) -> Path:
    return stage.folder / "registrar" / "administrators" / f"{name}.key"


# --- members --------------------------------------------------------------------------


def _join_all(stage: Stage, say: Say) -> None:
    requests = [
        _invited(stage, role, *stage.node_ports(number)) for number, role in enumerate(stage.roles)
    ]
    asyncio.run(_joined(stage, requests, wait=False))
    names = {role.member for role in stage.roles}
    _approve(stage, names)
    asyncio.run(_joined(stage, requests, wait=True))
    stage.start(*(each.process for each in stage.members.values()))
    for member in stage.members.values():
        _add_users(stage, member)
        say(f"{member.name} is invited, joins with keys of its own, and is approved")


def _invited(stage: Stage, role: Role, listen: int, metrics: int) -> JoinRequest:
    invitation = stage.folder / f"{role.member}.invitation"
    command(
        "trust", "invite", role.member, "--out", str(invitation),
        "--profile", str(stage.trust_profile),
    )  # fmt: skip
    return JoinRequest(
        folder=stage.members[role.member].folder,
        invitation=invitation.read_text(encoding="ascii").strip(),
        display_name=role.display_name,
        country=role.country,
        signatories=SIGNATORIES,
        local_listen=f"127.0.0.1:{listen}",
        metrics_port=metrics,
        # Its passphrase stands in this file: what it costs to guess protects nothing.
        key_cost=COST_MIN,
    )


async def _joined(stage: Stage, requests: Sequence[JoinRequest], *, wait: bool) -> None:
    """Do what `mithaq node join` does, for several agencies at a time."""
    passphrase = Passphrase.read(stage.passphrase)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(request: JoinRequest) -> None:
        async with room:
            await join(request, passphrase=passphrase, wait=wait)

    await asyncio.gather(*map(one, requests))


def _add_users(stage: Stage, member: Member) -> None:
    for user, role in USERS:
        out = str(member.profile(user))
        stage.command_as(
            member.name, "administrator",
            "node", "officer", "add", user, "--role", role, "--out", out,
        )  # fmt: skip


def _approve(stage: Stage, subjects: Collection[str]) -> None:
    """Have the administrators sign what waits for these subjects, once all of it has arrived."""
    with connected(stage.trust_profile) as channel:
        stub = trust_pb2_grpc.TrustServiceStub(channel)
        waiting = _arrived(stub, subjects)
        for name in ADMINISTRATORS[:THRESHOLD]:
            pair = load_pair(_administrator_key(stage, name), stage.passphrase)
            signer = EntrySigner.administrator(name, pair)
            for item in waiting:
                entry = sign_entry(item.body, [signer])
                stub.Approve(
                    trust_pb2.ApproveRequest(item_id=item.item_id, signed_entry=entry.to_bytes()),
                    timeout=DEADLINE_SECONDS,
                )


def _arrived(
    stub: trust_pb2_grpc.TrustServiceStub, subjects: Collection[str]
) -> list[trust_pb2.PendingItem]:
    deadline = time.monotonic() + ARRIVE_SECONDS_MAX
    while time.monotonic() < deadline:
        answer = stub.ListPending(trust_pb2.ListPendingRequest(), timeout=DEADLINE_SECONDS)
        items = [each for each in answer.items if each.subject in subjects]
        if len(items) == len(subjects):
            return items
        time.sleep(POLL_SECONDS)
    raise CheckFailedError("the requests did not arrive at the registrar")


# --- the agreement --------------------------------------------------------------------


def _agree(stage: Stage) -> None:
    package = stage.folder / "agreement.package"
    terms = _draft(stage)
    signatories = [(each, name) for each in stage.members.values() for name in SIGNATORIES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        signatures = pool.map(partial(_signature, stage, terms), *zip(*signatories, strict=True))
        signed = Package(terms)
        for each in signatures:
            signed = signed.with_signature(each)
    signed.write(package)
    first = stage.roles[0].member
    stage.command_as(first, "administrator", "agreement", "submit", str(package))
    _approve(stage, [AGREEMENT])
    wait_until(stage, lambda _: _is_active_everywhere(stage), what="the agreement is active")


def _draft(stage: Stage) -> bytes:
    """Draft the terms as a lawyer would begin, and return the bytes that are signed."""
    path = stage.folder / "agreement.yaml"
    parties = [part for role in stage.roles for part in ("--member", role.member)]
    command(
        "agreement", "draft", AGREEMENT, "--federation", FEDERATION, *parties, "--out", str(path)
    )
    terms = yaml_form.load(path.read_text(encoding="utf-8"))
    if stage.deadlines:
        terms = replace(terms, deadlines=replace(terms.deadlines, **stage.deadlines))
        path.write_text(yaml_form.dump(terms), encoding="utf-8")
    command("agreement", "lint", str(path))
    return terms.to_bytes()


def _signature(stage: Stage, terms: bytes, member: Member, name: str) -> AgreementSignature:
    key = member.folder / "offline" / f"{name}.key"
    return sign_agreement(
        terms,
        federation=FEDERATION,
        member=member.name,
        name=name,
        pair=load_pair(key, stage.passphrase),
    )


def _is_active_everywhere(stage: Stage) -> bool:
    return all(_is_active(stage, name) for name in stage.members)


def _is_active(stage: Stage, member: str) -> bool:
    answer = stage.command_as(member, "administrator", "agreement", "list")
    return any(row["status"] == "active" for row in answer["agreements"])
