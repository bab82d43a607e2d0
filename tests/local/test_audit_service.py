import sqlite3
from collections.abc import Callable

import pytest

from mithaq.node.records.model import ParsedRecord
from mithaq.service.errors import RemoteError
from mithaq.store.audit_bundle import BundleKeys, VerifiedBundle, verify_bundle
from mithaq.store.audit_entry import Operation
from mithaq.store.errors import BundleInvalidError
from mithaq.v1 import local_pb2
from tests.local.calls import call, logged
from tests.local.house import House, audit, grounds, made_up


async def listed(house: House, **wanted: object) -> local_pb2.ListAuditResponse:
    request = local_pb2.ListAuditRequest(**wanted)  # type: ignore[arg-type]
    answer: local_pb2.ListAuditResponse = await call(
        house, "auditor", "AuditService/ListAudit", request
    )
    return answer


async def shown(house: House, record: ParsedRecord, user: str = "officer") -> None:
    request = local_pb2.ShowAlertRequest(alert_id=record.alert_id, grounds=grounds())
    await call(house, user, "AlertService/ShowAlert", request)


async def verified(house: House) -> local_pb2.VerifyAuditResponse:
    answer: local_pb2.VerifyAuditResponse = await call(
        house, "auditor", "AuditService/VerifyAudit", local_pb2.VerifyAuditRequest()
    )
    return answer


async def exported(house: House) -> bytes:
    async with house.as_user("auditor") as channel:
        request = local_pb2.ExportAuditRequest(grounds=grounds())
        parts = [part.chunk async for part in audit(channel).ExportAudit(request, timeout=30)]
    return b"".join(parts)


async def bundle_of(house: House) -> VerifiedBundle:
    return verify_bundle(await exported(house), BundleKeys.of(house.home.registry))


async def test_reading_the_log_stands_in_the_log_above_what_was_read(house: House) -> None:
    answer = await listed(house, operation="audit_read")
    assert [(row.actor, row.operation) for row in answer.rows] == [("auditor", "audit_read")]
    assert answer.rows[0].index == answer.size - 1


async def test_the_log_is_filtered_by_alert_actor_operation_and_time(house: House) -> None:
    first, second = made_up(1), made_up(2)
    for record in (first, second):
        await house.receive(record)
        await shown(house, record)
    await shown(house, first, "supervisor")
    by_alert = await listed(house, alert_id=first.alert_id)
    assert {row.actor for row in by_alert.rows} == {"officer", "supervisor"}
    by_actor = await listed(house, actor="supervisor")
    assert [list(row.alert_ids) for row in by_actor.rows] == [[first.alert_id]]
    consults = await listed(house, operation="consult", actor="officer")
    assert len(consults.rows) == 2
    oldest = consults.rows[-1]
    assert not (await listed(house, operation="consult", until_ms=oldest.at_ms)).rows
    later = await listed(house, operation="consult", from_ms=oldest.at_ms + 1)
    assert len(later.rows) == 2


async def test_a_line_says_who_why_and_under_which_clause(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await shown(house, record)
    (row,) = (await listed(house, operation="consult")).rows
    assert (row.actor, row.role, row.outcome) == ("officer", "officer", "done")
    assert (row.purpose, row.case_reference) == ("BORDER_CONTROL", grounds().case_reference)
    assert row.justification == grounds().justification
    assert list(row.clause_ids) == ["C1"]
    assert row.agreement_id == "test-agreement"


async def test_older_entries_are_asked_for_by_index(house: House) -> None:
    for _ in range(3):
        await listed(house)
    newest = await listed(house, page_size=2)
    older = await listed(house, page_size=2, before_index=newest.rows[-1].index)
    assert older.rows[0].index == newest.rows[-1].index - 1


@pytest.mark.parametrize(
    "wrong", [{"operation": "look"}, {"from_ms": -1}, {"until_ms": 2**60}, {"page_size": 1001}]
)
async def test_a_filter_that_means_nothing_is_refused(house: House, wrong: dict[str, int]) -> None:
    with pytest.raises(RemoteError, match="MQ-REQUEST-INVALID"):
        await listed(house, **wrong)


async def test_an_untouched_log_verifies(house: House) -> None:
    answer = await verified(house)
    assert answer.ok
    assert not answer.findings
    assert answer.size >= 1


def _edit(house: House, edit: Callable[[sqlite3.Connection], object]) -> None:
    """Change the database behind the node's back, as its administrator could."""
    with sqlite3.connect(house.config.directory / "node.db") as file:
        edit(file)


async def test_an_entry_that_a_database_administrator_changed_is_found(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await shown(house, record)
    assert (await verified(house)).ok

    def whitewash(file: sqlite3.Connection) -> None:
        pages = file.execute(
            "SELECT p.log_no, p.start, p.payload FROM log_page p JOIN log USING (log_no) "
            "WHERE origin LIKE '%/audit/%'"
        ).fetchall()
        for log_no, start, payload in pages:
            file.execute(
                "UPDATE log_page SET payload = ? WHERE log_no = ? AND start = ?",
                (payload.replace(b"officer", b"nobodyx"), log_no, start),
            )

    _edit(house, whitewash)
    answer = await verified(house)
    assert not answer.ok
    assert any("MQ-STORE-DAMAGED" in finding for finding in answer.findings)


async def test_an_entry_that_was_taken_out_is_found(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await shown(house, record)
    _edit(
        house,
        lambda file: file.execute(
            "DELETE FROM log_page WHERE start = 1 AND log_no = "
            "(SELECT log_no FROM log WHERE origin LIKE '%/audit/%')"
        ),
    )
    assert not (await verified(house)).ok


async def test_an_export_verifies_offline_and_holds_its_own_export(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await shown(house, record)
    bundle = await bundle_of(house)
    assert bundle.owner == "tn-dgsn"
    assert bundle.is_whole
    assert [entry.operation for entry in bundle.entries][-2:] == [
        Operation.CONSULT,
        Operation.EXPORT,
    ]
    (entry,) = await logged(house, Operation.EXPORT)
    assert entry.justification == grounds().justification


async def test_an_export_holds_acts_and_proofs_and_no_content(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    number = record.alert.person.documents[0].number
    request = local_pb2.FindAlertsRequest(document_number=number, grounds=grounds())
    await call(house, "officer", "AlertService/FindAlerts", request)
    data = await exported(house)
    name = record.alert.person.names[0]
    for text in (number, name.surname, name.original_script, record.alert.necessity[:40]):
        assert text.encode() not in data


async def test_own_streams_are_exported_with_what_their_sender_signed(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    await call(house, "officer", "AlertService/Issue", local_pb2.IssueRequest(record=record.raw))
    bundle = await bundle_of(house)
    assert {stream.sender for stream in bundle.streams} == {"tn-dgsn"}
    assert any(stream.checkpoint.checkpoint.size > 1 for stream in bundle.streams)


async def test_a_spoilt_export_is_refused(house: House) -> None:
    data = bytearray(await exported(house))
    data[len(data) // 2] ^= 1
    with pytest.raises(BundleInvalidError):
        verify_bundle(bytes(data), BundleKeys.of(house.home.registry))
