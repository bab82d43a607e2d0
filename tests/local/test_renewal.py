from datetime import timedelta
from pathlib import Path

import pytest

from mithaq.certs.tls import fingerprint, load_certificate, to_der
from mithaq.node.folder import NodeFolder
from mithaq.node.local import renewal
from mithaq.node.local.desk import Desk
from mithaq.service.local_api import LocalApi
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2
from tests.local.calls import call, logged
from tests.local.house import House

STATUS = local_pb2.GetNodeStatusRequest()
# Certificates live for 90 days and are renewed 30 days before their end.
EARLY, DUE = timedelta(days=59), timedelta(days=61)


def desk_of(house: House) -> Desk:
    assert house.running is not None
    return house.running.desk


def certificate(house: House, user: str = "admin") -> Path:
    return NodeFolder(house.config.directory).profiles / user / "certificate.pem"


async def test_nothing_is_renewed_while_a_third_of_its_life_is_left(house: House) -> None:
    house.clock.ahead = EARLY
    before = certificate(house).read_bytes()
    server = desk_of(house).authority.tls_files().chain.read_bytes()
    await renewal.renew_due(desk_of(house))
    assert certificate(house).read_bytes() == before
    assert desk_of(house).authority.tls_files().chain.read_bytes() == server


async def test_the_nodes_own_profiles_and_its_server_are_renewed_in_time(house: House) -> None:
    house.clock.ahead = DUE
    before = load_certificate(certificate(house).read_bytes())
    server = load_certificate(desk_of(house).authority.tls_files().chain.read_bytes())
    await renewal.renew_due(desk_of(house))
    after = load_certificate(certificate(house).read_bytes())
    renewed = load_certificate(desk_of(house).authority.tls_files().chain.read_bytes())
    assert after.not_valid_after_utc - before.not_valid_after_utc > timedelta(days=60)
    assert renewed.not_valid_after_utc - server.not_valid_after_utc > timedelta(days=60)
    assert desk_of(house).officers.lookup(_mark(house)).user == "admin"
    subjects = [entry.subject for entry in await logged(house, Operation.ADMINISTER)]
    assert "certificate of administrator admin renewed" in subjects


def _mark(house: House) -> bytes:
    return fingerprint(to_der(load_certificate(certificate(house).read_bytes())))


@pytest.mark.parametrize("committed", [False, True])
async def test_a_node_killed_while_it_renews_locks_nobody_out(
    house: House, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    house.clock.ahead = DUE
    desk = desk_of(house)

    class Killed(BaseException):
        pass

    def killed(*_arguments: object, **_named: object) -> None:
        raise Killed

    real = renewal.settle_next
    calls = iter([real, killed] if committed else [real])

    def settle(*arguments: object) -> None:
        next(calls, real)(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(renewal, "settle_next", settle)
        if not committed:
            patch.setattr("mithaq.node.local.officers.renew", killed)
        with pytest.raises(Killed):
            await renewal.renew_due(desk)
    assert certificate(house).with_name("certificate.next.pem").exists()
    await renewal.renew_due(desk)
    assert not certificate(house).with_name("certificate.next.pem").exists()
    assert desk.officers.lookup(_mark(house)).user == "admin"


async def test_a_renewed_server_is_used_from_the_next_handshake_on(house: House) -> None:
    api: LocalApi = desk_of(house).authority
    at = house.clock()
    api.make_server_certificate(api.authority(), at=at - DUE)
    assert api.renew_server(at=at)
    assert not api.renew_server(at=at)
    status = await call(house, "admin", "NodeService/GetNodeStatus", STATUS)
    assert status.member == "tn-dgsn"
