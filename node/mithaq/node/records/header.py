"""That a record is what its header announced (PROTOCOL 4.5).

The hub admitted the header without seeing the record; so the reader checks, once
it can read, that category, priority, expiry and audience agree. A mismatch is
refused and reported, because the hub's decision was about something else.
"""

from collections.abc import Collection

from mithaq.ledger.instants import day_from
from mithaq.ledger.terms import Terms
from mithaq.node.records.countries import state_of
from mithaq.node.records.errors import HeaderMismatchError
from mithaq.node.records.model import ParsedRecord, RecordKind


def check_against_header(record: ParsedRecord, terms: Terms, *, audience: Collection[str]) -> None:
    """Raise HeaderMismatchError where the record is not what its header announced."""
    if record.category != terms.category:
        raise HeaderMismatchError("the header announced another category", path="category")
    # A hit, a form and a receipt have no expiry of their own: the header's counts.
    if record.kind is not RecordKind.ALERT:
        return
    alert = record.alert
    if day_from(record.expiry) != terms.expires_at:
        raise HeaderMismatchError("the header announced another expiry", path="alert.expires_at")
    if alert.priority != (terms.priority or 0):
        raise HeaderMismatchError("the header announced another priority", path="alert.priority")
    excluded = set(alert.restrictions.exclude_states)
    if not excluded.isdisjoint(map(state_of, audience)):
        raise HeaderMismatchError(
            "the record is kept from a state that the stream goes to",
            path="alert.restrictions.exclude_states",
        )
