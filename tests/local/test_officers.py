import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mithaq.certs.tls import IdentityKind, SpiffeId, TlsKey, csr, new_tls_key, tls_key_to_pem
from mithaq.node.folder import NodeFolder
from mithaq.node.local.access import Role
from mithaq.service.errors import RemoteError
from mithaq.service.profile import Profile, write_profile
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2
from tests.federation import FEDERATION
from tests.local.calls import call, logged
from tests.local.house import NOWHERE, House, alerts

STATUS = local_pb2.GetNodeStatusRequest()


def request_of(key: TlsKey, user: str, *, member: str = "tn-dgsn") -> str:
    identity = SpiffeId(FEDERATION, IdentityKind.OFFICER, member, user)
    parsed = x509.load_der_x509_csr(csr(key, identity))
    return parsed.public_bytes(Encoding.PEM).decode()


async def added(house: House, user: str, role: str = "officer", pem: str = "") -> Path:
    """Add a user as its administrator does, and return the profile that comes of it."""
    key = new_tls_key()
    request = local_pb2.AddOfficerRequest(
        user=user, role=role, certificate_request=pem or request_of(key, user)
    )
    answer = await call(house, "admin", "NodeService/AddOfficer", request)
    mine = house.profile("admin")
    profile = Profile(
        NOWHERE,
        mine.server_name,
        mine.server_ca,
        answer.certificate_chain.encode(),
        tls_key_to_pem(key),
    )
    return write_profile(NodeFolder(house.config.directory).profiles / user, profile)


async def removed(house: House, user: str) -> None:
    request = local_pb2.RemoveOfficerRequest(user=user)
    await call(house, "admin", "NodeService/RemoveOfficer", request)


async def test_who_was_added_calls_at_once_with_a_key_that_never_left_them(house: House) -> None:
    await added(house, "m.hassan")
    status = await call(house, "m.hassan", "NodeService/GetNodeStatus", STATUS)
    assert status.member == "tn-dgsn"
    (entry,) = [
        each for each in await logged(house, Operation.ADMINISTER) if "m.hassan" in each.subject
    ]
    assert (entry.actor, entry.subject) == ("admin", "officer m.hassan added as officer")


async def test_who_was_removed_is_refused_at_the_next_call(house: House) -> None:
    await added(house, "m.hassan")
    await call(house, "m.hassan", "NodeService/GetNodeStatus", STATUS)
    await removed(house, "m.hassan")
    with pytest.raises(RemoteError, match="MQ-IDENTITY-UNKNOWN"):
        await call(house, "m.hassan", "NodeService/GetNodeStatus", STATUS)


async def test_a_name_is_never_given_twice(house: House) -> None:
    await added(house, "m.hassan")
    with pytest.raises(RemoteError, match="MQ-CONFLICT-OFFICER"):
        await added(house, "m.hassan", "administrator")
    await removed(house, "m.hassan")
    with pytest.raises(RemoteError, match="MQ-CONFLICT-OFFICER"):
        await added(house, "m.hassan")


async def test_an_active_users_certificate_is_renewed_and_the_one_before_ends(
    house: House,
) -> None:
    before = await added(house, "m.hassan")
    old = before.with_name("old")
    before.rename(old)
    await added(house, "m.hassan")
    status = await call(house, "m.hassan", "NodeService/GetNodeStatus", STATUS)
    assert status.member == "tn-dgsn"
    with pytest.raises(RemoteError, match="MQ-IDENTITY-UNKNOWN"):
        await call(house, "old", "NodeService/GetNodeStatus", STATUS)
    subjects = [entry.subject for entry in await logged(house, Operation.ADMINISTER)]
    assert "certificate of officer m.hassan renewed" in subjects


async def test_a_call_that_lasts_is_cut_when_its_callers_access_is_taken_away(
    house: House,
) -> None:
    sending = asyncio.Event()

    async def endless() -> AsyncIterator[local_pb2.ImportListRequest]:
        yield local_pb2.ImportListRequest(format="unsc", chunk=b"<")
        sending.set()
        await asyncio.Event().wait()

    async with house.as_user("kiosk") as channel:
        stream = alerts(channel).ImportList(endless(), timeout=30)
        reading = asyncio.create_task(_drained(stream))
        await sending.wait()
        await asyncio.sleep(0.2)
        await removed(house, "kiosk")
        async with asyncio.timeout(10):
            assert await reading is not grpc.StatusCode.OK
        stream.cancel()


