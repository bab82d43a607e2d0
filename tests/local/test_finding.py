import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from mithaq.agreements.clause import Clause
from mithaq.agreements.reason import Decision, Reason
from mithaq.agreements.vocabulary import OfficerRole, Purpose, RecordField
from mithaq.node.config import NodeLimits
from mithaq.node.local import finding
from mithaq.node.local.access import Caller, Role
from mithaq.node.local.judging import Scope, search_cautions
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.tables import RecordStatus
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.store.audit import AuditFilter
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.v1 import local_pb2
from tests.federation import Federation, agreement, clause
from tests.local.calls import call
from tests.local.house import House, alerts, grounds, made_up, settle

MEMBERS = ("eg-moi", "tn-dgsn", "int-iom")


def passport(record: ParsedRecord) -> str:
    return record.alert.person.documents[0].number


async def found(
    house: House, user: str = "officer", *, why: local_pb2.Grounds | None = None, **query: str
) -> local_pb2.FindAlertsResponse:
    async with house.as_user(user) as channel:
        try:
            return await alerts(channel).FindAlerts(
                local_pb2.FindAlertsRequest(grounds=why or grounds(), **query), timeout=10
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


async def searches(house: House) -> list[AuditEntry]:
    wanted = AuditFilter(operation=Operation.SEARCH)
    rows = await house.home.database.read(lambda each: house.home.audit.read(each, wanted))
    return [entry for _, entry in rows.rows]


async def served_with(
    federation: Federation,
    folder: Path,
    check: Callable[[House], Awaitable[None]],
    *,
    limits: NodeLimits | None = None,
) -> None:
    """Serve a node of tn-dgsn with an officer and a supervisor, and run a check."""
    async with settle(federation, "tn-dgsn", folder, limits=limits).served() as house:
        await house.admit("officer", Role.OFFICER)
        await house.admit("supervisor", Role.DUTY_SUPERVISOR)
        await house.admit("kiosk", Role.SYSTEM)
        await check(house)


def federation_with(*clauses: Clause) -> Federation:
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol(*MEMBERS)
    federation.agree(agreement(*MEMBERS, clauses=clauses))
    return federation


# --- what is found ----------------------------------------------------------------------


async def test_a_document_number_finds_its_record_however_it_is_written(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    number = passport(record)
    for written in (
        number,
        number.lower(),
        f"{number[:3]} {number[3:]}",
        f"{number[:1]}-{number[1:]}",
    ):
        answer = await found(house, document_number=written)
        assert [match.row.alert_id for match in answer.matches] == [record.alert_id]
        assert answer.matches[0].score == 100
    answer = await found(house, document_number=number, issuing_state="EGY")
    assert len(answer.matches) == 1
    answer = await found(house, document_number=number, issuing_state="TUN")
    assert not answer.matches


async def test_a_name_finds_its_record_in_either_script_and_the_birth_puts_it_in_order(
    house: House,
) -> None:
    record = made_up(2)
    await house.receive(record)
    name = record.alert.person.names[0]
    born = record.alert.person.dates_of_birth[0]
    for written in (f"{name.forenames} {name.surname}", name.original_script):
        answer = await found(house, name=written)
        assert [match.row.alert_id for match in answer.matches] == [record.alert_id]
    whole = f"{name.forenames} {name.surname}"
    exact = await found(
        house, name=whole, date_of_birth=f"{born.year:04}-{born.month:02}-{born.day:02}"
    )
    assert "date of birth: same day" in exact.matches[0].explanation
    year = await found(house, name=whole, date_of_birth=f"{born.year:04}")
    assert "fits what is known" in year.matches[0].explanation
    other = await found(house, name=whole, date_of_birth=f"{born.year - 7:04}")
    assert not other.matches or other.matches[0].score < exact.matches[0].score


async def test_only_live_records_are_found(house: House) -> None:
    gone = [
        RecordStatus.SUPERSEDED,
        RecordStatus.WITHDRAWN,
        RecordStatus.ERASED,
        RecordStatus.RETAINED,
        RecordStatus.REFUSED,
    ]
    for seed, status in enumerate(gone, start=10):
        record = made_up(seed)
        await house.receive(record, status=status)
        assert not (await found(house, document_number=passport(record))).matches


async def test_a_match_says_what_to_do_and_that_it_identifies_nobody(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    answer = await found(house, document_number=passport(record))
    assert answer.matches[0].action_to_be_taken.startswith("Arrest for surrender")
    assert record.alert.person.names[0].surname in answer.matches[0].summary
    assert any("no identification" in caution for caution in answer.cautions)


async def test_no_more_matches_are_shown_than_the_limit_and_the_officer_is_told(
    federation: Federation, tmp_path: Path
) -> None:
    async def check(house: House) -> None:
        shared = made_up(1)
        for seed in range(2, 5):
            changed = made_up(seed)
            message = type(changed.message)()
            message.CopyFrom(changed.message)
            message.alert.person.documents[0].number = passport(shared)
            await house.receive(seal_in(message))
            answer = await found(house, document_number=passport(shared))
            assert len(answer.matches) == min(seed - 1, 2)
            assert any("give more" in caution for caution in answer.cautions) == (seed - 1 > 2)

    limits = NodeLimits(matches_per_search_max=2)
    await served_with(federation, tmp_path / "node", check, limits=limits)


# --- why, and by whom -------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"purpose": "", "why": "grounds.purpose"},
        {"case_reference": "x", "why": "grounds.case_reference"},
        {"justification": "because", "why": "grounds.justification"},
        {"purpose": "CURIOSITY", "why": "grounds.purpose"},
    ],
)
async def test_nobody_searches_without_purpose_case_and_justification(
    house: House, bad: dict[str, str]
) -> None:
    why = bad.pop("why")
    with pytest.raises(RemoteError) as caught:
        await found(house, document_number="A1234567", why=grounds(**bad))
    assert caught.value.code == "MQ-REQUEST-INVALID"
    assert why in [field for field, _ in caught.value.violations]
    assert await searches(house) == []


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"document_number": "A12"},
        {"document_number": "****"},
        {"name": "x"},
        {"name": "%"},
        {"document_number": "A1234567", "issuing_state": "eg"},
        {"name": "Limrush", "date_of_birth": "2001-13"},
        {"name": "Limrush", "date_of_birth": "2001-02-30"},
        {"name": "Limrush", "date_of_birth": "0000"},
        {"document_number": "A1234567", "date_of_birth": "2001"},
    ],
)
async def test_a_search_that_is_after_nobody_in_particular_is_refused(
    house: House, query: dict[str, str]
) -> None:
    request = local_pb2.FindAlertsRequest(grounds=grounds(), **query)
    with pytest.raises(RemoteError, match="MQ-REQUEST-INVALID"):
        await call(house, "officer", "AlertService/FindAlerts", request)


