"""Which recipients, and by which own streams: decided before anything is sealed.

PROTOCOL 3.1, 3.2; DESIGN 7. The agreements' clauses say who may be given a record, the
registry who may read now, and the streams that stand open say by which way. Pure, apart
from what it is given. The one rule: a stream is used only if its whole audience is among
the recipients that are allowed, those too who may read nothing now: they see its headers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from mithaq.agreements.reason import Decision
from mithaq.agreements.status import AgreementState, AgreementStatus
from mithaq.agreements.streams import largest_that_fit
from mithaq.agreements.terms import Agreement
from mithaq.certs.errors import TrustError
from mithaq.certs.participants import AgreementRecord
from mithaq.certs.registry import Registry
from mithaq.ledger.entry import StreamRole
from mithaq.node.exchange.deliberation import Case, Deliberation
from mithaq.node.exchange.epochs import entitled_readers
from mithaq.node.exchange.errors import (
    AgreementUnknownError,
    DeniedByAgreementError,
    NoStreamError,
)
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import OwnStream, list_own
from mithaq.node.exchange.quota import QuotaBook, is_counted
from mithaq.node.records.model import ParsedRecord


class RecipientDecision(NamedTuple):
    """What one agreement says about one recipient."""

    recipient: str
    allowed: bool
    reason: str
    clause_ids: tuple[str, ...]
    agreement_id: str


class Share(NamedTuple):
    """The recipients that one agreement gives a record to."""

    agreement: Agreement
    status: AgreementStatus
    recipients: frozenset[str]


class Plan(NamedTuple):
    """Who gets a record under which agreement, and every decision that led there."""

    shares: tuple[Share, ...]
    decisions: tuple[RecipientDecision, ...]
    # Whether a quota counts what goes out, so that the next record may be planned otherwise.
    counted: bool


# The agreement and recipients named, and the case that the alert is under each agreement.
_Asked = tuple[str | None, tuple[str, ...] | None, tuple[Case, ...]]


@dataclass(slots=True)
class Planner:
    """Plans the disclosures of one transaction, whose registry and instant stand still."""

    registry: Registry
    member: str
    at: datetime
    quotas: QuotaBook
    _deliberations: dict[str | None, list[Deliberation]] = field(
        default_factory=dict[str | None, list[Deliberation]]
    )
    _plans: dict[_Asked, Plan] = field(default_factory=dict[_Asked, Plan])

    def plan(
        self,
        alert: ParsedRecord,
        *,
        agreement_id: str | None,
        recipients: tuple[str, ...] | None,
    ) -> Plan:
        """Decide who is given an alert; each recipient under one agreement only.

        Raises:
            AgreementUnknownError: the agreement named is not one of this member's.
            DeniedByAgreementError: nobody may be given it, or not everybody who was named.

        """
        deliberations = self._deliberations.get(agreement_id)
        if deliberations is None:
            deliberations = self._deliberate(agreement_id)
            self._deliberations[agreement_id] = deliberations
        asked = agreement_id, recipients, tuple([each.case_of(alert) for each in deliberations])
        plan = self._plans.get(asked)
        if plan is None:
            plan = self._plan(alert, deliberations, recipients)
            if not plan.counted:
                self._plans[asked] = plan
        return plan

    def _deliberate(self, agreement_id: str | None) -> list[Deliberation]:
        standings = _agreements(self.registry, member=self.member, agreement_id=agreement_id)
        return [
            Deliberation(each.in_force(at=self.at), each.status, self.member, self.at, self.at)
            for each in standings
        ]

    def _plan(
        self,
        alert: ParsedRecord,
        deliberations: Iterable[Deliberation],
        recipients: Sequence[str] | None,
    ) -> Plan:
        shares: list[Share] = []
        decisions: list[RecipientDecision] = []
        covered: set[str] = set()
        counted = False
        for each in deliberations:
            found = dict(each.audience(alert))
            counted |= self._count(each.agreement, alert.category, found)
            decisions += _told(found, each.agreement.id)
            fresh = frozenset(name for name in found if found[name].allowed) - covered
            if recipients is not None:
                fresh &= frozenset(recipients)
            if fresh:
                shares.append(Share(each.agreement, each.status, fresh))
                covered |= fresh
        if not covered or (recipients is not None and not covered.issuperset(recipients)):
            raise DeniedByAgreementError(_why(decisions, recipients))
        return Plan(tuple(shares), tuple(decisions), counted)

    def _count(self, agreement: Agreement, category: str, found: dict[str, Decision]) -> bool:
        """Refuse whose quota is used up; return whether any recipient has a quota."""
        counted = False
        for recipient in [name for name in found if found[name].allowed]:
            if not is_counted(agreement, self.member, category, recipient):
                continue
            counted = True
            used_up = self.quotas.decide(
                agreement, sender=self.member, category=category, recipient=recipient
            )
            if used_up is not None:
                found[recipient] = used_up
        return counted


def _agreements(
    registry: Registry, *, member: str, agreement_id: str | None
) -> list[AgreementRecord]:
    if agreement_id is None:
        return [
            each
            for each in registry.agreements()
            if member in each.agreement.members and each.status.state is AgreementState.ACTIVE
        ]
    try:
        named = registry.agreement(agreement_id)
    except TrustError:
        raise AgreementUnknownError(f"no agreement {agreement_id}") from None
    if member not in named.agreement.members:
        raise AgreementUnknownError(f"not party to {agreement_id}")
    return [named]


def _told(found: Mapping[str, Decision], agreement_id: str) -> list[RecipientDecision]:
    return [
        RecipientDecision(recipient, each.allowed, each.reason, each.clause_ids, agreement_id)
        for recipient, each in found.items()
    ]


def _why(decisions: Iterable[RecipientDecision], recipients: Sequence[str] | None) -> str:
    refused = [
        f"{each.recipient}: {each.reason}"
        for each in decisions
        if not each.allowed and (recipients is None or each.recipient in recipients)
    ]
    return "; ".join(refused) or "no agreement in force"


@dataclass(slots=True)
class Routes:
    """The own streams of one transaction, and by which of them recipients are reached."""

    connection: sa.Connection
    home: Home
    at: datetime
    _streams: dict[str, list[tuple[OwnStream, frozenset[str]]]] = field(
        default_factory=dict[str, list[tuple[OwnStream, frozenset[str]]]]
    )
    _chosen: dict[tuple[str, frozenset[str]], tuple[OwnStream, ...]] = field(
        default_factory=dict[tuple[str, frozenset[str]], tuple[OwnStream, ...]]
    )

    def reach(self, share: Share) -> tuple[OwnStream, ...]:
        """Return streams that together reach exactly those of the recipients who may read now.

        Raises:
            NoStreamError: nobody may read now, or no streams have these readers together.

        """
        return self.reach_members(share.agreement.id, share.status, share.recipients)

    def reach_members(
        self, agreement_id: str, status: AgreementStatus, recipients: frozenset[str]
    ) -> tuple[OwnStream, ...]:
        """Return what `reach` does, for recipients that were decided on otherwise."""
        found = self._chosen.get((agreement_id, recipients))
        if found is None:
            streams = self.readable(agreement_id, status)
            able = {reader for _, readers in streams for reader in readers}
            # PROTOCOL 4.5: readers refuse a record that is kept from one of the audience.
            fitting = [each for each in streams if recipients.issuperset(each[0].key.audience)]
            found = choose(fitting, recipients & able)
            self._chosen[agreement_id, recipients] = found
        return found

    def readable(
        self, agreement_id: str, status: AgreementStatus
    ) -> list[tuple[OwnStream, frozenset[str]]]:
        """Return the open disclosure streams of an agreement, each with who may read it now."""
        streams = self._streams.get(agreement_id)
        if streams is None:
            streams = [
                (each, self._readers(each, status))
                for each in list_own(self.connection, agreement_id=agreement_id)
                if each.key.role is StreamRole.DISCLOSURE and not each.closed
            ]
            self._streams[agreement_id] = streams
        return streams

    def _readers(self, stream: OwnStream, status: AgreementStatus) -> frozenset[str]:
        readers = entitled_readers(
            self.home.registry,
            audience=stream.key.audience,
            role=stream.key.role,
            status=status,
            at=self.at,
        )
        return frozenset(each.member for each in readers)

    def return_stream(self, agreement_id: str, peer: str) -> OwnStream:
        """Return the newest open return stream to a peer; raise NoStreamError."""
        found = [
            each
            for each in list_own(self.connection, agreement_id=agreement_id)
            if each.key.role is StreamRole.RETURN
            and each.key.audience == (peer,)
            and not each.closed
        ]
        if not found:
            raise NoStreamError(f"no return stream to {peer} under {agreement_id}")
        return found[-1]


def choose(
    streams: Sequence[tuple[OwnStream, frozenset[str]]], wanted: frozenset[str]
) -> tuple[OwnStream, ...]:
    """Return streams whose readers are together exactly the wanted ones, each reader once.

    One stream where there is one; otherwise the largest that fit. Raises NoStreamError.
    """
    # The newest first: of two streams with the same readers, the older is on its way out.
    newest = sorted(streams, key=lambda each: -each[0].log_no)
    chosen, missing = largest_that_fit(newest, wanted)
    if missing or not chosen:
        raise NoStreamError(f"no stream to {', '.join(sorted(missing)) or 'anybody'}")
    return tuple(chosen)
