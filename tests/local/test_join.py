import asyncio
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mithaq.certs.offline import COST_MIN, OfflineKeystore, Passphrase
from mithaq.node.config import NodeConfig
from mithaq.node.folder import NodeFolder
from mithaq.node.join import Joined, JoinRefusedError, JoinRequest, join
from mithaq.node.opening import Clockwork
from mithaq.service.profile import read_profile
from tests.federation import Federation, now
from tests.hub.running import prepare, running
from tests.local.approving import Approver

PASSPHRASE = Passphrase("correct horse battery staple")
MEMBER = "cy-police"


@pytest.fixture
async def approver(tmp_path: Path) -> AsyncIterator[Approver]:
    federation = Federation.found()
    federation.enrol("eg-moi", "tn-dgsn")
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        yield Approver(hub)


def request_of(folder: Path, invitation: object, **changes: object) -> JoinRequest:
    given: dict[str, object] = {
        "folder": folder,
        "invitation": str(invitation),
        "display_name": "Cyprus Police",
        "country": "CYP",
        "wait_for": timedelta(seconds=20),
        "local_listen": "127.0.0.1:0",
        "metrics_port": 0,
        "key_cost": COST_MIN,
        **changes,
    }
    return JoinRequest(**given)  # type: ignore[arg-type]


async def refused(request: JoinRequest, clockwork: Clockwork | None = None) -> str:
    """Return the code of the error that a join ends with."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - several families of errors
        await join(request, passphrase=PASSPHRASE, clockwork=clockwork)
    return str(getattr(caught.value, "code", caught.value))


async def joined(approver: Approver, folder: Path, invitation: object) -> Joined:
    """Ask, have the registrar approve, and go on."""
    await asked(request_of(folder, invitation))
    await approver.decide()
    return await join(request_of(folder, invitation), passphrase=PASSPHRASE)


async def asked(request: JoinRequest) -> Joined:
    """Ask to join and don't wait for the answer."""
    return await join(request, passphrase=PASSPHRASE, wait=False)


