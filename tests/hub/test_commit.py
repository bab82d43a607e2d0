"""One transaction: what is admitted, what is refused outright, and that neither harms the other.

The contract runs on SQLite and on PostgreSQL.
"""

import base64

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.batch import parse_batch
from mithaq.hub.committer import Accepted, Work
from mithaq.hub.errors import (
    BatchFormatError,
    BodyMismatchError,
    RootMismatchError,
    SequenceError,
    StreamTakenError,
)
from mithaq.hub.pieces import Wanted
from mithaq.hub.reading import next_bodies, next_headers
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.errors import (
    SignatureInvalidError,
    SignatureMissingError,
    StreamRuleError,
)
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.kinds import EntryKind, WithdrawReason, WithdrawScope
from mithaq.ledger.run import Run
from mithaq.ledger.terms import encode_terms
from mithaq.store.log_store import check_log
from mithaq.store.tables import LOG_PAGE
from mithaq.v1 import exchange_pb2
from tests.federation import agreement, clause
from tests.hub.core import LOG, Core, spoilt_note
from tests.hub.test_tables import OWN_TABLES
from tests.streams import StreamWriter, open_terms

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


def opened(core: Core, *, ordinal: int = 0) -> StreamWriter:
    writer = StreamWriter.to(core.federation, SENDER, OTHER, READER, ordinal=ordinal)
    writer.epoch()
    writer.put(4)
    core.accept(writer)
    return writer


def rows(core: Core) -> dict[str, int]:
    """Return how many rows each table of the hub has."""

    def count(connection: sa.Connection) -> dict[str, int]:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
            for name in OWN_TABLES
        }

    return core.database.read_sync(count)


def pages(core: Core) -> list[int]:
    """Return how many entries each page of the first stream has."""
    wanted = (
        sa.select(LOG_PAGE.c.entries).where(LOG_PAGE.c.log_no == LOG).order_by(LOG_PAGE.c.start)
    )
    return core.database.read_sync(lambda each: list(each.scalars(wanted)))


