"""What happens within one transaction: batches, receipts and lists, each judged in turn.

A piece of work is worked out before anything of it is written, so a refused one leaves
nothing behind and its neighbours are untouched. The rule: everything that an answer says
is written here, in the transaction that the answer waits for; and the hub signs only what
this transaction makes durable (PROTOCOL 1.5).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Protocol

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Registry
from mithaq.hub.append import (
    Appended,
    StreamLog,
    check_size,
    continue_stream,
    open_stream,
)
from mithaq.hub.batch import PublishedBatch
from mithaq.hub.bench import QuotaBook, RegistryBench
from mithaq.hub.committer import Accepted, Committed, Done, Errand, Outcome, Taken, Work
from mithaq.hub.contradictions import evidence_of
from mithaq.hub.countersign import ReceiptDesk
from mithaq.hub.directory import Changes, Directory, HeldStream
from mithaq.hub.errors import HubError, OpeningRefusedError, StreamForkError
from mithaq.hub.evidence import store_evidence
from mithaq.hub.journal import Journal
from mithaq.hub.pieces import REFUSED, HeaderPiece, OmittedBody, Span
from mithaq.hub.receipts import SignedFreezeList, SignedReceipt
from mithaq.hub.recent import RecentBatch
from mithaq.hub.refusals import signed_refusals
from mithaq.hub.staging import Staging, write_stream
from mithaq.hub.tables import BATCH
from mithaq.hub.unsigned import evidence_of_unsigned
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.names import HUB
from mithaq.ledger.stream import Slot
from mithaq.ledger.tiles import subtree_hash
from mithaq.ledger.tree import Frontier
from mithaq.store.errors import WitnessConflictError
from mithaq.store.evidence import Evidence
from mithaq.store.log_store import (
    StoredTiles,
    create_log,
    kind_at,
    leaf_hashes_at,
)

CLOCK_SKEW = "`checkpoint` is signed for an instant that lies ahead of when it came."
# What one work may be refused with, and its neighbours not.
REFUSALS = (HubError, LedgerError, TrustError, WitnessConflictError)


@dataclass(frozen=True, slots=True)
class CommitRules:
    """What a transaction needs to know of the hub it runs in."""

    federation: str
    keys: SigningPair
    directory: Directory
    registry: Callable[[], Registry]
    journal: Journal
    clock: Callable[[], datetime]
    streams_per_member_max: int
    # What works may rely on; with replicas, the directory alone is not enough.
    view: "View | None" = None


class Known(Protocol):
    """What a transaction is told of the streams before it."""

    def find(self, stream_id: bytes) -> HeldStream | None:
        """Return the stream of this id, if there is one."""
        ...

    def signed_size(self, log_no: int, reader: str, role: int) -> int:
        """Return how far a reader has signed in a role; 0 if not at all."""
        ...


View = Callable[[Directory, sa.Connection, Sequence[Work]], Known]


def transact(rules: CommitRules, connection: sa.Connection, works: Sequence[Work]) -> Committed:
    """Run works in one transaction; see ``committer.Transact``."""
    known: Known = rules.directory
    if rules.view is not None:
        known = rules.view(rules.directory, connection, works)
    return Transaction(rules, connection, known).run(works)


@dataclass(slots=True)
class _Staged:
    streams: dict[int, HeldStream] = field(default_factory=dict[int, HeldStream])
    numbers: dict[bytes, int] = field(default_factory=dict[bytes, int])
    opened: Counter[str] = field(default_factory=Counter[str])
    stored: Counter[int] = field(default_factory=Counter[int])
    recent: list[RecentBatch] = field(default_factory=list[RecentBatch])
    erased: set[int] = field(default_factory=set[int])


class Transaction:
    """One transaction's view: what was committed before it, and what it has staged itself."""

    def __init__(self, rules: CommitRules, connection: sa.Connection, known: Known) -> None:
        self._rules = rules
        self._known = known
        self._connection = connection
        self._at = rules.clock()
        self._registry = rules.registry()
        self._quotas = QuotaBook(connection, at=self._at)
        self._bench = RegistryBench(self._registry, self._quotas, at=self._at)
        self._staging = Staging()
        self._staged = _Staged()
        # Members of whom something unsigned has come: once a transaction is enough.
        self._unsigned: set[str] = set()
        self._desk = ReceiptDesk(
            connection,
            registry=self._registry,
            signed_size=self._known.signed_size,
            find=self.find,
            at=self._at,
        )

    def run(self, works: Sequence[Work]) -> Committed:
        """Take each work, write what they ask for, and return what is true then."""
        self._desk.prefer_newest([each for each in works if isinstance(each, SignedReceipt)])
        # Batches last: what nobody looks at in between is written in one go.
        order = sorted(range(len(works)), key=lambda at: isinstance(works[at], PublishedBatch))
        taken = {at: self._outcome(works[at]) for at in order}
        outcomes = [taken[at] for at in range(len(works))]
        erased = self._write()
        self._write_journal(outcomes)
        changes = Changes(
            self._staged.streams,
            self._desk.receipts(),
            self._desk.refused,
            tuple(self._desk.freezes),
            self._staged.stored,
            recent=tuple(self._staged.recent),
            erased=frozenset(self._staged.erased),
        )
        evidence = store_evidence(self._connection, self._desk.evidence)
        return Committed(tuple(outcomes), changes, tuple(evidence), erased=erased)

    def _outcome(self, work: Work) -> Outcome:
        try:
            return self._take(work)
        except REFUSALS as error:
            self._accuse(work, error)
            return error

    def find(self, stream_id: bytes) -> HeldStream | None:
        """Return a stream as this transaction has it."""
        log_no = self._staged.numbers.get(stream_id)
        if log_no is not None:
            return self._staged.streams[log_no]
        return self._known.find(stream_id)

    def _take(self, work: Work) -> Accepted | Taken | Done:
        match work:
            case PublishedBatch():
                return self._take_batch(work)
            case SignedReceipt():
                # Its root may be of entries that were only just taken.
                self._staging.settle(self._connection)
                self._desk.take_receipt(work)
            case SignedFreezeList():
                self._desk.take_freeze_list(work)
            case Errand():
                return Done(work.act(self._connection))
        return Taken()

    def _take_batch(self, batch: PublishedBatch) -> Accepted:
        held = self.find(batch.stream_id)
        if held is None:
            self._check_room(batch.sender)
            return self._append(batch, None, open_stream(batch, bench=self._bench))
        log = StreamLog(partial(self._hashes_at, held.log_no), partial(self._kind_at, held.log_no))
        appended = continue_stream(batch, held, log=log, bench=self._bench)
        if appended is None:
            return self._repeated(batch, held)
        return self._append(batch, held, appended)

    def _hashes_at(self, log_no: int, start: int, end: int) -> list[bytes]:
        self._staging.settle(self._connection)
        return leaf_hashes_at(self._connection, log_no, start, end)

    def _kind_at(self, log_no: int, sequences: Sequence[int]) -> Sequence[Slot]:
        self._staging.settle(self._connection)
        return kind_at(self._connection, log_no)(sequences)

    def _check_clock(self, sender: str, appended: Appended) -> None:
        """Keep evidence of a note that is dated ahead; never act on it (PROTOCOL 5.8)."""
        if appended.signed.at - self._at > self._registry.policy.clock_skew_limit:
            self._desk.evidence.append(
                Evidence(
                    alarm="clock skew",
                    accused=sender,
                    at=self._at,
                    explanation=CLOCK_SKEW,
                    messages={"checkpoint": appended.signed.note_bytes},
                    stream_id=appended.stream.state.stream_id,
                    facts={"sender": sender},
                    registry_size=self._registry.size,
                )
            )

    def _check_room(self, sender: str) -> None:
        opened = len(self._rules.directory.sent_by(sender)) + self._staged.opened[sender]
        if opened >= self._rules.streams_per_member_max:
            raise OpeningRefusedError(f"a member has at most {opened} streams at this hub")

    def _append(
        self, batch: PublishedBatch, held: HeldStream | None, appended: Appended
    ) -> Accepted:
        stream = appended.stream
        self._check_clock(batch.sender, appended)
        if held is None:
            stream = replace(stream, log_no=create_log(self._connection, stream.state.origin))
            self._staging.open_stream(stream.log_no, stream.state, at=self._now_s)
            self._staged.opened[batch.sender] += 1
        before = Frontier.empty() if held is None else held.state.frontier
        self._staging.grow(stream.log_no, before, appended)
        self._staging.take(stream.log_no, appended)
        self._staged.stored[stream.log_no] += appended.gains.body_bytes
        self._staged.streams[stream.log_no] = stream
        self._staged.numbers[stream.state.stream_id] = stream.log_no
        accepted = self._accept(stream, appended, first_sequence=before.size)
        if not appended.gains.withdrawals:
            readers = () if held is None else held.readers
            self._staged.recent.append(
                recent_batch(accepted, stream, appended, first=before.size, readers=readers)
            )
        return accepted

    def _accept(self, stream: HeldStream, appended: Appended, *, first_sequence: int) -> Accepted:
        checkpoint = appended.signed.checkpoint
        cosigner = cosigner_name(self._rules.federation, Role.HUB, HUB)
        acceptance = cosign_ed25519(
            checkpoint, name=cosigner, signer=self._rules.keys.ed25519, at=self._at
        ).line()
        refusals = signed_refusals(
            appended.gains.refusals,
            stream_id=stream.state.stream_id,
            registry_size=self._registry.size,
            signer=self._rules.keys.ed25519,
        )
        # In the order of hub_batch's columns.
        self._staging.batches.append(
            (
                stream.log_no,
                checkpoint.size,
                first_sequence,
                sum(len(run.terms_bytes) + len(run.own_bytes) for run in appended.runs),
                appended.gains.body_bytes,
                checkpoint.root,
                appended.signed.note_bytes,
                acceptance,
                refusals,
                self._registry.size,
                self._now_s,
            )
        )
        return Accepted(
            stream.state.stream_id,
            checkpoint.size,
            acceptance,
            refusals,
            entries=checkpoint.size - first_sequence,
            refused=tuple(appended.gains.refusals),
        )

    def _repeated(self, batch: PublishedBatch, held: HeldStream) -> Accepted:
        """Answer a batch that is there already with the acceptance of its size (PROTOCOL 1.6)."""
        signed = self._bench.open_note(batch, origin=held.state.origin).checkpoint
        check_size(signed, batch)
        self._staging.settle(self._connection)
        tiles = StoredTiles(self._connection, held.log_no)
        if signed.root != subtree_hash(tiles, 0, signed.size):
            raise StreamForkError(f"another root is signed at size {signed.size}")
        row = self._connection.execute(
            sa.select(BATCH.c.size, BATCH.c.acceptance, BATCH.c.refusals)
            .where(BATCH.c.log_no == held.log_no, BATCH.c.size >= signed.size)
            .order_by(BATCH.c.size)
            .limit(1)
        ).one()
        return Accepted(held.state.stream_id, row.size, row.acceptance, row.refusals)

    def _accuse(self, work: Work, error: Exception) -> None:
        if isinstance(work, PublishedBatch):
            stream = self.find(work.stream_id)
            self._staging.settle(self._connection)
            evidence = evidence_of(
                error, work, connection=self._connection, stream=stream, bench=self._bench
            )
            self._desk.evidence.extend([evidence] if evidence else [])
        if isinstance(work, PublishedBatch | SignedReceipt):
            self._note_unsigned(work, error)

    def _note_unsigned(self, work: PublishedBatch | SignedReceipt, error: Exception) -> None:
        found = evidence_of_unsigned(error, work, registry=self._registry, at=self._at)
        if found is not None and found.accused not in self._unsigned:
            self._unsigned.add(found.accused)
            self._desk.evidence.append(found)

    def _write(self) -> bool:
        erased = self._staging.write(self._connection)
        self._staged.erased.update(erased)
        self._staged.stored.subtract(erased)
        for stream in self._staged.streams.values():
            write_stream(
                self._connection,
                stream.log_no,
                more_bytes=self._staged.stored[stream.log_no],
                closed=stream.closed_at is not None,
            )
        self._quotas.write()
        self._desk.write()
        return bool(erased)

    def _write_journal(self, outcomes: Sequence[Outcome]) -> None:
        """Record what was refused and erased, with the act and before its answer."""
        journal = self._rules.journal
        entries = [
            journal.refusal(self._staged.streams[log_no].state, each.refused)
            for each in outcomes
            if isinstance(each, Accepted) and each.refused
            for log_no in [self._staged.numbers[each.stream_id]]
        ]
        for log_no, sequences in self._staging.withdrawn.items():
            entries += journal.erasures(self._staged.streams[log_no].state, sequences)
        if entries:
            journal.write(self._connection, entries)

    @property
    def _now_s(self) -> int:
        return int(self._at.timestamp())


def recent_batch(
    accepted: Accepted,
    stream: HeldStream,
    appended: Appended,
    *,
    first: int,
    readers: tuple[str, ...],
) -> RecentBatch:
    """Return a batch without withdrawals as readers may ask for it at once.

    `readers` are those of the epoch before the batch.
    """
    gains = appended.gains
    by_epoch = {each.epoch: frozenset(each.readers) for each in gains.epochs}
    return RecentBatch(
        log_no=stream.log_no,
        headers=HeaderPiece(
            first_sequence=first,
            size=accepted.size,
            runs=appended.runs,
            checkpoint=appended.signed.note_bytes,
            acceptance=accepted.acceptance,
            refusals=(accepted.refusals,) if accepted.refusals else (),
        ),
        bodies=dict(gains.bodies),
        spans=tuple(
            Span(
                each.first,
                each.first + each.count,
                by_epoch.get(each.epoch, frozenset(readers)),
                each.expires_at,
            )
            for each in gains.spans
        ),
        omitted={each.sequence: OmittedBody(each.sequence, REFUSED) for each in gains.refusals},
        body_bytes=gains.body_bytes,
    )
