"""Whether a caller may see a stored record now, and which of its fields.

DESIGN 7: agreements are enforced again at every reading, by the registry that this node
has replayed. A clause that grants the purpose but not every field shows what it grants;
a clause that refuses some fields takes these away; one that refuses the record, all.
To be called in the database's writer thread, where the registry stands still. The rule:
nobody sees a record of others without a clause that says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from mithaq.agreements.decision import decide_reading, decide_search
from mithaq.agreements.facts import Facts
from mithaq.agreements.reason import Decision, Reason
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    PROTECTIVE_PURPOSES,
    OfficerRole,
    Purpose,
    RecordField,
    SubjectType,
)
from mithaq.certs.errors import TrustError
from mithaq.certs.registry import Registry
from mithaq.node.exchange.home import EPOCH
from mithaq.node.exchange.stored import open_row
from mithaq.node.local.mask import masked
from mithaq.node.records.facts import facts_of
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.node.sealing.at_rest import StorageKey
from mithaq.v1 import record_pb2

# Fields are left out for these reasons only; every other refusal is of the whole record.
_OF_FIELDS: Final = frozenset({Reason.FIELD_NOT_GRANTED, Reason.FORBIDDEN_BY_CLAUSE})
_OWN: Final = Decision(allowed=True, clause_ids=(), reason=Reason.ALLOWED)
_UNKNOWN: Final = Decision(allowed=False, clause_ids=(), reason=Reason.NO_CLAUSE)
_EXPIRED: Final = Decision(allowed=False, clause_ids=(), reason=Reason.RECORD_EXPIRED)
_OTHER_UNIT: Final = Decision(allowed=False, clause_ids=(), reason=Reason.ROLE_NOT_GRANTED)
_NOT_PROTECTIVE: Final = Decision(allowed=False, clause_ids=(), reason=Reason.PURPOSE_INCOMPATIBLE)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, for what, and by which registry."""

    member: str
    registry: Registry
    purpose: Purpose
    role: OfficerRole
    at: datetime
    # After how long without the registry this node's copy is stale, whatever clauses say.
    staleness_limit: timedelta
    # Units of the agency that this node's users belong to.
    units: frozenset[str] = frozenset()

    @property
    def synced_at(self) -> datetime:
        """When this node was last in touch, by the registrar's clock; long ago if too long."""
        time = self.registry.time
        return time if time and self.at - time <= self.staleness_limit else EPOCH


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored record, what was decided about reading it, and what may be shown of it."""

    row: Any
    record: ParsedRecord
    decision: Decision
    shown: record_pb2.Record | None


def judge_row(row: Any, storage: StorageKey, reader: Reader) -> Judged:  # noqa: ANN401 - a row
    """Return what may be shown of an alert's row that carries its stream's `sender`.

    Raises:
        ErasedError: its content was erased.
        AtRestError: its content does not open.

    """
    record = parse_record(open_row(row, storage).record)
    decision, granted = _decide(row, record, reader)
    if not decision.allowed:
        return Judged(row, record, decision, None)
    shown = record.message if granted is None else masked(record.message, granted)
    return Judged(row, record, decision, shown)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question to an agreement: who disclosed, and who reads."""

    agreement: Agreement
    status: AgreementStatus
    sender: str
    reader: Reader

    def decide(self, facts: Facts) -> Decision:
        return decide_reading(
            self.agreement,
            status=self.status,
            facts=facts,
            sender=self.sender,
            reader=self.reader.member,
            purpose=self.reader.purpose,
            role=self.reader.role,
            at=self.reader.at,
        )


def _restricted(restrictions: record_pb2.Restrictions, reader: Reader) -> Decision | None:
    """Return the refusal of a limit that the sender set for this record alone, or None."""
    if restrictions.child_protection_only and reader.purpose not in PROTECTIVE_PURPOSES:
        return _NOT_PROTECTIVE
    # Units that nobody has told this node of can't be compared, and so refuse (DESIGN 7).
    if restrictions.only_units and reader.units.isdisjoint(restrictions.only_units):
        return _OTHER_UNIT
    return None


