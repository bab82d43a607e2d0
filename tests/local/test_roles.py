import itertools
from collections.abc import AsyncIterator

import grpc
import pytest

from mithaq.node.local.access import ACCESS, Caller, Role, RoleError, check_allowed
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.store.audit import AuditFilter
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, local_pb2_grpc
from tests.local.conftest import USERS
from tests.local.house import House, grounds

MATCH = "01J00000000000000000000000"
ALERT = "eg-moi-01J00000000000000000000000"
# A request of each method that passes validation; what it asks for is not there.
REQUESTS = {
    "AlertService/Issue": local_pb2.IssueRequest(record=b"\x01"),
    "AlertService/IssueMany": local_pb2.IssueManyRequest(
        items=[local_pb2.IssueRequest(record=b"\x01")]
    ),
    "AlertService/ImportList": local_pb2.ImportListRequest(format="none"),
    "AlertService/ListAlerts": local_pb2.ListAlertsRequest(),
    "AlertService/ShowAlert": local_pb2.ShowAlertRequest(alert_id=ALERT, grounds=grounds()),
    "AlertService/FindAlerts": local_pb2.FindAlertsRequest(
        document_number="A1234567", grounds=grounds()
    ),
    "AlertService/UpdateAlert": local_pb2.UpdateAlertRequest(record=b"\x01"),
    "AlertService/WithdrawAlert": local_pb2.WithdrawAlertRequest(alert_id=ALERT, reason="error"),
    "AlertService/TraceAlert": local_pb2.TraceAlertRequest(alert_id=ALERT),
    "HitService/ConfirmHit": local_pb2.ConfirmHitRequest(
        match_id=MATCH, grounds=grounds(), action_taken="taken"
    ),
    "HitService/RejectHit": local_pb2.RejectHitRequest(match_id=MATCH, grounds=grounds()),
    "HitService/ListHits": local_pb2.ListHitsRequest(),
    "HitService/ShowHit": local_pb2.ShowHitRequest(hit_id=MATCH, grounds=grounds()),
    "AuditService/ListAudit": local_pb2.ListAuditRequest(),
    "AuditService/VerifyAudit": local_pb2.VerifyAuditRequest(),
    "AuditService/ExportAudit": local_pb2.ExportAuditRequest(grounds=grounds()),
    "AgreementService/ListAgreements": local_pb2.ListAgreementsRequest(),
    "AgreementService/GetAgreement": local_pb2.GetAgreementRequest(agreement_id="no-such"),
    "AgreementService/SubmitAgreement": local_pb2.SubmitAgreementRequest(entry=b"\x01"),
    "NodeService/GetNodeStatus": local_pb2.GetNodeStatusRequest(),
    "NodeService/RecomputeRoots": local_pb2.RecomputeRootsRequest(),
    "NodeService/AddOfficer": local_pb2.AddOfficerRequest(
        user="new.one", role="officer", certificate_request="none"
    ),
    "NodeService/ListOfficers": local_pb2.ListOfficersRequest(),
    "NodeService/RemoveOfficer": local_pb2.RemoveOfficerRequest(user="nobody"),
}


def services() -> set[str]:
    return {
        f"{service.name}/{method.name}"
        for service in local_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


async def one(request: local_pb2.ImportListRequest) -> AsyncIterator[local_pb2.ImportListRequest]:
    yield request


async def outcome(channel: grpc.aio.Channel, method: str) -> str:
    """Call a method and return the code of its error, or "" where it answered."""
    service, name = method.split("/")
    stub = getattr(local_pb2_grpc, f"{service}Stub")(channel)
    request = REQUESTS[method]
    if name == "ImportList":
        call = stub.ImportList(one(local_pb2.ImportListRequest(format="none")), timeout=10)
    else:
        call = getattr(stub, name)(request, timeout=10)
    try:
        if name in {"ImportList", "ExportAudit"}:
            async for _ in call:
                pass
        else:
            await call
    except grpc.RpcError as error:
        return from_rpc_error(error).code
    return ""


def test_the_table_of_access_names_every_method_and_no_other() -> None:
    assert set(ACCESS) == services()
    assert set(REQUESTS) == services()


async def test_every_method_is_open_to_the_roles_of_the_table_and_closed_to_all_others(
    house: House,
) -> None:
    wrong: list[str] = []
    for user, role in USERS.items():
        async with house.as_user(user) as channel:
            for method in REQUESTS:
                refused = await outcome(channel, method) == "MQ-IDENTITY-ROLE"
                if refused == (role in ACCESS[method]):
                    wrong.append(f"{method} as {role}")
    assert wrong == []


async def test_a_refused_call_stands_in_the_audit_log_with_who_and_what(house: House) -> None:
    async with house.as_user("kiosk") as channel:
        assert await outcome(channel, "HitService/ConfirmHit") == "MQ-IDENTITY-ROLE"
    rows = await house.home.database.read(
        lambda each: house.home.audit.read(each, AuditFilter(operation=Operation.REFUSE))
    )
    ((_, entry),) = rows.rows
    assert (entry.actor, entry.role, entry.subject) == ("kiosk", "system", "HitService/ConfirmHit")


def test_a_refused_call_says_which_roles_may() -> None:
    with pytest.raises(RoleError) as refused:
        check_allowed("HitService/ConfirmHit", Caller("kiosk", Role.SYSTEM, b""))
    assert refused.value.public_message == "The role system does not allow this."
    assert "officer or duty-supervisor" in refused.value.fix
    assert "mithaq node officer add" in refused.value.fix
    with pytest.raises(RoleError) as unknown:
        check_allowed("HitService/Else", Caller("kiosk", Role.SYSTEM, b""))
    assert unknown.value.fix == "Nobody may do this at a node."


def test_a_person_and_never_a_system_confirms_a_match() -> None:
    persons = {Role.OFFICER, Role.DUTY_SUPERVISOR}
    assert ACCESS["HitService/ConfirmHit"] == ACCESS["HitService/RejectHit"] == persons


def test_nobody_who_watches_over_the_system_reads_its_records() -> None:
    reading = ("AlertService/FindAlerts", "AlertService/ShowAlert", "HitService/ShowHit")
    watching = {Role.AUDITOR, Role.ADMINISTRATOR}
    assert all(watching.isdisjoint(ACCESS[method]) for method in reading)


async def test_a_certificate_of_nobody_in_the_table_is_let_in_nowhere(house: House) -> None:
    await house.forget("officer")
    async with house.as_user("officer") as channel:
        codes = {await outcome(channel, method) for method in itertools.islice(REQUESTS, 5)}
    assert codes == {"MQ-IDENTITY-UNKNOWN"}


async def test_who_has_no_certificate_of_this_node_gets_no_connection(
    house: House,
) -> None:
    assert house.running is not None
    server_ca = house.profile("admin").server_ca
    channel = grpc.aio.secure_channel(
        f"127.0.0.1:{house.running.local_port}",
        grpc.ssl_channel_credentials(server_ca),
        options=[("grpc.ssl_target_name_override", "localhost")],
    )
    async with channel:
        with pytest.raises(grpc.RpcError) as caught:
            await local_pb2_grpc.NodeServiceStub(channel).GetNodeStatus(
                local_pb2.GetNodeStatusRequest(), timeout=5
            )
    assert isinstance(from_rpc_error(caught.value), RemoteError)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
