"""The closed words of agreements: purposes, fields, roles and the like.

Each class mirrors an enum of the protos by value, and a test holds them together.
Categories stand apart, with their rules, in ``categories``. Nothing here grants:
these tables only bound what a clause can grant.
"""

from enum import IntEnum, StrEnum
from typing import Final


class SubjectType(StrEnum):
    """What a record is about (DOMAIN 3.1)."""

    PERSON = "PERSON"
    ENTITY = "ENTITY"
    TRAVEL_DOCUMENT = "TRAVEL_DOCUMENT"
    PAYMENT_MEANS = "PAYMENT_MEANS"
    VEHICLE = "VEHICLE"
    PLATE = "PLATE"
    VESSEL = "VESSEL"
    ENGINE = "ENGINE"
    AIRCRAFT = "AIRCRAFT"
    CONTAINER = "CONTAINER"
    FIREARM = "FIREARM"
    EQUIPMENT = "EQUIPMENT"
    BANKNOTE = "BANKNOTE"
    OBJECT = "OBJECT"
    MODUS_OPERANDI = "MODUS_OPERANDI"
    TRACE = "TRACE"
    REMAINS = "REMAINS"
    EVENT = "EVENT"
    CONVEYANCE = "CONVEYANCE"
    CONTACT_LIST = "CONTACT_LIST"
    POSITION = "POSITION"


class SubjectAge(StrEnum):
    """Age class of a person; NOT_A_PERSON for everything else."""

    CHILD = "CHILD"
    ADULT = "ADULT"
    UNKNOWN = "UNKNOWN"
    NOT_A_PERSON = "NOT_A_PERSON"


class Purpose(StrEnum):
    """What a record may be disclosed and read for (DOMAIN 4, T3)."""

    BORDER_CONTROL = "BORDER_CONTROL"
    ARREST_SURRENDER = "ARREST_SURRENDER"
    CRIMINAL_INVESTIGATION = "CRIMINAL_INVESTIGATION"
    COUNTER_TERRORISM = "COUNTER_TERRORISM"
    JUDICIAL_COOPERATION = "JUDICIAL_COOPERATION"
    MISSING_PERSONS = "MISSING_PERSONS"
    CHILD_PROTECTION = "CHILD_PROTECTION"
    VICTIM_PROTECTION = "VICTIM_PROTECTION"
    VICTIM_IDENTIFICATION = "VICTIM_IDENTIFICATION"
    DOCUMENT_SECURITY = "DOCUMENT_SECURITY"
    PROPERTY_RECOVERY = "PROPERTY_RECOVERY"
    MIGRATION_MANAGEMENT = "MIGRATION_MANAGEMENT"
    SANCTIONS_ENFORCEMENT = "SANCTIONS_ENFORCEMENT"
    PUBLIC_HEALTH = "PUBLIC_HEALTH"
    SEARCH_AND_RESCUE = "SEARCH_AND_RESCUE"


class RecordField(StrEnum):
    """A group of data in a record, as far as a field mask tells them apart."""

    NAME = "NAME"
    FORMER_NAMES = "FORMER_NAMES"
    DATE_OF_BIRTH = "DATE_OF_BIRTH"
    PLACE_OF_BIRTH = "PLACE_OF_BIRTH"
    SEX = "SEX"
    NATIONALITY = "NATIONALITY"
    NATIONAL_NUMBER = "NATIONAL_NUMBER"
    IDENTITY_DOCUMENT = "IDENTITY_DOCUMENT"
    MARKS = "MARKS"
    PHOTO = "PHOTO"
    FINGERPRINTS = "FINGERPRINTS"
    PALM_PRINTS = "PALM_PRINTS"
    DNA = "DNA"
    MISUSED_IDENTITY = "MISUSED_IDENTITY"
    MARKERS = "MARKERS"
    REASON = "REASON"
    AUTHORITY = "AUTHORITY"
    DECISION_REFERENCE = "DECISION_REFERENCE"
    ACTION = "ACTION"
    LINKS = "LINKS"
    OFFENCE = "OFFENCE"
    WARRANT = "WARRANT"
    CASE_TYPE = "CASE_TYPE"
    CONTACT = "CONTACT"
    WHEREABOUTS = "WHEREABOUTS"
    FREE_TEXT = "FREE_TEXT"
    PSEUDONYM = "PSEUDONYM"
    TRAVEL_DOCUMENT = "TRAVEL_DOCUMENT"
    VEHICLE = "VEHICLE"
    VESSEL = "VESSEL"
    AIRCRAFT = "AIRCRAFT"
    OBJECT = "OBJECT"
    TRACE = "TRACE"
    POSITION = "POSITION"
    PERSONS_ON_BOARD = "PERSONS_ON_BOARD"
    EXPOSURE = "EXPOSURE"


