"""Daily quotas, counted where a record leaves: before it is sealed.

DESIGN 7. The hub counts, too, and would drop the body; so the sender asks first and tells
the officer. Only pairs whose every clause has a quota are counted, so most acts count
nothing. The one rule: a day is a day of UTC, and every version that is sent counts.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from mithaq.agreements.decision import decide_quota
from mithaq.agreements.reason import Decision
from mithaq.agreements.terms import Agreement
from mithaq.node.exchange.home import EPOCH
from mithaq.node.tables import QuotaRow
from mithaq.store.tables import table_of

QUOTA: Final = table_of(QuotaRow)
_DAY: Final = timedelta(days=1)
_Key = tuple[str, str, str]


@dataclass(slots=True)
class QuotaBook:
    """What went out today, as far as one transaction asks; written once at its end."""

    connection: sa.Connection
    at: datetime
    _sent: dict[_Key, int] = field(default_factory=dict[_Key, int])
    _used: dict[_Key, int] = field(default_factory=dict[_Key, int])
    # Asked for each record and recipient; the same for all of a pair, sender and category.
    _counted: dict[tuple[str, str, str, str], bool] = field(
        default_factory=dict[tuple[str, str, str, str], bool]
    )

    def decide(
        self, agreement: Agreement, *, sender: str, category: str, recipient: str
    ) -> Decision | None:
        """Return the refusal of one more record, or None where it fits."""
        if not self._is_counted(agreement, sender, category, recipient):
            return None
        decision = decide_quota(
            agreement,
            sender=sender,
            category=category,
            recipient=recipient,
            sent_today=self._count((agreement.id, category, recipient)),
        )
        return None if decision.allowed else decision

    def use(self, agreement: Agreement, *, sender: str, category: str, recipient: str) -> None:
        """Count one more record."""
        if self._is_counted(agreement, sender, category, recipient):
            key = (agreement.id, category, recipient)
            self._used[key] = self._used.get(key, 0) + 1

    def write(self) -> None:
        """Write what was used; earlier days are forgotten."""
        if not self._used:
            return
        self.connection.execute(sa.delete(QUOTA).where(QUOTA.c.day < self._day))
        for (agreement_id, category, recipient), used in self._used.items():
            key = {
                "agreement_id": agreement_id,
                "category": category,
                "recipient": recipient,
                "day": self._day,
            }
            changed = self.connection.execute(
                sa.update(QUOTA)
                .where(*(QUOTA.c[name] == value for name, value in key.items()))
                .values(sent=QUOTA.c.sent + used)
            ).rowcount
            if not changed:
                self.connection.execute(sa.insert(QUOTA), {**key, "sent": used})

    def _is_counted(self, agreement: Agreement, sender: str, category: str, recipient: str) -> bool:
        pair = agreement.id, sender, category, recipient
        counted = self._counted.get(pair)
        if counted is None:
            counted = is_counted(agreement, sender, category, recipient)
            self._counted[pair] = counted
        return counted

    @property
    def _day(self) -> int:
        return (self.at - EPOCH) // _DAY

    def _count(self, key: _Key) -> int:
        if key not in self._sent:
            agreement_id, category, recipient = key
            found = self.connection.execute(
                sa.select(QUOTA.c.sent).where(
                    QUOTA.c.agreement_id == agreement_id,
                    QUOTA.c.category == category,
                    QUOTA.c.recipient == recipient,
                    QUOTA.c.day == self._day,
                )
            ).scalar()
            self._sent[key] = found or 0
        return self._sent[key] + self._used.get(key, 0)


def is_counted(agreement: Agreement, sender: str, category: str, recipient: str) -> bool:
    """Whether every clause of the pair has a quota, so that what goes out is counted."""
    permits = agreement.rows(sender, category).permits.get(recipient, ())
    return bool(permits) and all(clause.quota_per_day for clause in permits)
