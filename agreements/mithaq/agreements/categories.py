"""The categories of records and their rules (DOMAIN 3.1): one table.

A rule here bounds every agreement: what the table refuses, no clause can permit.
The action is what the reading officer sees first; its code is that of the records.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mithaq.agreements.vocabulary import Purpose, RecordField, SubjectAge, SubjectType


class Category(StrEnum):
    """Code of a category, as in headers, records and clauses."""

    ARREST = "ARREST"
    MISSING_PROTECT = "MISSING_PROTECT"
    MISSING_LOCATE = "MISSING_LOCATE"
    CHILD_ABDUCTION_RISK = "CHILD_ABDUCTION_RISK"
    CHILD_EXPLOITATION_RISK = "CHILD_EXPLOITATION_RISK"
    VULNERABLE_ADULT_RISK = "VULNERABLE_ADULT_RISK"
    JUDICIAL = "JUDICIAL"
    CHECK_DISCREET = "CHECK_DISCREET"
    CHECK_INQUIRY = "CHECK_INQUIRY"
    CHECK_SPECIFIC = "CHECK_SPECIFIC"
    INFO_SERIOUS_CRIME = "INFO_SERIOUS_CRIME"
    REFUSE_ENTRY = "REFUSE_ENTRY"
    RETURN = "RETURN"
    OBJECT_SEIZE = "OBJECT_SEIZE"
    DOC_INVALID = "DOC_INVALID"
    UNKNOWN_TRACE = "UNKNOWN_TRACE"
    UNIDENTIFIED_REMAINS = "UNIDENTIFIED_REMAINS"
    UNSC_LISTED = "UNSC_LISTED"
    THREAT_WARNING = "THREAT_WARNING"
    VICTIM_REFERRAL = "VICTIM_REFERRAL"
    HEALTH_EVENT = "HEALTH_EVENT"
    SAR_EVENT = "SAR_EVENT"


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """What holds for a category whatever an agreement says.

    `ages` are the age classes that it may concern: an unknown age is refused where
    the category is about children or about adults only.
    """

    code: Category
    action: str
    action_text: str
    subject_types: frozenset[SubjectType]
    ages: frozenset[SubjectAge]
    validity_days: int
    purposes: frozenset[Purpose]
    fields_refused: frozenset[RecordField]
    urgent: bool = False

    @property
    def child_only(self) -> bool:
        """Whether every subject is a child."""
        return self.ages == CHILD


F = RecordField
P = Purpose
T = SubjectType

PERSON: Final = frozenset({T.PERSON})
CHECKED: Final = frozenset(
    {T.PERSON, T.VEHICLE, T.VESSEL, T.AIRCRAFT, T.CONTAINER, T.TRAVEL_DOCUMENT, T.PAYMENT_MEANS}
)
SEIZED: Final = frozenset(
    {
        T.VEHICLE,
        T.PLATE,
        T.VESSEL,
        T.ENGINE,
        T.AIRCRAFT,
        T.CONTAINER,
        T.FIREARM,
        T.EQUIPMENT,
        T.BANKNOTE,
        T.OBJECT,
    }
)
ALL_AGES: Final = frozenset(SubjectAge)
CHILD: Final = frozenset({SubjectAge.CHILD})
ADULT: Final = frozenset({SubjectAge.ADULT})

POLICING: Final = frozenset({P.BORDER_CONTROL, P.CRIMINAL_INVESTIGATION, P.COUNTER_TERRORISM})
SURRENDER: Final = POLICING | {P.ARREST_SURRENDER, P.JUDICIAL_COOPERATION}
MISSING: Final = frozenset(
    {P.BORDER_CONTROL, P.MISSING_PERSONS, P.CHILD_PROTECTION, P.VICTIM_PROTECTION}
)
CHILDREN: Final = frozenset(
    {P.BORDER_CONTROL, P.CHILD_PROTECTION, P.MISSING_PERSONS, P.VICTIM_PROTECTION}
)
FOREIGNERS: Final = frozenset({P.BORDER_CONTROL, P.MIGRATION_MANAGEMENT})

IDENTITY: Final = frozenset(
    {
        F.NAME,
        F.FORMER_NAMES,
        F.DATE_OF_BIRTH,
        F.PLACE_OF_BIRTH,
        F.SEX,
        F.NATIONALITY,
        F.NATIONAL_NUMBER,
        F.IDENTITY_DOCUMENT,
        F.MARKS,
        F.MISUSED_IDENTITY,
    }
)
BIOMETRIC: Final = frozenset({F.PHOTO, F.FINGERPRINTS, F.PALM_PRINTS, F.DNA})
HEALTH_AND_RESCUE: Final = frozenset({F.EXPOSURE, F.PERSONS_ON_BOARD})
# DNA only where somebody is looked for or a body has no name (DOMAIN 3.2).
ORDINARY_REFUSED: Final = HEALTH_AND_RESCUE | {F.DNA}


def _rule(
    code: Category,
    action: str,
    action_text: str,
    validity_days: int,
    purposes: frozenset[Purpose],
    *,
    types: frozenset[SubjectType] = PERSON,
    ages: frozenset[SubjectAge] = ALL_AGES,
    refused: frozenset[RecordField] = ORDINARY_REFUSED,
    urgent: bool = False,
) -> CategoryRule:
    return CategoryRule(
        code, action, action_text, types, ages, validity_days, purposes, refused, urgent
    )


C = Category
_TABLE: Final = (
    _rule(
        C.ARREST,
        "ARREST",
        "Arrest for surrender or extradition. If that is not possible, locate and report.",
        1826,
        SURRENDER,
        urgent=True,
    ),
    _rule(
        C.MISSING_PROTECT,
        "PROTECT_AND_INFORM",
        "Place under protection and inform the issuer.",
        1826,
        MISSING,
        refused=HEALTH_AND_RESCUE,
        urgent=True,
    ),
    _rule(
        C.MISSING_LOCATE,
        "REPORT_WHEREABOUTS",
        "Report whereabouts. An adult's are told only with the adult's consent.",
        1826,
        MISSING,
        refused=HEALTH_AND_RESCUE,
    ),
    _rule(
        C.CHILD_ABDUCTION_RISK,
        "PREVENT_TRAVEL",
        "Prevent travel, protect the child and call the child-protection authority.",
        365,
        CHILDREN,
        ages=CHILD,
        urgent=True,
    ),
    _rule(
        C.CHILD_EXPLOITATION_RISK,
        "PREVENT_TRAVEL",
        "Prevent travel, protect the child and refer it to the referral mechanism.",
        365,
        CHILDREN,
        ages=CHILD,
        urgent=True,
    ),
    _rule(
        C.VULNERABLE_ADULT_RISK,
        "PREVENT_TRAVEL_WITH_CONSENT",
        "Prevent travel with the person's consent, unless the law orders otherwise.",
        365,
        MISSING - {P.CHILD_PROTECTION},
        ages=ADULT,
    ),
    _rule(
        C.JUDICIAL,
        "REPORT_RESIDENCE",
        "Report the place of residence to the issuer.",
        1095,
        frozenset({P.BORDER_CONTROL, P.JUDICIAL_COOPERATION, P.CRIMINAL_INVESTIGATION}),
    ),
    _rule(
        C.CHECK_DISCREET,
        "CHECK_DISCREETLY",
        "Record place, time, route, companions and objects, without being noticed.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        C.CHECK_INQUIRY,
        "INTERVIEW",
        "Interview by the issuer's list of questions.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        C.CHECK_SPECIFIC,
        "SEARCH",
        "Search the person or the object, where national law allows.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        C.INFO_SERIOUS_CRIME,
        "INFORM",
        "Inform the issuer. No coercive measure.",
        365,
        POLICING,
    ),
    _rule(
        C.REFUSE_ENTRY,
        "REFUSE_ENTRY",
        "Refuse entry or stay.",
        1095,
        FOREIGNERS,
    ),
    _rule(
        C.RETURN,
        "REPORT_RETURN",
        "Report that the person has left as decided.",
        1095,
        FOREIGNERS,
    ),
    _rule(
        C.OBJECT_SEIZE,
        "SEIZE",
        "Seize as evidence, or to hand back to the owner.",
        3652,
        frozenset({P.BORDER_CONTROL, P.CRIMINAL_INVESTIGATION, P.PROPERTY_RECOVERY}),
        types=SEIZED,
    ),
    _rule(
        C.DOC_INVALID,
        "RETAIN_DOCUMENT",
        "Retain the document and check who holds it.",
        3652,
        frozenset({P.BORDER_CONTROL, P.DOCUMENT_SECURITY, P.CRIMINAL_INVESTIGATION}),
        types=frozenset({T.TRAVEL_DOCUMENT}),
    ),
    _rule(
        C.UNKNOWN_TRACE,
        "IDENTIFY",
        "Identify whose trace it is.",
        1095,
        frozenset({P.CRIMINAL_INVESTIGATION, P.COUNTER_TERRORISM}),
        types=frozenset({T.TRACE}),
        refused=HEALTH_AND_RESCUE | IDENTITY | {F.DNA},
    ),
    _rule(
        C.UNIDENTIFIED_REMAINS,
        "IDENTIFY",
        "Identify the body; tell the family through the proper channel.",
        3652,
        frozenset({P.MISSING_PERSONS, P.VICTIM_IDENTIFICATION}),
        types=frozenset({T.REMAINS}),
        refused=HEALTH_AND_RESCUE,
    ),
    _rule(
        C.UNSC_LISTED,
        "APPLY_SANCTIONS",
        "Apply the assets freeze or travel ban of the resolution.",
        3652,
        frozenset({P.BORDER_CONTROL, P.SANCTIONS_ENFORCEMENT, P.COUNTER_TERRORISM}),
        types=frozenset({T.PERSON, T.ENTITY}),
    ),
    _rule(
        C.THREAT_WARNING,
        "BE_AWARE",
        "Be aware, and keep away from the danger.",
        365,
        POLICING,
        types=frozenset({T.OBJECT, T.MODUS_OPERANDI}),
        refused=ORDINARY_REFUSED | IDENTITY | BIOMETRIC,
        urgent=True,
    ),
    _rule(
        C.VICTIM_REFERRAL,
        "REFER_VICTIM",
        "Protect and refer. Never used against the victim.",
        365,
        frozenset({P.VICTIM_PROTECTION, P.CHILD_PROTECTION}),
        refused=ORDINARY_REFUSED | IDENTITY | BIOMETRIC,
    ),
    _rule(
        C.HEALTH_EVENT,
        "TAKE_HEALTH_MEASURE",
        "Take the public-health measure. Police may not use this record.",
        30,
        frozenset({P.PUBLIC_HEALTH}),
        types=frozenset({T.EVENT, T.CONVEYANCE, T.CONTACT_LIST}),
        refused=IDENTITY | BIOMETRIC | {F.PERSONS_ON_BOARD},
    ),
    _rule(
        C.SAR_EVENT,
        "RESCUE",
        "Rescue, or relay to the rescue coordination centre. No identities.",
        30,
        frozenset({P.SEARCH_AND_RESCUE}),
        types=frozenset({T.VESSEL, T.AIRCRAFT, T.POSITION}),
        refused=IDENTITY | BIOMETRIC | {F.EXPOSURE},
        urgent=True,
    ),
)

CATEGORIES: Final[dict[Category, CategoryRule]] = {rule.code: rule for rule in _TABLE}
