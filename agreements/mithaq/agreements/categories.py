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


PERSON: Final = frozenset({SubjectType.PERSON})
CHECKED: Final = frozenset(
    {
        SubjectType.PERSON,
        SubjectType.VEHICLE,
        SubjectType.VESSEL,
        SubjectType.AIRCRAFT,
        SubjectType.CONTAINER,
        SubjectType.TRAVEL_DOCUMENT,
        SubjectType.PAYMENT_MEANS,
    }
)
SEIZED: Final = frozenset(
    {
        SubjectType.VEHICLE,
        SubjectType.PLATE,
        SubjectType.VESSEL,
        SubjectType.ENGINE,
        SubjectType.AIRCRAFT,
        SubjectType.CONTAINER,
        SubjectType.FIREARM,
        SubjectType.EQUIPMENT,
        SubjectType.BANKNOTE,
        SubjectType.OBJECT,
    }
)
ALL_AGES: Final = frozenset(SubjectAge)
CHILD: Final = frozenset({SubjectAge.CHILD})
ADULT: Final = frozenset({SubjectAge.ADULT})

POLICING: Final = frozenset(
    {Purpose.BORDER_CONTROL, Purpose.CRIMINAL_INVESTIGATION, Purpose.COUNTER_TERRORISM}
)
SURRENDER: Final = POLICING | {Purpose.ARREST_SURRENDER, Purpose.JUDICIAL_COOPERATION}
PROTECTION: Final = frozenset(
    {
        Purpose.BORDER_CONTROL,
        Purpose.MISSING_PERSONS,
        Purpose.CHILD_PROTECTION,
        Purpose.VICTIM_PROTECTION,
    }
)
FOREIGNERS: Final = frozenset({Purpose.BORDER_CONTROL, Purpose.MIGRATION_MANAGEMENT})

IDENTITY: Final = frozenset(
    {
        RecordField.NAME,
        RecordField.FORMER_NAMES,
        RecordField.DATE_OF_BIRTH,
        RecordField.PLACE_OF_BIRTH,
        RecordField.SEX,
        RecordField.NATIONALITY,
        RecordField.NATIONAL_NUMBER,
        RecordField.IDENTITY_DOCUMENT,
        RecordField.MARKS,
        RecordField.MISUSED_IDENTITY,
    }
)
BIOMETRIC: Final = frozenset(
    {RecordField.PHOTO, RecordField.FINGERPRINTS, RecordField.PALM_PRINTS, RecordField.DNA}
)
HEALTH_AND_RESCUE: Final = frozenset({RecordField.EXPOSURE, RecordField.PERSONS_ON_BOARD})
# DNA only where somebody is looked for or a body has no name (DOMAIN 3.2).
ORDINARY_REFUSED: Final = HEALTH_AND_RESCUE | {RecordField.DNA}


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


