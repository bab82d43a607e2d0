"""Terms as people write and read them.

YAML is a form for people; what parties sign are the bytes (``terms``). Both ways round
are exact: `load(dump(agreement))` is the same agreement with the same bytes. Comments
are not signed. A key left out takes the default that ``clause`` and ``terms`` give, and
`dump` writes it out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Final, TypeVar, cast

from mithaq.agreements import draft, yaml_nodes
from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Deadlines, OffenceGate, Party
from mithaq.agreements.errors import TermsInvalidError, YamlFormError
from mithaq.agreements.terms import LOG_RETENTION_DAYS, STALENESS_LIMIT, WIND_DOWN, Agreement
from mithaq.agreements.vocabulary import (
    ORIGIN_SYSTEMS_NEVER,
    ClauseEffect,
    Handling,
    InformationGrade,
    LegalBasis,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    OriginStateRule,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectType,
)
from mithaq.agreements.yaml_nodes import (
    Table,
    duration,
    flag,
    instant,
    many,
    number,
    scalar,
    set_of,
)
from mithaq.agreements.yaml_tree import Keyed, Listed, Node, compose
from mithaq.agreements.yaml_writer import write

Built = TypeVar("Built")

HEADING: Final = "# Terms of a data-sharing agreement. The terms are signed, the comments are not."

AGREEMENT_KEYS: Final = tuple(field.name for field in fields(Agreement) if field.init)
PARTY_KEYS: Final = tuple(field.name for field in fields(Party))
CLAUSE_KEYS: Final = tuple(field.name for field in fields(Clause))
GATE_KEYS: Final = tuple(field.name for field in fields(OffenceGate))
DEADLINE_KEYS: Final = tuple(field.name for field in fields(Deadlines))


def load(text: str) -> Agreement:
    """Return the terms of a YAML text; raise YamlFormError with the line and the remedy."""
    node = compose(text)
    table = Table(node, keys=AGREEMENT_KEYS, what="the agreement")
    parties = table.need("parties", many(_party))
    clauses = table.need("clauses", many(_clause))
    try:
        return Agreement(
            id=table.need("id", scalar),
            version=table.need("version", number),
            federation=table.need("federation", scalar),
            title=table.need("title", scalar),
            parties=tuple(sorted(parties, key=_member)),
            clauses=clauses,
            effective_from=table.need("effective_from", instant),
            expires_at=table.need("expires_at", instant),
            staleness_limit=table.take("staleness_limit", duration, STALENESS_LIMIT),
            wind_down=table.take("wind_down", duration, WIND_DOWN),
            deadlines=table.take("deadlines", _deadlines, Deadlines()),
            excluded_origin_systems=table.take(
                "excluded_origin_systems", set_of(scalar), ORIGIN_SYSTEMS_NEVER
            ),
            origin_state_rule=table.take(
                "origin_state_rule", yaml_nodes.word(OriginStateRule), OriginStateRule.PROTECTED
            ),
            log_retention_days=table.take("log_retention_days", number, LOG_RETENTION_DAYS),
        )
    except TermsInvalidError as error:
        place = _place(node, parties, error.path)
        raise YamlFormError(error.why, fix=error.fix, line=place.line) from error


def _member(party: Party) -> str:
    return party.member


def _place(node: Node, parties: Sequence[Party], path: tuple[str | int, ...]) -> Node:
    """Return the node that a path into the terms leads to, as far as the text has it."""
    for depth, step in enumerate(path):
        if isinstance(step, int) and isinstance(node, Listed):
            sorted_parties = depth == 1 and path[0] == "parties"
            node = node.items[_as_written(step, parties) if sorted_parties else step]
        else:
            pairs = node.pairs if isinstance(node, Keyed) else ()
            node = next((value for key, value in pairs if scalar(key) == step), node)
    return node


def _as_written(place: int, parties: Sequence[Party]) -> int:
    """Return where the text has the party that stands at a place once they are sorted."""
    return sorted(range(len(parties)), key=lambda written: parties[written].member)[place]


def _party(node: Node) -> Party:
    table = Table(node, keys=PARTY_KEYS, what="a party")
    return _checked(
        node,
        lambda: Party(
            member=table.need("member", scalar),
            display_name=table.need("display_name", scalar),
            kind=table.need("kind", yaml_nodes.word(PartyKind)),
            country=table.take("country", scalar, ""),
            supervisor=table.take("supervisor", scalar, ""),
        ),
    )


def _clause(node: Node) -> Clause:
    table = Table(node, keys=CLAUSE_KEYS, what="a clause")
    word = yaml_nodes.word
    return _checked(
        node,
        lambda: Clause(
            id=table.need("id", scalar),
            effect=table.take("effect", word(ClauseEffect), ClauseEffect.PERMIT),
            title=table.take("title", scalar, ""),
            senders=table.take("senders", set_of(scalar), frozenset()),
            recipients=table.take("recipients", set_of(scalar), frozenset()),
            categories=table.take("categories", set_of(word(Category)), frozenset()),
            subject_types=table.take("subject_types", set_of(word(SubjectType)), frozenset()),
            purposes=table.take("purposes", set_of(word(Purpose)), frozenset()),
            fields=table.take("fields", set_of(word(RecordField)), frozenset()),
            handling=table.take("handling", set_of(word(Handling)), frozenset()),
            roles=table.take("roles", set_of(word(OfficerRole)), frozenset()),
            minors=table.take("minors", word(MinorsRule), MinorsRule.ANY),
            sources=table.take("sources", set_of(word(SourceGrade)), frozenset()),
            information=table.take("information", set_of(word(InformationGrade)), frozenset()),
            offence_gate=table.take("offence_gate", _gate, None),
            retention_days_max=table.take("retention_days_max", number, 0),
            onward=table.take("onward", word(OnwardTransfer), OnwardTransfer.NONE),
            quota_per_day=table.take("quota_per_day", number, 0),
            necessity_min_length=table.take("necessity_min_length", number, 0),
            legal_basis=table.take("legal_basis", word(LegalBasis), LegalBasis.TREATY),
            legal_reference=table.take("legal_reference", scalar, ""),
        ),
    )


def _checked(node: Node, build: Callable[[], Built]) -> Built:
    """Return what is built from a node; a contradiction in it names the node's line."""
    try:
        return build()
    except TermsInvalidError as error:
        raise YamlFormError(error.why, fix=error.fix, line=node.line) from error