class TestEveryTransaction:
    """What holds on both databases."""

    def test_an_admitted_batch_is_cosigned_over_its_own_root(self, core_of_each: Core) -> None:
        core = core_of_each
        writer = StreamWriter.to(core.federation, SENDER, READER)
        writer.epoch()
        writer.put(3)
        accepted = core.accept(writer)
        verify_cosignature(
            Cosignature.parse(accepted.acceptance),
            writer.state.checkpoint(),
            name=cosigner_name(core.federation.name, Role.HUB, "hub"),
            public_key=core.federation.registry.hub.cosign_ed25519,
            algorithm=KeyType.ED25519_COSIGNATURE,
        )
        head = core.database.read_sync(lambda each: check_log(each, LOG))
        assert (head.size, head.root) == (5, writer.state.frontier.root())

    def test_many_batches_of_many_streams_go_into_one_transaction(self, core_of_each: Core) -> None:
        core = core_of_each
        writers = [opened(core, ordinal=each) for each in range(3)]
        works: list[Work] = []
        for _ in range(3):
            for writer in writers:
                writer.put(5)
                works.append(parse_batch(writer.batch(), sender=SENDER))
        assert all(isinstance(each, Accepted) for each in core.outcomes(*works))
        assert [each.state.size for each in core.directory] == [21, 21, 21]

    def test_a_refused_batch_leaves_no_row_and_its_neighbours_are_admitted(
        self, core_of_each: Core
    ) -> None:
        core = core_of_each
        writer, neighbour = opened(core), opened(core, ordinal=1)
        before = rows(core)
        writer.put(3)
        message = writer.batch()
        message.bodies[1] = bytes(len(message.bodies[1]))
        bad = parse_batch(message, sender=SENDER)
        assert isinstance(core.outcomes(bad)[0], BodyMismatchError)
        assert rows(core) == before
        neighbour.put(1)
        good = parse_batch(neighbour.batch(), sender=SENDER)
        outcomes = core.outcomes(bad, good)
        assert isinstance(outcomes[0], BodyMismatchError)
        assert isinstance(outcomes[1], Accepted)

    def test_the_same_batch_again_is_accepted_and_adds_nothing(self, core_of_each: Core) -> None:
        core = core_of_each
        writer = opened(core)
        writer.put(2)
        message = writer.batch()
        first = core.publish(message, sender=SENDER)
        before = rows(core)
        again = core.publish(message, sender=SENDER)
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (again.size, again.acceptance) == (first.size, first.acceptance)
        assert again.entries == 0
        assert rows(core) == before

    def test_a_batch_twice_in_one_transaction_is_admitted_once(self, core_of_each: Core) -> None:
        core = core_of_each
        writer = opened(core)
        writer.put(2)
        batch = parse_batch(writer.batch(), sender=SENDER)
        first, again = core.outcomes(batch, batch)
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (first.entries, again.entries) == (2, 0)

    def test_what_a_transaction_took_is_seen_by_what_follows_in_it(
        self, core_of_each: Core
    ) -> None:
        core = core_of_each
        writer = opened(core)
        works: list[Work] = []
        record = writer.put(1)
        works.append(parse_batch(writer.batch(), sender=SENDER))
        later = writer.put(1, target=record)
        works.append(parse_batch(writer.batch(), sender=SENDER))
        writer.withdraw(record)
        works.append(parse_batch(writer.batch(), sender=SENDER))
        before = rows(core)["hub_body"]
        assert all(isinstance(each, Accepted) for each in core.outcomes(*works))
        assert rows(core)["hub_body"] == before
        core.forget()
        assert core.directory.stream(LOG).state == writer.state
        assert later == writer.size - 2

    def test_small_batches_of_one_transaction_are_kept_as_one_page(
        self, core_of_each: Core
    ) -> None:
        core = core_of_each
        writer = opened(core)
        before = pages(core)
        works: list[Work] = []
        for count in (100, 100, 56, 200, 1):
            writer.put(count, size_bytes=29)
            works.append(parse_batch(writer.batch(), sender=SENDER))
        assert all(isinstance(each, Accepted) for each in core.outcomes(*works))
        assert pages(core)[len(before) :] == [256, 201]
        head = core.database.read_sync(lambda each: check_log(each, LOG))
        assert head.root == writer.state.frontier.root()
        start = before[0]
        piece = core.database.read_sync(lambda each: next_headers(each, log_no=LOG, start=start))
        assert piece is not None
        assert piece.size == start + 256

    def test_of_a_batch_that_overlaps_only_the_new_part_is_appended(
        self, core_of_each: Core
    ) -> None:
        core = core_of_each
        writer = opened(core)
        writer.put(2)
        first = writer.batch()
        assert isinstance(core.publish(first, sender=SENDER), Accepted)
        writer.put(3)
        second = writer.batch()
        joined = exchange_pb2.Batch(
            stream_id=writer.stream_id,
            first_sequence=first.first_sequence,
            runs=[*first.runs, *second.runs],
            bodies=[*first.bodies, *second.bodies],
            checkpoint=second.checkpoint,
        )
        accepted = core.publish(joined, sender=SENDER)
        assert isinstance(accepted, Accepted)
        assert (accepted.entries, accepted.size) == (3, writer.size)
        piece = core.database.read_sync(
            lambda each: next_bodies(each, Wanted(READER, writer.size, 0), log_no=LOG, start=0)
        )
        assert piece is not None
        assert dict(zip(piece.sequences, piece.bodies, strict=True)) == writer.sent

    def test_a_withdrawal_erases_every_version_so_far_in_its_own_transaction(
        self, core_of_each: Core
    ) -> None:
        core = core_of_each
        writer = opened(core)
        version = writer.put(1, target=3)
        core.accept(writer)
        withdrawal = writer.withdraw(3)
        core.accept(writer)
        left = core.database.read_sync(
            lambda each: list(each.scalars(sa.select(tables.BODY.c.sequence)))
        )
        assert sorted(left) == sorted(set(writer.sent) - {3, version})
        piece = core.database.read_sync(
            lambda each: next_bodies(each, Wanted(READER, writer.size, 0), log_no=LOG, start=0)
        )
        assert piece is not None
        assert [(each.sequence, each.withdrawn_by) for each in piece.omitted] == [
            (3, withdrawal),
            (version, withdrawal),
        ]
        assert core.directory.stored_bytes(LOG) == sum(
            len(body) for sequence, body in writer.sent.items() if sequence in left
        )

    def test_a_hub_that_starts_again_knows_what_it_had_committed(self, core_of_each: Core) -> None:
        core = core_of_each
        writer = opened(core)
        core.sign(READER, writer, Role.HELD)
        closing = writer.close()
        writer.withdraw(2)
        core.accept(writer)
        before = (
            list(core.directory),
            core.directory.receipts.since(LOG, 0),
            core.directory.stored_bytes(LOG),
        )
        core.forget()
        after = (
            list(core.directory),
            core.directory.receipts.since(LOG, 0),
            core.directory.stored_bytes(LOG),
        )
        assert after == before
        assert before[0][0].closed_at == closing


def test_the_order_of_table_rows_is_the_order_of_entries(core: Core) -> None:
    writer = opened(core)
    for _ in range(3):
        writer.put(2)
        core.accept(writer)
    piece = core.database.read_sync(lambda each: next_headers(each, log_no=LOG, start=2))
    assert piece is not None
    assert (piece.first_sequence, piece.size) == (2, writer.size)


