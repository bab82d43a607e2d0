"""Receipts of one reader that come together: the newest says it all, unless one accuses."""

from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.errors import (
    ProofRefusedError,
    ReceiptConflictError,
    RefusalWithheldError,
)
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import HELD, OPENED, ReceiptSigners, sign_receipt, to_message
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk
from tests.federation import Federation, now


@dataclass
class Tunis:
    """A reader that signs receipts over what it is shown."""

    federation: Federation

    def receipt(
        self,
        batch: Batch,
        role: Role = OPENED,
        *,
        root: bytes | None = None,
        daily: bool = False,
        refusals_head: bytes = b"",
        signers: ReceiptSigners | None = None,
    ) -> exchange_pb2.Receipt:
        state = batch.segment.state
        return to_message(
            sign_receipt(
                Checkpoint(state.origin, state.size, root or state.frontier.root()),
                stream_id=batch.stream_id,
                role=role,
                name=(self.federation.name, "tn-dgsn"),
                keys=signers or self.signers,
                at=now(),
                with_mldsa=daily,
                refusals_head=refusals_head,
            )
        )

    @property
    def signers(self) -> ReceiptSigners:
        agency = self.federation.agencies["tn-dgsn"]
        return ReceiptSigners(agency.held, agency.opened, agency.receipt_mldsa)


@pytest.fixture
def reader(federation: Federation) -> Tunis:
    return Tunis(federation)


def take(desk: Desk, *receipts: exchange_pb2.Receipt) -> list[Exception]:
    home = desk.home
    return home.database.write_sync(
        lambda each: keep_answers(each, home, Answers([], list(receipts)), at=desk.clock())
    )


def issued(cairo: Desk) -> Batch:
    cairo.take_batches()
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    (batch,) = cairo.take_batches()
    return batch


def kept(cairo: Desk) -> list[tuple[object, ...]]:
    return cairo.rows("SELECT role, size FROM node_receipt ORDER BY role, size")


def test_of_receipts_that_come_together_the_newest_of_each_role_is_kept(
    cairo: Desk, reader: Tunis
) -> None:
    first, second = issued(cairo), issued(cairo)
    receipts = [reader.receipt(each, role) for each in (first, second) for role in (HELD, OPENED)]
    assert take(cairo, *receipts) == []
    assert kept(cairo) == [("held", 4), ("opened", 4)]


def test_an_older_receipt_over_another_root_accuses_though_a_newer_one_is_right(
    cairo: Desk, reader: Tunis
) -> None:
    first, second = issued(cairo), issued(cairo)
    (fault,) = take(cairo, reader.receipt(first, root=bytes(32)), reader.receipt(second))
    assert isinstance(fault, ReceiptConflictError)
    assert cairo.alarms() == ["receipt conflict"]
    assert kept(cairo) == [("opened", 4)]


def test_a_newer_receipt_that_does_not_verify_covers_nothing(cairo: Desk, reader: Tunis) -> None:
    first, second = issued(cairo), issued(cairo)
    stranger = SigningPair.generate().ed25519
    forged = reader.receipt(
        second, signers=ReceiptSigners(stranger, stranger, reader.signers.mldsa)
    )
    (fault,) = take(cairo, reader.receipt(first), forged)
    assert isinstance(fault, ProofRefusedError)
    assert kept(cairo) == [("opened", 3)]


def test_an_older_receipt_that_names_refusals_is_not_passed_over(
    cairo: Desk, reader: Tunis
) -> None:
    first, second = issued(cairo), issued(cairo)
    naming = reader.receipt(first, refusals_head=bytes(range(32)))
    (fault,) = take(cairo, naming, reader.receipt(second))
    # The list that it names has not come.
    assert isinstance(fault, RefusalWithheldError)
    assert kept(cairo) == [("opened", 4)]


def test_an_older_receipt_with_the_daily_signature_is_kept(cairo: Desk, reader: Tunis) -> None:
    first, second = issued(cairo), issued(cairo)
    assert take(cairo, reader.receipt(first, daily=True), reader.receipt(second)) == []
    assert kept(cairo) == [("opened", 3), ("opened", 4)]


# --- roots remembered -------------------------------------------------------------------


def test_a_root_is_the_same_remembered_and_computed(cairo: Desk) -> None:
    batch = issued(cairo)
    state = batch.segment.state
    remembered = cairo.home.signed_roots

    def root(size: int) -> bytes:
        return cairo.home.database.write_sync(
            lambda each: cairo.home.signed_roots.at(each, batch.log_no, size=size)
        )

    told = root(state.size)
    cairo.home.signed_roots = type(remembered)()
    assert told == root(state.size) == state.frontier.root()
    assert root(state.size - 1) != told


def test_a_root_that_was_not_committed_is_not_remembered(cairo: Desk) -> None:
    batch = issued(cairo)
    home = cairo.home

    def undone(connection: sa.Connection) -> None:
        home.signed_roots.note(
            connection,
            batch.log_no,
            size=batch.segment.state.size,
            root=bytes(32),
        )
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        home.database.write_sync(undone)
    told = home.database.write_sync(
        lambda each: home.signed_roots.at(each, batch.log_no, size=batch.segment.state.size)
    )
    assert told == batch.segment.state.frontier.root()
