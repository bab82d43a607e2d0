"""From an alert as somebody wrote it to one that can be issued.

The issuing node gives what is not a person's to choose (issuer, id, version, time)
and fills in what follows from the category where it was left out. The rule: nothing
that was said is changed, and the result goes through `parse_record` like any other.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category, CategoryRule
from mithaq.node.records.categories import ACTION_CODES
from mithaq.node.records.errors import RecordCategoryError, RecordIncompleteError
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.v1 import entry_pb2
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

OWN_ORIGIN: Final = "MITHAQ"
_DAY_SECONDS: Final = 86_400
# Reviewed this long before it expires (DOMAIN 3.4 warns at 120, 30 and 7 days).
_REVIEW_BEFORE_DAYS: Final = 30
_ACTIONS: Final = {code: number for number, code in ACTION_CODES.items()}


def complete(
    draft: wire.Record, *, issuer: str, alert_id: str, version: int, at: datetime
) -> ParsedRecord:
    """Return the alert that a draft says, made by this member at this time.

    Raises RecordError where something is missing or wrong, and where the draft names
    another issuer, id or version.
    """
    record = wire.Record()
    record.CopyFrom(draft)
    if not record.HasField("alert"):
        raise RecordIncompleteError("an alert is written here", path="alert")
    alert = record.alert
    _identify(alert, issuer=issuer, alert_id=alert_id, version=version)
    if alert.category not in set(Category):
        raise RecordCategoryError("the category is not known", path="alert.category")
    _fill_times(alert, CATEGORIES[Category(alert.category)], now=int(at.timestamp()))
    _fill_frame(alert, CATEGORIES[Category(alert.category)])
    if alert.HasField("person"):
        _fill_names(alert.person.names)
    elif alert.HasField("entity"):
        _fill_names(alert.entity.names)
    return seal_in(record)


def _identify(alert: wire.Alert, *, issuer: str, alert_id: str, version: int) -> None:
    given = (
        ("issuer", alert.issuer, issuer),
        ("alert_id", alert.alert_id, alert_id),
        ("version", alert.version, version),
    )
    for field, written, own in given:
        if written and written != own:
            raise RecordIncompleteError(
                "leave it out, or give this node's own", path=f"alert.{field}"
            )
    alert.issuer, alert.alert_id, alert.version = issuer, alert_id, version


def _fill_times(alert: wire.Alert, rule: CategoryRule, *, now: int) -> None:
    # Nobody writes when a version was made: that is now, to the minute as in headers.
    alert.created_at = now // 60 * 60
    alert.valid_from = alert.valid_from or alert.created_at
    alert.expires_at = alert.expires_at or alert.valid_from + rule.validity_days * _DAY_SECONDS
    before = alert.expires_at - _REVIEW_BEFORE_DAYS * _DAY_SECONDS
    alert.review_by = alert.review_by or max(before, alert.valid_from)


def _fill_frame(alert: wire.Alert, rule: CategoryRule) -> None:
    alert.action = alert.action or _ACTIONS[rule.action]
    usual = entry_pb2.PRIORITY_URGENT if rule.urgent else entry_pb2.PRIORITY_ROUTINE
    alert.priority = alert.priority or usual
    alert.handling = alert.handling or wire.HANDLING_H0
    if not alert.HasField("origin"):
        alert.origin.system = OWN_ORIGIN


def _fill_names(names: Iterable[subject.Name]) -> None:
    for i, name in enumerate(names):
        usual = subject.NAME_KIND_ALIAS if i else subject.NAME_KIND_PRIMARY
        name.kind = name.kind or usual
        if name.original_script and not name.script and _is_arabic(name.original_script):
            name.script = "Arab"


def _is_arabic(text: str) -> bool:
    return any("\u0600" <= char <= "\u06ff" for char in text)
