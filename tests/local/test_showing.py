from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.agreements.clause import Clause
from mithaq.agreements.vocabulary import ClauseEffect, OfficerRole, RecordField
from mithaq.node.config import NodeLimits
from mithaq.node.exchange.home import seconds
from mithaq.node.exchange.stored import RECORD, new_row, new_seed, next_record_no
from mithaq.node.local.access import Role
from mithaq.node.local.mask import masked
from mithaq.node.records.facts import fields_of
from mithaq.node.records.model import ParsedRecord, parse_record, seal_in
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.node.tables import RecordStatus
from mithaq.service.errors import RemoteError
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, record_pb2
from tests.federation import Federation, agreement, clause
from tests.local.calls import call, logged
from tests.local.house import House, grounds, made_up, settle
from tests.node_records.values import plain

CASE = frozenset(
    {RecordField.OFFENCE, RecordField.WARRANT, RecordField.CASE_TYPE, RecordField.CONTACT}
)
MEMBERS = ("eg-moi", "tn-dgsn", "int-iom")
ALWAYS = frozenset(
    {
        RecordField.REASON,
        RecordField.AUTHORITY,
        RecordField.DECISION_REFERENCE,
        RecordField.ACTION,
    }
)


def altered(record: ParsedRecord, change: Callable[[record_pb2.Alert], None]) -> ParsedRecord:
    message = record_pb2.Record()
    message.CopyFrom(record.message)
    change(message.alert)
    return seal_in(message)


async def shown(
    house: House, alert_id: str, user: str = "officer", **why: str
) -> local_pb2.ShowAlertResponse:
    request = local_pb2.ShowAlertRequest(alert_id=alert_id, grounds=grounds(**why))
    answer: local_pb2.ShowAlertResponse = await call(house, user, "AlertService/ShowAlert", request)
    return answer


