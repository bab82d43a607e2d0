"""Opening: from delivered bodies to records, or to the reason why one is refused.

PROTOCOL 2.5, 4.5, 5.5. Each body is decrypted, checked against its header, and judged by
the agreement as this reader's own registry has it now. The one rule: whoever sealed a
body that does not hold is answered by a signed refusal with a stable code, and its entry
keeps its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.agreements.decision import decide_header
from mithaq.agreements.errors import AgreementError
from mithaq.agreements.reason import Decision
from mithaq.certs.keys import ReceptionKey
from mithaq.certs.participants import AgreementRecord
from mithaq.ledger.entry import EntryKind, StreamRole, Terms
from mithaq.ledger.errors import LedgerError
from mithaq.node.exchange.bodies import Awaiting
from mithaq.node.exchange.deliberation import Deliberation
from mithaq.node.exchange.epochs import EPOCH, REFUSAL, save_epoch, secret_name
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.refusals import LOST
from mithaq.node.exchange.stored import item_id
from mithaq.node.records.errors import RecordError
from mithaq.node.records.header import Announcement
from mithaq.node.records.identifiers import issuer_of
from mithaq.node.records.model import ParsedRecord, RecordKind, claimed_members, parse_record
from mithaq.node.sealing.body import ContentKey, TrueBody
from mithaq.node.sealing.epoch import EpochPlace, EpochSecret, open_epoch
from mithaq.node.sealing.errors import NotAReaderError, SealingError
from mithaq.store.statement import Statement

NARROWED_SINCE: Final = "NARROWED_SINCE"
EPOCH_NOT_OPENED: Final = "EPOCH_NOT_OPENED"
ISSUER_MISMATCH: Final = "ISSUER_MISMATCH"
ROLE_MISMATCH: Final = "ROLE_MISMATCH"
SENDER_MISMATCH: Final = "SENDER_MISMATCH"
NOT_OUR_ALERT: Final = "NOT_OUR_ALERT"
OUTSIDE_AGREEMENT: Final = "outside agreement"
# Answers with an id of their own, which begins with the member that gave it.
_NAMED_BY_SENDER: Final = frozenset({RecordKind.HIT_REPORT, RecordKind.FORM})


class Opened(NamedTuple):
    """A body that holds: its record, its salt, and the decision that lets us have it."""

    entry: Awaited
    salt: bytes
    record: ParsedRecord
    decision: Decision


class Refused(NamedTuple):
    """A body that does not hold, and the stable code that says why."""

    entry: Awaited
    reason: str
    # Set where the fault accuses the sender (PROTOCOL 6).
    alarm: str | None = None
    # Where the same version stands with another text: log number and sequence.
    other: tuple[int, int] | None = None
    # Where the WITHDRAW stands after which it was sent, in its own stream.
    withdrawn_at: int | None = None


class _JudgedTerms(NamedTuple):
    """Terms, why the registry refuses entries of them, their epoch's key, what they announce."""

    terms: Terms
    refusal: str | None
    key: ContentKey | None
    announced: Announcement


class _ArrivedEpoch(NamedTuple):
    """An epoch that came: its place and number, its secret if it opened, its readers."""

    sequence: int
    number: int
    secret: EpochSecret | None
    readers: Sequence[str]


_SECRET: Final = Statement(
    sa.select(EPOCH.c.secret).where(
        EPOCH.c.log_no == sa.bindparam("log"), EPOCH.c.epoch == sa.bindparam("number")
    )
)


