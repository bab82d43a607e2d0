"""The streams of whole agreements, for tests of what is planned and chosen."""

from collections.abc import Iterable

from mithaq.agreements.streams import StreamPlan, largest_that_fit, streams_from
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import StreamRole


def streams_of(agreement: Agreement) -> tuple[StreamPlan, ...]:
    """Return every stream that the parties open when an agreement becomes active."""
    return tuple(
        plan
        for sender in sorted(agreement.members)
        for plan in streams_from(agreement, sender=sender)
    )


def chosen_for(
    agreement: Agreement, *, sender: str, recipients: Iterable[str]
) -> tuple[list[StreamPlan], frozenset[str]]:
    """Return the planned disclosure streams that a record travels in, and whom none reaches."""
    offered = (
        (plan, frozenset(plan.audience))
        for plan in streams_from(agreement, sender=sender)
        if plan.role is StreamRole.DISCLOSURE
    )
    return largest_that_fit(offered, recipients)