# --- refused outright ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"root": bytes(32)}, RootMismatchError),
        ({"size": 3}, BatchFormatError),
        ({"size": 999}, BatchFormatError),
        ({"signer": OTHER}, SignatureMissingError),
    ],
    ids=["another root", "a smaller size", "a larger size", "another's keys"],
)
def test_a_note_that_does_not_sign_these_entries_ends_the_batch(
    core: Core, changes: dict[str, object], error: type[Exception]
) -> None:
    writer = opened(core)
    writer.put(2)
    note = spoilt_note(core.federation, writer, **changes)
    assert isinstance(core.publish(writer.batch(checkpoint=note), sender=SENDER), error)


@pytest.mark.parametrize("line", [4, 5], ids=["without Ed25519", "without ML-DSA-44"])
def test_a_note_with_one_signature_alone_ends_the_batch(core: Core, line: int) -> None:
    writer = opened(core)
    writer.put(1)
    lines = writer.note().splitlines(keepends=True)
    note = b"".join(each for number, each in enumerate(lines) if number != line)
    refused = core.publish(writer.batch(checkpoint=note), sender=SENDER)
    assert isinstance(refused, SignatureMissingError)


def test_a_note_whose_signature_is_spoilt_ends_the_batch(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    head, _, last = writer.note().rstrip(b"\n").rpartition(b" ")
    raw = bytearray(base64.b64decode(last))
    raw[-1] ^= 1
    note = head + b" " + base64.b64encode(raw) + b"\n"
    refused = core.publish(writer.batch(checkpoint=note), sender=SENDER)
    assert isinstance(refused, SignatureInvalidError)


def test_a_batch_after_a_gap_ends_without_an_entry(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    writer.batch()
    writer.put(1)
    assert isinstance(core.publish(writer.batch(), sender=SENDER), SequenceError)


def test_a_member_cannot_write_to_anothers_stream_nor_learn_that_it_exists(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    taken = core.publish(writer.batch(), sender=OTHER)
    assert isinstance(taken, StreamTakenError)
    never = StreamWriter.to(core.federation, SENDER, READER, ordinal=9)
    never.batch()
    never.epoch()
    unknown = core.publish(never.batch(), sender=OTHER)
    assert isinstance(unknown, Exception)
    told = ("public_message", "fix", "grpc_status")
    assert [getattr(taken, each) for each in told] == [getattr(unknown, each) for each in told]


def test_nothing_but_withdrawals_follows_a_close(core: Core) -> None:
    writer = opened(core)
    spare = writer.state
    writer.put(1)
    put = writer.runs[0]
    writer.runs, writer.bodies, writer.state = [], [], spare
    writer.close()
    core.accept(writer)
    writer.withdraw(2)
    core.accept(writer)
    # The writer's own rules would stop it, so the entry is moved there by hand.
    moved = Run(put.terms_bytes, put.own_size, writer.size.to_bytes(8) + put.own_bytes[8:])
    writer.runs, writer.bodies = [moved], [writer.sent[spare.size]]
    assert isinstance(core.publish(writer.batch(), sender=SENDER), StreamRuleError)


def test_an_opening_batch_that_withdraws_what_never_was_harms_no_other(core: Core) -> None:
    neighbour = opened(core)
    neighbour.put(1)
    good = parse_batch(neighbour.batch(), sender=SENDER)
    hostile = StreamWriter.to(core.federation, OTHER, READER)
    terms = hostile.terms(
        EntryKind.WITHDRAW,
        scope=WithdrawScope.DISCLOSURE,
        reason=WithdrawReason.WITHDRAWN,
    )
    own = (1).to_bytes(8) + (0).to_bytes(8)
    hostile.runs.append(Run(encode_terms(terms), 16, own))
    bad = parse_batch(hostile.batch(), sender=OTHER)
    outcomes = core.outcomes(bad, good)
    assert isinstance(outcomes[0], StreamRuleError)
    assert isinstance(outcomes[1], Accepted)


def test_a_batch_that_is_refused_uses_up_no_quota(core: Core) -> None:
    members = sorted(core.federation.agencies)
    limited = clause("C1", senders=members, recipients=members, quota_per_day=2)
    core.federation.agree(agreement(*members, agreement_id="limited", clauses=[limited]))
    terms = open_terms(core.federation, SENDER, [READER], agreement_id="limited")
    writer = StreamWriter(core.federation, terms)
    writer.epoch()
    core.accept(writer)
    writer.put(1)
    writer.put(1, category="CHECK_DISCREET")
    message = writer.batch()
    right = message.bodies[1]
    message.bodies[1] = bytes(len(right))
    assert isinstance(core.publish(message, sender=SENDER), BodyMismatchError)
    message.bodies[1] = right
    accepted = core.publish(message, sender=SENDER)
    assert isinstance(accepted, Accepted)
    assert accepted.refused == ()