def _gate(node: Node) -> OffenceGate | None:
    table = Table(node, keys=GATE_KEYS, what="an offence gate")
    return OffenceGate(
        max_sentence_months_min=table.take("max_sentence_months_min", number, 0),
        excluded=table.take("excluded", set_of(yaml_nodes.word(OffenceClass)), frozenset()),
        dual_criminality=table.take("dual_criminality", flag, default=False),
        assurances=table.take("assurances", flag, default=False),
    )


def _deadlines(node: Node) -> Deadlines:
    table = Table(node, keys=DEADLINE_KEYS, what="the deadlines")
    defaults = Deadlines()
    return Deadlines(
        **{name: table.take(name, duration, getattr(defaults, name)) for name in DEADLINE_KEYS}
    )


def dump(agreement: Agreement) -> str:
    """Return the terms as YAML; what is empty is left out, all else is written."""
    table = _table(agreement, AGREEMENT_KEYS)
    # Its default is not empty, so an empty set must be seen.
    table["excluded_origin_systems"] = agreement.excluded_origin_systems
    return "\n".join((HEADING, *write(table))) + "\n"


def _table(value: object, keys: Sequence[str]) -> dict[str, object]:
    items = ((key, getattr(value, key)) for key in keys)
    return {key: _plain(item) for key, item in items if item}


def _plain(value: object) -> object:
    """Return a part of the terms as tables."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in cast("tuple[object, ...]", value))
    if isinstance(value, OffenceGate):
        # A gate that asks for nothing else still asks for an assessment: never leave it out.
        return {key: getattr(value, key) for key in GATE_KEYS}
    for kind, keys in TABLES:
        if isinstance(value, kind):
            return _table(value, keys)
    return value


TABLES: Final = (
    (Party, PARTY_KEYS),
    (Clause, CLAUSE_KEYS),
    (Deadlines, DEADLINE_KEYS),
)


def template(
    federation: str,
    members: Sequence[str],
    *,
    agreement_id: str,
    effective_from: datetime,
    expires_at: datetime,
    title: str = "",
    version: int = 1,
    names: Mapping[str, str] | None = None,
) -> str:
    """Return draft terms among some members as YAML (see ``draft.draft``)."""
    return dump(
        draft.draft(
            federation,
            members,
            agreement_id=agreement_id,
            effective_from=effective_from,
            expires_at=expires_at,
            title=title,
            version=version,
            names=names,
        )
    )