async def test_nothing_found_is_logged_as_well_and_the_terms_only_as_a_keyed_hash(
    house: House,
) -> None:
    answer = await found(house, document_number="Z9988776")
    assert not answer.matches
    (entry,) = await searches(house)
    assert (entry.actor, entry.query_kind, entry.result_count) == ("officer", "document", 0)
    assert entry.case_reference == "CASE-2026-17"
    assert len(entry.query_hash) == 32
    for file in house.config.directory.rglob("node.db*"):
        assert b"Z9988776" not in file.read_bytes()


async def test_equal_searches_hash_to_equal_values_and_others_do_not(house: House) -> None:
    for number in ("Z9988776", "z 9988-776", "Z9988775"):
        await found(house, document_number=number)
    third, second, first = await searches(house)
    assert first.query_hash == second.query_hash != third.query_hash


async def test_every_record_that_was_judged_is_logged_with_its_clause(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    await found(house, document_number=passport(record))
    (entry,) = await searches(house)
    (ref,) = entry.records
    assert (ref.alert_id, ref.version) == (record.alert_id, 1)
    assert ref.decision is not None
    assert (ref.decision.allowed, ref.decision.clause_ids) == (True, ("C1",))
    assert entry.registry_size == house.home.registry.size


async def test_a_kill_between_log_and_answer_loses_the_answer_and_never_the_log(
    house: House,
) -> None:
    record = made_up(1)
    await house.receive(record)
    assert house.running is not None
    desk, home = house.running.desk, house.home
    caller = Caller("officer", Role.OFFICER, bytes(32))
    request = local_pb2.FindAlertsRequest(grounds=grounds(), document_number=passport(record))
    real = home.database
    home.database = _Dying(real)  # type: ignore[assignment]
    try:
        with pytest.raises(Killed):
            await finding.find(desk, caller, request)
    finally:
        home.database = real
    assert len(await searches(house)) == 1
    with sqlite3.connect(house.config.directory / "node.db") as file:
        assert file.execute("SELECT count(*) FROM node_match").fetchone() == (1,)


async def test_an_answer_whose_log_entry_cannot_be_written_never_leaves(house: House) -> None:
    record = made_up(1)
    await house.receive(record)

    def full(connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON log_page BEGIN SELECT RAISE(FAIL, 'full'); END"
        )

    await house.home.database.write(full)
    with pytest.raises(RemoteError):
        await found(house, document_number=passport(record))
    with sqlite3.connect(house.config.directory / "node.db") as file:
        assert file.execute("SELECT count(*) FROM node_match").fetchone() == (0,)


class Killed(BaseException):
    """The end of a process."""


class _Dying:
    """A database of a process that is killed as soon as something is durable."""

    def __init__(self, real: Any) -> None:  # noqa: ANN401 - a Database
        self.read = real.read
        self._write = real.write

    async def write(self, act: Callable[[Any], Any]) -> None:
        await self._write(act)
        raise Killed


# --- what the agreement says ------------------------------------------------------------


async def test_a_record_whose_agreement_was_suspended_is_not_found_any_more(
    federation: Federation, tmp_path: Path
) -> None:
    record = made_up(1)

    async def check(house: House) -> None:
        await house.receive(record)
        assert (await found(house, document_number=passport(record))).matches
        leaf = federation.suspend_agreement("test-agreement", "eg-moi")
        await house.home.database.write(
            lambda each: house.home.trust.extend(each, [leaf], federation.checkpoint())
        )
        assert not (await found(house, document_number=passport(record))).matches
        refused, _ = await searches(house)
        assert refused.records[0].decision is not None
        assert refused.records[0].decision.reason == "AGREEMENT_SUSPENDED"

    await served_with(federation, tmp_path / "node", check)


async def test_a_role_that_no_clause_names_finds_nothing(tmp_path: Path) -> None:
    everyone = clause("C1", senders=MEMBERS, recipients=MEMBERS)
    bureau = replace(everyone, roles=frozenset({OfficerRole.BUREAU}))
    record = made_up(1)

    async def check(house: House) -> None:
        await house.receive(record)
        number = passport(record)
        assert (await found(house, "supervisor", document_number=number)).matches
        assert not (await found(house, "officer", document_number=number)).matches

    await served_with(federation_with(bureau), tmp_path / "node", check)


async def test_a_purpose_that_no_clause_grants_finds_nothing(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    number = passport(record)
    fitting = grounds(purpose=Purpose.ARREST_SURRENDER)
    assert (await found(house, document_number=number, why=fitting)).matches
    other = grounds(purpose=Purpose.MISSING_PERSONS)
    assert not (await found(house, document_number=number, why=other)).matches


async def test_an_own_alert_is_found_without_any_agreement(house: House) -> None:
    record = made_up(1, issuer="tn-dgsn")
    async with house.as_user("officer") as channel:
        await alerts(channel).Issue(local_pb2.IssueRequest(record=record.raw), timeout=10)
    answer = await found(house, document_number=passport(record))
    assert [match.row.own for match in answer.matches] == [True]


async def test_fields_that_no_clause_grants_are_left_out_of_the_summary(tmp_path: Path) -> None:
    everyone = clause("C1", senders=MEMBERS, recipients=MEMBERS)
    without = frozenset(RecordField) - {RecordField.DATE_OF_BIRTH, RecordField.NATIONALITY}
    record = made_up(1)

    async def check(house: House) -> None:
        await house.receive(record)
        answer = await found(house, document_number=passport(record))
        assert record.alert.person.names[0].surname in answer.matches[0].summary
        assert "born" not in answer.matches[0].summary
        assert "EGY" not in answer.matches[0].summary

    narrow = replace(everyone, fields=without)
    await served_with(federation_with(narrow), tmp_path / "node", check)


# --- without the registry ---------------------------------------------------------------


async def test_names_of_foreign_persons_close_at_the_staleness_limit_and_documents_go_on(
    house: House,
) -> None:
    foreign, own = made_up(1), made_up(2, issuer="tn-dgsn")
    await house.receive(foreign)
    async with house.as_user("officer") as channel:
        await alerts(channel).Issue(local_pb2.IssueRequest(record=own.raw), timeout=10)

    def name(record: ParsedRecord) -> str:
        given = record.alert.person.names[0]
        return f"{given.forenames} {given.surname}"

    synced_at = house.home.registry.time
    assert synced_at is not None
    limit = synced_at + timedelta(hours=48) - datetime.now(UTC)
    house.clock.ahead = limit - timedelta(seconds=30)
    assert (await found(house, name=name(foreign))).matches
    house.clock.ahead = limit + timedelta(seconds=30)
    closed = await found(house, name=name(foreign))
    assert not closed.matches
    assert any("closed" in caution for caution in closed.cautions)
    assert (await found(house, name=name(own))).matches
    both = await found(house, name=name(foreign), document_number=passport(foreign))
    assert [match.explanation for match in both.matches] == ["document number: the same"]
    document = await found(house, document_number=passport(foreign))
    assert len(document.matches) == 1
    assert any("verify with the bureau" in caution for caution in document.cautions)


async def test_what_is_found_is_marked_stale_once_the_registry_is(house: House) -> None:
    record = made_up(1)
    await house.receive(record)
    limit = house.home.registry.policy.freshness_limit
    fresh = await found(house, document_number=passport(record))
    assert not any(caution.startswith("Stale since") for caution in fresh.cautions)
    house.clock.ahead = limit + timedelta(seconds=30)
    stale = await found(house, document_number=passport(record))
    assert any(caution.startswith("Stale since") for caution in stale.cautions)


async def test_a_record_for_some_units_is_found_by_no_other(
    federation: Federation, tmp_path: Path
) -> None:
    message = type(made_up(1).message)()
    message.CopyFrom(made_up(1).message)
    message.alert.restrictions.only_units.append("SIRENE")
    record = seal_in(message)
    for units, hits in (((), 0), (("HARBOUR",), 0), (("HARBOUR", "SIRENE"), 1)):
        house = settle(federation, "tn-dgsn", tmp_path / str(len(units)))
        house.config = house.config.model_copy(update={"units": units})
        async with house.served():
            await house.admit("officer", Role.OFFICER)
            await house.receive(record)
            answer = await found(house, document_number=passport(record))
            assert len(answer.matches) == hits


# --- harvesting -------------------------------------------------------------------------


async def test_one_search_too_many_in_an_hour_is_refused_logged_and_raises_an_alarm(
    federation: Federation, tmp_path: Path
) -> None:
    async def check(house: House) -> None:
        for _ in range(3):
            await found(house, document_number="Z9988776")
        with pytest.raises(RemoteError) as caught:
            await found(house, document_number="Z9988776")
        assert caught.value.code == "MQ-LIMIT-BULK-READ"
        assert caught.value.retry_after is not None
        assert len(await searches(house)) == 3
        with sqlite3.connect(house.config.directory / "node.db") as file:
            (alarm,) = file.execute("SELECT name FROM node_alarm").fetchall()
        assert alarm == ("bulk reads",)
        # Others, and systems at a border, have limits of their own.
        await found(house, "supervisor", document_number="Z9988776")
        await found(house, "kiosk", document_number="Z9988776")

    limits = NodeLimits(searches_per_user_per_hour=3)
    await served_with(federation, tmp_path / "node", check, limits=limits)


async def test_an_hour_later_one_may_search_again_and_a_restart_forgets_nothing(
    federation: Federation, tmp_path: Path
) -> None:
    limits = NodeLimits(searches_per_user_per_hour=2)
    house = settle(federation, "tn-dgsn", tmp_path / "node", limits=limits)
    async with house.served():
        await house.admit("officer", Role.OFFICER)
        for _ in range(2):
            await found(house, document_number="Z9988776")
    async with house.restarted().served() as again:
        with pytest.raises(RemoteError, match="MQ-LIMIT-BULK-READ"):
            await found(again, document_number="Z9988776")
        again.clock.ahead = timedelta(hours=1, seconds=1)
        await found(again, document_number="Z9988776")


def test_a_search_says_what_it_did_not_look_at_because_it_is_suspended() -> None:
    suspended = Decision(allowed=False, clause_ids=(), reason=Reason.AGREEMENT_SUSPENDED)
    allowed = Decision(allowed=True, clause_ids=("C1",), reason=Reason.ALLOWED)
    scope = Scope({"rabat-2026": suspended, "amman-2026": allowed})
    assert search_cautions([scope, scope]) == [
        "Others' records under rabat-2026 were not searched: suspended."
    ]
    assert search_cautions([Scope({"amman-2026": allowed})]) == []
