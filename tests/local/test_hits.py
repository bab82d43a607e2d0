import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mithaq.node.config import CaseFiles
from mithaq.node.local.access import Role
from mithaq.node.local.confirming import officer_reference
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.service.errors import RemoteError
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, record_pb2
from tests.federation import Federation
from tests.local.calls import call, logged, rows
from tests.local.house import House, grounds, made_up, settle


async def matched(house: House, record: ParsedRecord, user: str = "officer") -> str:
    """Find a record by its passport and return the number of the match."""
    number = record.alert.person.documents[0].number
    request = local_pb2.FindAlertsRequest(document_number=number, grounds=grounds())
    answer = await call(house, user, "AlertService/FindAlerts", request)
    return str(answer.matches[0].match_id)


def confirmation(match_id: str, **changes: str) -> local_pb2.ConfirmHitRequest:
    given = {"action_taken": "taken", "place": "Gate 4", "note": "Handed over", **changes}
    return local_pb2.ConfirmHitRequest(match_id=match_id, grounds=grounds(), **given)


async def confirmed(house: House, match_id: str, user: str = "officer") -> str:
    answer = await call(house, user, "HitService/ConfirmHit", confirmation(match_id))
    return str(answer.hit_id)


async def listed(house: House, user: str = "officer", alert_id: str = "") -> list[local_pb2.HitRow]:
    request = local_pb2.ListHitsRequest(alert_id=alert_id)
    return list((await call(house, user, "HitService/ListHits", request)).hits)


