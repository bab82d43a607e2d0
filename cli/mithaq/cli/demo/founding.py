"""Act one: a federation is founded, agencies join, an agreement becomes active."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mithaq.cli.demo.commands import command
from mithaq.cli.demo.processes import Process
from mithaq.cli.demo.stage import (
    ADMINISTRATORS,
    AGREEMENT,
    FEDERATION,
    THRESHOLD,
    Member,
    Stage,
    wait_until,
)
from mithaq.service.profile import write_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from mithaq.cli.demo.cast import Role

    Say = Callable[[str], None]

USERS = (("officer", "officer"), ("system", "system"), ("auditor", "auditor"))
SIGNATORIES = ("minister", "director")


def found(stage: Stage, say: Say) -> None:
    """Found the federation: registrar, hub, members, agreement."""
    stage.logs.mkdir(parents=True, exist_ok=True)
    write_private(stage.passphrase, b"synthetic passphrase of the demo\n")
    pin = _start_registrar(stage)
    say(f"{FEDERATION} is founded by {', '.join(ADMINISTRATORS)}: two of three widen, one narrows")
    _start_hub(stage, pin)
    say("the hub is admitted: it relays and cosigns, and holds no key that opens anything")
    for number, role in enumerate(stage.roles):
        _join(stage, role, number)
        say(f"{role.member} is invited, joins with keys of its own, and is approved")
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
    stage.start(
        Process(
            "registrar", ("trust", "run", str(folder)), stage.logs / "registrar.log", stage.ports[1]
        )
    )
    pin = str(answer["root_pin"])
    stage.root_pin.write_text(pin + "\n", encoding="ascii")
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
        _approve(stage, str(answer["request"]), name, "--hub-request", "--out", str(approval))
    command("hub", "init", str(folder), "--approval", str(approval), "--root-pin", pin)
    # The hub's log lies in its own folder: it is searched for texts like the rest.
    stage.start(Process("hub", ("hub", "run", str(folder)), folder / "hub.log", ports[5]))


def _approve(stage: Stage, item: str, administrator: str, *more: str) -> None:
    key = stage.folder / "registrar" / "administrators" / f"{administrator}.key"
    command(
        "trust", "approve", item, "--as", administrator, "--key", str(key),
        "--passphrase-file", str(stage.passphrase), "--profile", str(stage.trust_profile), *more,
    )  # fmt: skip


def _join(stage: Stage, role: Role, number: int) -> None:
    listen, metrics = stage.ports[6 + 2 * number : 8 + 2 * number]
    folder = stage.folder / role.member
    invitation = stage.folder / f"{role.member}.invitation"
    trust = ("--profile", str(stage.trust_profile))
    command("trust", "invite", role.member, "--out", str(invitation), *trust)
    join = (
        "node", "join", str(folder), "--invitation-file", str(invitation),
        "--name", role.display_name, "--country", role.country,
        "--signatory", SIGNATORIES[0], "--signatory", SIGNATORIES[1],
        "--listen", f"127.0.0.1:{listen}", "--metrics-port", str(metrics),
        "--passphrase-file", str(stage.passphrase),
    )  # fmt: skip
    command(*join, "--no-wait")
    wait_until(lambda: _waits(stage, role.member), what=f"the request of {role.member} arrives")
    for administrator in ADMINISTRATORS[:THRESHOLD]:
        _approve(stage, role.member, administrator)
    command(*join)
    process = Process(
        role.member, ("node", "run", str(folder)), stage.logs / f"{role.member}.log", metrics
    )
    process.environment.update(stage.settings)
    stage.members[role.member] = Member(role, folder, process)
    stage.start(process)
    for user, user_role in USERS:
        out = str(stage.members[role.member].profile(user))
        stage.command_as(
            role.member, "administrator",
            "node", "officer", "add", user, "--role", user_role, "--out", out,
        )  # fmt: skip


def _waits(stage: Stage, subject: str) -> bool:
    answer = command("trust", "pending", "--profile", str(stage.trust_profile))
    return any(item["subject"] == subject for item in answer["items"])


def _agree(stage: Stage) -> None:
    terms, package = stage.folder / "agreement.yaml", stage.folder / "agreement.package"
    parties = [part for role in stage.roles for part in ("--member", role.member)]
    _draft(terms, parties)
    for role in stage.roles:
        for name in SIGNATORIES:
            _sign(stage, terms, package, role.member, name)
    first = stage.roles[0].member
    stage.command_as(first, "administrator", "agreement", "submit", str(package))
    wait_until(
        lambda: _agreement_waits(stage) is not None, what="the agreement arrives at the registrar"
    )
    item = _agreement_waits(stage) or ""
    for administrator in ADMINISTRATORS[:THRESHOLD]:
        _approve(stage, item, administrator)
    for role in stage.roles:
        wait_until(
            partial(_is_active, stage, role.member),
            what=f"the agreement is active at {role.member}",
        )


def _draft(terms: Path, parties: list[str]) -> None:
    from mithaq.cli.main import run

    exit_code = run(
        ["agreement", "draft", AGREEMENT, "--federation", FEDERATION, *parties, "--out", str(terms)]
    )
    if exit_code != 0:
        raise SystemExit(exit_code)
    command("agreement", "lint", str(terms))


def _sign(stage: Stage, terms: Path, package: Path, member: str, name: str) -> None:
    key = stage.members[member].folder / "offline" / f"{name}.key"
    command(
        "agreement", "sign", str(terms), "--member", member, "--name", name,
        "--package", str(package), "--key", str(key),
        "--passphrase-file", str(stage.passphrase),
    )  # fmt: skip


def _agreement_waits(stage: Stage) -> str | None:
    answer = command("trust", "pending", "--profile", str(stage.trust_profile))
    return next(
        (str(item["item"]) for item in answer["items"] if item["kind"] == "agreement"), None
    )


def _is_active(stage: Stage, member: str) -> bool:
    answer = stage.command_as(member, "administrator", "agreement", "list")
    return any(row["status"] == "active" for row in answer["agreements"])
