"""Receipts and freeze lists within one transaction: verified, compared, kept.

The newest of a reader's receipts is verified and stored, older ones of the same group only
compared: receipts are cumulative. The rules: a root is compared for every receipt, for a
wrong one accuses somebody; ``opened`` never runs ahead of ``held`` (PROTOCOL 5.5).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mithaq.certs.registry import Registry
from mithaq.hub.directory import HeldStream
from mithaq.hub.errors import (
    FreezeListRefusedError,
    ReceiptConflictError,
    ReceiptRefusedError,
    StreamUnknownError,
)
from mithaq.hub.pieces import REFUSED
from mithaq.hub.receipt_book import HeldReceipt, held_receipt
from mithaq.hub.receipts import (
    HELD,
    OPENED,
    SignedFreezeList,
    SignedReceipt,
    receipt_message,
    verify_freeze_list,
    verify_receipt,
)
from mithaq.hub.refusals import ReaderRefusals, check_reader_refusals
from mithaq.hub.tables import BATCH, FREEZE, OMISSION, READER_REFUSAL, RECEIPT
from mithaq.hub.upsert import insert_into, replacing
from mithaq.ledger.lists import refusals_bytes_max
from mithaq.ledger.tiles import subtree_hash
from mithaq.store.evidence import Evidence
from mithaq.store.log_store import StoredTiles
from mithaq.store.statement import Statement

CONFLICT = "`receipt` is signed by its reader over another root than the one that \
`known_checkpoint`, signed by the stream's owner, has at that size."
_Key = tuple[bytes, str, int]


class ReceiptDesk:
    """Takes what readers and senders sign about streams, for one transaction."""

    def __init__(
        self,
        connection: sa.Connection,
        *,
        registry: Registry,
        signed_size: Callable[[int, str, int], int],
        find: Callable[[bytes], HeldStream | None],
        at: datetime,
    ) -> None:
        """Look streams up by `find`, which knows what the transaction has staged."""
        self._connection = connection
        self._registry = registry
        self._signed_size = signed_size
        self._find = find
        self._at = at
        self._newest: dict[_Key, int] = {}
        self._receipts: dict[_Key, HeldReceipt] = {}
        self._receipt_rows: dict[_Key, dict[str, object]] = {}
        self._refusals: list[tuple[int, str, ReaderRefusals]] = []
        self._freeze_rows: dict[tuple[str, str], dict[str, object]] = {}
        self.evidence: list[Evidence] = []

    def prefer_newest(self, receipts: Sequence[SignedReceipt]) -> None:
        """Learn which receipts of the group are outdone by later ones."""
        for each in receipts:
            key = each.stream_id, each.reader, each.role
            self._newest[key] = max(self._newest.get(key, 0), each.size)

    def receipts(self) -> tuple[HeldReceipt, ...]:
        """Return what was taken."""
        return tuple(self._receipts.values())

    @property
    def refused(self) -> frozenset[int]:
        """The streams of which readers have refused something."""
        return frozenset(log_no for log_no, _, _ in self._refusals)

    @property
    def freezes(self) -> list[tuple[str, str]]:
        """The (sender, reader) whose list is newer now."""
        return list(self._freeze_rows)

    def take_receipt(self, receipt: SignedReceipt) -> None:
        """Verify a receipt and stage it, unless a newer one is known.

        Raises:
            StreamUnknownError: no such stream, or not one for this reader.
            ReceiptRefusedError: over a size that isn't there, opened before held, or with
                refusals that are not of their form, or too many.
            ReceiptConflictError: validly signed over another root (PROTOCOL 5.6).
            LedgerError: not signed by the reader's key for this role.

        """
        stream = self._find(receipt.stream_id)
        if stream is None or receipt.reader not in stream.audience:
            raise StreamUnknownError("a receipt names a stream that its reader doesn't read")
        if receipt.size > stream.state.size:
            raise ReceiptRefusedError(f"the stream has {stream.state.size} entries")
        if receipt.root != self._root_at(stream, receipt.size):
            self._verify(receipt, stream)
            self.evidence.append(self._conflict(receipt, stream))
            raise ReceiptConflictError(f"another root at size {receipt.size}")
        if receipt.role == OPENED and receipt.size > self._signed(receipt, stream, HELD):
            raise ReceiptRefusedError("a reader opened what it hasn't signed for as held")
        refusals = self._fresh_refusals(receipt, stream)
        self._check_named(receipt, stream)
        key = receipt.stream_id, receipt.reader, receipt.role
        known = self._signed(receipt, stream, receipt.role)
        # A daily receipt says what no later one of the day does.
        wanted = receipt.cosignature_mldsa or receipt.size == self._newest.get(key, receipt.size)
        if receipt.size > known and wanted:
            self._verify(receipt, stream)
            self._stage(key, receipt, stream)
        self._refusals += [(stream.log_no, receipt.reader, each) for each in refusals]

    def take_freeze_list(self, freeze_list: SignedFreezeList) -> None:
        """Verify a sender's list for a reader and stage it, if it is newer.

        Raises:
            FreezeListRefusedError: dated in the future, or not newer than the last.
            TrustError: no such member, or one that may not act.
            LedgerError: not signed by the sender's log keys.

        """
        sender = self._registry.active_member(freeze_list.sender)
        self._registry.active_member(freeze_list.reader)
        if freeze_list.at - self._at > self._registry.policy.clock_skew_limit:
            raise FreezeListRefusedError("a freeze list is dated in the future")
        key = freeze_list.sender, freeze_list.reader
        at = int(freeze_list.at.timestamp())
        if at < self._freeze_time(key):
            raise FreezeListRefusedError("a newer freeze list is known")
        verify_freeze_list(freeze_list, keys=sender.log)
        self._freeze_rows[key] = {
            "sender": freeze_list.sender,
            "reader": freeze_list.reader,
            "at": at,
            "message": freeze_list.message.SerializeToString(deterministic=True),
        }

    def write(self) -> None:
        """Write what was staged."""
        self._replace(RECEIPT, list(self._receipt_rows.values()))
        self._replace(FREEZE, list(self._freeze_rows.values()))
        rows = [
            {
                "log_no": log_no,
                "reader": reader,
                "list_hash": refusals.list_hash,
                "refusals": refusals.list_bytes,
            }
            for log_no, reader, refusals in self._refusals
        ]
        if rows:
            insert = insert_into(self._connection, READER_REFUSAL)
            known = insert.on_conflict_do_nothing(index_elements=[READER_REFUSAL.c.list_hash])
            self._connection.execute(known, rows)

    def _verify(self, receipt: SignedReceipt, stream: HeldStream) -> None:
        verify_receipt(
            receipt,
            federation=self._registry.federation,
            origin=stream.state.origin,
            member=self._registry.member(receipt.reader),
        )

    def _fresh_refusals(self, receipt: SignedReceipt, stream: HeldStream) -> list[ReaderRefusals]:
        """Return the lists that are not kept yet; raise what is wrong with one, or all."""
        member = self._registry.member(receipt.reader)
        checked = {
            each.list_hash: each
            for each in (
                check_reader_refusals(
                    message,
                    stream_id=receipt.stream_id,
                    reader=receipt.reader,
                    size=receipt.size,
                    public=member.opened_ed25519,
                )
                for message in receipt.refusals
            )
        }
        if not checked:
            return []
        known = sa.select(READER_REFUSAL.c.list_hash).where(
            READER_REFUSAL.c.list_hash.in_(list(checked))
        )
        for list_hash in self._connection.scalars(known):
            checked.pop(bytes(list_hash), None)
        fresh = list(checked.values())
        self._check_weight(fresh, receipt.reader, stream)
        self._check_said_of_hub(fresh, stream)
        return fresh

    def _check_named(self, receipt: SignedReceipt, stream: HeldStream) -> None:
        """Take no receipt whose newest list is not here: its sender could not take it, either."""
        if not receipt.refusals_head or receipt.refusals:
            # One that brings lists names the last of them: that was checked as it was parsed.
            return
        known = self._connection.scalar(
            sa.select(READER_REFUSAL.c.serial).where(
                READER_REFUSAL.c.list_hash == receipt.refusals_head,
                READER_REFUSAL.c.log_no == stream.log_no,
                READER_REFUSAL.c.reader == receipt.reader,
            )
        )
        staged = {
            each.list_hash
            for log_no, by, each in self._refusals
            if (log_no, by) == (stream.log_no, receipt.reader)
        }
        if known is None and receipt.refusals_head not in staged:
            raise ReceiptRefusedError("a receipt names a list of refusals that never came")

    def _check_said_of_hub(self, fresh: Sequence[ReaderRefusals], stream: HeldStream) -> None:
        """Let no reader tell a sender that the hub refused what it did not (PROTOCOL 5.5)."""
        said = {sequence for each in fresh for sequence in each.by_hub}
        if not said:
            return
        refused = sa.select(OMISSION.c.sequence).where(
            OMISSION.c.log_no == stream.log_no,
            OMISSION.c.reason == REFUSED,
            OMISSION.c.sequence.in_(said),
        )
        if said - set(self._connection.scalars(refused)):
            raise ReceiptRefusedError("a reader names entries that this hub did not refuse")

    def _check_weight(
        self, fresh: Sequence[ReaderRefusals], reader: str, stream: HeldStream
    ) -> None:
        """Let no reader fill the hub, and then the sender, with what it says it refused."""
        kept = self._connection.scalar(
            sa.select(sa.func.sum(sa.func.length(READER_REFUSAL.c.refusals))).where(
                READER_REFUSAL.c.log_no == stream.log_no, READER_REFUSAL.c.reader == reader
            )
        )
        staged = [
            each for log_no, by, each in self._refusals if (log_no, by) == (stream.log_no, reader)
        ]
        weight = int(kept or 0) + sum(len(each.list_bytes) for each in (*staged, *fresh))
        if fresh and weight > refusals_bytes_max(stream.state.size):
            raise ReceiptRefusedError("a reader refuses more than the stream has")

    def _stage(self, key: _Key, receipt: SignedReceipt, stream: HeldStream) -> None:
        self._receipts[key] = held_receipt(
            stream.log_no,
            receipt.reader,
            receipt.role,
            receipt.size,
            stream_id=receipt.stream_id,
            root=receipt.root,
            cosignature=receipt.cosignature,
            refusals_head=receipt.refusals_head,
        )
        row: dict[str, object] = {
            "log_no": stream.log_no,
            "reader": receipt.reader,
            "role": receipt.role,
            "size": receipt.size,
            "root": receipt.root,
            "cosignature": receipt.cosignature,
            "mldsa_receipt": self._receipt_rows.get(key, {}).get("mldsa_receipt", b""),
            "refusals_head": receipt.refusals_head,
            "received_at": int(self._at.timestamp()),
        }
        if receipt.cosignature_mldsa:
            message = receipt_message(receipt)
            row["mldsa_receipt"] = message.SerializeToString(deterministic=True)
        self._receipt_rows[key] = row

    def _signed(self, receipt: SignedReceipt, stream: HeldStream, role: int) -> int:
        staged = self._receipts.get((receipt.stream_id, receipt.reader, role))
        if staged is not None:
            return staged.size
        return self._signed_size(stream.log_no, receipt.reader, role)

    def _root_at(self, stream: HeldStream, size: int) -> bytes:
        if size == stream.state.size:
            return stream.state.frontier.root()
        known = _ROOT_AT.run(self._connection, log=stream.log_no, size=size).fetchone()
        if known is not None:
            return bytes(known[0])
        return subtree_hash(StoredTiles(self._connection, stream.log_no), 0, size)

    def _conflict(self, receipt: SignedReceipt, stream: HeldStream) -> Evidence:
        known = self._connection.scalar(
            sa.select(BATCH.c.checkpoint)
            .where(BATCH.c.log_no == stream.log_no, BATCH.c.size >= receipt.size)
            .order_by(BATCH.c.size)
            .limit(1)
        )
        message = receipt_message(receipt)
        return Evidence(
            alarm="receipt conflict",
            accused=receipt.reader,
            at=self._at,
            explanation=CONFLICT,
            messages={
                "receipt": message.SerializeToString(deterministic=True),
                "known_checkpoint": known or b"",
            },
            stream_id=receipt.stream_id,
            facts={"sender": stream.sender},
            registry_size=self._registry.size,
        )

    def _freeze_time(self, key: tuple[str, str]) -> int:
        sender, reader = key
        known = _LISTED_AT.run(self._connection, sender=sender, reader=reader).fetchone()
        return 0 if known is None else int(known[0])

    def _replace(self, table: sa.Table, rows: Sequence[dict[str, object]]) -> None:
        if rows:
            _REPLACE[self._connection.dialect.name, table.name].run_many(self._connection, rows)


def _statements() -> dict[tuple[str, str], Statement]:
    statements: dict[tuple[str, str], Statement] = {}
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert)):
        statement = insert(RECEIPT)
        daily = statement.excluded.mldsa_receipt
        # The daily one stays until the next: most receipts come without it.
        newest = sa.case((sa.func.length(daily) > 0, daily), else_=RECEIPT.c.mldsa_receipt)
        statements[name, RECEIPT.name] = Statement(
            replacing(statement, RECEIPT, mldsa_receipt=newest)
        )
        statements[name, FREEZE.name] = Statement(replacing(insert(FREEZE), FREEZE))
    return statements


_REPLACE = _statements()
_LISTED_AT = Statement(
    sa.select(FREEZE.c.at).where(
        FREEZE.c.sender == sa.bindparam("sender"), FREEZE.c.reader == sa.bindparam("reader")
    )
)
_ROOT_AT = Statement(
    sa.select(BATCH.c.root).where(
        BATCH.c.log_no == sa.bindparam("log"), BATCH.c.size == sa.bindparam("size")
    )
)
