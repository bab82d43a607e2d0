"""Acts that were decided, as audit logs keep them, and their replay.

An act holds all that the evaluator looked at beside the terms: who, what facts, when,
and how the agreement stood in the registry by which it was judged. With the terms'
bytes, which the registry keeps, anybody can ask again and must get the same answer.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mithaq.agreements import json_form
from mithaq.agreements.decision import decide_disclosure, decide_reading, decide_search
from mithaq.agreements.errors import FactsInvalidError
from mithaq.agreements.facts import MEMBER, Facts
from mithaq.agreements.header import Header, judge
from mithaq.agreements.reason import Decision
from mithaq.agreements.status import AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import OfficerRole, Purpose, SubjectType

CODE: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """A record to one recipient: before sealing, or on opening."""

    status: AgreementStatus
    facts: Facts
    sender: str
    recipient: str
    at: datetime
    created_at: datetime

    def decide(self, agreement: Agreement) -> Decision:
        """Return the decision that the terms give."""
        return decide_disclosure(
            agreement,
            status=self.status,
            facts=self.facts,
            sender=self.sender,
            recipient=self.recipient,
            at=self.at,
            created_at=self.created_at,
        )

    def to_json(self) -> str:
        """Return the one JSON text of this act."""
        return _written(
            self,
            "DISCLOSURE",
            facts=self.facts.to_object(),
            sender=self.sender,
            recipient=self.recipient,
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """An entry at the hub, by its header."""

    status: AgreementStatus
    header: Header
    at: datetime

    def decide(self, agreement: Agreement) -> Decision:
        """Return the decision that the terms give."""
        return judge(agreement, self.header, status=self.status, at=self.at)

    def to_json(self) -> str:
        """Return the one JSON text of this act."""
        header: dict[str, object] = {name: getattr(self.header, name) for name in HEADER_READERS}
        return _written(self, "ADMISSION", header=header)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An officer's look at a record that `sender` disclosed to `reader`."""

    status: AgreementStatus
    facts: Facts
    sender: str
    reader: str
    purpose: Purpose
    role: OfficerRole
    at: datetime

    def decide(self, agreement: Agreement) -> Decision:
        """Return the decision that the terms give."""
        return decide_reading(
            agreement,
            status=self.status,
            facts=self.facts,
            sender=self.sender,
            reader=self.reader,
            purpose=self.purpose,
            role=self.role,
            at=self.at,
        )

    def to_json(self) -> str:
        """Return the one JSON text of this act."""
        return _written(
            self,
            "READING",
            facts=self.facts.to_object(),
            sender=self.sender,
            reader=self.reader,
            purpose=self.purpose,
            role=self.role,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """An officer's search in what others disclosed under the agreement."""

    status: AgreementStatus
    searcher: str
    subject_type: SubjectType
    purpose: Purpose
    role: OfficerRole
    synced_at: datetime
    at: datetime

    def decide(self, agreement: Agreement) -> Decision:
        """Return the decision that the terms give."""
        return decide_search(
            agreement,
            status=self.status,
            searcher=self.searcher,
            subject_type=self.subject_type,
            purpose=self.purpose,
            role=self.role,
            synced_at=self.synced_at,
            at=self.at,
        )

    def to_json(self) -> str:
        """Return the one JSON text of this act."""
        return _written(
            self,
            "SEARCH",
            searcher=self.searcher,
            subject_type=self.subject_type,
            purpose=self.purpose,
            role=self.role,
            synced_at=self.synced_at,
        )


Act = Disclosure | Admission | Reading | Search


def replay(encoded: bytes, text: str) -> Decision:
    """Decide again from the terms' exact bytes and an act's JSON.

    Raises TermsBytesError, TermsInvalidError or FactsInvalidError.
    """
    return act_of(text).decide(Agreement.from_bytes(encoded))


def act_of(text: str) -> Act:
    """Return the act of a JSON text; raise FactsInvalidError for anything else."""
    value = json_form.parse_object(text)
    place = value.pop("place", None)
    readers = PLACES.get(place) if isinstance(place, str) else None
    if readers is None:
        raise FactsInvalidError("the place of the act is unknown", fix=json_form.AS_WRITTEN)
    kind, fields = readers
    json_form.check_keys(value, fields)
    act: Act = kind(**{name: read(value[name]) for name, read in fields.items()})
    return act


def _written(act: Act, place: str, **fields: object) -> str:
    return json_form.dump(
        {"place": place, "at": act.at, "status": _status_object(act.status), **fields}
    )


def _status_object(status: AgreementStatus) -> dict[str, object]:
    return {name: getattr(status, name) for name in STATUS_READERS}


def _status(value: object) -> AgreementStatus:
    return AgreementStatus(**_read(value, STATUS_READERS))


def _facts(value: object) -> Facts:
    return Facts.from_object(json_form.object_of(value))


def _header(value: object) -> Header:
    return Header(**_read(value, HEADER_READERS))


def _recipients(value: object) -> tuple[str, ...]:
    return tuple(sorted(json_form.set_of(json_form.text(CODE))(value)))


def _read(value: object, readers: dict[str, json_form.Reader[Any]]) -> dict[str, Any]:
    fields = json_form.object_of(value)
    json_form.check_keys(fields, readers)
    return {name: read(fields[name]) for name, read in readers.items()}


Readers = dict[str, json_form.Reader[Any]]
MEMBER_TEXT: Final = json_form.text(MEMBER)

STATUS_READERS: Final[Readers] = {
    "state": json_form.word(AgreementState),
    # Administrators suspend too, and are no member.
    "suspended_by": json_form.set_of(json_form.text(CODE)),
    "wind_down_until": json_form.optional(json_form.instant),
    "left": json_form.mapping_of(MEMBER_TEXT, json_form.instant),
}
HEADER_READERS: Final[Readers] = {
    "kind": json_form.number(255),
    "role": json_form.number(255),
    # A hostile header is decided on too, so its texts are codes and not our words.
    "category": json_form.text(CODE),
    "sender": json_form.text(CODE),
    "recipients": _recipients,
    "purposes": json_form.set_of(json_form.text(CODE)),
    "expires_at": json_form.optional(json_form.instant),
    "created_at": json_form.instant,
}
PLACES: Final[dict[str, tuple[type, Readers]]] = {
    "DISCLOSURE": (
        Disclosure,
        {
            "status": _status,
            "facts": _facts,
            "sender": MEMBER_TEXT,
            "recipient": MEMBER_TEXT,
            "at": json_form.instant,
            "created_at": json_form.instant,
        },
    ),
    "ADMISSION": (
        Admission,
        {"status": _status, "header": _header, "at": json_form.instant},
    ),
    "READING": (
        Reading,
        {
            "status": _status,
            "facts": _facts,
            "sender": MEMBER_TEXT,
            "reader": MEMBER_TEXT,
            "purpose": json_form.word(Purpose),
            "role": json_form.word(OfficerRole),
            "at": json_form.instant,
        },
    ),
    "SEARCH": (
        Search,
        {
            "status": _status,
            "searcher": MEMBER_TEXT,
            "subject_type": json_form.word(SubjectType),
            "purpose": json_form.word(Purpose),
            "role": json_form.word(OfficerRole),
            "synced_at": json_form.instant,
            "at": json_form.instant,
        },
    ),
}