_TABLE: Final = (
    _rule(
        Category.ARREST,
        "ARREST",
        "Arrest for surrender or extradition. If that is not possible, locate and report.",
        1826,
        SURRENDER,
        urgent=True,
    ),
    _rule(
        Category.MISSING_PROTECT,
        "PROTECT_AND_INFORM",
        "Place under protection and inform the issuer.",
        1826,
        PROTECTION,
        refused=HEALTH_AND_RESCUE,
        urgent=True,
    ),
    _rule(
        Category.MISSING_LOCATE,
        "REPORT_WHEREABOUTS",
        "Report whereabouts. An adult's are told only with the adult's consent.",
        1826,
        PROTECTION,
        refused=HEALTH_AND_RESCUE,
    ),
    _rule(
        Category.CHILD_ABDUCTION_RISK,
        "PREVENT_TRAVEL",
        "Prevent travel, protect the child and call the child-protection authority.",
        365,
        PROTECTION,
        ages=CHILD,
        urgent=True,
    ),
    _rule(
        Category.CHILD_EXPLOITATION_RISK,
        "PREVENT_TRAVEL",
        "Prevent travel, protect the child and refer it to the referral mechanism.",
        365,
        PROTECTION,
        ages=CHILD,
        urgent=True,
    ),
    _rule(
        Category.VULNERABLE_ADULT_RISK,
        "PREVENT_TRAVEL_WITH_CONSENT",
        "Prevent travel with the person's consent, unless the law orders otherwise.",
        365,
        PROTECTION - {Purpose.CHILD_PROTECTION},
        ages=ADULT,
    ),
    _rule(
        Category.JUDICIAL,
        "REPORT_RESIDENCE",
        "Report the place of residence to the issuer.",
        1095,
        frozenset(
            {Purpose.BORDER_CONTROL, Purpose.JUDICIAL_COOPERATION, Purpose.CRIMINAL_INVESTIGATION}
        ),
    ),
    _rule(
        Category.CHECK_DISCREET,
        "CHECK_DISCREETLY",
        "Record place, time, route, companions and objects, without being noticed.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        Category.CHECK_INQUIRY,
        "INTERVIEW",
        "Interview by the issuer's list of questions.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        Category.CHECK_SPECIFIC,
        "SEARCH",
        "Search the person or the object, where national law allows.",
        365,
        POLICING,
        types=CHECKED,
    ),
    _rule(
        Category.INFO_SERIOUS_CRIME,
        "INFORM",
        "Inform the issuer. No coercive measure.",
        365,
        POLICING,
    ),
    _rule(
        Category.REFUSE_ENTRY,
        "REFUSE_ENTRY",
        "Refuse entry or stay.",
        1095,
        FOREIGNERS,
    ),
    _rule(
        Category.RETURN,
        "REPORT_RETURN",
        "Report that the person has left as decided.",
        1095,
        FOREIGNERS,
    ),
    _rule(
        Category.OBJECT_SEIZE,
        "SEIZE",
        "Seize as evidence, or to hand back to the owner.",
        3652,
        frozenset(
            {Purpose.BORDER_CONTROL, Purpose.CRIMINAL_INVESTIGATION, Purpose.PROPERTY_RECOVERY}
        ),
        types=SEIZED,
    ),
    _rule(
        Category.DOC_INVALID,
        "RETAIN_DOCUMENT",
        "Retain the document and check who holds it.",
        3652,
        frozenset(
            {Purpose.BORDER_CONTROL, Purpose.DOCUMENT_SECURITY, Purpose.CRIMINAL_INVESTIGATION}
        ),
        types=frozenset({SubjectType.TRAVEL_DOCUMENT}),
    ),
    _rule(
        Category.UNKNOWN_TRACE,
        "IDENTIFY",
        "Identify whose trace it is.",
        1095,
        frozenset({Purpose.CRIMINAL_INVESTIGATION, Purpose.COUNTER_TERRORISM}),
        types=frozenset({SubjectType.TRACE}),
        refused=HEALTH_AND_RESCUE | IDENTITY | {RecordField.DNA},
    ),
    _rule(
        Category.UNIDENTIFIED_REMAINS,
        "IDENTIFY",
        "Identify the body; tell the family through the proper channel.",
        3652,
        frozenset({Purpose.MISSING_PERSONS, Purpose.VICTIM_IDENTIFICATION}),
        types=frozenset({SubjectType.REMAINS}),
        refused=HEALTH_AND_RESCUE,
    ),
    _rule(
        Category.UNSC_LISTED,
        "APPLY_SANCTIONS",
        "Apply the assets freeze or travel ban of the resolution.",
        3652,
        frozenset(
            {Purpose.BORDER_CONTROL, Purpose.SANCTIONS_ENFORCEMENT, Purpose.COUNTER_TERRORISM}
        ),
        types=frozenset({SubjectType.PERSON, SubjectType.ENTITY}),
    ),
    _rule(
        Category.THREAT_WARNING,
        "BE_AWARE",
        "Be aware, and keep away from the danger.",
        365,
        POLICING,
        types=frozenset({SubjectType.OBJECT, SubjectType.MODUS_OPERANDI}),
        refused=ORDINARY_REFUSED | IDENTITY | BIOMETRIC,
        urgent=True,
    ),
    _rule(
        Category.VICTIM_REFERRAL,
        "REFER_VICTIM",
        "Protect and refer. Never used against the victim.",
        365,
        frozenset({Purpose.VICTIM_PROTECTION, Purpose.CHILD_PROTECTION}),
        refused=ORDINARY_REFUSED | IDENTITY | BIOMETRIC,
    ),
    _rule(
        Category.HEALTH_EVENT,
        "TAKE_HEALTH_MEASURE",
        "Take the public-health measure. Police may not use this record.",
        30,
        frozenset({Purpose.PUBLIC_HEALTH}),
        types=frozenset({SubjectType.EVENT, SubjectType.CONVEYANCE, SubjectType.CONTACT_LIST}),
        refused=IDENTITY | BIOMETRIC | {RecordField.PERSONS_ON_BOARD},
    ),
    _rule(
        Category.SAR_EVENT,
        "RESCUE",
        "Rescue, or relay to the rescue coordination centre. No identities.",
        30,
        frozenset({Purpose.SEARCH_AND_RESCUE}),
        types=frozenset({SubjectType.VESSEL, SubjectType.AIRCRAFT, SubjectType.POSITION}),
        refused=IDENTITY | BIOMETRIC | {RecordField.EXPOSURE},
        urgent=True,
    ),
)

CATEGORIES: Final[dict[Category, CategoryRule]] = {rule.code: rule for rule in _TABLE}
