"""What officers and the protocol itself ask of the outbox, and what they get back.

Values only, tuples where there is one for each record: the outbox gathers acts of many
callers, writes them in one transaction and answers each. The one rule: an act is about
one alert or one answer, so that one that can't be done never harms its neighbours.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.home import Actor
from mithaq.node.exchange.routing import RecipientDecision
from mithaq.node.records.model import ParsedRecord


class IssueItem(NamedTuple):
    """A new alert; without an agreement all in force, without recipients all allowed."""

    record: ParsedRecord
    agreement_id: str | None
    recipients: tuple[str, ...] | None
    actor: Actor

    @property
    def subject(self) -> str:
        """The alert that the act is about."""
        return self.record.alert_id


@dataclass(frozen=True, slots=True)
class UpdateItem:
    """The next version of an own alert."""

    record: ParsedRecord
    actor: Actor

    @property
    def subject(self) -> str:
        """The alert that the act is about."""
        return self.record.alert_id


@dataclass(frozen=True, slots=True)
class WithdrawItem:
    """An own alert to be taken back everywhere (PROTOCOL 3.6)."""

    alert_id: str
    reason: WithdrawReason
    actor: Actor

    @property
    def subject(self) -> str:
        """The alert that the act is about."""
        return self.alert_id


@dataclass(frozen=True, slots=True)
class AnswerItem:
    """A hit report, form or erasure receipt for one peer, in its return stream.

    `match_id` is the match that a hit report confirms; empty otherwise. `erasure` names
    the withdrawn disclosure (log number, sequence) that an erasure receipt answers.
    """

    peer: str
    agreement_id: str
    record: ParsedRecord
    actor: Actor
    match_id: str = ""
    erasure: tuple[int, int] | None = None

    @property
    def subject(self) -> str:
        """What the act is about."""
        return f"{self.peer}/{self.record.alert_id}/{self.erasure}"


@dataclass(frozen=True, slots=True)
class CatchUpItem:
    """Own alerts to be disclosed anew to members that could not open them (PROTOCOL 4.8).

    `refusals` (log number, sequence, signer) are settled by it; `joining` says how far a
    late joiner's own records are judged by it, and whether that is the end.
    """

    agreement_id: str
    members: tuple[str, ...]
    record_nos: tuple[int, ...]
    refusals: tuple[tuple[int, int, str], ...]
    actor: Actor
    joining: tuple[int, bool] | None = None

    @property
    def subject(self) -> str:
        """What the act is about."""
        return f"{self.agreement_id}/{self.members}"


@dataclass(frozen=True, slots=True)
class ResendItem:
    """Answers to be put once more into the return stream that a log number names."""

    agreement_id: str
    log_no: int
    record_nos: tuple[int, ...]
    refusals: tuple[tuple[int, int, str], ...]
    actor: Actor

    @property
    def subject(self) -> str:
        """What the act is about."""
        return f"{self.agreement_id}/{self.log_no}"


Act = IssueItem | UpdateItem | WithdrawItem | AnswerItem | CatchUpItem | ResendItem


class Disclosure(NamedTuple):
    """Where a record was put, and who may read it there now (PROTOCOL 3.3)."""

    stream_id: bytes
    sequence: int
    agreement_id: str
    recipients: tuple[str, ...]


class ActResult(NamedTuple):
    """An act that is durable: where it stands in the logs, and what was decided."""

    alert_id: str
    version: int
    disclosures: tuple[Disclosure, ...]
    decisions: tuple[RecipientDecision, ...] = ()
    at: datetime | None = None


# The name that the local API knows it by.
IssueResult = ActResult
