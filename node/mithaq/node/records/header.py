"""That a record is what its header announced (PROTOCOL 4.5).

The hub admitted the header without seeing the record; so the reader checks, once
it can read, that category, priority, expiry and audience agree. A mismatch is
refused and reported, because the hub's decision was about something else.
"""

from collections.abc import Collection
from dataclasses import dataclass

from mithaq.ledger.instants import DAY_SECONDS, posix_seconds
from mithaq.ledger.terms import Terms
from mithaq.node.records.countries import state_of
from mithaq.node.records.errors import HeaderMismatchError
from mithaq.node.records.model import ParsedRecord, RecordKind


@dataclass(frozen=True, slots=True)
class Announcement:
    """What terms announce of every record under them, told once for all of these.

    `expires_s` is in seconds since 1970, the start of a day; `states` are those of the
    stream's audience, as alpha-3 codes.
    """

    category: str | None
    priority: int
    expires_s: int | None
    states: frozenset[str]

    @classmethod
    def of(cls, terms: Terms, *, audience: Collection[str]) -> "Announcement":
        """Return what terms announce to an audience."""
        return cls(
            category=terms.category,
            priority=terms.priority or 0,
            expires_s=None if terms.expires_at is None else posix_seconds(terms.expires_at),
            states=frozenset(map(state_of, audience)),
        )

    def check(self, record: ParsedRecord) -> None:
        """Raise HeaderMismatchError where a record is not what was announced."""
        if record.category != self.category:
            raise HeaderMismatchError("the header announced another category", path="category")
        # A hit, a form and a receipt have no expiry of their own: the header's counts.
        if record.kind is not RecordKind.ALERT:
            return
        alert = record.values
        # Whole days, rounded up (PROTOCOL 3.4).
        if -(-alert.expires_at // DAY_SECONDS) * DAY_SECONDS != self.expires_s:
            raise HeaderMismatchError(
                "the header announced another expiry", path="alert.expires_at"
            )
        if alert.priority != self.priority:
            raise HeaderMismatchError(
                "the header announced another priority", path="alert.priority"
            )
        if not self.states.isdisjoint(record.outline.excluded_states):
            raise HeaderMismatchError(
                "the record is kept from a state that the stream goes to",
                path="alert.restrictions.exclude_states",
            )
