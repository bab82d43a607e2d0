"""Which streams an agreement needs, and which of them carry a record.

All of them are opened when the agreement becomes active, those for exclusions too:
a stream opened for a single case would tell of the case (PROTOCOL 3.2). Need to know
within an agreement is another stream with a smaller audience (DESIGN 5).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause
from mithaq.agreements.decision import decide_audience
from mithaq.agreements.facts import Facts
from mithaq.agreements.grant import forbids_header
from mithaq.agreements.header import linking
from mithaq.agreements.reason import Decision
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import StreamRole

Word = TypeVar("Word")
Offered = TypeVar("Offered")
# Plans that were last asked about, each of one sender: with 32 parties some 90 rows.
PLANS_KEPT_MAX: Final = 1024


@dataclass(frozen=True, slots=True, order=True)
class StreamPlan:
    """A stream to open: audience and purposes are sorted, as in its OPEN header."""

    sender: str
    audience: tuple[str, ...]
    role: StreamRole
    purposes: tuple[str, ...]


@lru_cache(maxsize=PLANS_KEPT_MAX)
def streams_from(agreement: Agreement, *, sender: str) -> tuple[StreamPlan, ...]:
    """Return every stream that one party opens when the agreement becomes active.

    One for each set of recipients that its clauses give a category, one for each half of
    those who are given the same, their halves and so on down to each recipient alone, and
    a return stream to each party that a clause links it with. So a record that is kept
    from one of n recipients travels in at most log2(n) + 1 streams, where a stream for
    each exclusion would have made the receipts of an agreement grow by the third power of
    its parties (ADR 0017; the complete subtrees of Naor, Naor and Lotspiech, 2001).
    """
    return (*_disclosures(agreement, sender), *_returns(agreement, sender))


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
    alike: dict[frozenset[frozenset[str]], list[str]] = {}
    for recipient in sorted(reachable):
        alike.setdefault(frozenset(each for each in full if recipient in each), []).append(
            recipient
        )
    parts = {frozenset(part) for members in alike.values() for part in _halved(members)}
    return (full | parts) - {frozenset()}


def _halved(members: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the members, both halves of them, and so on down to each alone."""
    yield members
    if len(members) > 1:
        middle = (len(members) + 1) // 2
        yield from _halved(members[:middle])
        yield from _halved(members[middle:])


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


def largest_that_fit(
    offered: Iterable[tuple[Offered, frozenset[str]]], wanted: Iterable[str]
) -> tuple[list[Offered], frozenset[str]]:
    """Return the largest of some streams that reach only those wanted, each of them once.

    Each stream is offered with those whom it reaches; of two with the same, the first is
    taken. Also returned is whom none of the streams reaches.
    """
    chosen: list[Offered] = []
    missing = frozenset(wanted)
    for stream, reached in sorted(offered, key=lambda each: -len(each[1])):
        if reached and reached <= missing:
            chosen.append(stream)
            missing -= reached
    return chosen, missing
