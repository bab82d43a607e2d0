"""`mithaq trust` against a running registrar: who has to sign, each at its own place."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mithaq.certs.authority import Authority
from mithaq.certs.entries import Policy
from mithaq.certs.keys import SigningPair
from mithaq.certs.offline import COST_MIN, OfflineKeystore, Passphrase
from mithaq.certs.registrar import RegistrarLog
from mithaq.certs.registrar_state import Step
from mithaq.cli.main import run
from mithaq.hub import setup
from mithaq.registrar import trust_service
from mithaq.registrar.app import MIGRATIONS, serve
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.founding import found_federation
from mithaq.registrar.office import Office, utc_now
from mithaq.registrar.places import CA_KEY, REGISTRAR_KEY, Places
from mithaq.store.engine import open_database
from mithaq.store.migrations import upgrade
from tests.federation import Federation, agreement, now

NAME = "euroarab.example"
PASSPHRASE = Passphrase("a synthetic passphrase")
ADMINISTRATORS = ("cairo", "geneva", "tunis")


@dataclass
class Desk:
    """A registrar that runs, and the command line of those who call it."""

    folder: Path
    config: RegistrarConfig
    federation: Federation
    capture: pytest.CaptureFixture[str]
    codes: list[int] = field(default_factory=list[int])

    async def call(self, *arguments: str) -> Any:  # noqa: ANN401 - what the command prints
        """Run a command; return its JSON, or the error's code."""
        self.capture.readouterr()
        code = await asyncio.to_thread(run, ["trust", *arguments, "--json"])
        self.codes.append(code)
        told = self.capture.readouterr()
        if told.err.startswith("error["):
            return told.err.removeprefix("error[").partition("]")[0]
        return json.loads(told.out)

    async def sign(self, who: str, *arguments: str) -> Any:  # noqa: ANN401 - as above
        """Run a command as an administrator, with a key and passphrase of its own."""
        key = self.config.directory / "administrators" / f"{who}.key"
        return await self.call(*arguments, *self._signing(who, key), *self.profile)

    def _signing(self, who: str, key: Path) -> list[str]:
        words = self.folder / "passphrase"
        return ["--as", who, "--key", str(key), "--passphrase-file", str(words)]

    @property
    def profile(self) -> list[str]:
        return ["--profile", str(self.config.directory / "profiles" / "administrator")]

    def key_of(self, member: str, signatory: str) -> list[str]:
        store = OfflineKeystore(self.folder / member, passphrase=PASSPHRASE, cost=COST_MIN)
        if not store.exists(signatory):
            store.create(signatory, self.federation.agencies[member].signatories[signatory])
        words = str(self.folder / "passphrase")
        return ["--key", str(store.directory / f"{signatory}.key"), "--passphrase-file", words]

    async def state_of(self, member: str) -> str:
        rows = (await self.call("members", *self.profile))["members"]
        return str(next(each["state"] for each in rows if each["member"] == member))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
async def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """Run the registrar of a federation with two members and an agreement, without a hub."""
    # Nobody enforces anything here: there is neither hub nor node.
    monkeypatch.setattr(trust_service, "ENFORCEMENT_SECONDS_MAX", 0.0)
    listen, metrics = free_ports(2)
    config = RegistrarConfig(
        federation=NAME,
        directory=tmp_path / "registrar",
        local_listen=f"127.0.0.1:{listen}",
        metrics_port=metrics,
    )
    words = tmp_path / "passphrase"
    words.write_text("a synthetic passphrase")
    words.chmod(0o600)
    found_federation(
        config,
        administrators=ADMINISTRATORS,
        threshold=2,
        passphrase=PASSPHRASE,
        policy=Policy(),
        at=now(),
        cost=COST_MIN,
    )
    federation = await populated(config)
    stop = asyncio.Event()
    running = asyncio.create_task(serve(config, stop))
    desk = Desk(tmp_path, config, federation, capsys)
    await started(config)
    yield desk
    stop.set()
    assert await running == 0


async def started(config: RegistrarConfig) -> None:
    host, _, port = config.local_listen.rpartition(":")
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def populated(config: RegistrarConfig) -> Federation:
    """Enter two members and their agreement before the registrar runs."""
    places, store = Places(config.directory), config.directory / "administrators"
    offline = OfflineKeystore(store, passphrase=PASSPHRASE)
    database = open_database(config.database)
    upgrade(database, MIGRATIONS)
    office = Office.open(config, database, now=utc_now)
    ca = office.log.registry.ca_certificates[0]
    key = places.keys.load_tls(CA_KEY)
    federation = Federation(
        name=NAME,
        administrators={name: offline.load_pair(name) for name in ADMINISTRATORS},
        threshold=2,
        registrar=places.keys.load_pair(REGISTRAR_KEY),
        registrar_tls=key,
        registrar_certificate=Authority(NAME, key, ca).certificate,
        authority=Authority(NAME, key, ca),
        registry=office.log.registry.copy(),
        leaves=[],
    )
    federation.enrol("eg-moi", "tn-dgsn")
    federation.agree(agreement("eg-moi", "tn-dgsn", agreement_id="eg-tn", federation=NAME))
    for leaf in federation.leaves:
        await office.act(partial(_taken, leaf=leaf))
    database.close()
    return federation


