"""Parties, clauses and deadlines: the parts that terms are made of.

Each is a value that can't be contradictory in itself; ``terms`` checks them against
each other, and the protobuf rules check lengths and patterns when terms are encoded.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.errors import TermsInvalidError
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    Handling,
    InformationGrade,
    LegalBasis,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A member that has signed; `country` is ISO 3166-1 alpha-3, empty for organisations."""

    member: str
    display_name: str
    kind: PartyKind
    country: str = ""
    supervisor: str = ""

    def __post_init__(self) -> None:
        if (self.kind is PartyKind.STATE) != bool(self.country):
            raise TermsInvalidError(
                f"party {self.member}: a state has a country and an organisation has none",
                fix="give `country` as three letters for a STATE, and leave it out otherwise",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OffenceGate:
    """Which offences a clause needs or refuses (DOMAIN 4, T8 and T9)."""

    max_sentence_months_min: int = 0
    excluded: frozenset[OffenceClass] = frozenset()
    dual_criminality: bool = False
    assurances: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One rule: where it applies it permits, or refuses whatever others permit.

    A clause that permits names every set; one that refuses takes an empty set for
    "any". `subject_types` may be empty in both: then it is every type that the
    category has. Retention counts days after the day of disclosure.

    In a clause that refuses, `minors` are the ages that it is about (an unknown age is
    always among them), `offence_gate` is about what that gate would stop, and `roles`
    make it a rule about reading only.
    """

    id: str
    effect: ClauseEffect = ClauseEffect.PERMIT
    title: str = ""
    senders: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    categories: frozenset[Category] = frozenset()
    subject_types: frozenset[SubjectType] = frozenset()
    purposes: frozenset[Purpose] = frozenset()
    fields: frozenset[RecordField] = frozenset()
    handling: frozenset[Handling] = frozenset()
    roles: frozenset[OfficerRole] = frozenset()
    minors: MinorsRule = MinorsRule.ANY
    sources: frozenset[SourceGrade] = frozenset()
    information: frozenset[InformationGrade] = frozenset()
    offence_gate: OffenceGate | None = None
    retention_days_max: int = 0
    onward: OnwardTransfer = OnwardTransfer.NONE
    quota_per_day: int = 0
    necessity_min_length: int = 0
    legal_basis: LegalBasis = LegalBasis.TREATY
    legal_reference: str = ""

    def __post_init__(self) -> None:
        if self.permits:
            for name in NAMED_BY_EVERY_GRANT:
                if not getattr(self, name):
                    raise TermsInvalidError(
                        f"clause {self.id} permits but names no {name}",
                        fix=f"list its {name}: only what a clause names is granted",
                    )
            return
        for name in ONLY_OF_GRANTS:
            if getattr(self, name):
                raise TermsInvalidError(
                    f"clause {self.id} refuses, so {name} has no meaning in it",
                    fix=f"leave {name} out, or make it a clause that permits",
                )

    @property
    def permits(self) -> bool:
        """Whether the clause grants; otherwise it refuses."""
        return self.effect is ClauseEffect.PERMIT

    @property
    def looks_inside(self) -> bool:
        """Whether more than a header is needed to know if the clause applies."""
        return bool(
            self.subject_types
            or self.fields
            or self.handling
            or self.sources
            or self.information
            or self.minors is not MinorsRule.ANY
            or self.offence_gate is not None
        )


NAMED_BY_EVERY_GRANT: Final = (
    "senders",
    "recipients",
    "categories",
    "purposes",
    "fields",
    "handling",
    "roles",
    "sources",
    "information",
    "retention_days_max",
)
ONLY_OF_GRANTS: Final = ("retention_days_max", "quota_per_day", "necessity_min_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How soon something must follow (DOMAIN 3.4). A missed one is an event, never a grant."""

    delivery_receipt: timedelta = timedelta(seconds=60)
    acknowledgement_urgent: timedelta = timedelta(minutes=15)
    acknowledgement: timedelta = timedelta(hours=2)
    supplementary_urgent: timedelta = timedelta(hours=1)
    supplementary: timedelta = timedelta(hours=12)
    request_urgent_direct: timedelta = timedelta(hours=8)
    request_urgent: timedelta = timedelta(days=3)
    request: timedelta = timedelta(days=7)
    flag: timedelta = timedelta(hours=24)
    child_decision: timedelta = timedelta(hours=12)
    error_notice: timedelta = timedelta(days=2)
    correction: timedelta = timedelta(days=5)
    dispute: timedelta = timedelta(days=60)
    erasure_receipt: timedelta = timedelta(hours=24)
    redress_access: timedelta = timedelta(days=120)
    redress_deletion: timedelta = timedelta(days=270)
    redress_block: timedelta = timedelta(hours=48)
    breach_notice: timedelta = timedelta(hours=72)
    break_glass_review: timedelta = timedelta(hours=24)
