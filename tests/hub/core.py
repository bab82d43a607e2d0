"""The hub's inside without a network: a database, a directory and one committer's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mithaq.hub.batch import parse_batch
from mithaq.hub.commit import CommitRules, View, transact
from mithaq.hub.committer import Accepted, Committed, Outcome, Work
from mithaq.hub.directory import Directory
from mithaq.hub.journal import Journal
from mithaq.hub.recall import recall
from mithaq.hub.receipts import HELD, OPENED, parse_receipt
from mithaq.hub.work_folder import MIGRATIONS
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.lists import refusal_list_hash, refusals_extension
from mithaq.store.audit import AuditLog
from mithaq.store.audit_entry import AuditEntry
from mithaq.store.engine import Database
from mithaq.v1 import exchange_pb2
from tests.federation import Federation, now
from tests.migrated import open_migrated
from tests.streams import StreamWriter

# The number of a core's first stream: the hub's own audit log comes before it.
LOG = 2
ROLES = {Role.HELD: HELD, Role.OPENED: OPENED}


def receipt_of(
    federation: Federation,
    reader: str,
    writer: StreamWriter,
    role: Role,
    *,
    size: int | None = None,
    root: bytes | None = None,
    at: datetime | None = None,
    refusals: Sequence[exchange_pb2.RefusalList] = (),
) -> exchange_pb2.Receipt:
    """Return a reader's receipt over a stream as its writer has it, which names these lists."""
    agency = federation.agencies[reader]
    checkpoint = Checkpoint(
        writer.state.origin,
        writer.size if size is None else size,
        writer.state.frontier.root() if root is None else root,
    )
    head = (
        refusal_list_hash(refusals[-1].SerializeToString(deterministic=True)) if refusals else b""
    )
    cosignature = cosign_ed25519(
        checkpoint,
        name=cosigner_name(federation.name, role, reader),
        signer=agency.opened if role is Role.OPENED else agency.held,
        at=at or datetime.now(UTC),
        extension=refusals_extension(head),
    )
    return exchange_pb2.Receipt(
        stream_id=writer.stream_id,
        reader=reader,
        role=exchange_pb2.ReceiptRole.ValueType(ROLES[role]),
        size=checkpoint.size,
        root=checkpoint.root,
        cosignature=cosignature.line(),
        refusals=refusals,
        refusals_head=head,
    )


def spoilt_note(federation: Federation, writer: StreamWriter, **changes: object) -> bytes:
    """Return a note of the writer's stream, signed by its owner, over something else."""
    right = writer.state.checkpoint()
    wrong = Checkpoint(
        right.origin,
        int(changes.get("size", right.size)),  # type: ignore[call-overload]
        bytes(changes.get("root", right.root)),  # type: ignore[call-overload]
    )
    agency = federation.agencies[str(changes.get("signer", "eg-moi"))]
    return sign_checkpoint(wrong, ed25519=agency.log.ed25519, mldsa=agency.log.mldsa, at=now())


@dataclass
class Core:
    """A hub's database and directory; `now` is what its clock shows, None the real time."""

    federation: Federation
    database: Database
    directory: Directory = field(default_factory=Directory)
    now: datetime | None = None
    streams_per_member_max: int = 4096
    view: View | None = None
    _journal: Journal | None = None

    @classmethod
    def open(cls, federation: Federation, url: str) -> "Core":
        core = cls(federation, open_migrated(url, MIGRATIONS))
        core.journal()
        return core

    @classmethod
    def in_folder(cls, federation: Federation, folder: Path) -> "Core":
        return cls.open(federation, f"sqlite:///{folder / 'hub.db'}")

    def rules(self) -> CommitRules:
        assert self.federation.hub is not None
        return CommitRules(
            federation=self.federation.name,
            keys=self.federation.hub.cosigning,
            directory=self.directory,
            registry=lambda: self.federation.registry,
            journal=self.journal(),
            clock=self.clock,
            streams_per_member_max=self.streams_per_member_max,
            view=self.view,
        )

    def clock(self) -> datetime:
        return self.now or datetime.now(UTC)

    def journal(self) -> Journal:
        """Return the hub's audit log, always the same one."""
        if self._journal is None:
            log = self.database.write_sync(
                lambda each: AuditLog.open(each, federation=self.federation.name, party="hub")
            )
            self._journal = Journal(log, self.clock, lambda: self.federation.registry.size)
        return self._journal

    def audited(self) -> list[AuditEntry]:
        """Return the hub's own audit entries."""
        log = self.journal().log
        return self.database.read_sync(lambda each: list(log.entries(each)))

    def commit(self, *works: Work) -> Committed:
        """Run works in one transaction, and let the directory know."""
        act = partial(transact, self.rules())
        committed = self.database.write_sync(lambda connection: act(connection, works))
        self.directory.apply(committed.changes)
        return committed

    def forget(self) -> None:
        """Lose everything but the database, as a hub does that is killed and started."""
        self.directory = Directory()
        self.database.read_sync(lambda each: recall(each, self.directory))

    def outcomes(self, *works: Work) -> Sequence[Outcome]:
        return self.commit(*works).outcomes

    def publish(self, message: exchange_pb2.Batch, *, sender: str) -> Outcome:
        (outcome,) = self.outcomes(parse_batch(message, sender=sender))
        return outcome

    def accept(self, writer: StreamWriter) -> Accepted:
        """Publish what a writer has added, which must be accepted."""
        outcome = self.publish(writer.batch(), sender=writer.opening.sender)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Accepted)
        return outcome

    def commit_batch(self, writer: StreamWriter) -> Committed:
        """Commit what a writer has added, and return all that the transaction did."""
        return self.commit(parse_batch(writer.batch(), sender=writer.opening.sender))

    def sign(self, reader: str, writer: StreamWriter, role: Role, **fields: object) -> Outcome:
        message = receipt_of(self.federation, reader, writer, role, **fields)  # type: ignore[arg-type]
        (outcome,) = self.outcomes(parse_receipt(message, reader=reader))
        return outcome
