"""Which streams an agreement needs, and which of them carry a record.

All of them are opened when the agreement becomes active, those for exclusions too:
a stream opened for a single case would tell of the case (PROTOCOL 3.2). Need to know
within an agreement is another stream with a smaller audience (DESIGN 5).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause
from mithaq.agreements.decision import decide_audience
from mithaq.agreements.errors import PartyUnknownError
from mithaq.agreements.facts import Facts
from mithaq.agreements.grant import forbids_header
from mithaq.agreements.header import linking
from mithaq.agreements.reason import Decision
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import PartyKind, StreamRole

Word = TypeVar("Word")
# Plans of agreements that were last asked about; a plan of 32 parties is some 3,000 rows.
AGREEMENTS_KEPT_MAX: Final = 32


@dataclass(frozen=True, slots=True, order=True)
class StreamPlan:
    """A stream to open: audience and purposes are sorted, as in its OPEN header."""

    sender: str
    audience: tuple[str, ...]
    role: StreamRole
    purposes: tuple[str, ...]


@lru_cache(maxsize=AGREEMENTS_KEPT_MAX)
def streams_of(agreement: Agreement) -> tuple[StreamPlan, ...]:
    """Return every stream that the parties open when the agreement becomes active.

    For each sender: one for each set of recipients that its clauses give a category,
    the same without any one state, one for each recipient alone, and a return stream
    to each party that a clause links it with.
    """
    return tuple(
        plan
        for sender in sorted(agreement.members)
        for plan in (*_disclosures(agreement, sender), *_returns(agreement, sender))
    )


def _disclosures(agreement: Agreement, sender: str) -> list[StreamPlan]:
    reach = {
        category: _recipients(agreement, sender, category)
        for clause in _granting(agreement, sender)
        for category in clause.categories
    }
    return [
        StreamPlan(
            sender, audience, StreamRole.DISCLOSURE, _purposes(agreement, sender, audience, reach)
        )
        for audience in sorted(tuple(sorted(each)) for each in _audiences(agreement, sender, reach))
    ]


Reach = Mapping[Category, frozenset[str]]


def _granting(agreement: Agreement, sender: str) -> list[Clause]:
    return [clause for clause in agreement.clauses if clause.permits and sender in clause.senders]


def _recipients(agreement: Agreement, sender: str, category: str) -> frozenset[str]:
    """Return who can be given a category at all: not those whom a refusal always meets."""
    rows = agreement.rows(sender, category)
    return frozenset(
        recipient
        for recipient, permits in rows.permits.items()
        if not any(
            forbids_header(clause, _union(permit.purposes for permit in permits))
            for clause in rows.denies.get(recipient, ())
        )
    )


def _union(sets: Iterable[frozenset[Word]]) -> frozenset[Word]:
    return frozenset(item for each in sets for item in each)


def _audiences(agreement: Agreement, sender: str, reach: Reach) -> set[frozenset[str]]:
    reachable = _union(reach.values())
    full = {*reach.values()}
    full |= {clause.recipients & reachable for clause in _granting(agreement, sender)}
    # A record is kept from states, by origin or by name; organisations have none.
    without_one = {
        audience - {party.member}
        for audience in full
        for party in agreement.parties
        if party.kind is PartyKind.STATE
    }
    alone = {frozenset({recipient}) for recipient in reachable}
    return (full | without_one | alone) - {frozenset()}


def _purposes(
    agreement: Agreement, sender: str, audience: tuple[str, ...], reach: Reach
) -> tuple[str, ...]:
    """Return the purposes of those categories only that all of the audience can be given."""
    common = {category for category, readers in reach.items() if readers.issuperset(audience)}
    return tuple(
        sorted(
            _union(
                clause.purposes
                for clause in _granting(agreement, sender)
                if not clause.recipients.isdisjoint(audience)
                and not clause.categories.isdisjoint(common)
            )
        )
    )


def _returns(agreement: Agreement, sender: str) -> Iterable[StreamPlan]:
    for peer in sorted(agreement.members - {sender}):
        links = linking(agreement, sender, peer)
        if links:
            purposes = sorted({purpose for clause in links for purpose in clause.purposes})
            yield StreamPlan(sender, (peer,), StreamRole.RETURN, tuple(purposes))


def audience_for(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    sender: str,
    facts: Facts,
    at: datetime,
) -> tuple[tuple[str, ...], dict[str, Decision]]:
    """Return who may be given a record, sorted, and the decision about every other party."""
    decisions = decide_audience(agreement, status=status, facts=facts, sender=sender, at=at)
    allowed = tuple(recipient for recipient, decision in decisions.items() if decision.allowed)
    return allowed, decisions


def streams_for(
    agreement: Agreement, *, sender: str, recipients: Iterable[str]
) -> list[StreamPlan]:
    """Return the planned streams that together reach exactly these recipients, each once.

    One where there is one for them all; otherwise the largest that fit, and those for a
    single recipient. Raises PartyUnknownError where no clause lets the sender reach one.
    """
    missing = set(recipients)
    chosen: list[StreamPlan] = []
    plans = (
        plan
        for plan in streams_of(agreement)
        if plan.sender == sender and plan.role is StreamRole.DISCLOSURE
    )
    for plan in sorted(plans, key=_by_size):
        if missing.issuperset(plan.audience):
            chosen.append(plan)
            missing.difference_update(plan.audience)
    if missing:
        raise PartyUnknownError(
            f"no clause lets {sender} disclose to {', '.join(sorted(missing))}",
            fix="choose recipients that `mithaq agreement explain` lists",
        )
    return chosen


def _by_size(plan: StreamPlan) -> tuple[int, tuple[str, ...]]:
    return -len(plan.audience), plan.audience
