from datetime import timedelta

import pytest

from mithaq.node.records.model import serialise
from mithaq.service.errors import RemoteError
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, record_pb2
from tests.local.calls import call, logged
from tests.local.house import House, made_up


async def issued(house: House, raw: bytes, **request: object) -> local_pb2.IssueResponse:
    message = local_pb2.IssueRequest(record=raw, **request)  # type: ignore[arg-type]
    answer: local_pb2.IssueResponse = await call(house, "officer", "AlertService/Issue", message)
    return answer


async def test_an_alert_goes_to_everybody_whom_the_agreement_allows(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    answer = await issued(house, record.raw)
    assert answer.alert_id == record.alert_id
    assert {name for each in answer.disclosures for name in each.recipients} == {
        "eg-moi",
        "int-iom",
    }
    assert {(each.recipient, each.allowed) for each in answer.decisions} == {
        ("eg-moi", True),
        ("int-iom", True),
    }
    (entry,) = await logged(house, Operation.ISSUE)
    assert entry.actor == "officer"


async def test_an_alert_without_an_id_gets_one_of_this_member(house: House) -> None:
    message = made_up(1, issuer="tn-dgsn").message
    message.alert.ClearField("alert_id")
    message.alert.ClearField("version")
    message.alert.ClearField("issuer")
    answer = await issued(house, serialise(message))
    assert answer.alert_id.startswith("tn-dgsn-")
    assert answer.version == 1


async def test_a_denied_alert_discloses_nothing_and_names_every_reason(house: House) -> None:
    answer = await issued(house, made_up(1, issuer="tn-dgsn").raw, recipients=["it-pds"])
    assert not answer.disclosures
    assert answer.error.code == "MQ-AGR-DENIED"
    assert [(each.recipient, each.reason) for each in answer.decisions] == [
        ("it-pds", "RECIPIENT_NOT_PARTY")
    ]
    (entry,) = await logged(house, Operation.ISSUE)
    assert entry.outcome == "MQ-AGR-DENIED"


async def test_an_alert_of_somebody_else_is_not_issued_here(house: House) -> None:
    with pytest.raises(RemoteError, match="MQ-EXCH-ISSUER"):
        await issued(house, made_up(1, issuer="eg-moi").raw)


@pytest.mark.parametrize(
    "raw", [b"\x01", b"\xff" * 40, made_up(1, issuer="tn-dgsn").raw + b"\xfa\x3f\x01x"]
)
async def test_bytes_that_are_no_record_are_refused_without_a_value(
    house: House, raw: bytes
) -> None:
    with pytest.raises(RemoteError) as caught:
        await issued(house, raw)
    assert caught.value.code.startswith("MQ-RECORD-")
    assert caught.value.grpc_status.name == "INVALID_ARGUMENT"


async def test_the_error_names_the_field_and_never_what_stands_in_it(house: House) -> None:
    message = record_pb2.Record()
    message.CopyFrom(made_up(1, issuer="tn-dgsn").message)
    message.alert.person.nationalities[0].code = "QQQ"
    with pytest.raises(RemoteError) as caught:
        await issued(house, serialise(message))
    assert "nationalities[0].code" in caught.value.why
    assert "QQQ" not in caught.value.why


async def test_each_alert_of_many_is_answered_on_its_own(house: House) -> None:
    good, bad, other = made_up(1, issuer="tn-dgsn"), b"\x01", made_up(2, issuer="tn-dgsn")
    items = [local_pb2.IssueRequest(record=raw) for raw in (good.raw, bad, other.raw, good.raw)]
    request = local_pb2.IssueManyRequest(items=items)
    answer = await call(house, "kiosk", "AlertService/IssueMany", request)
    assert [bool(each.disclosures) for each in answer.items] == [True, False, True, False]
    assert [each.error.code for each in answer.items][1::2] == [
        "MQ-RECORD-MALFORMED",
        "MQ-EXCH-ALERT-EXISTS",
    ]


async def test_an_update_is_the_next_version_given_or_counted_by_the_node(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await issued(house, record.raw)
    message = record_pb2.Record()
    message.CopyFrom(record.message)
    message.alert.reason += "; seen near the border"
    for version, expected in ((2, 2), (0, 3)):
        message.alert.version = version
        request = local_pb2.UpdateAlertRequest(record=serialise(message))
        answer = await call(house, "officer", "AlertService/UpdateAlert", request)
        assert answer.version == expected
        assert answer.disclosures


async def test_a_version_that_is_not_the_next_is_refused(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await issued(house, record.raw)
    message = record_pb2.Record()
    message.CopyFrom(record.message)
    for version in (1, 3):
        message.alert.version = version
        request = local_pb2.UpdateAlertRequest(record=serialise(message))
        with pytest.raises(RemoteError, match="MQ-EXCH-ALERT-VERSION"):
            await call(house, "officer", "AlertService/UpdateAlert", request)


async def test_a_withdrawn_alert_is_gone_here_and_stays_withdrawn(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await issued(house, record.raw)
    request = local_pb2.WithdrawAlertRequest(alert_id=record.alert_id, reason="annulled")
    answer = await call(house, "officer", "AlertService/WithdrawAlert", request)
    assert answer.disclosures
    listing = await call(house, "officer", "AlertService/ListAlerts", local_pb2.ListAlertsRequest())
    assert [row.status for row in listing.alerts] == ["withdrawn"]
    with pytest.raises(RemoteError, match="MQ-EXCH-ALERT-UNKNOWN"):
        await call(house, "officer", "AlertService/WithdrawAlert", request)


async def test_nothing_new_is_issued_once_the_registry_is_stale_but_withdrawing_goes_on(
    house: House,
) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await issued(house, record.raw)
    limit = house.home.registry.policy.freshness_limit
    house.clock.ahead = limit + timedelta(minutes=1)
    with pytest.raises(RemoteError, match="MQ-EXCH-REGISTRY-STALE"):
        await issued(house, made_up(2, issuer="tn-dgsn").raw)
    request = local_pb2.WithdrawAlertRequest(alert_id=record.alert_id, reason="error")
    assert (await call(house, "officer", "AlertService/WithdrawAlert", request)).disclosures


async def test_the_list_is_cut_into_pages_that_meet(house: House) -> None:
    records = [made_up(seed, issuer="tn-dgsn") for seed in range(5)]
    for record in records:
        await issued(house, record.raw)
    seen: list[str] = []
    token = ""
    while True:
        request = local_pb2.ListAlertsRequest(page_size=2, page_token=token)
        page = await call(house, "officer", "AlertService/ListAlerts", request)
        assert page.total == len(records)
        seen += [row.alert_id for row in page.alerts]
        token = page.next_page_token
        if not token:
            break
    assert seen == [record.alert_id for record in reversed(records)]


@pytest.mark.parametrize("token", ["x", "-1", "9" * 40, "1e3"])
async def test_a_page_token_that_no_list_gave_is_refused(house: House, token: str) -> None:
    request = local_pb2.ListAlertsRequest(page_token=token)
    with pytest.raises(RemoteError, match="MQ-REQUEST-INVALID"):
        await call(house, "officer", "AlertService/ListAlerts", request)


async def test_the_list_is_filtered_by_category_issuer_and_status(house: House) -> None:
    own, foreign = made_up(1, issuer="tn-dgsn"), made_up(2, issuer="eg-moi")
    await issued(house, own.raw)
    await house.receive(foreign)
    for wanted, expected in (
        ({"issuer": "eg-moi"}, [foreign.alert_id]),
        ({"category": "ARREST", "issuer": "tn-dgsn"}, [own.alert_id]),
        ({"category": "DOC_INVALID"}, []),
        ({"status": "withdrawn"}, []),
    ):
        request = local_pb2.ListAlertsRequest(**wanted)  # type: ignore[arg-type]
        page = await call(house, "officer", "AlertService/ListAlerts", request)
        assert [row.alert_id for row in page.alerts] == expected


async def test_an_alert_that_left_is_traced_as_sealed_until_the_hub_answers(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await issued(house, record.raw)
    request = local_pb2.TraceAlertRequest(alert_id=record.alert_id)
    answer = await call(house, "officer", "AlertService/TraceAlert", request)
    assert {step.step for step in answer.steps} == {"sealed"}
    assert {step.signer for step in answer.steps} == {"tn-dgsn"}


async def test_only_own_alerts_are_traced(house: House) -> None:
    foreign = made_up(2, issuer="eg-moi")
    await house.receive(foreign)
    request = local_pb2.TraceAlertRequest(alert_id=foreign.alert_id)
    with pytest.raises(RemoteError, match="MQ-ALERT-MISSING"):
        await call(house, "officer", "AlertService/TraceAlert", request)
