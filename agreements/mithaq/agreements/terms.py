"""The terms of an agreement, and the exact bytes that every party signs.

There is one encoding of given terms. Bytes that differ from it, be it by an unknown
field or by the order of a set, are refused, so a signature over the bytes is a
signature over the terms that we evaluate and over nothing else.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import protovalidate
from google.protobuf.message import DecodeError

from mithaq.agreements import wire
from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Deadlines, Party
from mithaq.agreements.errors import TermsBytesError, TermsInvalidError
from mithaq.agreements.vocabulary import ORIGIN_SYSTEMS_NEVER, OriginStateRule
from mithaq.v1 import agreement_pb2

TERMS_SIZE_BYTES_MAX: Final = 256 * 1024
STALENESS_LIMIT: Final = timedelta(hours=48)
WIND_DOWN: Final = timedelta(days=90)
LOG_RETENTION_DAYS: Final = 1095
DEADLINES: Final = Deadlines()


@dataclass(frozen=True, slots=True)
class ClauseRows:
    """The clauses that speak of one sender and one category, by recipient."""

    permits: dict[str, tuple[Clause, ...]]
    denies: dict[str, tuple[Clause, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Terms in force from `effective_from` until just before `expires_at`.

    Raises TermsInvalidError where the parts contradict one another or leave the
    limits of agreement.proto. `parties` are sorted by member.
    """

    id: str
    version: int
    federation: str
    title: str
    parties: tuple[Party, ...]
    clauses: tuple[Clause, ...]
    effective_from: datetime
    expires_at: datetime
    staleness_limit: timedelta = STALENESS_LIMIT
    wind_down: timedelta = WIND_DOWN
    deadlines: Deadlines = DEADLINES
    excluded_origin_systems: frozenset[str] = ORIGIN_SYSTEMS_NEVER
    origin_state_rule: OriginStateRule = OriginStateRule.PROTECTED
    log_retention_days: int = LOG_RETENTION_DAYS
    members: frozenset[str] = field(init=False, repr=False)
    _encoded: bytes = field(init=False, repr=False)
    _hash: bytes = field(init=False, repr=False)
    _rows: dict[tuple[str, str], ClauseRows] = field(
        init=False, repr=False, default_factory=dict[tuple[str, str], ClauseRows]
    )

    def __post_init__(self) -> None:
        _check_consistent(self)
        message = _message(self)
        _check_limits(message)
        encoded = message.SerializeToString(deterministic=True)
        if len(encoded) > TERMS_SIZE_BYTES_MAX:
            raise TermsInvalidError(
                f"the terms take {len(encoded)} bytes, and {TERMS_SIZE_BYTES_MAX} are allowed",
                fix="join clauses that differ in their members or categories only",
            )
        object.__setattr__(self, "members", frozenset(party.member for party in self.parties))
        object.__setattr__(self, "_encoded", encoded)
        object.__setattr__(self, "_hash", hashlib.sha256(encoded).digest())

    def __eq__(self, other: object) -> bool:
        # The bytes say all there is, and are compared in one go.
        return isinstance(other, Agreement) and self._encoded == other._encoded

    def __hash__(self) -> int:
        return hash(self._hash)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Agreement":
        """Return the terms of some signed bytes; raise TermsBytesError or TermsInvalidError."""
        if len(encoded) > TERMS_SIZE_BYTES_MAX:
            raise TermsBytesError(
                f"{len(encoded)} bytes came, and {TERMS_SIZE_BYTES_MAX} are allowed",
                fix="ask for the bytes that were signed",
            )
        message = agreement_pb2.AgreementTerms()
        try:
            message.ParseFromString(encoded)
        except DecodeError as error:
            raise TermsBytesError(
                "the bytes are no AgreementTerms message", fix="ask for the bytes that were signed"
            ) from error
        _check_limits(message)
        agreement = cls._of(message)
        if agreement.to_bytes() != encoded:
            raise TermsBytesError(
                "the bytes have unknown fields or are not in canonical form",
                fix="encode the terms with this version of Mithaq, and have them signed anew",
            )
        return agreement

    @classmethod
    def _of(cls, message: agreement_pb2.AgreementTerms) -> "Agreement":
        return cls(
            id=message.id,
            version=message.version,
            federation=message.federation,
            title=message.title,
            parties=tuple(map(wire.party_of, message.parties)),
            clauses=tuple(map(wire.clause_of, message.clauses)),
            effective_from=datetime.fromtimestamp(message.effective_from, UTC),
            expires_at=datetime.fromtimestamp(message.expires_at, UTC),
            staleness_limit=timedelta(seconds=message.staleness_limit_seconds),
            wind_down=timedelta(seconds=message.wind_down_seconds),
            deadlines=wire.deadlines_of(message.deadlines),
            excluded_origin_systems=frozenset(message.excluded_origin_systems),
            origin_state_rule=wire.ORIGIN_STATE_RULES.word(message.origin_state_rule),
            log_retention_days=message.log_retention_days,
        )

    def to_bytes(self) -> bytes:
        """Return the exact bytes that parties sign."""
        return self._encoded

    @property
    def hash(self) -> bytes:
        """SHA-256 of the exact bytes."""
        return self._hash

    def party(self, member: str) -> Party | None:
        """Return a party, or None where the member is none."""
        return next((party for party in self.parties if party.member == member), None)

    def rows(self, sender: str, category: str) -> ClauseRows:
        """Return the clauses for a sender and category; the same answer whenever asked.

        The first call for a pair sorts the clauses, later ones look them up.
        """
        found = self._rows.get((sender, category))
        if found is None:
            # Only words of the vocabulary and parties are kept: a hostile header
            # must not make the table grow.
            found = _rows_of(self, sender=sender, category=category)
            if sender in self.members and category in CATEGORY_CODES:
                self._rows[sender, category] = found
        return found