async def test_the_whole_record_is_shown_where_a_clause_grants_every_field(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    answer = await shown(house, record.alert_id)
    assert answer.record == record.message
    assert list(answer.clause_ids) == ["C1"]
    (entry,) = await logged(house, Operation.CONSULT)
    assert (entry.records[0].alert_id, entry.outcome) == (record.alert_id, "done")


async def test_the_newest_live_version_is_shown(house: House) -> None:
    first = made_up(1)
    second = altered(first, lambda alert: setattr(alert, "version", 2))
    await house.receive(first, status=RecordStatus.SUPERSEDED)
    await house.receive(second)
    assert (await shown(house, first.alert_id)).row.version == 2


@pytest.mark.parametrize("status", [RecordStatus.WITHDRAWN, RecordStatus.ERASED])
async def test_what_was_withdrawn_is_gone_for_everybody_and_the_look_is_logged(
    house: House, status: RecordStatus
) -> None:
    record = made_up(1)
    await house.receive(record, status=status)
    with pytest.raises(RemoteError, match="MQ-ALERT-MISSING"):
        await shown(house, record.alert_id)
    (entry,) = await logged(house, Operation.CONSULT)
    assert (entry.outcome, entry.records[0].alert_id) == ("MQ-ALERT-MISSING", record.alert_id)


async def test_what_a_bureau_retains_is_shown_with_the_mark_that_says_so(house: House) -> None:
    record = made_up(1)
    await house.receive(record, status=RecordStatus.RETAINED)
    answer = await shown(house, record.alert_id)
    assert any("case file" in caution for caution in answer.cautions)


async def test_a_denied_look_says_the_reason_and_names_it_in_the_log(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    with pytest.raises(RemoteError) as caught:
        await shown(house, record.alert_id, purpose="MISSING_PERSONS")
    assert caught.value.code == "MQ-AGR-READING-DENIED"
    assert caught.value.why == "The category can't serve that purpose."
    (entry,) = await logged(house, Operation.CONSULT)
    assert entry.records[0].decision is not None
    assert entry.records[0].decision.reason == "PURPOSE_NOT_OF_CATEGORY"


async def test_an_expired_record_is_shown_until_just_before_its_expiry(house: House) -> None:
    expires = datetime.now(UTC) + timedelta(days=2)

    def until(alert: record_pb2.Alert) -> None:
        alert.review_by = alert.expires_at = int(expires.timestamp())

    record = altered(made_up(1), until)
    await house.receive(record)
    house.clock.ahead = expires - datetime.now(UTC) - timedelta(minutes=1)
    await shown(house, record.alert_id)
    house.clock.ahead = expires - datetime.now(UTC) + timedelta(seconds=1)
    with pytest.raises(RemoteError, match="MQ-AGR-READING-DENIED"):
        await shown(house, record.alert_id)


async def test_an_own_alert_is_shown_without_any_agreement(house: House) -> None:
    record = made_up(3, issuer="tn-dgsn")
    request = local_pb2.IssueRequest(record=record.raw)
    await call(house, "officer", "AlertService/Issue", request)
    assert (await shown(house, record.alert_id)).record == record.message


async def test_what_is_for_the_protection_of_children_only_is_shown_for_no_other_purpose(
    house: House,
) -> None:
    def protect(alert: record_pb2.Alert) -> None:
        alert.restrictions.child_protection_only = True

    record = altered(made_up(4, "MISSING_PROTECT", "tn-dgsn"), protect)
    everyone = local_pb2.IssueRequest(record=record.raw)
    # Own alerts are shown without a clause, so the restriction alone decides here.
    await keep_own(house, everyone.record)
    with pytest.raises(RemoteError, match="MQ-AGR-READING-DENIED"):
        await shown(house, record.alert_id, purpose="BORDER_CONTROL")
    answer = await shown(house, record.alert_id, purpose="CHILD_PROTECTION")
    assert answer.record == record.message


async def keep_own(house: House, raw: bytes) -> None:
    record, home = parse_record(raw), house.home

    def keep(connection: sa.Connection) -> None:
        row = new_row(
            record,
            record_no=next_record_no(connection),
            seed=new_seed(home.random),
            own=True,
            agreement_id="",
            place=None,
            registry_size=1,
            expires_at=seconds(record.expiry),
            status=RecordStatus.LIVE,
            home=home,
            at=home.clock(),
        )
        connection.execute(RECORD.insert(), row)

    await home.database.write(keep)


async def test_one_look_too_many_in_an_hour_is_refused(
    federation: Federation, tmp_path: Path
) -> None:
    limits = NodeLimits(shows_per_user_per_hour=2)
    async with settle(federation, "tn-dgsn", tmp_path / "node", limits=limits).served() as house:
        await house.admit("officer", Role.OFFICER)
        record = made_up(1)
        await house.receive(record)
        for _ in range(2):
            await shown(house, record.alert_id)
        with pytest.raises(RemoteError, match="MQ-LIMIT-BULK-READ"):
            await shown(house, record.alert_id)
        assert len(await logged(house, Operation.CONSULT)) == 2


# --- what a clause leaves out -----------------------------------------------------------


async def showing_under(folder: Path, record: ParsedRecord, *clauses: Clause) -> Any:  # noqa: ANN401
    """Return what an officer of tn-dgsn is shown of a record under some clauses."""
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol(*MEMBERS)
    federation.agree(agreement(*MEMBERS, clauses=clauses))
    async with settle(federation, "tn-dgsn", folder).served() as house:
        await house.admit("officer", Role.OFFICER)
        await house.receive(record)
        return await shown(house, record.alert_id)


def permit(clause_id: str = "C1", *, fields: Iterable[RecordField] = RecordField) -> Clause:
    everything = clause(clause_id, senders=MEMBERS, recipients=MEMBERS)
    return replace(everything, fields=frozenset(fields))


async def test_fields_that_the_clause_does_not_grant_are_left_out(tmp_path: Path) -> None:
    record = made_up(1)
    narrow = permit(fields=frozenset(RecordField) - {RecordField.OFFENCE, RecordField.SEX})
    answer = await showing_under(tmp_path / "node", record, narrow)
    assert answer.record.alert.arrest.warrant_reference
    assert not answer.record.alert.arrest.offence_text
    assert answer.record.alert.person.sex == 0
    assert list(answer.clause_ids) == ["C1"]


async def test_two_clauses_together_show_what_either_grants(tmp_path: Path) -> None:
    record = made_up(1)
    who = permit("C1", fields=ALWAYS | {RecordField.NAME})
    when = permit("C2", fields=ALWAYS | {RecordField.DATE_OF_BIRTH})
    answer = await showing_under(tmp_path / "node", record, who, when)
    person = answer.record.alert.person
    assert person.names
    assert person.dates_of_birth
    assert not person.documents
    assert list(answer.clause_ids) == ["C1", "C2"]


async def test_a_clause_that_refuses_fields_to_a_role_takes_them_away(tmp_path: Path) -> None:
    record = made_up(1)
    refusal = Clause(
        id="D1",
        effect=ClauseEffect.DENY,
        recipients=frozenset({"tn-dgsn"}),
        fields=frozenset({RecordField.WARRANT, RecordField.OFFENCE}),
        roles=frozenset({OfficerRole.FIRST_LINE}),
    )
    answer = await showing_under(tmp_path / "node", record, permit(), refusal)
    assert not answer.record.alert.arrest.ByteSize()
    assert answer.record.alert.person.names


async def test_a_clause_that_refuses_the_record_to_a_role_refuses_all_of_it(tmp_path: Path) -> None:
    refusal = Clause(
        id="D1",
        effect=ClauseEffect.DENY,
        recipients=frozenset({"tn-dgsn"}),
        roles=frozenset({OfficerRole.FIRST_LINE}),
    )
    with pytest.raises(RemoteError, match="MQ-AGR-READING-DENIED"):
        await showing_under(tmp_path / "node", made_up(1), permit(), refusal)


@settings(max_examples=60)
@given(
    granted=st.frozensets(st.sampled_from(RecordField)),
    category=st.sampled_from(CATEGORIES),
    seed=st.integers(0, 50),
)
def test_nothing_that_is_not_granted_is_left_in_a_masked_record(
    granted: frozenset[RecordField], category: str, seed: int
) -> None:
    record = made_up(seed, category)
    before = record.message.SerializeToString(deterministic=True)
    alert = masked(record.message, granted).alert
    assert record.message.SerializeToString(deterministic=True) == before
    # What every alert has to say is empty then, and so are the halves of a case.
    has_case = alert.HasField("arrest") or alert.HasField("protection")
    halves: frozenset[RecordField] = CASE if has_case else frozenset()
    if alert.WhichOneof("subject"):
        assert fields_of(plain(alert)) <= granted | ALWAYS | halves
    assert bool(alert.reason) == (RecordField.REASON in granted)
    assert bool(alert.arrest.offence_text) <= (RecordField.OFFENCE in granted)
    assert bool(alert.arrest.warrant_reference) <= (RecordField.WARRANT in granted)
    assert bool(alert.protection.contact) <= (RecordField.CONTACT in granted)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_mask_of_all_fields_leaves_a_record_as_it_is(category: str) -> None:
    record = made_up(5, category)
    assert masked(record.message, frozenset(RecordField)) == record.message