def _decide(
    row: Any,  # noqa: ANN401 - a row of node_record
    record: ParsedRecord,
    reader: Reader,
) -> tuple[Decision, frozenset[RecordField] | None]:
    """Return the decision, and the fields that may be shown; None stands for all."""
    restricted = _restricted(record.alert.restrictions, reader)
    if restricted is not None:
        return restricted, None
    if row.own:
        return (_EXPIRED if record.expiry <= reader.at else _OWN), None
    try:
        standing = reader.registry.agreement(row.agreement_id)
    except TrustError:
        return _UNKNOWN, None
    agreement = standing.in_force(at=reader.at)
    facts = facts_of(record, agreement=agreement, sender=row.sender)
    asked = _Asked(agreement, standing.status, row.sender, reader)
    decision = asked.decide(facts)
    if decision.allowed or decision.reason not in _OF_FIELDS:
        return decision, None
    return _partly(asked, facts, decision)


def _partly(
    asked: _Asked, facts: Facts, refusal: Decision
) -> tuple[Decision, frozenset[RecordField] | None]:
    """Return what clauses grant of some of the fields, each asked for its own."""
    member = asked.reader.member
    rows = asked.agreement.rows(asked.sender, facts.category)
    refused = frozenset[RecordField]().union(
        *(clause.fields for clause in rows.denies.get(member, ()))
    )
    fields: frozenset[RecordField] = frozenset()
    clauses: list[str] = []
    for permit in rows.permits.get(member, ()):
        offered = (facts.fields & permit.fields) - refused
        if not offered:
            continue
        decision = asked.decide(replace(facts, fields=offered))
        if decision.allowed and permit.id in decision.clause_ids:
            fields |= offered
            clauses.append(permit.id)
    if not fields:
        return refusal, None
    return Decision(allowed=True, clause_ids=tuple(clauses), reason=Reason.ALLOWED), fields


@dataclass(frozen=True, slots=True)
class Scope:
    """What of others' records a search may look at, by agreement."""

    decisions: dict[str, Decision]

    def refusal(self, agreement_id: str) -> Decision | None:
        """Return why records under an agreement may not be searched, or None."""
        decision = self.decisions.get(agreement_id, _UNKNOWN)
        return None if decision.allowed else decision


def search_scope(reader: Reader, subject_type: SubjectType) -> Scope:
    """Return what every agreement of this member says about a search (DOMAIN 4, T13)."""
    decisions: dict[str, Decision] = {}
    for standing in reader.registry.agreements():
        agreement = standing.in_force(at=reader.at)
        if reader.member in agreement.members:
            decisions[agreement.id] = decide_search(
                agreement,
                status=standing.status,
                searcher=reader.member,
                subject_type=subject_type,
                purpose=reader.purpose,
                role=reader.role,
                synced_at=reader.synced_at,
                at=reader.at,
            )
    return Scope(decisions)


def search_cautions(scopes: Iterable[Scope]) -> list[str]:
    """Return what an officer is to know of what a search could not look at."""
    decisions = [each for scope in scopes for each in scope.decisions.items()]
    reasons = {decision.reason for _, decision in decisions}
    cautions: list[str] = []
    # "No match" would otherwise read as "no alert".
    if suspended := {
        name for name, decision in decisions if decision.reason is Reason.AGREEMENT_SUSPENDED
    }:
        names = ", ".join(sorted(suspended))
        cautions.append(f"Others' records under {names} were not searched: suspended.")
    if Reason.STALE_PERSON_SEARCH_CLOSED in reasons:
        cautions.append(
            "Names of foreign persons are closed: the registry was not heard from for too long. "
            "Call the bureau."
        )
    if Reason.ALLOWED_VERIFY_WITH_BUREAU in reasons:
        cautions.append("The copy is stale: verify with the bureau before any step.")
    return cautions


def stale_cautions(registry: Registry, *, at: datetime) -> list[str]:
    """Return the mark of PROTOCOL 2.6 where the registry is no longer fresh."""
    try:
        registry.check_fresh(at)
    except TrustError:
        since = registry.time.isoformat(timespec="minutes") if registry.time else "the beginning"
        return [f"Stale since {since}: verify with the bureau."]
    return []
