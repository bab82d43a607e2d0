"""The articles of a first draft: what is shared under which conditions, and not by whom.

Each is a clause without its members. Fields, roles and periods are what comparable
agreements have (DOMAIN 1, 3.1); lawyers change them in the YAML, not here.
"""

from dataclasses import dataclass
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, OffenceGate
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    MinorsRule,
    OffenceClass,
    OfficerRole,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """A clause that permits, but for its id and its members."""

    title: str
    categories: frozenset[Category]
    purposes: frozenset[Purpose]
    fields: frozenset[RecordField]
    roles: frozenset[OfficerRole]
    retention_days_max: int
    minors: MinorsRule = MinorsRule.ANY
    offence_gate: OffenceGate | None = None

    def clause(
        self, clause_id: str, *, senders: frozenset[str], recipients: frozenset[str], note: str = ""
    ) -> Clause:
        """Return the clause between some members; a note follows its title."""
        return Clause(
            id=clause_id,
            title=f"{self.title}{note}",
            senders=senders,
            recipients=recipients,
            categories=self.categories,
            purposes=self.purposes,
            fields=self.fields,
            handling=USABLE,
            roles=self.roles,
            minors=self.minors,
            sources=frozenset(SourceGrade),
            information=frozenset(InformationGrade),
            offence_gate=self.offence_gate,
            retention_days_max=self.retention_days_max,
            necessity_min_length=NECESSITY_MIN_LENGTH,
        )


AMONG_STATES: Final = (
    Article(
        title="Persons wanted for arrest and surrender",
        categories=frozenset({Category.ARREST}),
        purposes=frozenset(
            {
                Purpose.BORDER_CONTROL,
                Purpose.ARREST_SURRENDER,
                Purpose.CRIMINAL_INVESTIGATION,
                Purpose.COUNTER_TERRORISM,
            }
        ),
        fields=POLICE_FIELDS,
        roles=POLICE,
        retention_days_max=1826,
        minors=MinorsRule.ADULTS_ONLY,
        offence_gate=GATE,
    ),
    Article(
        title="Travel documents and objects",
        categories=frozenset({Category.DOC_INVALID, Category.OBJECT_SEIZE}),
        purposes=frozenset(
            {
                Purpose.BORDER_CONTROL,
                Purpose.DOCUMENT_SECURITY,
                Purpose.PROPERTY_RECOVERY,
                Purpose.CRIMINAL_INVESTIGATION,
            }
        ),
        fields=WHO | WHY | PAPERS | THINGS,
        roles=POLICE,
        retention_days_max=3652,
    ),
    Article(
        title="Persons sought for a judicial procedure",
        categories=frozenset({Category.JUDICIAL}),
        purposes=frozenset(
            {
                Purpose.BORDER_CONTROL,
                Purpose.JUDICIAL_COOPERATION,
                Purpose.CRIMINAL_INVESTIGATION,
            }
        ),
        fields=POLICE_FIELDS,
        roles=POLICE,
        retention_days_max=1095,
        minors=MinorsRule.ADULTS_ONLY,
    ),
    Article(
        title="Checks, information on serious crime and warnings",
        categories=frozenset(
            {
                Category.CHECK_DISCREET,
                Category.CHECK_INQUIRY,
                Category.CHECK_SPECIFIC,
                Category.INFO_SERIOUS_CRIME,
                Category.THREAT_WARNING,
            }
        ),
        purposes=frozenset(
            {
                Purpose.BORDER_CONTROL,
                Purpose.CRIMINAL_INVESTIGATION,
                Purpose.COUNTER_TERRORISM,
            }
        ),
        fields=POLICE_FIELDS,
        roles=POLICE,
        retention_days_max=365,
        minors=MinorsRule.ADULTS_ONLY,
    ),
    Article(
        title="Persons and entities listed by the Security Council",
        categories=frozenset({Category.UNSC_LISTED}),
        purposes=frozenset(
            {
                Purpose.BORDER_CONTROL,
                Purpose.SANCTIONS_ENFORCEMENT,
                Purpose.COUNTER_TERRORISM,
            }
        ),
        fields=POLICE_FIELDS,
        roles=POLICE,
        retention_days_max=3652,
    ),
    Article(
        title="Missing persons and bodies without a name",
        categories=MISSING,
        purposes=MISSING_PURPOSES,
        fields=CARE_FIELDS | PRINTS,
        roles=CARERS,
        retention_days_max=1826,
    ),
    Article(
        title="Children and vulnerable adults at risk",
        categories=AT_RISK,
        purposes=CARE_PURPOSES,
        fields=CARE_FIELDS | {RecordField.FINGERPRINTS},
        roles=CARERS,
        retention_days_max=365,
    ),
)
WITH_ORGANISATIONS: Final = (
    Article(
        title="Missing persons",
        categories=MISSING,
        purposes=MISSING_PURPOSES,
        fields=CARE_FIELDS,
        roles=CARERS,
        retention_days_max=1826,
    ),
    Article(
        title="Children and vulnerable adults at risk",
        categories=AT_RISK,
        purposes=CARE_PURPOSES,
        fields=CARE_FIELDS,
        roles=CARERS,
        retention_days_max=365,
    ),
)