class Handling(StrEnum):
    """Handling code; H3 is another restriction, written out in the record."""

    H0 = "H0"
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"


class SourceGrade(StrEnum):
    """Reliability of the source: the letter of the 4x4 grid, A best, X unknown."""

    A = "A"
    B = "B"
    C = "C"
    X = "X"


class InformationGrade(StrEnum):
    """Accuracy of the information: the number of the 4x4 grid, 1 best, 4 unknown."""

    FIRST = "1"
    SECOND = "2"
    THIRD = "3"
    FOURTH = "4"


class OffenceClass(StrEnum):
    """Kind of offence that a record rests on."""

    TERRORISM = "TERRORISM"
    TRAFFICKING_IN_PERSONS = "TRAFFICKING_IN_PERSONS"
    SMUGGLING_OF_MIGRANTS = "SMUGGLING_OF_MIGRANTS"
    DRUG_TRAFFICKING = "DRUG_TRAFFICKING"
    ARMS_TRAFFICKING = "ARMS_TRAFFICKING"
    HOMICIDE = "HOMICIDE"
    SEXUAL_OFFENCE = "SEXUAL_OFFENCE"
    KIDNAPPING = "KIDNAPPING"
    ORGANISED_CRIME = "ORGANISED_CRIME"
    FRAUD_OR_CORRUPTION = "FRAUD_OR_CORRUPTION"
    MONEY_LAUNDERING = "MONEY_LAUNDERING"
    CYBERCRIME = "CYBERCRIME"
    PROPERTY = "PROPERTY"
    FORGERY_OF_DOCUMENTS = "FORGERY_OF_DOCUMENTS"
    CHILD_ABDUCTION = "CHILD_ABDUCTION"
    POLITICAL = "POLITICAL"
    MILITARY = "MILITARY"
    RELIGIOUS = "RELIGIOUS"
    PRESS_OR_SPEECH = "PRESS_OR_SPEECH"
    MIGRATION_ONLY = "MIGRATION_ONLY"
    FAMILY_LAW_ONLY = "FAMILY_LAW_ONLY"
    OTHER = "OTHER"


class OfficerRole(StrEnum):
    """Role in which an officer reads; the node's officer table gives it."""

    FIRST_LINE = "FIRST_LINE"
    SECOND_LINE = "SECOND_LINE"
    BUREAU = "BUREAU"
    INVESTIGATOR = "INVESTIGATOR"
    JUDICIAL_OFFICER = "JUDICIAL_OFFICER"
    CHILD_PROTECTION = "CHILD_PROTECTION"
    VICTIM_SUPPORT = "VICTIM_SUPPORT"
    HEALTH_OFFICER = "HEALTH_OFFICER"
    RESCUE_COORDINATOR = "RESCUE_COORDINATOR"
    CASE_WORKER = "CASE_WORKER"
    SUPERVISOR = "SUPERVISOR"
    AUDITOR = "AUDITOR"
    ADMINISTRATOR = "ADMINISTRATOR"


class ClauseEffect(StrEnum):
    """What a clause does where it applies."""

    PERMIT = "PERMIT"
    DENY = "DENY"


class MinorsRule(StrEnum):
    """What a clause allows about children; an unknown age counts as the worse one."""

    ANY = "ANY"
    ADULTS_ONLY = "ADULTS_ONLY"
    CHILDREN_ONLY = "CHILDREN_ONLY"
    PROTECTION_ONLY = "PROTECTION_ONLY"


class OnwardTransfer(StrEnum):
    """Whether a recipient may pass a record on: never, or with recorded consent."""

    NONE = "NONE"
    CONSENT = "CONSENT"


