"""Records as the node holds them: parsed once, strictly, and then trusted.

`parse_record` is the only way from bytes to a `ParsedRecord`; it refuses unknown
fields, bytes that this version would write otherwise (a second copy of a field
hides its first), fields that break their rules, and alerts that lack what their
category demands. The exact bytes stay with the message, because they are what was
sealed and committed to.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

import protovalidate
from google.protobuf.message import DecodeError

from mithaq.agreements.facts import MEMBER
from mithaq.agreements.vocabulary import ERASURE_RECEIPT, RETURN_MESSAGE
from mithaq.ledger.instants import DAY_SECONDS
from mithaq.node.records.errors import (
    RecordError,
    RecordFieldError,
    RecordMalformedError,
    RecordTooLargeError,
    RecordUnknownFieldError,
)
from mithaq.node.records.minimum import check_minimum, subject_type
from mithaq.node.records.outline import Outline, outline_of
from mithaq.node.records.structure import check_structure
from mithaq.v1 import record_values
from mithaq.v1.record_pb2 import Alert, Record

# A body of 64 KiB fits many times into a batch of 1 MiB (LIMITS); the largest entry
# of the Security Council's list takes 4 KiB.
RECORD_SIZE_BYTES_MAX = 64 * 1024
_INSTANTS_CACHED_MAX = 4096
_ID = re.compile(rf"(?P<member>{MEMBER.pattern})-[0-9A-Za-z]{{26}}")


class RecordKind(StrEnum):
    """What a record is."""

    ALERT = "ALERT"
    HIT_REPORT = "HIT_REPORT"
    FORM = "FORM"
    ERASURE_RECEIPT = "ERASURE_RECEIPT"


@dataclass(frozen=True, slots=True)
class ParsedRecord:
    """A record that follows every rule of this room.

    `alert_id` is the alert's own, or the one that a hit report or form is about,
    or empty; `category` is the code of the header (a hit and a form have one code,
    so that the hub can't tell them apart); `subject_type` is empty and
    `expires_at` None where the record is no alert.
    """

    raw: bytes
    kind: RecordKind
    alert_id: str
    version: int
    issuer: str
    category: str
    subject_type: str
    created_at: datetime
    expires_at: datetime | None
    _values: record_values.Alert | None = field(repr=False)
    _outline: Outline | None = field(repr=False)

    @property
    def values(self) -> record_values.Alert:
        """The values of the alert, to be read often; of another record, a programming error."""
        if self._values is None:
            raise TypeError(f"a record of kind {self.kind} has no alert")
        return self._values

    @property
    def outline(self) -> Outline:
        """The outline of the alert; asked of another record, a programming error."""
        if self._outline is None:
            raise TypeError(f"a record of kind {self.kind} has no outline")
        return self._outline

    @property
    def message(self) -> Record:
        """The message, parsed anew: who goes through thousands of records needs values alone."""
        return Record.FromString(self.raw)

    @property
    def alert(self) -> Alert:
        """The alert in a message of its own; asked of another record, a programming error."""
        if self.kind is not RecordKind.ALERT:
            raise TypeError(f"a record of kind {self.kind} has no alert")
        return self.message.alert

    @property
    def expiry(self) -> datetime:
        """When the alert expires; asked of another record, a programming error."""
        if self.expires_at is None:
            raise TypeError(f"a record of kind {self.kind} has no expiry")
        return self.expires_at


def parse_record(raw: bytes) -> ParsedRecord:
    """Return what these bytes say; raise RecordError with the field that is wrong."""
    message = _read(raw)
    values = values_of(message)
    if values.alert is not None:
        return _alert(raw, values.alert)
    return _answer(raw, values)


def claimed_members(raw: bytes) -> frozenset[str]:
    """Return the members that an alert's bytes claim to be of, by its issuer and by its id.

    For bytes that `parse_record` refused, whatever else is wrong with them. What is no
    member's name is none, and neither is that of an id of another length: a cut name would
    accuse somebody.
    """
    try:
        message = Record.FromString(raw)
    except DecodeError:
        return frozenset()
    alert = message.alert
    named = [alert.issuer] if MEMBER.fullmatch(alert.issuer) else []
    if found := _ID.fullmatch(alert.alert_id):
        named.append(found["member"])
    return frozenset(named)


def serialise(message: Record) -> bytes:
    """Return the one encoding of a record that `parse_record` takes."""
    return message.SerializeToString(deterministic=True)


def seal_in(message: Record) -> ParsedRecord:
    """Return a record that was just made as if it had been received."""
    return parse_record(serialise(message))


def values_of(message: Record) -> record_values.Record:
    """Return the values of a record; raise RecordFieldError for the first that breaks its rule.

    The rules are those of the .proto files, written out as code (``protos/value_code.py``);
    protovalidate, which reads them there, is only asked what is wrong.
    """
    try:
        return record_values.read(message)
    except record_values.RuleBrokenError:
        raise field_error(protovalidate.collect_violations(message)) from None


def field_error(violations: Sequence[protovalidate.Violation]) -> RecordFieldError:
    """Return the error for the first violation: its field and rule, never its value."""
    if not violations:
        # Should the two ever differ, the stricter has the last word.
        return RecordFieldError("a field breaks its rule")
    first = violations[0].proto
    # Every field of a violation is optional in its own message.
    elements = first.field.elements if first.field else ()
    path = "".join(
        f".{element.field_name}" + (f"[{element.subscript.value}]" if element.subscript else "")
        for element in elements
    )
    return RecordFieldError(first.message, path=path.removeprefix("."))


def _read(raw: bytes) -> Record:
    if len(raw) > RECORD_SIZE_BYTES_MAX:
        raise RecordTooLargeError(
            f"a record has at most {RECORD_SIZE_BYTES_MAX} bytes, this one {len(raw)}"
        )
    message = _parsed(raw)
    message.DiscardUnknownFields()
    # Without maps, which the rules' generator refuses, every encoding is deterministic; to
    # ask for it costs as much again.
    if message.SerializeToString() != raw:
        raise _encoding_error(_parsed(raw))
    return message


def _parsed(raw: bytes) -> Record:
    try:
        return Record.FromString(raw)
    except DecodeError:
        # The parser's own words may quote what it read.
        raise RecordMalformedError("the bytes are no record") from None


def _encoding_error(message: Record) -> RecordError:
    """Return what is wrong with a message whose bytes are not those that it is written with."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        return RecordUnknownFieldError("a field is not known to this version: upgrade the node")
    return RecordMalformedError("the bytes are not in their one canonical encoding")


def _alert(raw: bytes, alert: record_values.Alert) -> ParsedRecord:
    check_structure(alert)
    outline = outline_of(alert)
    check_minimum(outline, lasts_days=-(-(alert.expires_at - alert.valid_from) // DAY_SECONDS))
    return ParsedRecord(
        raw=raw,
        kind=RecordKind.ALERT,
        alert_id=alert.alert_id,
        version=alert.version,
        issuer=alert.issuer,
        category=alert.category,
        subject_type=subject_type(outline),
        created_at=_instant(alert.created_at),
        expires_at=_instant(alert.expires_at),
        _values=alert,
        _outline=outline,
    )


def _answer(raw: bytes, values: record_values.Record) -> ParsedRecord:
    if (hit := values.hit_report) is not None:
        kind, category = RecordKind.HIT_REPORT, RETURN_MESSAGE
        alert_id, version, issuer, made = (
            hit.alert_id,
            hit.alert_version,
            hit.reporter,
            hit.created_at,
        )
    elif (form := values.form) is not None:
        kind, category = RecordKind.FORM, RETURN_MESSAGE
        alert_id, version, issuer, made = form.alert_id, 1, form.sender, form.created_at
    elif (receipt := values.erasure_receipt) is not None:
        kind, category = RecordKind.ERASURE_RECEIPT, ERASURE_RECEIPT
        alert_id, version, issuer, made = "", 1, receipt.member, receipt.done_at
    else:
        raise RecordFieldError("exactly one content is there", path="content")
    return ParsedRecord(
        raw=raw,
        kind=kind,
        alert_id=alert_id,
        version=version,
        issuer=issuer,
        category=category,
        subject_type="",
        created_at=_instant(made),
        expires_at=None,
        _values=None,
        _outline=None,
    )


# Versions of one minute, and many that expire on one day.
@lru_cache(maxsize=_INSTANTS_CACHED_MAX)
def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
