"""A first draft of terms for some members, for their lawyers to change.

States share policing, checks and documents among themselves; organisations take part
in missing persons and the protection of children only, with fewer fields and no
biometric data. A draft grants nothing until every party has signed its bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from mithaq.agreements.articles import AMONG_STATES, PRINTS, WITH_ORGANISATIONS
from mithaq.agreements.clause import Clause, Party
from mithaq.agreements.countries import country_of
from mithaq.agreements.errors import TermsInvalidError
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import ClauseEffect, PartyKind

MEMBERS_MIN: Final = 2


def draft(
    federation: str,
    members: Sequence[str],
    *,
    agreement_id: str,
    effective_from: datetime,
    expires_at: datetime,
    title: str = "",
    version: int = 1,
    names: Mapping[str, str] | None = None,
) -> Agreement:
    """Return draft terms among some members; those named `int-…` are organisations.

    `names` are the parties' display names. Raises TermsInvalidError where a member id
    begins with no country's code, or where fewer than two members are given.
    """
    parties = tuple(_party(member, names or {}) for member in sorted(set(members)))
    if len(parties) < MEMBERS_MIN:
        raise TermsInvalidError(
            "an agreement needs two parties", fix="name at least two different members"
        )
    states = frozenset(party.member for party in parties if party.kind is PartyKind.STATE)
    organisations = frozenset(party.member for party in parties) - states
    clauses = (*_among_states(states), *_with_organisations(states, organisations))
    return Agreement(
        id=agreement_id,
        version=version,
        federation=federation,
        title=title or f"Sharing of alerts among {', '.join(p.member for p in parties)}"[:200],
        parties=parties,
        clauses=clauses,
        effective_from=effective_from,
        expires_at=expires_at,
    )


def _party(member: str, names: Mapping[str, str]) -> Party:
    country = country_of(member)
    if country is None:
        raise TermsInvalidError(
            f"{member} begins with no country's code",
            fix="begin a state's member id with its ISO 3166 code, an organisation's with int-",
        )
    return Party(
        member=member,
        display_name=names.get(member, member),
        kind=PartyKind.STATE if country else PartyKind.ORGANISATION,
        country=country,
    )


def _among_states(states: frozenset[str]) -> Iterator[Clause]:
    if len(states) >= MEMBERS_MIN:
        for number, article in enumerate(AMONG_STATES, 1):
            yield article.clause(f"C{number}", senders=states, recipients=states)


def _with_organisations(states: frozenset[str], organisations: frozenset[str]) -> Iterator[Clause]:
    """Yield what goes to organisations, what comes from them, and what never goes."""
    if not organisations:
        return
    ways = [(states | organisations, organisations, ", to organisations")]
    if states:
        ways.append((organisations, states, ", from organisations"))
    number = len(AMONG_STATES)
    for senders, recipients, note in ways:
        for article in WITH_ORGANISATIONS:
            number += 1
            yield article.clause(f"C{number}", senders=senders, recipients=recipients, note=note)
    yield Clause(
        id="D1",
        effect=ClauseEffect.DENY,
        title="No prints and no DNA to organisations",
        recipients=organisations,
        fields=PRINTS,
    )