def _taken(log: RegistrarLog, *, leaf: bytes) -> tuple[None, Step]:
    return None, log.take_entry(leaf, at=utc_now())


# --- k administrators, one at a time --------------------------------------------------


async def test_a_suspended_member_comes_back_by_k_administrators_one_after_the_other(
    desk: Desk,
) -> None:
    await desk.sign("cairo", "suspend", "eg-moi")
    assert await desk.state_of("eg-moi") == "suspended"
    first = await desk.sign("cairo", "reinstate", "eg-moi")
    assert (first["signatures"], first["entered"]) == ("1 of 2", False)
    again = await desk.sign("cairo", "reinstate", "eg-moi")
    assert (again["item"], again["signatures"]) == (first["item"], "1 of 2")
    assert await desk.state_of("eg-moi") == "suspended"
    second = await desk.sign("tunis", "reinstate", "eg-moi")
    assert (second["item"], second["entered"]) == (first["item"], True)
    assert await desk.state_of("eg-moi") == "active"


async def test_the_administrators_suspension_is_lifted_by_k(desk: Desk) -> None:
    await desk.sign("cairo", "suspend-agreement", "eg-tn")
    assert (await desk.sign("cairo", "lift", "eg-tn"))["entered"] is False
    assert (await desk.sign("geneva", "lift", "eg-tn"))["entered"] is True
    assert await desk.sign("geneva", "lift", "eg-tn") == "MQ-TRUST-CONFLICT"


async def test_a_partys_own_suspension_is_lifted_by_its_signatories_and_k(desk: Desk) -> None:
    leaf = desk.federation.suspend_agreement("eg-tn", "eg-moi")
    entry = desk.folder / "suspension"
    entry.write_bytes(leaf)
    await handed_in(desk, leaf)
    # Administrators have suspended nothing, so they lift nothing by themselves.
    assert await desk.sign("cairo", "lift", "eg-tn") == "MQ-TRUST-CONFLICT"
    file = desk.folder / "lifting"
    ask = ["request-lift", "eg-tn", "--federation", NAME, "--member", "eg-moi"]
    ask += ["--request", str(file)]
    await desk.call(*ask, "--name", "signer-a", *desk.key_of("eg-moi", "signer-a"))
    given = ["lift", "eg-tn", "--request", str(file)]
    assert await desk.sign("cairo", *given) == "MQ-TRUST-AUTHORITY"
    signed = await desk.call(*ask, "--name", "signer-b", *desk.key_of("eg-moi", "signer-b"))
    assert signed["signed_by"] == ["signer-a", "signer-b"]
    assert (await desk.sign("cairo", *given))["entered"] is False
    assert (await desk.sign("tunis", *given))["entered"] is True
    assert await desk.sign("tunis", "lift", "other", "--request", str(file)) == "MQ-REQUEST-ENTRY"


async def handed_in(desk: Desk, leaf: bytes) -> None:
    """Hand in a member's own entry, as the hub would."""
    from mithaq.cli.profile import connected  # noqa: PLC0415 - gRPC in a thread
    from mithaq.v1 import trust_pb2, trust_pb2_grpc  # noqa: PLC0415 - as above

    def propose() -> None:
        with connected(desk.config.directory / "profiles" / "administrator") as channel:
            stub = trust_pb2_grpc.TrustServiceStub(channel)
            stub.Propose(trust_pb2.ProposeRequest(signed_entry=leaf), timeout=10)

    await asyncio.to_thread(propose)


async def test_an_administrator_comes_by_card_and_k_and_goes_by_one(desk: Desk) -> None:
    made = await desk.call(
        "card", "rome", "--federation", NAME, "--out", str(desk.folder / "rome"),
        "--passphrase-file", str(desk.folder / "passphrase"),
    )  # fmt: skip
    assert (await desk.sign("cairo", "add-administrator", made["card"]))["entered"] is False
    assert (await desk.sign("tunis", "add-administrator", made["card"]))["entered"] is True
    listed = (await desk.call("members", *desk.profile))["administrators"]
    assert {"name": "rome", "fingerprint": made["fingerprint"]} in listed
    await desk.sign("cairo", "remove-administrator", "rome")
    listed = (await desk.call("members", *desk.profile))["administrators"]
    assert [each["name"] for each in listed] == list(ADMINISTRATORS)


