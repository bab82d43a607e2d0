"""A first draft of terms for some members, for their lawyers to change.

States share policing, checks and documents among themselves; organisations take part
in missing persons and the protection of children only, with fewer fields and no
biometric data. A draft grants nothing until every party has signed its bytes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, OffenceGate, Party
from mithaq.agreements.countries import country_of
from mithaq.agreements.errors import TermsInvalidError
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    Handling,
    InformationGrade,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
)

WHO: Final = frozenset(
    {
        RecordField.NAME,
        RecordField.FORMER_NAMES,
        RecordField.DATE_OF_BIRTH,
        RecordField.PLACE_OF_BIRTH,
        RecordField.SEX,
        RecordField.NATIONALITY,
    }
)
WHY: Final = frozenset(
    {
        RecordField.REASON,
        RecordField.AUTHORITY,
        RecordField.DECISION_REFERENCE,
        RecordField.ACTION,
        RecordField.LINKS,
        RecordField.MARKERS,
        RecordField.FREE_TEXT,
    }
)
PAPERS: Final = frozenset(
    {RecordField.NATIONAL_NUMBER, RecordField.IDENTITY_DOCUMENT, RecordField.TRAVEL_DOCUMENT}
)
THINGS: Final = frozenset(
    {RecordField.VEHICLE, RecordField.VESSEL, RecordField.AIRCRAFT, RecordField.OBJECT}
)
LOOKS: Final = frozenset({RecordField.MARKS, RecordField.PHOTO})
PRINTS: Final = frozenset({RecordField.FINGERPRINTS, RecordField.PALM_PRINTS, RecordField.DNA})
POLICE_FIELDS: Final = (
    WHO
    | WHY
    | PAPERS
    | THINGS
    | LOOKS
    | {
        RecordField.FINGERPRINTS,
        RecordField.PALM_PRINTS,
        RecordField.OFFENCE,
        RecordField.WARRANT,
        RecordField.MISUSED_IDENTITY,
        RecordField.WHEREABOUTS,
    }
)
CARE_FIELDS: Final = (
    WHO
    | WHY
    | PAPERS
    | LOOKS
    | {RecordField.CASE_TYPE, RecordField.CONTACT, RecordField.WHEREABOUTS}
)

OFFICERS: Final = frozenset(
    {OfficerRole.FIRST_LINE, OfficerRole.SECOND_LINE, OfficerRole.BUREAU, OfficerRole.SUPERVISOR}
)
POLICE: Final = OFFICERS | {OfficerRole.INVESTIGATOR, OfficerRole.JUDICIAL_OFFICER}
CARERS: Final = OFFICERS | {
    OfficerRole.CHILD_PROTECTION,
    OfficerRole.VICTIM_SUPPORT,
    OfficerRole.CASE_WORKER,
    OfficerRole.INVESTIGATOR,
}
USABLE: Final = frozenset({Handling.H0, Handling.H1, Handling.H2})

MISSING: Final = frozenset(
    {Category.MISSING_PROTECT, Category.MISSING_LOCATE, Category.UNIDENTIFIED_REMAINS}
)
AT_RISK: Final = frozenset(
    {
        Category.CHILD_ABDUCTION_RISK,
        Category.CHILD_EXPLOITATION_RISK,
        Category.VULNERABLE_ADULT_RISK,
    }
)
CARE_PURPOSES: Final = frozenset(
    {
        Purpose.BORDER_CONTROL,
        Purpose.MISSING_PERSONS,
        Purpose.CHILD_PROTECTION,
        Purpose.VICTIM_PROTECTION,
    }
)
MISSING_PURPOSES: Final = CARE_PURPOSES | {Purpose.VICTIM_IDENTIFICATION}
GATE: Final = OffenceGate(
    max_sentence_months_min=12,
    excluded=frozenset(
        {
            OffenceClass.POLITICAL,
            OffenceClass.MILITARY,
            OffenceClass.RELIGIOUS,
            OffenceClass.PRESS_OR_SPEECH,
            OffenceClass.MIGRATION_ONLY,
            OffenceClass.FAMILY_LAW_ONLY,
        }
    ),
)
NECESSITY_MIN_LENGTH: Final = 20
MEMBERS_MIN: Final = 2


def draft(
    federation: str,
    members: Sequence[str],
    *,
    agreement_id: str,
    effective_from: datetime,
    expires_at: datetime,
    title: str = "",
    version: int = 1,
    names: Mapping[str, str] | None = None,
) -> Agreement:
    """Return draft terms among some members; those named `int-…` are organisations.

    `names` are the parties' display names. Raises TermsInvalidError where a member id
    begins with no country's code, or where fewer than two members are given.
    """
    parties = tuple(_party(member, names or {}) for member in sorted(set(members)))
    if len(parties) < MEMBERS_MIN:
        raise TermsInvalidError(
            "an agreement needs two parties", fix="name at least two different members"
        )
    states = frozenset(party.member for party in parties if party.kind is PartyKind.STATE)
    organisations = frozenset(party.member for party in parties) - states
    clauses = (
        *(_among_states(states) if len(states) >= MEMBERS_MIN else ()),
        *(_with_organisations(states, organisations) if organisations else ()),
    )
    return Agreement(
        id=agreement_id,
        version=version,
        federation=federation,
        title=title or f"Sharing of alerts among {', '.join(p.member for p in parties)}"[:200],
        parties=parties,
        clauses=clauses,
        effective_from=effective_from,
        expires_at=expires_at,
    )


def _party(member: str, names: Mapping[str, str]) -> Party:
    country = country_of(member)
    if country is None:
        raise TermsInvalidError(
            f"{member} begins with no country's code",
            fix="begin a state's member id with its ISO 3166 code, an organisation's with int-",
        )
    return Party(
        member=member,
        display_name=names.get(member, member),
        kind=PartyKind.STATE if country else PartyKind.ORGANISATION,
        country=country,
    )


def _among_states(states: frozenset[str]) -> tuple[Clause, ...]:
    return (
        *_policing(states),
        _clause(
            "C6",
            "Missing persons and bodies without a name",
            senders=states,
            categories=MISSING,
            purposes=MISSING_PURPOSES,
            fields=CARE_FIELDS | PRINTS,
            roles=CARERS,
            days=1826,
        ),
        _clause(
            "C7",
            "Children and vulnerable adults at risk",
            senders=states,
            categories=AT_RISK,
            purposes=CARE_PURPOSES,
            fields=CARE_FIELDS | {RecordField.FINGERPRINTS},
            roles=CARERS,
            days=365,
        ),
    )


def _policing(states: frozenset[str]) -> tuple[Clause, ...]:
    return (
        _clause(
            "C1",
            "Persons wanted for arrest and surrender",
            senders=states,
            categories={Category.ARREST},
            purposes={
                Purpose.BORDER_CONTROL,
                Purpose.ARREST_SURRENDER,
                Purpose.CRIMINAL_INVESTIGATION,
                Purpose.COUNTER_TERRORISM,
            },
            fields=POLICE_FIELDS,
            roles=POLICE,
            days=1826,
            minors=MinorsRule.ADULTS_ONLY,
            gate=GATE,
        ),
        _clause(
            "C2",
            "Travel documents and objects",
            senders=states,
            categories={Category.DOC_INVALID, Category.OBJECT_SEIZE},
            purposes={
                Purpose.BORDER_CONTROL,
                Purpose.DOCUMENT_SECURITY,
                Purpose.PROPERTY_RECOVERY,
                Purpose.CRIMINAL_INVESTIGATION,
            },
            fields=WHO | WHY | PAPERS | THINGS,
            roles=POLICE,
            days=3652,
        ),
        _clause(
            "C3",
            "Persons sought for a judicial procedure",
            senders=states,
            categories={Category.JUDICIAL},
            purposes={
                Purpose.BORDER_CONTROL,
                Purpose.JUDICIAL_COOPERATION,
                Purpose.CRIMINAL_INVESTIGATION,
            },
            fields=POLICE_FIELDS,
            roles=POLICE,
            days=1095,
            minors=MinorsRule.ADULTS_ONLY,
        ),
        _clause(
            "C4",
            "Checks, information on serious crime and warnings",
            senders=states,
            categories={
                Category.CHECK_DISCREET,
                Category.CHECK_INQUIRY,
                Category.CHECK_SPECIFIC,
                Category.INFO_SERIOUS_CRIME,
                Category.THREAT_WARNING,
            },
            purposes={
                Purpose.BORDER_CONTROL,
                Purpose.CRIMINAL_INVESTIGATION,
                Purpose.COUNTER_TERRORISM,
            },
            fields=POLICE_FIELDS,
            roles=POLICE,
            days=365,
            minors=MinorsRule.ADULTS_ONLY,
        ),
        _clause(
            "C5",
            "Persons and entities listed by the Security Council",
            senders=states,
            categories={Category.UNSC_LISTED},
            purposes={
                Purpose.BORDER_CONTROL,
                Purpose.SANCTIONS_ENFORCEMENT,
                Purpose.COUNTER_TERRORISM,
            },
            fields=POLICE_FIELDS,
            roles=POLICE,
            days=3652,
        ),
    )


def _with_organisations(
    states: frozenset[str], organisations: frozenset[str]
) -> tuple[Clause, ...]:
    care = (
        *_care(
            "C8",
            "C9",
            senders=states | organisations,
            recipients=organisations,
            which="to organisations",
        ),
        *(
            _care(
                "C10",
                "C11",
                senders=organisations,
                recipients=states,
                which="from organisations",
            )
            if states
            else ()
        ),
    )
    refusal = Clause(
        id="D1",
        effect=ClauseEffect.DENY,
        title="No prints and no DNA to organisations",
        recipients=organisations,
        fields=PRINTS,
    )
    return (*care, refusal)


def _care(
    missing_id: str,
    risk_id: str,
    *,
    senders: frozenset[str],
    recipients: frozenset[str],
    which: str,
) -> tuple[Clause, Clause]:
    missing = _clause(
        missing_id,
        f"Missing persons, {which}",
        senders=senders,
        categories=MISSING,
        purposes=MISSING_PURPOSES,
        fields=CARE_FIELDS,
        roles=CARERS,
        recipients=recipients,
        days=1826,
    )
    risk = _clause(
        risk_id,
        f"Children and vulnerable adults at risk, {which}",
        senders=senders,
        categories=AT_RISK,
        purposes=CARE_PURPOSES,
        fields=CARE_FIELDS,
        roles=CARERS,
        recipients=recipients,
        days=365,
    )
    return missing, risk


def _clause(
    clause_id: str,
    title: str,
    *,
    senders: frozenset[str],
    categories: frozenset[Category] | set[Category],
    purposes: frozenset[Purpose] | set[Purpose],
    fields: frozenset[RecordField],
    roles: frozenset[OfficerRole],
    days: int,
    recipients: frozenset[str] | None = None,
    minors: MinorsRule = MinorsRule.ANY,
    gate: OffenceGate | None = None,
) -> Clause:
    return Clause(
        id=clause_id,
        title=title,
        senders=senders,
        recipients=senders if recipients is None else recipients,
        categories=frozenset(categories),
        purposes=frozenset(purposes),
        fields=fields,
        handling=USABLE,
        roles=roles,
        minors=minors,
        sources=frozenset(SourceGrade),
        information=frozenset(InformationGrade),
        offence_gate=gate,
        retention_days_max=days,
        onward=OnwardTransfer.NONE,
        necessity_min_length=NECESSITY_MIN_LENGTH,
    )
