"""Deciding many records under one agreement at one instant: like cases are decided once.

DESIGN 7. An agreement looks at an expiry and at the length of a necessity only to compare
them with bounds: its clauses' and the instant itself. So alerts of one outline that lie
between the same bounds have one decision, and the evaluator is asked for the first of them.
The one rule: a deliberation lives no longer than a transaction, whose registry and clock
stand still; what is suspended, changed or ended later is deliberated anew.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mithaq.agreements.decision import decide_audience, decide_disclosure
from mithaq.agreements.grant import CLOCK_SKEW_DEFAULT, bounds_of, retention_end
from mithaq.agreements.reason import Decision
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.node.records.facts import facts_of
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.outline import Outline

# The outline of an alert, and how many bounds its expiry and its necessity have passed.
Case = tuple[Outline, int, int]


@dataclass(slots=True)
class Deliberation:
    """What one agreement says of the alerts of one sender, at one instant.

    `created_at` is the header's, from which retention runs; before sealing, it is `at`.
    """

    agreement: Agreement
    status: AgreementStatus
    sender: str
    at: datetime
    created_at: datetime
    clock_skew: timedelta = CLOCK_SKEW_DEFAULT
    _expiry_bounds: list[datetime] = field(init=False)
    _necessity_bounds: tuple[int, ...] = field(init=False)
    _audiences: dict[Case, dict[str, Decision]] = field(
        default_factory=dict[Case, dict[str, Decision]]
    )
    _recipients: dict[tuple[str, Case], Decision] = field(
        default_factory=dict[tuple[str, Case], Decision]
    )

    def __post_init__(self) -> None:
        bounds = bounds_of(self.agreement)
        self._necessity_bounds = bounds.necessity_lengths
        # What is dated ahead is refused however long it is kept, and has no end in the calendar.
        ahead = self.created_at > self.at + self.clock_skew
        days = () if ahead else bounds.retention_days
        self._expiry_bounds = sorted(
            [self.at, *(retention_end(self.created_at, each) for each in days)]
        )

    def case_of(self, alert: ParsedRecord) -> Case:
        """Return what decides about an alert; alerts of one case have one decision."""
        return (
            alert.outline,
            # A bound that is met is not passed: an alert may be kept to the end, included,
            # and is expired at the instant of its expiry.
            bisect_left(self._expiry_bounds, alert.expiry),
            # Whereas a necessity as long as a clause asks is long enough.
            bisect_right(self._necessity_bounds, len(alert.values.necessity)),
        )

    def audience(self, alert: ParsedRecord) -> dict[str, Decision]:
        """Return the decision about every other party; not to be changed."""
        case = self.case_of(alert)
        found = self._audiences.get(case)
        if found is None:
            found = decide_audience(
                self.agreement,
                status=self.status,
                facts=facts_of(alert, agreement=self.agreement, sender=self.sender),
                sender=self.sender,
                at=self.at,
                created_at=self.created_at,
            )
            self._audiences[case] = found
        return found

    def recipient(self, alert: ParsedRecord, member: str) -> Decision:
        """Return the decision about one recipient."""
        case = member, self.case_of(alert)
        found = self._recipients.get(case)
        if found is None:
            found = decide_disclosure(
                self.agreement,
                status=self.status,
                facts=facts_of(alert, agreement=self.agreement, sender=self.sender),
                sender=self.sender,
                recipient=member,
                at=self.at,
                created_at=self.created_at,
                clock_skew=self.clock_skew,
            )
            self._recipients[case] = found
        return found
