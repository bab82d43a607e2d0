"""What a new version of an agreement changes, and whether it widens or narrows.

Widening needs all parties, and narrowing hurts nobody's rights (DESIGN 7), so each
change says which it is. Where that depends on the facts, as when one set gains a word
and loses another, there are two changes; what can't be told apart is UNCLEAR, and
counts as widening.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from mithaq.agreements.clause import Clause, Deadlines, OffenceGate, Party
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import MinorsRule, OnwardTransfer, OriginStateRule


class Effect(StrEnum):
    """What a change does to what may flow."""

    WIDENS = "WIDENS"
    NARROWS = "NARROWS"
    UNCLEAR = "UNCLEAR"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `where` is like clauses.C1.fields, `old` and `new` are for people."""

    where: str
    effect: Effect
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes from one version to the next."""

    changes: tuple[Change, ...]

    @property
    def widens(self) -> bool:
        """Whether anything may flow that could not before."""
        return any(change.effect in {Effect.WIDENS, Effect.UNCLEAR} for change in self.changes)

    @property
    def narrows(self) -> bool:
        """Whether anything may no longer flow."""
        return any(change.effect in {Effect.NARROWS, Effect.UNCLEAR} for change in self.changes)


def diff(old: Agreement, new: Agreement) -> Difference:
    """Return what `new` changes against `old`; the version number alone is no change."""
    return Difference(
        (
            *_parties(old, new),
            *_instants(old, new),
            *_limits(old, new),
            *_deadlines(old.deadlines, new.deadlines),
            *_clauses(old, new),
        )
    )


def _reverse(effect: Effect) -> Effect:
    return {Effect.WIDENS: Effect.NARROWS, Effect.NARROWS: Effect.WIDENS}.get(effect, effect)


def _show(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(cast("frozenset[str]", value)))
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)


def _parties(old: Agreement, new: Agreement) -> Iterator[Change]:
    before = {party.member: party for party in old.parties}
    after = {party.member: party for party in new.parties}
    for member in sorted(before.keys() | after.keys()):
        where = f"parties.{member}"
        if member not in before:
            yield Change(where, Effect.WIDENS, "", after[member].display_name)
        elif member not in after:
            yield Change(where, Effect.NARROWS, before[member].display_name, "")
        else:
            yield from _party(where, before[member], after[member])


def _party(where: str, old: Party, new: Party) -> Iterator[Change]:
    for field in fields(Party):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            # The country says whose nationals' records the party is kept from.
            effect = Effect.NEUTRAL if field.name in PARTY_TEXTS else Effect.UNCLEAR
            yield Change(f"{where}.{field.name}", effect, _show(before), _show(after))


PARTY_TEXTS: Final = frozenset({"display_name", "supervisor"})


def _compared(where: str, old: Any, new: Any, *, more: Effect) -> Iterator[Change]:  # noqa: ANN401 - of any term
    """Yield the change of a value that can be more or less; `more` is what more does."""
    if old != new:
        effect = more if new > old else _reverse(more)
        yield Change(where, effect, _show(old), _show(new))


def _instants(old: Agreement, new: Agreement) -> Iterator[Change]:
    yield from _compared(
        "effective_from", old.effective_from, new.effective_from, more=Effect.NARROWS
    )
    yield from _compared("expires_at", old.expires_at, new.expires_at, more=Effect.WIDENS)


def _limits(old: Agreement, new: Agreement) -> Iterator[Change]:
    yield from _compared(
        "staleness_limit", old.staleness_limit, new.staleness_limit, more=Effect.WIDENS
    )
    for name in ("id", "federation", "title", "wind_down", "log_retention_days"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Change(name, Effect.NEUTRAL, _show(before), _show(after))
    yield from _set(
        "excluded_origin_systems",
        old.excluded_origin_systems,
        new.excluded_origin_systems,
        more=Effect.NARROWS,
    )
    if old.origin_state_rule is not new.origin_state_rule:
        stricter = new.origin_state_rule is OriginStateRule.ALL_NATIONALS
        yield Change(
            "origin_state_rule",
            Effect.NARROWS if stricter else Effect.WIDENS,
            old.origin_state_rule,
            new.origin_state_rule,
        )


def _deadlines(old: Deadlines, new: Deadlines) -> Iterator[Change]:
    for field in fields(Deadlines):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            # A deadline grants nothing, whichever way it moves.
            yield Change(f"deadlines.{field.name}", Effect.NEUTRAL, str(before), str(after))


def _clauses(old: Agreement, new: Agreement) -> Iterator[Change]:
    before = {clause.id: clause for clause in old.clauses}
    after = {clause.id: clause for clause in new.clauses}
    for clause in old.clauses:
        if clause.id not in after:
            yield Change(_where(clause), _reverse(_adding(clause)), clause.title or clause.id, "")
    for clause in new.clauses:
        if clause.id in before:
            yield from _clause(_where(clause), before[clause.id], clause)
        else:
            yield Change(_where(clause), _adding(clause), "", clause.title or clause.id)


def _where(clause: Clause) -> str:
    return f"clauses.{clause.id}"


def _adding(clause: Clause) -> Effect:
    return Effect.WIDENS if clause.permits else Effect.NARROWS


def _clause(where: str, old: Clause, new: Clause) -> Iterator[Change]:
    if old.effect is not new.effect:
        yield Change(f"{where}.effect", _adding(new), old.effect, new.effect)
        return
    for field in fields(Clause):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after:
            continue
        name = f"{where}.{field.name}"
        if field.name in CLAUSE_TEXTS:
            yield Change(name, Effect.NEUTRAL, _show(before), _show(after))
        elif new.permits:
            yield from GRANT_CHANGES.get(field.name, _grant_set)(name, before, after)
        else:
            yield from _refusal_change(name, before, after)


CLAUSE_TEXTS: Final = frozenset({"title", "legal_basis", "legal_reference"})


def _set(where: str, old: frozenset[str], new: frozenset[str], *, more: Effect) -> Iterator[Change]:
    if new - old:
        yield Change(where, more, "", _show(new - old))
    if old - new:
        yield Change(where, _reverse(more), _show(old - new), "")


def _grant_set(where: str, old: frozenset[str], new: frozenset[str]) -> Iterator[Change]:
    return _set(where, old, new, more=Effect.WIDENS)


def _open_set(where: str, old: frozenset[str], new: frozenset[str]) -> Iterator[Change]:
    """Yield the change of a set whose absence means all of them."""
    if old and new:
        yield from _set(where, old, new, more=Effect.WIDENS)
    else:
        yield Change(where, Effect.NARROWS if new else Effect.WIDENS, _show(old), _show(new))


def _refusal_change(where: str, old: Any, new: Any) -> Iterator[Change]:  # noqa: ANN401 - of any term
    if isinstance(old, frozenset):
        before, after = cast("frozenset[str]", old), cast("frozenset[str]", new)
        # A refusal that reaches further narrows what may flow.
        for change in _open_set(where, before, after):
            yield Change(where, _reverse(change.effect), change.old, change.new)
    else:
        yield Change(where, Effect.UNCLEAR, _show(old), _show(new))


def _minors(where: str, old: MinorsRule, new: MinorsRule) -> Iterator[Change]:
    if new is MinorsRule.ANY:
        effect = Effect.WIDENS
    elif old is MinorsRule.ANY:
        effect = Effect.NARROWS
    else:
        effect = Effect.UNCLEAR
    yield Change(where, effect, old, new)


def _onward(where: str, old: OnwardTransfer, new: OnwardTransfer) -> Iterator[Change]:
    effect = Effect.WIDENS if new is OnwardTransfer.CONSENT else Effect.NARROWS
    yield Change(where, effect, old, new)


def _offence_gate(where: str, old: OffenceGate | None, new: OffenceGate | None) -> Iterator[Change]:
    if old is None or new is None:
        yield Change(
            where,
            Effect.WIDENS if new is None else Effect.NARROWS,
            "" if old is None else "gate",
            "" if new is None else "gate",
        )
        return
    yield from _compared(
        f"{where}.max_sentence_months_min",
        old.max_sentence_months_min,
        new.max_sentence_months_min,
        more=Effect.NARROWS,
    )
    yield from _set(f"{where}.excluded", old.excluded, new.excluded, more=Effect.NARROWS)
    for name in ("dual_criminality", "assurances"):
        yield from _compared(
            f"{where}.{name}", getattr(old, name), getattr(new, name), more=Effect.NARROWS
        )


def _retention(where: str, old: int, new: int) -> Iterator[Change]:
    return _compared(where, old, new, more=Effect.WIDENS)


def _necessity(where: str, old: int, new: int) -> Iterator[Change]:
    return _compared(where, old, new, more=Effect.NARROWS)


def _quota(where: str, old: int, new: int) -> Iterator[Change]:
    # None is more than any number.
    wider = new == 0 or (old != 0 and new > old)
    yield Change(where, Effect.WIDENS if wider else Effect.NARROWS, _show(old), _show(new))


GRANT_CHANGES: Final[dict[str, Callable[[str, Any, Any], Iterator[Change]]]] = {
    "subject_types": _open_set,
    "minors": _minors,
    "offence_gate": _offence_gate,
    "onward": _onward,
    "retention_days_max": _retention,
    "necessity_min_length": _necessity,
    "quota_per_day": _quota,
}
