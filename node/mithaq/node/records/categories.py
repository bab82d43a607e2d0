"""What a record of a category must carry beside what the category itself says.

Codes, subjects, actions and periods are `agreements.categories`, one table for
agreements and records; here stands which parts of an alert a category needs or
has no place for. Categories whose subject has no message yet are refused.
"""

from dataclasses import dataclass
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.vocabulary import SubjectType
from mithaq.v1 import record_pb2 as wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that alerts of a category have beside their subject."""

    arrest: bool = False
    listing: bool = False
    protection: bool = False
    # Only the issuing state may report a document (DOMAIN F20).
    own_documents_only: bool = False
    pseudonym_only: bool = False


_ORDINARY: Final = Parts()
_PARTS: Final = {
    Category.ARREST: Parts(arrest=True),
    Category.CHILD_ABDUCTION_RISK: Parts(protection=True),
    Category.CHILD_EXPLOITATION_RISK: Parts(protection=True),
    Category.VULNERABLE_ADULT_RISK: Parts(protection=True),
    Category.DOC_INVALID: Parts(own_documents_only=True),
    Category.UNSC_LISTED: Parts(listing=True),
    Category.VICTIM_REFERRAL: Parts(pseudonym_only=True),
}

SUBJECT_TYPES: Final = {
    "person": SubjectType.PERSON,
    "entity": SubjectType.ENTITY,
    "travel_document": SubjectType.TRAVEL_DOCUMENT,
}
# The action codes of the table by the numbers of the wire.
ACTION_CODES: Final = {
    number: name.removeprefix("ACTION_") for name, number in wire.Action.items() if number
}


def parts_of(category: Category) -> Parts:
    """Return which parts alerts of a category have."""
    return _PARTS.get(category, _ORDINARY)