async def _drained(stream: Any) -> grpc.StatusCode:  # noqa: ANN401 - a call
    try:
        async for _ in stream:
            pass
    except (grpc.RpcError, asyncio.CancelledError):
        pass
    return await stream.code()  # type: ignore[no-any-return]


async def test_nobody_is_removed_twice(house: House) -> None:
    await added(house, "m.hassan")
    await removed(house, "m.hassan")
    with pytest.raises(RemoteError, match="MQ-OFFICER-MISSING"):
        await removed(house, "m.hassan")


async def test_the_last_administrator_stays(house: House) -> None:
    with pytest.raises(RemoteError, match="MQ-CONFLICT-LAST-ADMINISTRATOR"):
        await removed(house, "admin")
    await house.admit("second", Role.ADMINISTRATOR)
    await removed(house, "admin")
    with pytest.raises(RemoteError, match="MQ-IDENTITY-UNKNOWN"):
        await call(house, "admin", "NodeService/ListOfficers", local_pb2.ListOfficersRequest())


@pytest.mark.parametrize(
    "pem",
    [
        "none",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        request_of(new_tls_key(), "somebody.else"),
        request_of(new_tls_key(), "m.hassan", member="eg-moi"),
    ],
)
async def test_a_request_that_is_not_for_this_user_of_this_node_is_refused(
    house: House, pem: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await added(house, "m.hassan", pem=pem)
    assert caught.value.code.startswith(("MQ-REQUEST", "MQ-CERT"))
    listing = await call(
        house, "admin", "NodeService/ListOfficers", local_pb2.ListOfficersRequest()
    )
    assert "m.hassan" not in [row.user for row in listing.officers]


@pytest.mark.parametrize("user", ["", "M.Hassan", "../x", "a", "x" * 65])
async def test_a_name_that_is_no_user_id_is_refused(house: House, user: str) -> None:
    request = local_pb2.AddOfficerRequest(user=user, role="officer", certificate_request="x")
    with pytest.raises(RemoteError, match="MQ-REQUEST-INVALID"):
        await call(house, "admin", "NodeService/AddOfficer", request)


async def test_the_list_says_who_has_and_who_had_access(house: House) -> None:
    before = datetime.now(UTC)
    await added(house, "m.hassan", "auditor")
    await removed(house, "m.hassan")
    listing = await call(
        house, "auditor", "NodeService/ListOfficers", local_pb2.ListOfficersRequest()
    )
    rows = {row.user: row for row in listing.officers}
    assert rows["admin"].active
    assert (rows["m.hassan"].role, rows["m.hassan"].active) == ("auditor", False)
    assert rows["m.hassan"].added_at_ms >= int(before.timestamp() * 1000)


async def test_agreements_are_listed_and_given_in_the_bytes_that_were_signed(house: House) -> None:
    listing = await call(
        house, "officer", "AgreementService/ListAgreements", local_pb2.ListAgreementsRequest()
    )
    (row,) = listing.agreements
    assert (row.agreement_id, row.status) == ("test-agreement", "active")
    assert list(row.parties) == ["eg-moi", "int-iom", "tn-dgsn"]
    request = local_pb2.GetAgreementRequest(agreement_id="test-agreement")
    answer = await call(house, "officer", "AgreementService/GetAgreement", request)
    terms = house.home.registry.agreement("test-agreement").agreement
    assert answer.terms == terms.to_bytes()


async def test_an_agreement_of_others_is_as_missing_as_none(house: House) -> None:
    request = local_pb2.GetAgreementRequest(agreement_id="others-2026")
    with pytest.raises(RemoteError, match="MQ-AGR-MISSING"):
        await call(house, "officer", "AgreementService/GetAgreement", request)


async def test_roots_are_recomputed_from_what_is_stored(house: House) -> None:
    status = await call(house, "admin", "NodeService/GetNodeStatus", STATUS)
    answer = await call(
        house, "admin", "NodeService/RecomputeRoots", local_pb2.RecomputeRootsRequest()
    )
    assert len(answer.streams) > 0
    kept = {row.stream_id: (row.size, row.root) for row in status.streams}
    assert {row.stream_id: (row.size, row.root) for row in answer.streams} == kept
