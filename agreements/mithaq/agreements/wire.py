"""The parts of terms as protobuf, and back: one canonical form, sets in order.

Nothing is judged here. ``terms`` encodes a whole agreement, checks it by the rules
written in agreement.proto, and refuses bytes that it would not have written itself.
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from typing import Final, Generic, TypeVar

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Deadlines, OffenceGate, Party
from mithaq.agreements.vocabulary import (
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
from mithaq.v1 import agreement_pb2, record_pb2

Word = TypeVar("Word", bound=StrEnum)
Number = TypeVar("Number", bound=int)


class Words(Generic[Word, Number]):
    """One closed set of words and its numbers on the wire."""

    def __init__(
        self, words: type[Word], numbered: Iterable[tuple[str, Number]], *, prefix: str
    ) -> None:
        self.vocabulary: Final = words
        self._numbers: Final = {
            words(name.removeprefix(prefix)): number for name, number in numbered if number != 0
        }
        self._words: Final = {number: word for word, number in self._numbers.items()}

    def number(self, word: Word) -> Number:
        """Return the number of a word."""
        return self._numbers[word]

    def word(self, number: Number) -> Word:
        """Return the word of a number that the validation rules have let through."""
        return self._words[number]

    def numbers(self, words: Iterable[Word]) -> list[Number]:
        """Return the numbers of a set of words, in their order on the wire."""
        return sorted(self._numbers[word] for word in words)

    def set_of(self, numbers: Iterable[Number]) -> frozenset[Word]:
        """Return the words of some numbers."""
        return frozenset(self._words[number] for number in numbers)


CATEGORIES: Final = Words(Category, agreement_pb2.AlertCategory.items(), prefix="ALERT_CATEGORY_")
SUBJECT_TYPES: Final = Words(SubjectType, agreement_pb2.SubjectType.items(), prefix="SUBJECT_TYPE_")
PURPOSES: Final = Words(Purpose, agreement_pb2.Purpose.items(), prefix="PURPOSE_")
FIELDS: Final = Words(RecordField, agreement_pb2.RecordField.items(), prefix="RECORD_FIELD_")
ROLES: Final = Words(OfficerRole, agreement_pb2.OfficerRole.items(), prefix="OFFICER_ROLE_")
EFFECTS: Final = Words(ClauseEffect, agreement_pb2.ClauseEffect.items(), prefix="CLAUSE_EFFECT_")
MINORS: Final = Words(MinorsRule, agreement_pb2.MinorsRule.items(), prefix="MINORS_RULE_")
ONWARD: Final = Words(
    OnwardTransfer, agreement_pb2.OnwardTransfer.items(), prefix="ONWARD_TRANSFER_"
)
LEGAL_BASES: Final = Words(LegalBasis, agreement_pb2.LegalBasis.items(), prefix="LEGAL_BASIS_")
PARTY_KINDS: Final = Words(PartyKind, agreement_pb2.PartyKind.items(), prefix="PARTY_KIND_")
ORIGIN_STATE_RULES: Final = Words(
    OriginStateRule, agreement_pb2.OriginStateRule.items(), prefix="ORIGIN_STATE_RULE_"
)
HANDLING: Final = Words(Handling, record_pb2.Handling.items(), prefix="HANDLING_")
SOURCES: Final = Words(SourceGrade, record_pb2.SourceGrade.items(), prefix="SOURCE_GRADE_")
INFORMATION: Final = Words(
    InformationGrade, record_pb2.InformationGrade.items(), prefix="INFORMATION_GRADE_"
)
OFFENCES: Final = Words(OffenceClass, record_pb2.OffenceClass.items(), prefix="OFFENCE_CLASS_")

SECOND: Final = timedelta(seconds=1)


def party_message(party: Party) -> agreement_pb2.AgreementParty:
    """Return a party as protobuf."""
    return agreement_pb2.AgreementParty(
        member=party.member,
        display_name=party.display_name,
        kind=PARTY_KINDS.number(party.kind),
        country=party.country,
        supervisor=party.supervisor,
    )


def party_of(message: agreement_pb2.AgreementParty) -> Party:
    """Return a party from protobuf that has been validated."""
    return Party(
        member=message.member,
        display_name=message.display_name,
        kind=PARTY_KINDS.word(message.kind),
        country=message.country,
        supervisor=message.supervisor,
    )


def gate_message(gate: OffenceGate) -> agreement_pb2.OffenceGate:
    """Return an offence gate as protobuf."""
    return agreement_pb2.OffenceGate(
        max_sentence_months_min=gate.max_sentence_months_min,
        excluded=OFFENCES.numbers(gate.excluded),
        dual_criminality=gate.dual_criminality,
        assurances=gate.assurances,
    )


def gate_of(message: agreement_pb2.OffenceGate) -> OffenceGate:
    """Return an offence gate from protobuf that has been validated."""
    return OffenceGate(
        max_sentence_months_min=message.max_sentence_months_min,
        excluded=OFFENCES.set_of(message.excluded),
        dual_criminality=message.dual_criminality,
        assurances=message.assurances,
    )


def clause_message(clause: Clause) -> agreement_pb2.AgreementClause:
    """Return a clause as protobuf."""
    gate = clause.offence_gate
    return agreement_pb2.AgreementClause(
        id=clause.id,
        effect=EFFECTS.number(clause.effect),
        title=clause.title,
        senders=sorted(clause.senders),
        recipients=sorted(clause.recipients),
        categories=CATEGORIES.numbers(clause.categories),
        subject_types=SUBJECT_TYPES.numbers(clause.subject_types),
        purposes=PURPOSES.numbers(clause.purposes),
        fields=FIELDS.numbers(clause.fields),
        handling=HANDLING.numbers(clause.handling),
        roles=ROLES.numbers(clause.roles),
        minors=MINORS.number(clause.minors),
        sources=SOURCES.numbers(clause.sources),
        information=INFORMATION.numbers(clause.information),
        offence_gate=None if gate is None else gate_message(gate),
        retention_days_max=clause.retention_days_max,
        onward=ONWARD.number(clause.onward),
        quota_per_day=clause.quota_per_day,
        necessity_min_length=clause.necessity_min_length,
        legal_basis=LEGAL_BASES.number(clause.legal_basis),
        legal_reference=clause.legal_reference,
    )


def clause_of(message: agreement_pb2.AgreementClause) -> Clause:
    """Return a clause from protobuf that has been validated."""
    return Clause(
        id=message.id,
        effect=EFFECTS.word(message.effect),
        title=message.title,
        senders=frozenset(message.senders),
        recipients=frozenset(message.recipients),
        categories=CATEGORIES.set_of(message.categories),
        subject_types=SUBJECT_TYPES.set_of(message.subject_types),
        purposes=PURPOSES.set_of(message.purposes),
        fields=FIELDS.set_of(message.fields),
        handling=HANDLING.set_of(message.handling),
        roles=ROLES.set_of(message.roles),
        minors=MINORS.word(message.minors),
        sources=SOURCES.set_of(message.sources),
        information=INFORMATION.set_of(message.information),
        offence_gate=gate_of(message.offence_gate) if message.HasField("offence_gate") else None,
        retention_days_max=message.retention_days_max,
        onward=ONWARD.word(message.onward),
        quota_per_day=message.quota_per_day,
        necessity_min_length=message.necessity_min_length,
        legal_basis=LEGAL_BASES.word(message.legal_basis),
        legal_reference=message.legal_reference,
    )


def deadlines_message(deadlines: Deadlines) -> agreement_pb2.AgreementDeadlines:
    """Return the deadlines as protobuf, in whole seconds."""
    message = agreement_pb2.AgreementDeadlines()
    for field in fields(Deadlines):
        setattr(message, f"{field.name}_seconds", getattr(deadlines, field.name) // SECOND)
    return message


def deadlines_of(message: agreement_pb2.AgreementDeadlines) -> Deadlines:
    """Return the deadlines from protobuf that has been validated."""
    return Deadlines(
        **{
            field.name: timedelta(seconds=getattr(message, f"{field.name}_seconds"))
            for field in fields(Deadlines)
        }
    )
