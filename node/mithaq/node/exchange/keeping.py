"""The inbox's second half: what was opened is kept, and what wasn't is answered for.

PROTOCOL 3.6, 5.5, 5.9. One transaction for a piece of bodies: records at rest under keys
of their own, index keys as a sorted run, one audit entry, the refusals signed and the
stream's cursor moved. The one rule: `opened` is signed over what this transaction made
durable, and sent after it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawScope
from mithaq.node.exchange.alarms import COMMITMENT_MISMATCH
from mithaq.node.exchange.answering import HIT, hit_row
from mithaq.node.exchange.erasing import forget
from mithaq.node.exchange.home import Home, seconds
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.opening import OUTSIDE_AGREEMENT, Opened, Refused
from mithaq.node.exchange.out_stream import DISCLOSURE, STREAM, WITHDRAWAL
from mithaq.node.exchange.stored import (
    RECORD,
    item_id,
    new_row,
    open_row,
    set_status,
)
from mithaq.node.exchange.taking_back import TOMBSTONE, bury
from mithaq.node.exchange.versions import Standing, Version, received
from mithaq.node.exchange.withdrawing import ERASURE
from mithaq.node.lookup import index
from mithaq.node.lookup.keys import entries_of
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus
from mithaq.store.audit_entry import (
    AuditEntry,
    Decision,
    Operation,
    RecordRef,
    cut_in_entries,
)
from mithaq.store.rows import insert_rows, insert_tuples
from mithaq.store.statement import Statement
from mithaq.v1 import record_pb2

WITHDRAWN_BEFORE: Final = "WITHDRAWN_BEFORE"
CONTENT_DIFFERS: Final = "CONTENT_DIFFERS"
DISCLOSURE_UNKNOWN: Final = "DISCLOSURE_UNKNOWN"
# The last that a stream may have, as a database counts.
SEQUENCE_MAX: Final = (1 << 63) - 1
_OUTCOMES: Final = {
    record_pb2.ERASURE_OUTCOME_ERASED: "ERASED",
    record_pb2.ERASURE_OUTCOME_RETAINED_IN_CASE_FILE: "RETAINED_IN_CASE_FILE",
}
# Built once: SQLAlchemy finds a statement's compiled form faster by the same object.
# What most transactions need to know of what stands already: the last row's number, and
# that there is neither a withdrawal among these nor a tombstone at all.
_STANDING: Final = Statement(
    sa.select(
        sa.select(sa.func.max(RECORD.c.record_no)).scalar_subquery(),
        sa.exists().where(
            WITHDRAWAL.c.log_no == sa.bindparam("log"),
            WITHDRAWAL.c.target.between(sa.bindparam("low"), sa.bindparam("high")),
        ),
        sa.exists(sa.select(TOMBSTONE.c.version)),
    )
)
_TAKEN_BACK: Final = (
    # Of each scope the first one that was signed, the widest last.
    sa.select(WITHDRAWAL.c.target, WITHDRAWAL.c.scope, sa.func.min(WITHDRAWAL.c.sequence))
    .where(WITHDRAWAL.c.log_no == sa.bindparam("log"))
    .where(WITHDRAWAL.c.target.between(sa.bindparam("low"), sa.bindparam("high")))
    .group_by(WITHDRAWAL.c.target, WITHDRAWAL.c.scope)
    .order_by(WITHDRAWAL.c.scope)
)
_PLACE_COLUMNS: Final = ("log_no", "first_sequence", "sequence", "record_no", "epoch")
_DECISIONS_CACHED_MAX: Final = 4096


class _Taken(NamedTuple):
    """The WITHDRAW that takes a first PUT back: its scope, and where it stands."""

    scope: WithdrawScope
    sequence: int


class _Burial(NamedTuple):
    """Up to which version an alert was withdrawn for good.

    `here` is what a WITHDRAW of this very stream reached, which stands at `sequence`.
    """

    version: int
    here: int = 0
    sequence: int = 0


_UNBURIED: Final = _Burial(0)


@dataclass(slots=True)
class Keeper:
    """Keeps the opened records of one stream in one transaction."""

    connection: sa.Connection
    home: Home
    stream: InStream
    at: datetime
    refused: list[Refused] = field(default_factory=list[Refused])
    _rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _fresh: dict[int, Opened] = field(default_factory=dict[int, Opened])
    _placed: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    _hits: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _indexed: dict[int, ParsedRecord] = field(default_factory=dict[int, ParsedRecord])
    # Rows that stood before, and of these here, that are superseded.
    _superseded: list[int] = field(default_factory=list[int])
    _outdone: set[int] = field(default_factory=set[int])
    # Where a version stands whose text an entry here contradicts, by that entry's sequence.
    _others: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    # Where the WITHDRAW stands after which an entry here was sent, by that entry's sequence.
    _withdrawn_at: dict[int, int] = field(default_factory=dict[int, int])
    _told: list[RecordRef] = field(default_factory=list[RecordRef])
    _standing: dict[str, Standing] = field(default_factory=dict[str, Standing])
    _next_record_no: int = 0

    def keep_all(self, results: Sequence[Opened | Refused]) -> None:
        """Keep what was opened; note what was refused, here or before."""
        opened = [each for each in results if isinstance(each, Opened)]
        self.refused = [each for each in results if isinstance(each, Refused)]
        firsts = {each.entry.first_sequence for each in opened}
        span = {
            "log": self.stream.log_no,
            "low": min(firsts, default=0),
            "high": max(firsts, default=0),
        }
        standing = _STANDING.run(self.connection, **span).fetchone()
        last_no, is_taken, is_buried = standing or (None, False, False)
        self._next_record_no = (last_no or 0) + 1
        taken = self._taken_back(span) if is_taken else {}
        records = [each.record for each in opened]
        self._standing = received(
            self.connection,
            (
                (item_id(each), _version_of(each))
                for each in records
                if each.kind != RecordKind.ERASURE_RECEIPT
            ),
        )
        if any(each.scope is WithdrawScope.RECORD for each in taken.values()):
            # First of all: it reaches what stands beside it here, too (PROTOCOL 3.6).
            is_buried = self._bury_taken(opened, taken)
        buried = self._buried(each.record for each in opened) if is_buried else {}
        for each in opened:
            reason = self._keep(each, taken, buried)
            if reason is not None:
                self.refused.append(self._refusal(each.entry, reason))
        self._write()

    def _refusal(self, entry: Awaited, reason: str) -> Refused:
        """Return the refusal of an entry, with the alarm that it stands for, if for one."""
        if reason == CONTENT_DIFFERS:
            # DESIGN 11: nobody shows two texts as one record.
            return Refused(entry, reason, COMMITMENT_MISMATCH, self._others.get(entry.sequence))
        withdrawn_at = self._withdrawn_at.get(entry.sequence)
        if withdrawn_at is not None:
            # ADR 0025: a stream has one order, and its sender signed both in it.
            return Refused(entry, reason, OUTSIDE_AGREEMENT, withdrawn_at=withdrawn_at)
        return Refused(entry, reason)

    def audit_entries(self) -> list[AuditEntry]:
        """Return the entries that say what was received (DESIGN 8): nearly always one."""
        agreement = self.home.registry.agreement(self.stream.agreement_id).in_force(at=self.at)
        refusals = [
            RecordRef(
                stream_id=self.stream.stream_id,
                sequence=each.entry.sequence,
                decision=Decision(allowed=False, reason=each.reason),
            )
            for each in self.refused
        ]
        return [
            AuditEntry(
                at=self.at,
                actor="node",
                role="system",
                operation=Operation.RECEIVE,
                agreement_id=agreement.id,
                agreement_version=agreement.version,
                agreement_hash=agreement.hash,
                registry_size=self.home.registry.size,
                counterparts=(self.stream.sender,),
                records=tuple(each),
                result_count=len(each) - sum(_is_refused(one) for one in each),
            )
            for each in list(cut_in_entries([*self._told, *refusals])) or [()]
        ]

    # --- what stands already --------------------------------------------------------

    def _taken_back(self, span: Mapping[str, int]) -> dict[int, _Taken]:
        """Return the first PUTs within a span that a WITHDRAW has named, with the widest."""
        rows = self.connection.execute(_TAKEN_BACK, span)
        return {target: _Taken(WithdrawScope(scope), at) for target, scope, at in rows}

    def _bury_taken(self, opened: Sequence[Opened], taken: Mapping[int, _Taken]) -> bool:
        """Leave tombstones of records that were withdrawn before they could be read."""
        for each in opened:
            record, by = each.record, taken.get(each.entry.first_sequence)
            # An answer names an alert that is another's to withdraw.
            if by is None or by.scope is not WithdrawScope.RECORD:
                continue
            if record.kind is RecordKind.ALERT and each.entry.sequence < by.sequence:
                bury(
                    self.connection,
                    self.home,
                    record.alert_id,
                    place=(self.stream.log_no, by.sequence),
                    version=record.version,
                    until=seconds(record.expires_at or self.at),
                )
        return True

    def _buried(self, records: Iterable[ParsedRecord]) -> dict[str, _Burial]:
        """Return up to which version alerts among these were withdrawn for good."""
        keys = {
            self.home.storage.tombstone(each.alert_id): each.alert_id
            for each in records
            if each.kind is RecordKind.ALERT
        }
        found: dict[str, _Burial] = {}
        rows = self.connection.execute(sa.select(TOMBSTONE).where(TOMBSTONE.c.key.in_(list(keys))))
        for row in rows:
            known = found.get(keys[row.key], _UNBURIED)
            version = max(known.version, row.version)
            if row.log_no == self.stream.log_no:
                found[keys[row.key]] = _Burial(version, row.version, row.sequence)
            else:
                found[keys[row.key]] = known._replace(version=version)
        return found

    # --- one record -----------------------------------------------------------------

    def _keep(
        self,
        opened: Opened,
        taken: Mapping[int, _Taken],
        buried: Mapping[str, _Burial],
    ) -> str | None:
        """Keep one record, or return why not."""
        record = opened.record
        if record.kind is RecordKind.ERASURE_RECEIPT:
            return self._note_erasure(opened)
        by = taken.get(opened.entry.first_sequence)
        if by is not None and opened.entry.sequence < by.sequence:
            # Taken back while its body was on the way: it is nowhere to be kept.
            return None
        burial = buried.get(record.alert_id, _UNBURIED)
        if burial.version >= record.version and record.kind is RecordKind.ALERT:
            if burial.here >= record.version and burial.sequence < opened.entry.sequence:
                self._withdrawn_at[opened.entry.sequence] = burial.sequence
            return WITHDRAWN_BEFORE
        if by is not None:
            # Another version under what was taken back: nowhere to be kept, either.
            return None
        standing = self._standing.setdefault(item_id(record), Standing.of(()))
        same = standing.by_number.get(_version_of(record))
        if same is not None:
            return self._keep_again(opened, same)
        self._keep_new(opened, standing)
        return None

    def _keep_again(self, opened: Opened, same: Version) -> str | None:
        """Note one more place of a version that is here already: its content must be the same."""
        fresh = self._fresh.get(same.record_no)
        if fresh is not None:
            # Of this very transaction: not in its table yet.
            return self._compared(opened, same, fresh.record.raw, fresh.entry.sequence)
        row = self.connection.execute(
            sa.select(RECORD).where(RECORD.c.record_no == same.record_no)
        ).one()
        raw = self._raw_of(row)
        if raw is None:
            return WITHDRAWN_BEFORE
        return self._compared(opened, same, raw, row.sequence, log_no=row.log_no)

    def _compared(
        self, opened: Opened, same: Version, raw: bytes, sequence: int, *, log_no: int = 0
    ) -> str | None:
        if raw != opened.record.raw:
            self._others[opened.entry.sequence] = log_no or self.stream.log_no, sequence
            return CONTENT_DIFFERS
        self._place(opened, same.record_no)
        return None

    def _raw_of(self, row: Any) -> bytes | None:  # noqa: ANN401 - a row of RECORD
        try:
            return open_row(row, self.home.storage).record
        except ErasedError:
            return None

    def _keep_new(self, opened: Opened, standing: Standing) -> None:
        record = opened.record
        is_newest = _version_of(record) > standing.newest
        status = RecordStatus.LIVE if is_newest else RecordStatus.SUPERSEDED
        record_no = self._next_record_no
        self._next_record_no += 1
        self._rows.append(self._row(opened, record_no, status))
        self._fresh[record_no] = opened
        self._place(opened, record_no)
        if is_newest:
            self._supersede(standing)
            self._indexed[record_no] = record
        standing.add(Version(record_no, _version_of(record), status))
        if record.kind is RecordKind.HIT_REPORT:
            row = hit_row(record, record_no=record_no, issuer=self.home.member, at=self.at)
            self._hits.append({**row, "status": "received", "match_id": ""})

    def _supersede(self, standing: Standing) -> None:
        for record_no in standing.live:
            if self._indexed.pop(record_no, None) is None:
                self._superseded.append(record_no)
            else:
                self._outdone.add(record_no)
        standing.live.clear()

    def _row(self, opened: Opened, record_no: int, status: RecordStatus) -> dict[str, Any]:
        record, terms = opened.record, opened.entry.terms
        expires_at = record.expires_at or terms.expires_at or self.at
        return new_row(
            record,
            record_no=record_no,
            seed=opened.salt,
            own=False,
            agreement_id=self.stream.agreement_id,
            place=(self.stream.log_no, opened.entry.sequence),
            registry_size=self.home.registry.size,
            expires_at=seconds(expires_at),
            status=status,
            home=self.home,
            at=self.at,
        )

    def _place(self, opened: Opened, record_no: int) -> None:
        entry = opened.entry
        self._placed.append(
            (
                self.stream.log_no,
                entry.first_sequence,
                entry.sequence,
                record_no,
                entry.terms.epoch or 0,
            )
        )
        self._told.append(_reference(opened, self.stream))

    def _note_erasure(self, opened: Opened) -> str | None:
        """Note a reader's answer to a withdrawal of ours (PROTOCOL 5.9)."""
        receipt = opened.record.message.erasure_receipt
        place = receipt.disclosure
        if place.sequence > SEQUENCE_MAX:
            # No database holds it: to ask for it would fail, as often as its stream is opened.
            return DISCLOSURE_UNKNOWN
        withdrawn = self.connection.execute(
            sa.select(STREAM.c.log_no, STREAM.c.audience, WITHDRAWAL.c.at_ms)
            .join(WITHDRAWAL, WITHDRAWAL.c.log_no == STREAM.c.log_no)
            .where(STREAM.c.stream_id == place.stream_id, STREAM.c.own.is_(True))
            .where(WITHDRAWAL.c.target == place.sequence)
        ).first()
        if withdrawn is None or self.stream.sender not in withdrawn.audience.split():
            return DISCLOSURE_UNKNOWN
        values = {
            "state": _OUTCOMES[receipt.outcome],
            "done_at": receipt.done_at,
            # PostgreSQL's texts hold no NUL; the record keeps what was said.
            "ground": receipt.ground.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "until": receipt.retained_until or None,
        }
        key = {
            "log_no": withdrawn.log_no,
            "sequence": place.sequence,
            "reader": self.stream.sender,
        }
        changed = self.connection.execute(
            sa.update(ERASURE).where(*(ERASURE.c[name] == each for name, each in key.items())),
            values,
        ).rowcount
        if not changed:
            # A reader of the audience whom no epoch named: it had nothing, and says so.
            asked = {"asked_at_ms": withdrawn.at_ms, "due_at_ms": withdrawn.at_ms}
            self.connection.execute(sa.insert(ERASURE), {**key, **asked, **values})
        self._told.append(_reference(opened, self.stream))
        return None

    # --- all of it ------------------------------------------------------------------

    def _write(self) -> None:
        for row in self._rows if self._outdone else ():
            if row["record_no"] in self._outdone:
                row["status"] = str(RecordStatus.SUPERSEDED)
        insert_rows(self.connection, RECORD, self._rows)
        insert_tuples(self.connection, DISCLOSURE, _PLACE_COLUMNS, self._placed)
        insert_rows(self.connection, HIT, self._hits)
        # Before what it supersedes is taken out: of one page, one is left, and no new run begins.
        index.append(self.connection, entries_of(self._indexed.items(), self.home.index_key))
        set_status(self.connection, self._superseded, status=RecordStatus.SUPERSEDED)
        forget(self.connection, self.home, self._superseded)


def _is_refused(record: RecordRef) -> bool:
    return record.decision is not None and not record.decision.allowed


def _version_of(record: ParsedRecord) -> int:
    return record.version if record.kind is RecordKind.ALERT else 1


def _reference(opened: Opened, stream: InStream) -> RecordRef:
    record, decision = opened.record, opened.decision
    necessity = b""
    if record.kind is RecordKind.ALERT:
        text = f"{record.alert_id}\x00{record.values.necessity}"
        necessity = hashlib.sha256(text.encode()).digest()
    return RecordRef(
        alert_id=record.alert_id,
        version=record.version,
        stream_id=stream.stream_id,
        sequence=opened.entry.sequence,
        decision=_allowed(str(decision.reason), decision.clause_ids),
        necessity_hash=necessity,
    )


@lru_cache(maxsize=_DECISIONS_CACHED_MAX)
def _allowed(reason: str, clause_ids: tuple[str, ...]) -> Decision:
    return Decision(allowed=True, reason=reason, clause_ids=clause_ids)