async def test_a_confirmed_match_becomes_a_report_to_the_issuer_alone(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    answer = await call(house, "officer", "HitService/ConfirmHit", confirmation(match_id))
    assert list(answer.disclosure.recipients) == ["eg-moi"]
    shown = await call(
        house,
        "officer",
        "HitService/ShowHit",
        local_pb2.ShowHitRequest(hit_id=answer.hit_id, grounds=grounds()),
    )
    report = shown.record.hit_report
    assert (report.alert_id, report.alert_version) == (record.alert_id, 1)
    assert (report.reporter, report.place.city) == ("tn-dgsn", "Gate 4")
    assert report.outcome == record_pb2.ACTION_OUTCOME_TAKEN
    assert report.case_reference == grounds().case_reference
    assert parse_record(shown.record.SerializeToString(deterministic=True)).raw
    assert house.running is not None
    key = house.running.desk.terms_key
    assert report.officer_reference == officer_reference(key, "officer")
    assert officer_reference(key, "officer") != officer_reference(bytes(32), "officer")


async def test_the_report_names_the_log_entry_that_was_matched(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    hit_id = await confirmed(house, await matched(house, record))
    request = local_pb2.ShowHitRequest(hit_id=hit_id, grounds=grounds())
    matched_at = (await call(house, "officer", "HitService/ShowHit", request)).record.hit_report
    ((stream_id, sequence),) = await rows(
        house,
        "SELECT s.stream_id, r.sequence FROM node_record r JOIN node_stream s USING (log_no) "
        "WHERE r.own = 0",
    )
    assert (matched_at.matched.stream_id, matched_at.matched.sequence) == (stream_id, sequence)


async def test_a_match_is_settled_once(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    await confirmed(house, match_id)
    for again in (
        call(house, "officer", "HitService/ConfirmHit", confirmation(match_id)),
        call(
            house,
            "officer",
            "HitService/RejectHit",
            local_pb2.RejectHitRequest(match_id=match_id, grounds=grounds()),
        ),
    ):
        with pytest.raises(RemoteError, match="MQ-CONFLICT-MATCH"):
            await again
    assert len([row for row in await listed(house) if row.status == "confirmed"]) == 1


async def test_two_people_at_once_make_one_hit(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    outcomes = await asyncio.gather(
        confirmed(house, match_id, "officer"),
        confirmed(house, match_id, "supervisor"),
        return_exceptions=True,
    )
    assert sorted(isinstance(each, RemoteError) for each in outcomes) == [False, True]
    assert len(await rows(house, "SELECT hit_id FROM node_hit")) == 1


async def test_a_rejected_match_tells_nobody_and_stays_in_the_list(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    request = local_pb2.RejectHitRequest(match_id=match_id, grounds=grounds())
    await call(house, "officer", "HitService/RejectHit", request)
    (row,) = await listed(house, alert_id=record.alert_id)
    assert (row.status, row.match_id, row.hit_id) == ("rejected", match_id, "")
    assert await rows(house, "SELECT hit_id FROM node_hit") == []
    (entry,) = await logged(house, Operation.COMBINE)
    assert entry.subject == f"match {match_id} rejected"


async def test_nobody_confirms_what_was_withdrawn_since_the_search(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    await house.home.database.write(
        lambda each: each.exec_driver_sql("UPDATE node_record SET status = 'erased' WHERE own = 0")
    )
    with pytest.raises(RemoteError, match="MQ-MATCH-GONE"):
        await confirmed(house, match_id)


async def test_nobody_confirms_under_an_agreement_that_was_suspended_since(
    house: House, federation: Federation
) -> None:
    record = made_up(1)
    await house.receive(record)
    match_id = await matched(house, record)
    leaf = federation.suspend_agreement("test-agreement", "tn-dgsn")
    await house.home.database.write(
        lambda each: house.home.trust.extend(each, [leaf], federation.checkpoint())
    )
    with pytest.raises(RemoteError, match="MQ-AGR-READING-DENIED"):
        await confirmed(house, match_id)
    assert [row.status for row in await listed(house)] == ["open"]


async def test_a_match_that_nobody_found_is_missing(house: House) -> None:
    with pytest.raises(RemoteError, match="MQ-MATCH-MISSING"):
        await confirmed(house, "01J00000000000000000000000")


async def test_a_hit_on_an_own_alert_is_logged_and_reported_to_nobody(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await call(house, "officer", "AlertService/Issue", local_pb2.IssueRequest(record=record.raw))
    assert await confirmed(house, await matched(house, record)) == ""
    assert await rows(house, "SELECT hit_id FROM node_hit") == []
    (row,) = await listed(house)
    assert row.status == "confirmed"


async def test_an_officer_sees_own_matches_and_a_supervisor_everybodys(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await matched(house, record, "supervisor")
    assert await listed(house, "officer") == []
    assert len(await listed(house, "supervisor")) == 1


async def test_a_hit_report_that_is_not_here_is_missing_and_the_look_logged(house: House) -> None:
    request = local_pb2.ShowHitRequest(hit_id="eg-moi-0", grounds=grounds())
    with pytest.raises(RemoteError, match="MQ-HIT-MISSING"):
        await call(house, "officer", "HitService/ShowHit", request)
    (entry,) = await logged(house, Operation.CONSULT)
    assert entry.outcome == "MQ-HIT-MISSING"


@pytest.mark.parametrize(("action", "kept"), [("taken", True), ("not_possible", False)])
async def test_a_bureau_whose_law_lets_it_marks_what_it_acted_on_for_its_case_file(
    federation: Federation, tmp_path: Path, action: str, *, kept: bool
) -> None:
    case_files = CaseFiles(legal_ground="Border Act, section 12", days=30)
    house = settle(federation, "tn-dgsn", tmp_path / "node", case_files=case_files)
    async with house.served():
        await house.admit("officer", Role.OFFICER)
        record = made_up(1)
        await house.receive(record)
        request = confirmation(await matched(house, record), action_taken=action)
        await call(house, "officer", "HitService/ConfirmHit", request)
        ((ground, until),) = await rows(
            house, "SELECT retain_ground, retain_until FROM node_record WHERE own = 0"
        )
    assert (ground is not None) == kept
    if kept:
        assert ground == f"Border Act, section 12; case {grounds().case_reference}"
        days = (until - datetime.now(UTC).timestamp()) / 86_400
        assert 29 < days <= 30


async def test_without_a_ground_of_law_nothing_is_marked_for_a_case_file(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await confirmed(house, await matched(house, record))
    assert await rows(house, "SELECT retain_ground FROM node_record WHERE own = 0") == [(None,)]
