"""A party's own audit log: written with the act, read by auditors, signed when it grew.

An entry is appended in the transaction of the act that it records, before the act's
result is shown, so neither is ever there without the other (DESIGN 8). Signing waits
for the log to be on disk. Finding entries reads the log itself and no index beside it,
which somebody could thin out. The rule: nothing here changes or removes an entry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.keys import PairPublic, SigningPair
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from mithaq.ledger.names import CONTINUATION_MAX, audit_origin
from mithaq.ledger.tiles import subtree_hash
from mithaq.ledger.tree import EMPTY_ROOT, leaf_hash
from mithaq.store import log_store
from mithaq.store.audit_entry import AuditEntry, Loss, Operation
from mithaq.store.errors import AuditShortenedError, LogMissingError

ENTRIES_PER_ANSWER_MAX = 1000
SCANNED_PER_ANSWER_MAX = 200_000


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How far an audit log is, and its newest checkpoint, which may be some entries behind."""

    origin: str
    size: int
    root: bytes
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to read; what is left out excludes nothing. `until` is exclusive."""

    actor: str = ""
    alert_id: str = ""
    operation: Operation | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, entry: AuditEntry) -> bool:
        """Tell whether an entry is wanted."""
        return (
            (not self.actor or entry.actor == self.actor)
            and (self.operation is None or entry.operation == self.operation)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (not self.alert_id or any(r.alert_id == self.alert_id for r in entry.records))
        )

    def may_admit(self, leaf: bytes) -> bool:
        """Tell quickly whether a leaf's bytes could be wanted: most needn't be parsed."""
        return self.actor.encode() in leaf and self.alert_id.encode() in leaf


@dataclass(frozen=True, slots=True)
class AuditRows:
    """Entries with their indexes, newest first; ask on with `next_before` unless it is None."""

    rows: tuple[tuple[int, AuditEntry], ...]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class AuditLog:
    """One audit log in the store. Opened once, then used in any transaction."""

    origin: str
    log: int

    @classmethod
    def open(cls, connection: sa.Connection, *, federation: str, party: str) -> "AuditLog":
        """Return the newest log of a party, a member id or `hub`; the first is created."""
        newest: tuple[str, int] | None = None
        for continuation in range(1, CONTINUATION_MAX):
            origin = audit_origin(federation, party, continuation)
            found = log_store.find_log(connection, origin)
            if found is None:
                break
            newest = origin, found
        if newest is None:
            origin = audit_origin(federation, party)
            newest = origin, log_store.create_log(connection, origin)
        return cls(*newest)

    def append(self, connection: sa.Connection, entries: Sequence[AuditEntry]) -> None:
        """Append entries in the caller's transaction; raise AuditFormatError for one too large."""
        leaves = [entry.to_bytes() for entry in entries]
        if leaves:
            before = log_store.head(connection, self.log).frontier
            log_store.append(
                connection, self.log, leaves, [leaf_hash(leaf) for leaf in leaves], before
            )

    def head(self, connection: sa.Connection) -> AuditHead:
        """Return how far the log is."""
        found = log_store.head(connection, self.log)
        return AuditHead(found.origin, found.size, found.root, found.checkpoint)

    def checkpoint(self, connection: sa.Connection, *, signer: SigningPair, at: datetime) -> bytes:
        """Sign the log as it is on disk, keep the note and return it.

        To be called in a transaction of its own: what an act appends in the same one
        is not durable yet (PROTOCOL 1.5). How often is the caller's to say.
        """
        found = log_store.head(connection, self.log)
        note = sign_checkpoint(
            Checkpoint(self.origin, found.size, found.root),
            ed25519=signer.ed25519,
            mldsa=signer.mldsa,
            at=at,
        )
        log_store.set_checkpoint(connection, self.log, note)
        return note

    def read(
        self,
        connection: sa.Connection,
        wanted: AuditFilter,
        *,
        before: int | None = None,
        limit: int = ENTRIES_PER_ANSWER_MAX,
    ) -> AuditRows:
        """Return wanted entries with an index below `before`, newest first.

        At most `limit` of them, and at most SCANNED_PER_ANSWER_MAX entries are looked
        at for one answer. The caller has logged that it reads (AUDIT_READ) beforehand.
        """
        size = log_store.head(connection, self.log).size
        end = size if before is None else min(before, size)
        rows: list[tuple[int, AuditEntry]] = []
        stop = max(end - SCANNED_PER_ANSWER_MAX, 0)
        for index, leaf in log_store.leaves_backwards(connection, self.log, end):
            if index < stop or len(rows) >= min(limit, ENTRIES_PER_ANSWER_MAX):
                return AuditRows(tuple(rows), index + 1)
            if wanted.may_admit(leaf):
                entry = AuditEntry.from_bytes(leaf)
                if wanted.admits(entry):
                    rows.append((index, entry))
        return AuditRows(tuple(rows), None)

    def entries(self, connection: sa.Connection) -> Iterator[AuditEntry]:
        """Yield every entry, oldest first; raise AuditFormatError for one that was changed."""
        for leaves in log_store.pages_from(connection, self.log):
            for leaf in leaves:
                yield AuditEntry.from_bytes(leaf)

    def check(self, connection: sa.Connection, *, keys: PairPublic) -> AuditHead:
        """Recompute the log from its entries and compare it with what was kept and signed.

        Raises:
            StoreDamagedError: the entries don't give the stored root or the signed one.
            AuditFormatError: an entry is not of its form.
            LedgerError: the newest checkpoint's signatures don't verify.

        """
        log_store.check_log(connection, self.log)
        head = self.head(connection)
        for _ in self.entries(connection):
            # Each is parsed; that it is of its form is all that is asked here.
            pass
        if head.checkpoint is not None:
            signed = open_checkpoint(
                head.checkpoint,
                origin=self.origin,
                ed25519_public=keys.ed25519,
                mldsa_public=keys.mldsa44,
            )
            self.check_continues(connection, signed.checkpoint)
        return head

    def check_continues(self, connection: sa.Connection, witnessed: Checkpoint) -> None:
        """Compare the log with what others saw of it (PROTOCOL 1.5); at each start.

        Raises:
            AuditShortenedError: shorter than `witnessed`, or another at its size.

        """
        size = log_store.head(connection, self.log).size
        if size < witnessed.size:
            raise AuditShortenedError(
                f"{self.origin} has {size} entries, {witnessed.size} were seen"
            )
        if root_at(connection, self.log, witnessed.size) != witnessed.root:
            raise AuditShortenedError(f"{self.origin} has another root at {witnessed.size}")

    def continue_after_loss(
        self, connection: sa.Connection, witnessed: Checkpoint, *, at: datetime, actor: str
    ) -> "AuditLog":
        """Close this log at the witnessed size and begin the next, which names the loss.

        This log stays as it is: evidence. Raise LogExistsError if it was done before.
        """
        party, continuation = party_of(self.origin)
        federation = self.origin.partition("/")[0]
        origin = audit_origin(federation, party, continuation + 1)
        following = AuditLog(origin, log_store.create_log(connection, origin))
        kept = log_store.head(connection, self.log).size
        loss = Loss(self.origin, witnessed.size, witnessed.root, kept)
        entry = AuditEntry(at, actor, "system", Operation.CONTINUE, loss=loss)
        following.append(connection, [entry])
        return following


def party_of(origin: str) -> tuple[str, int]:
    """Return the party of an audit log's origin and its number, from 1."""
    _, _, rest = origin.partition("/audit/")
    party, _, number = rest.partition("/")
    if not party:
        raise LogMissingError(f"{origin} is no audit log")
    return party, int(number or 1)


def root_at(connection: sa.Connection, log: int, size: int) -> bytes:
    """Return the root that a stored log had at a size that it has reached, from its tiles."""
    if size == 0:
        return EMPTY_ROOT
    return subtree_hash(log_store.StoredTiles(connection, log), 0, size)