async def test_an_invited_agency_becomes_a_member_with_keys_of_its_own(
    approver: Approver, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    result = await joined(approver, folder, approver.invite(MEMBER))
    assert (result.member, result.approved) == (MEMBER, True)
    member = approver.federation.registry.active_member(MEMBER)
    keys = NodeFolder(folder).keys
    assert member.log == keys.load_pair("log").public
    assert member.display_name.en == "Cyprus Police"
    config = NodeConfig.read(folder).value
    assert (config.member, config.hub_address) == (MEMBER, "127.0.0.1:7443")
    assert read_profile(result.profile).server_name == "localhost"


async def test_nothing_of_a_person_and_no_secret_of_the_join_stays_in_the_clear(
    approver: Approver, tmp_path: Path
) -> None:
    folder, invitation = tmp_path / "node", approver.invite(MEMBER)
    await joined(approver, folder, invitation)
    places = NodeFolder(folder)
    assert not places.joining.exists()
    assert not any(
        invitation.secret in file.read_bytes() or str(invitation).encode() in file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    )
    people = OfflineKeystore(places.offline, passphrase=PASSPHRASE)
    assert people.names() == ["duty", "signatory-1", "signatory-2"]
    seeds = [people.load_pair("signatory-1").to_bytes(), people.load_ed25519("duty").to_bytes()]
    assert not any(
        seed in file.read_bytes() for seed in seeds for file in folder.rglob("*") if file.is_file()
    )
    for file in folder.rglob("*"):
        loose = stat.S_IMODE(file.stat().st_mode) & 0o077
        assert (
            not loose
            or file.suffix in {".db", ".db-wal", ".db-shm", ".lock"}
            or (file.name == "mithaq-node")
        ), file.name


async def test_the_first_reception_key_moves_into_the_database(
    approver: Approver, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    await joined(approver, folder, approver.invite(MEMBER))
    assert not NodeFolder(folder).keys.exists("reception-first")


async def test_a_join_that_does_not_wait_goes_on_when_it_is_run_again(
    approver: Approver, tmp_path: Path
) -> None:
    request = request_of(tmp_path / "node", approver.invite(MEMBER))
    first = await asked(request)
    assert not first.approved
    keys = NodeFolder(request.folder).keys.load_pair("log").public
    await approver.decide()
    second = await join(request, passphrase=PASSPHRASE)
    assert second.approved
    assert second.fingerprint == first.fingerprint
    assert approver.federation.registry.active_member(MEMBER).log == keys
    third = await join(request, passphrase=PASSPHRASE)
    assert (third.member, third.approved) == (MEMBER, True)


async def test_nobody_waits_longer_than_was_asked(approver: Approver, tmp_path: Path) -> None:
    request = request_of(
        tmp_path / "node", approver.invite(MEMBER), wait_for=timedelta(seconds=0.2)
    )
    assert await refused(request) == "MQ-JOIN-PENDING"


async def test_a_refusal_is_told_with_its_reason(approver: Approver, tmp_path: Path) -> None:
    request = request_of(tmp_path / "node", approver.invite(MEMBER))
    await asked(request)
    await approver.decide(approve=False)
    with pytest.raises(JoinRefusedError, match="MQ-TRUST-NO"):
        await join(request, passphrase=PASSPHRASE)


async def test_a_letter_copied_wrongly_is_noticed_before_anything_is_made(
    approver: Approver, tmp_path: Path
) -> None:
    text = str(approver.invite(MEMBER))
    typo = text[:40] + ("a" if text[40] != "a" else "b") + text[41:]
    assert "TYP" in await refused(request_of(tmp_path / "node", typo))
    assert not (tmp_path / "node").exists()


async def test_an_invitation_ends_at_its_instant(approver: Approver, tmp_path: Path) -> None:
    ends = now() + timedelta(hours=1)
    invitation = approver.invite(MEMBER, expires_at=ends)
    late = Clockwork(now=lambda: ends)
    assert "EXPIRED" in await refused(request_of(tmp_path / "late", invitation), late)
    in_time = Clockwork(now=lambda: ends - timedelta(seconds=1))
    result = await join(
        request_of(tmp_path / "in-time", invitation),
        passphrase=PASSPHRASE,
        wait=False,
        clockwork=in_time,
    )
    assert not result.approved


async def test_a_folder_is_joined_with_one_invitation_only(
    approver: Approver, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    await join(request_of(folder, approver.invite(MEMBER)), passphrase=PASSPHRASE, wait=False)
    assert await refused(request_of(folder, approver.invite(MEMBER))) == "MQ-CONFLICT-JOIN"


async def test_a_hub_with_another_registry_than_the_pinned_one_is_told_nothing(
    approver: Approver, tmp_path: Path
) -> None:
    invitation = approver.invite(MEMBER, genesis_hash=bytes(32))
    assert "GENESIS" in await refused(request_of(tmp_path / "node", invitation))
    waiting = await approver.hub.hub.context.desk.waiting()
    assert waiting == []


async def test_a_hub_that_is_not_there_is_said_to_be_unreachable(tmp_path: Path) -> None:
    federation = Federation.found()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        invitation = Approver(hub).invite(MEMBER)
    code = await refused(request_of(tmp_path / "node", invitation))
    assert code in {"MQ-UNREACHABLE", "MQ-TIMEOUT"}


async def test_a_hub_that_restarts_does_not_end_a_join_that_waits(tmp_path: Path) -> None:
    federation = Federation.found()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config) as hub:
        address = f"127.0.0.1:{hub.hub.ports.enrolment}"
        approver = Approver(hub)
        request = request_of(tmp_path / "node", approver.invite(MEMBER))
        await asked(request)
        waiting = asyncio.create_task(join(request, passphrase=PASSPHRASE))
        await asyncio.sleep(1)
    # More than one of its questions meets nobody.
    await asyncio.sleep(2)
    assert not waiting.done()
    settings = config.model_copy(update={"enrolment_listen": address})
    async with running(federation, settings) as hub:
        await Approver(hub, approver.invitations).decide()
        assert (await waiting).approved


async def test_a_certificate_without_an_entry_in_the_registry_makes_no_member(
    approver: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mithaq.node.join.ENTRY_POLLS_MAX", 2)
    request = request_of(tmp_path / "node", approver.invite(MEMBER))
    await asked(request)
    await approver.decide(enrol=False)
    assert await refused(request) == "MQ-JOIN-PENDING"
    assert not (tmp_path / "node" / "node.toml").exists()


async def test_a_registry_that_enrols_the_member_with_other_keys_is_refused(
    approver: Approver, tmp_path: Path
) -> None:
    request = request_of(tmp_path / "node", approver.invite(MEMBER))
    await asked(request)
    federation = approver.federation
    first = federation.registry.size
    federation.enrol(MEMBER)
    await approver.hub.order(*federation.leaves[first:])
    await approver.decide(enrol=False)
    assert await refused(request) == "MQ-TRUST-JOIN-PROOF"


async def test_a_join_that_was_killed_while_the_folder_was_made_is_made_whole(
    approver: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(tmp_path / "node", approver.invite(MEMBER))
    await asked(request)
    await approver.decide()
    for step in ("_local_api", "_store_registry", "_keep_reception_key", "_first_administrator"):
        with monkeypatch.context() as patch:
            patch.setattr(f"mithaq.node.founding.{step}", _killed)
            with pytest.raises(KeyboardInterrupt):
                await join(request, passphrase=PASSPHRASE)
    result = await join(request, passphrase=PASSPHRASE)
    assert result.approved
    assert read_profile(result.profile).address == "127.0.0.1:0"


def _killed(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