CATEGORY_CODES: Final = frozenset(Category)


def _rows_of(agreement: Agreement, *, sender: str, category: str) -> ClauseRows:
    permits: dict[str, list[Clause]] = {}
    denies: dict[str, list[Clause]] = {}
    for clause in agreement.clauses:
        if clause.senders and sender not in clause.senders:
            continue
        if clause.categories and category not in clause.categories:
            continue
        rows = permits if clause.permits else denies
        for recipient in clause.recipients or agreement.members:
            if recipient != sender:
                rows.setdefault(recipient, []).append(clause)
    return ClauseRows(_frozen(permits), _frozen(denies))


def _frozen(rows: dict[str, list[Clause]]) -> dict[str, tuple[Clause, ...]]:
    """Return the rows as tuples; recipients with the same clauses share one."""
    shared: dict[tuple[str, ...], tuple[Clause, ...]] = {}
    return {
        recipient: shared.setdefault(tuple(clause.id for clause in clauses), tuple(clauses))
        for recipient, clauses in rows.items()
    }


def _check_consistent(agreement: Agreement) -> None:
    _check_instants(agreement)
    members = [party.member for party in agreement.parties]
    if members != sorted(set(members)):
        raise TermsInvalidError(
            "the parties are not sorted by member, or one stands twice",
            fix="name each party once, in the order of the members' names",
        )
    _check_unique("clause", [clause.id for clause in agreement.clauses])
    for clause in agreement.clauses:
        strangers = (clause.senders | clause.recipients) - set(members)
        if strangers:
            raise TermsInvalidError(
                f"clause {clause.id} names {', '.join(sorted(strangers))}, no party",
                fix="add the party, or take the name out of the clause",
            )
        if clause.permits and len(clause.senders | clause.recipients) == 1:
            raise TermsInvalidError(
                f"clause {clause.id} lets a member send to itself only",
                fix="name a recipient other than the sender",
            )


def _check_instants(agreement: Agreement) -> None:
    for name in ("effective_from", "expires_at"):
        instant: datetime = getattr(agreement, name)
        if instant.utcoffset() != timedelta(0) or instant.microsecond:
            raise TermsInvalidError(
                f"{name} is not a whole second of UTC", fix="write it like 2027-01-01T00:00:00Z"
            )
    if agreement.effective_from >= agreement.expires_at:
        raise TermsInvalidError(
            "the agreement ends before it begins", fix="let expires_at follow effective_from"
        )


def _check_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TermsInvalidError(
                f"{what} {name} stands twice", fix=f"give each {what} an id of its own"
            )
        seen.add(name)


def _check_limits(message: agreement_pb2.AgreementTerms) -> None:
    """Raise TermsInvalidError where a rule of agreement.proto is broken."""
    try:
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        violation = error.violations[0]
        path = tuple(_steps(violation))
        name = ".".join(map(str, path)) or "terms"
        raise TermsInvalidError(
            f"{name}: {violation.proto.message}", fix="bring it within the limit", path=path
        ) from error


def _steps(violation: protovalidate.Violation) -> Iterator[str | int]:
    field_path = violation.proto.field
    for element in field_path.elements if field_path else ():
        yield element.field_name.removesuffix("_seconds")
        if element.subscript is not None and isinstance(element.subscript.value, int):
            yield element.subscript.value


def _message(agreement: Agreement) -> agreement_pb2.AgreementTerms:
    try:
        return agreement_pb2.AgreementTerms(
            id=agreement.id,
            version=agreement.version,
            federation=agreement.federation,
            title=agreement.title,
            parties=map(wire.party_message, agreement.parties),
            clauses=map(wire.clause_message, agreement.clauses),
            effective_from=int(agreement.effective_from.timestamp()),
            expires_at=int(agreement.expires_at.timestamp()),
            staleness_limit_seconds=agreement.staleness_limit // wire.SECOND,
            wind_down_seconds=agreement.wind_down // wire.SECOND,
            deadlines=wire.deadlines_message(agreement.deadlines),
            excluded_origin_systems=sorted(agreement.excluded_origin_systems),
            origin_state_rule=wire.ORIGIN_STATE_RULES.number(agreement.origin_state_rule),
            log_retention_days=agreement.log_retention_days,
        )
    except (ValueError, OverflowError) as error:
        # The library names no field here.
        raise TermsInvalidError(
            "a number in the terms is negative or too large, or a text is no Unicode",
            fix="bring the number within its limit, and write the text anew",
        ) from error