async def test_a_card_for_another_federation_adds_nobody(desk: Desk) -> None:
    made = await desk.call(
        "card", "rome", "--federation", "other.example", "--out", str(desk.folder / "rome"),
        "--passphrase-file", str(desk.folder / "passphrase"),
    )  # fmt: skip
    assert await desk.sign("cairo", "add-administrator", made["card"]) == "MQ-ENROL"


async def test_a_ca_is_added_by_k(desk: Desk) -> None:
    file = desk.folder / "ca.pem"
    file.write_bytes(Authority.create(NAME, at=now()).certificate.pem)
    assert (await desk.sign("cairo", "add-ca", str(file)))["entered"] is False
    assert (await desk.sign("geneva", "add-ca", str(file)))["entered"] is True
    assert len((await desk.call("members", *desk.profile))["issuing_cas"]) == 2


# --- one administrator ----------------------------------------------------------------


async def test_one_certificate_is_revoked_by_its_first_letters(desk: Desk) -> None:
    rows = (await desk.call("keys", "eg-moi", *desk.profile))["keys"]
    (mark,) = (each["fingerprint"] for each in rows if each["purpose"] == "certificate")
    assert await desk.sign("cairo", "revoke-key", mark[:15]) == "MQ-REQUEST-KEY"
    assert await desk.sign("cairo", "revoke-key", "0" * 64) == "MQ-TRUST-CONFLICT"
    entered = await desk.sign("cairo", "revoke-key", mark[:16])
    # Who was cut by it is not waited for.
    assert entered["awaited"] == ["tn-dgsn"]
    rows = (await desk.call("keys", "eg-moi", *desk.profile))["keys"]
    assert "certificate" not in {each["purpose"] for each in rows}
    assert await desk.state_of("eg-moi") == "active"


async def test_one_administrator_ends_an_agreement_for_all(desk: Desk) -> None:
    ended = await desk.sign("cairo", "end-agreement", "eg-tn")
    assert ended["registry_size"] == desk.federation.registry.size + 1
    assert await desk.sign("cairo", "end-agreement", "eg-tn") == "MQ-TRUST-CONFLICT"


async def test_one_administrator_turns_down_what_waits(desk: Desk) -> None:
    await desk.sign("cairo", "suspend", "eg-moi")
    await desk.sign("cairo", "reinstate", "eg-moi")
    stranger = OfflineKeystore(desk.folder / "s", passphrase=PASSPHRASE, cost=COST_MIN)
    stranger.create("geneva", SigningPair.generate())
    words = ["--passphrase-file", str(desk.folder / "passphrase")]
    forged = ["--as", "geneva", "--key", str(desk.folder / "s" / "geneva.key"), *words]
    assert await desk.call("reject", "eg-moi", *forged, *desk.profile) == "MQ-TRUST-SIGNATURE"
    assert len((await desk.call("pending", *desk.profile))["items"]) == 1
    assert (await desk.sign("geneva", "reject", "eg-moi"))["rejected_by"] == "geneva"
    assert (await desk.call("pending", *desk.profile))["items"] == []
    assert await desk.sign("geneva", "reject", "eg-moi") == "MQ-TRUST-NOT-PENDING"


# --- what is compared -----------------------------------------------------------------


async def test_a_hubs_request_shows_one_fingerprint_on_both_sides(desk: Desk) -> None:
    folder = desk.folder / "hub"
    desk.capture.readouterr()
    assert run(["hub", "init", str(folder), "--federation", NAME, "--json"]) == 0
    made = json.loads(desk.capture.readouterr().out)
    request = str(folder / setup.REQUEST_FILE)
    out = str(desk.folder / "approval")
    given = ["approve", request, "--hub-request", "--out", out]
    first = await desk.sign("cairo", *given)
    assert first["fingerprint"] == made["fingerprint"]
    assert (await desk.sign("tunis", *given))["entered"] is True
    rows = (await desk.call("members", *desk.profile))["members"]
    shown = {each["member"]: each for each in rows}
    assert list(shown) == ["hub", "registrar", "eg-moi", "tn-dgsn"]
    assert all(shown[each]["certificate_expires"] != "–" for each in ("hub", "registrar"))
    assert len({each["fingerprint"] for each in rows}) == 4


async def test_another_machine_calls_the_registrar_by_a_profile_of_its_own(desk: Desk) -> None:
    out = desk.folder / "tunis"
    await desk.call("profile", str(desk.config.directory), "--user", "tunis", "--out", str(out))
    rows = await desk.call("members", "--profile", str(out))
    assert rows["threshold"] == 2