@dataclass(slots=True)
class Opener:
    """Opens the bodies of one stream in one transaction, epoch after epoch.

    It writes nothing before `save_epochs`.
    """

    connection: sa.Connection
    home: Home
    stream: InStream
    reception: Mapping[bytes, ReceptionKey]
    at: datetime
    _keys: dict[int, ContentKey | None] = field(default_factory=dict[int, ContentKey | None])
    _epochs: list[_ArrivedEpoch] = field(default_factory=list[_ArrivedEpoch])
    _lost_epochs: set[int] = field(default_factory=set[int])
    _last: _JudgedTerms | None = None
    _deliberations: dict[tuple[datetime, datetime], Deliberation] = field(
        default_factory=dict[tuple[datetime, datetime], Deliberation]
    )

    def open_all(self, delivered: Sequence[Awaiting]) -> list[Opened | Refused]:
        """Return what each body holds; entries left out with proof have no part in it.

        But for those that we have had and lost: they are refused, so that their sender
        learns of it and discloses anew what is still valid (PROTOCOL 4.8).
        """
        results: list[Opened | Refused] = []
        for entry, body, lost in delivered:
            if entry.terms.kind is EntryKind.EPOCH:
                refused = self._open_epoch(entry, body, lost=lost)
                if refused is not None:
                    results.append(refused)
            elif body is not None:
                results.append(self._open(entry, body))
            elif lost:
                results.append(Refused(entry, LOST))
        return results

    def _open_epoch(self, entry: Awaited, body: bytes | None, *, lost: bool) -> Refused | None:
        """Take an epoch's secret, if this node is among its readers."""
        number = entry.terms.epoch or 0
        readers = [each.member for each in entry.terms.readers]
        refused: Refused | None = None
        secret: EpochSecret | None = None
        if lost:
            refused = Refused(entry, LOST)
            self._lost_epochs.add(number)
        if body is not None:
            place = EpochPlace(self.stream.stream_id, number, self.stream.sender)
            # Unwrapped out here: a key of ours that does not open is no fault of the sender's.
            keys = dict(self.reception)
            try:
                secret = open_epoch(
                    body,
                    place,
                    reader=self.home.member,
                    keys=keys,
                    commitment=entry.commitment,
                )
            except NotAReaderError as fault:
                if self.home.member in readers:
                    refused = Refused(entry, fault.code)
            except (SealingError, LedgerError) as fault:
                refused = Refused(entry, fault.code, fault.alarm)
        self._epochs.append(_ArrivedEpoch(entry.sequence, number, secret, readers))
        self._keys[number] = None if secret is None else self._key_of(number, secret)
        return refused

    def save_epochs(self) -> None:
        """Keep what was opened of epochs; of one that was not, that it began."""
        for each in self._epochs:
            save_epoch(
                self.connection,
                self.home,
                log_no=self.stream.log_no,
                stream_id=self.stream.stream_id,
                number=each.number,
                secret=each.secret,
                sequence=each.sequence,
                readers=each.readers,
                at=self.at,
            )

    def _open(self, entry: Awaited, body: TrueBody) -> Opened | Refused:
        judged = self._judge(entry.terms)
        if judged.refusal is not None or judged.key is None:
            return Refused(entry, judged.refusal or self._without_key(entry.terms.epoch or 0))
        try:
            opened = self._read(entry, body, judged.key, judged.announced)
        except (SealingError, LedgerError) as fault:
            return Refused(entry, fault.code, fault.alarm)
        except (RecordError, AgreementError) as fault:
            return Refused(entry, fault.code)
        return opened if isinstance(opened, Refused) else self._fitting(opened)

    def _read(
        self, entry: Awaited, body: TrueBody, key: ContentKey, announced: Announcement
    ) -> Opened | Refused:
        padded = key.open(entry.sequence, body, commitment=entry.commitment)
        try:
            record = parse_record(padded.record)
        except RecordError:
            # ADR 0025: who breaks a rule of form as well is not let off for it.
            if claimed_members(padded.record) - {self.stream.sender}:
                return Refused(entry, ISSUER_MISMATCH, OUTSIDE_AGREEMENT)
            raise
        if record.kind is RecordKind.ALERT and record.issuer != self.stream.sender:
            # Nobody speaks for another member.
            return Refused(entry, ISSUER_MISMATCH, OUTSIDE_AGREEMENT)
        announced.check(record)
        return Opened(entry, padded.salt, record, self._decide(record, entry.terms, at=self.at))

    def _fitting(self, opened: Opened) -> Opened | Refused:
        """Return a record that may be had, or why it may not."""
        entry, decision = opened.entry, opened.decision
        reason = _misfit(opened.record, self.stream, member=self.home.member)
        if reason is None and decision.allowed:
            return opened
        if reason is None and self._was_allowed(opened.record, entry.terms):
            return Refused(entry, str(decision.reason))
        return Refused(entry, reason or str(decision.reason), OUTSIDE_AGREEMENT)

    def _was_allowed(self, record: ParsedRecord, terms: Terms) -> bool:
        """Tell whether time alone refuses it: it was allowed when it was sealed.

        A header's expiry is rounded up to a day, so an honest hub hands on what has expired
        since, to a reader that was away. That accuses nobody.
        """
        return self._decide(record, terms, at=min(terms.created_at, self.at)).allowed

    def _judge(self, terms: Terms) -> _JudgedTerms:
        """Return what holds for every entry of these terms."""
        # Terms are parsed once, so neighbours share the object.
        if self._last is None or self._last.terms is not terms:
            # PROTOCOL 2.5: by our own registry, at the time at which we commit it.
            narrowed = self.home.registry.narrowing_since(
                terms.registry_size,
                members=(self.stream.sender, self.home.member),
                agreement=self.stream.agreement_id,
            )
            self._last = _JudgedTerms(
                terms,
                NARROWED_SINCE if narrowed else None,
                self._key(terms.epoch or 0),
                Announcement.of(terms, audience=self.stream.audience),
            )
        return self._last

    def _key(self, epoch: int) -> ContentKey | None:
        if epoch not in self._keys:
            row = _SECRET.run(self.connection, log=self.stream.log_no, number=epoch).fetchone()
            wrapped: bytes | None = row[0] if row else None
            self._keys[epoch] = None if wrapped is None else self._content_key(epoch, wrapped)
        return self._keys[epoch]

    def _without_key(self, epoch: int) -> str:
        """Return why an epoch's bodies aren't opened: its secret never opened, or was lost."""
        lost = sa.select(REFUSAL.c.sequence).join(
            EPOCH,
            sa.and_(EPOCH.c.log_no == REFUSAL.c.log_no, EPOCH.c.sequence == REFUSAL.c.sequence),
        )
        ours = lost.where(
            EPOCH.c.log_no == self.stream.log_no,
            EPOCH.c.epoch == epoch,
            REFUSAL.c.signer == self.home.member,
            REFUSAL.c.reason == LOST,
        )
        if epoch in self._lost_epochs or self.connection.execute(ours).first() is not None:
            return LOST
        return EPOCH_NOT_OPENED

    def _content_key(self, epoch: int, wrapped: bytes) -> ContentKey:
        stream_id = self.stream.stream_id
        kept = self.home.storage.unwrap(wrapped, name=secret_name(stream_id, epoch))
        return self._key_of(epoch, EpochSecret.of(kept))

    def _key_of(self, epoch: int, secret: EpochSecret) -> ContentKey:
        return ContentKey(stream_id=self.stream.stream_id, epoch=epoch, secret=secret.secret)

    def _decide(self, record: ParsedRecord, terms: Terms, *, at: datetime) -> Decision:
        if record.kind is not RecordKind.ALERT:
            standing = self.home.registry.agreement(self.stream.agreement_id)
            return self._decide_answer(standing, terms, at=at)
        return self._deliberation(terms.created_at, at).recipient(record, self.home.member)

    def _deliberation(self, created_at: datetime, at: datetime) -> Deliberation:
        found = self._deliberations.get((created_at, at))
        if found is None:
            standing = self.home.registry.agreement(self.stream.agreement_id)
            found = Deliberation(
                standing.in_force(at=at),
                standing.status,
                self.stream.sender,
                at,
                created_at,
                self.home.registry.policy.clock_skew_limit,
            )
            self._deliberations[created_at, at] = found
        return found

    def _decide_answer(self, standing: AgreementRecord, terms: Terms, *, at: datetime) -> Decision:
        agreement = standing.in_force(at=at)
        return decide_header(
            agreement,
            status=standing.status,
            category=terms.category or "",
            sender=self.stream.sender,
            recipients=(self.home.member,),
            purposes=(),
            expires_at=terms.expires_at,
            at=at,
            role=int(self.stream.role),
            created_at=terms.created_at,
            clock_skew=self.home.registry.policy.clock_skew_limit,
        )


def _misfit(record: ParsedRecord, stream: InStream, *, member: str) -> str | None:
    """Return why a record may not stand in this stream, whatever the agreement says."""
    if (record.kind is RecordKind.ALERT) != (stream.role is StreamRole.DISCLOSURE):
        return ROLE_MISMATCH
    if record.issuer != stream.sender:
        return SENDER_MISMATCH
    if record.kind in _NAMED_BY_SENDER and issuer_of(item_id(record)) != stream.sender:
        # Rows stand under these names: with another's, it would take that member's place.
        return SENDER_MISMATCH
    if record.kind is RecordKind.HIT_REPORT and issuer_of(record.alert_id) != member:
        return NOT_OUR_ALERT
    return None
