"""Terms and facts that the tests of this room start from, and change one thing of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Party
from mithaq.agreements.decision import decide_disclosure
from mithaq.agreements.facts import Facts
from mithaq.agreements.reason import Decision
from mithaq.agreements.status import ACTIVE, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    Handling,
    InformationGrade,
    OffenceClass,
    OfficerRole,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)

EGYPT = "eg-moi"
TUNISIA = "tn-dgsn"
IOM = "int-iom"
STRANGER = "fr-pn"

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2031, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

PARTIES = (
    Party(member=EGYPT, display_name="Egypt", kind=PartyKind.STATE, country="EGY"),
    Party(member=IOM, display_name="IOM", kind=PartyKind.ORGANISATION),
    Party(member=TUNISIA, display_name="Tunisia", kind=PartyKind.STATE, country="TUN"),
)
FACTS = Facts(
    category=Category.ARREST,
    subject_type=SubjectType.PERSON,
    subject_age=SubjectAge.ADULT,
    origin_system="NATIONAL",
    handling=Handling.H0,
    purposes=frozenset({Purpose.ARREST_SURRENDER}),
    fields=frozenset({RecordField.NAME, RecordField.ACTION}),
    expires_at=NOW + 30 * DAY,
    source=SourceGrade.A,
    information=InformationGrade.FIRST,
    necessity_length=40,
    excluded=frozenset(),
)


def permit(clause_id: str = "C1", **changes: Any) -> Clause:  # noqa: ANN401 - any field
    """Return a clause that permits FACTS from Egypt to Tunisia, with some things changed."""
    terms: dict[str, Any] = {
        "senders": frozenset({EGYPT}),
        "recipients": frozenset({TUNISIA}),
        "categories": frozenset({Category.ARREST}),
        "purposes": frozenset({Purpose.ARREST_SURRENDER, Purpose.BORDER_CONTROL}),
        "fields": frozenset({RecordField.NAME, RecordField.ACTION, RecordField.PHOTO}),
        "handling": frozenset({Handling.H0, Handling.H1}),
        "roles": frozenset({OfficerRole.FIRST_LINE, OfficerRole.BUREAU}),
        "sources": frozenset({SourceGrade.A, SourceGrade.B}),
        "information": frozenset({InformationGrade.FIRST, InformationGrade.SECOND}),
        "retention_days_max": 100,
    }
    return Clause(id=clause_id, **(terms | changes))


def refusal(clause_id: str = "D1", **changes: Any) -> Clause:  # noqa: ANN401 - any field
    """Return a clause that refuses everything, narrowed by what is given."""
    return Clause(id=clause_id, effect=ClauseEffect.DENY, **changes)


def agreed(*clauses: Clause, **changes: Any) -> Agreement:  # noqa: ANN401 - any field
    """Return terms with these clauses; with none, with the one of `permit`."""
    terms: dict[str, Any] = {
        "id": "eg-tn-iom-2026",
        "version": 1,
        "federation": "euroarab.example",
        "title": "Test",
        "parties": PARTIES,
        "clauses": clauses or (permit(),),
        "effective_from": BEGIN,
        "expires_at": END,
    }
    return Agreement(**(terms | changes))


def facts(**changes: Any) -> Facts:  # noqa: ANN401 - any field
    """Return FACTS with some things changed."""
    return replace(FACTS, **changes)


def offence(
    kind: OffenceClass = OffenceClass.HOMICIDE,
    *,
    months: int | None = 120,
    **changes: Any,  # noqa: ANN401 - any field
) -> Facts:
    """Return FACTS that rest on an assessed offence."""
    return facts(offence=kind, max_sentence_months=months, **changes)


def disclose(
    agreement: Agreement,
    record: Facts = FACTS,
    *,
    status: AgreementStatus = ACTIVE,
    sender: str = EGYPT,
    recipient: str = TUNISIA,
    at: datetime = NOW,
    created_at: datetime | None = None,
) -> Decision:
    """Decide the disclosure that most tests are about."""
    return decide_disclosure(
        agreement,
        status=status,
        facts=record,
        sender=sender,
        recipient=recipient,
        at=at,
        created_at=created_at,
    )