class LegalBasis(StrEnum):
    """Why the law lets data go to the recipient (Directive 2016/680, Articles 36-38)."""

    TREATY = "TREATY"
    ADEQUACY = "ADEQUACY"
    SAFEGUARDS = "SAFEGUARDS"
    DEROGATION = "DEROGATION"
    UN_RESOLUTION = "UN_RESOLUTION"


class PartyKind(StrEnum):
    """What a party is."""

    STATE = "STATE"
    ORGANISATION = "ORGANISATION"


class OriginStateRule(StrEnum):
    """From which persons' own states a record is kept (DOMAIN 4, T10)."""

    PROTECTED = "PROTECTED"
    ALL_NATIONALS = "ALL_NATIONALS"


class StreamRole(IntEnum):
    """Which way a stream runs; the numbers are those of the wire."""

    DISCLOSURE = 1
    RETURN = 2


class EntryKind(IntEnum):
    """Kind of a stream entry (PROTOCOL 3.4); the numbers are those of the wire."""

    OPEN = 1
    EPOCH = 2
    PUT = 3
    WITHDRAW = 4
    CLOSE = 5
    BLOB = 6


PROTECTIVE_PURPOSES: Final = frozenset(
    {
        Purpose.MISSING_PERSONS,
        Purpose.CHILD_PROTECTION,
        Purpose.VICTIM_PROTECTION,
        Purpose.VICTIM_IDENTIFICATION,
        Purpose.PUBLIC_HEALTH,
        Purpose.SEARCH_AND_RESCUE,
    }
)

# What else a record may be read for, given what it was disclosed for; beside itself,
# and only if the clause names that purpose too. Health, rescue and victims' data serve
# nothing else (DOMAIN 4, T29).
_READABLE_ALSO_FOR: Final[dict[Purpose, frozenset[Purpose]]] = {
    Purpose.ARREST_SURRENDER: frozenset(
        {Purpose.BORDER_CONTROL, Purpose.JUDICIAL_COOPERATION, Purpose.CRIMINAL_INVESTIGATION}
    ),
    Purpose.CRIMINAL_INVESTIGATION: frozenset({Purpose.BORDER_CONTROL}),
    Purpose.COUNTER_TERRORISM: frozenset({Purpose.BORDER_CONTROL, Purpose.CRIMINAL_INVESTIGATION}),
    Purpose.JUDICIAL_COOPERATION: frozenset({Purpose.BORDER_CONTROL}),
    Purpose.MISSING_PERSONS: frozenset(
        {Purpose.BORDER_CONTROL, Purpose.CHILD_PROTECTION, Purpose.VICTIM_IDENTIFICATION}
    ),
    Purpose.CHILD_PROTECTION: frozenset({Purpose.BORDER_CONTROL, Purpose.MISSING_PERSONS}),
    Purpose.VICTIM_IDENTIFICATION: frozenset({Purpose.MISSING_PERSONS}),
    Purpose.DOCUMENT_SECURITY: frozenset({Purpose.BORDER_CONTROL}),
    Purpose.PROPERTY_RECOVERY: frozenset({Purpose.BORDER_CONTROL}),
    Purpose.MIGRATION_MANAGEMENT: frozenset({Purpose.BORDER_CONTROL}),
    Purpose.SANCTIONS_ENFORCEMENT: frozenset({Purpose.BORDER_CONTROL}),
}
COMPATIBLE_PURPOSES: Final[dict[Purpose, frozenset[Purpose]]] = {
    purpose: frozenset({purpose}) | _READABLE_ALSO_FOR.get(purpose, frozenset())
    for purpose in Purpose
}

# Who watches over the system never reads the records in it.
ROLES_WITHOUT_RECORDS: Final = frozenset({OfficerRole.AUDITOR, OfficerRole.ADMINISTRATOR})

# Systems of the European Union whose data may not leave their own circle.
ORIGIN_SYSTEMS_NEVER: Final = frozenset({"SIS", "EURODAC", "VIS", "EES"})

# Codes in the header of a PUT in a return stream. There are two only, so that the hub
# can't tell a hit from a form, and yet can let erasure receipts through a wind-down
# (PROTOCOL 3.7).
RETURN_MESSAGE: Final = "RETURN_MESSAGE"
ERASURE_RECEIPT: Final = "ERASURE_RECEIPT"
