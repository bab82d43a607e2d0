"""What a sender believes of the hub's and the readers' answers, and when it raises an alarm."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.ledger.entry import WithdrawReason
from mithaq.ledger.errors import NameFormatError
from mithaq.ledger.lists import REGISTRY_SIZE_MAX, refusal_list_hash
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import IssueItem, WithdrawItem
from mithaq.node.exchange.errors import (
    AcceptanceMissingError,
    ProofRefusedError,
    ReceiptConflictError,
)
from mithaq.node.exchange.freeze import OVERDUE_AFTER, Head, sign_freeze_list
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import HELD, OPENED, ReceiptSigners, sign_receipt, to_message
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.exchange.views import (
    LIST_ALARMS_PER_DAY_MAX,
    check_overdue_lists,
    compare_views,
    expected_senders,
    take_freeze_list,
)
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, accept
from tests.federation import Federation, now


def signers(federation: Federation, member: str) -> ReceiptSigners:
    agency = federation.agencies[member]
    return ReceiptSigners(agency.held, agency.opened, agency.receipt_mldsa)


def receipt(
    federation: Federation,
    batch: Batch,
    role: Role = OPENED,
    *,
    reader: str = "tn-dgsn",
    root: bytes | None = None,
    lists: Sequence[exchange_pb2.RefusalList] = (),
) -> exchange_pb2.Receipt:
    state = batch.segment.state
    checkpoint = Checkpoint(state.origin, state.size, root or state.frontier.root())
    return to_message(
        sign_receipt(
            checkpoint,
            stream_id=batch.stream_id,
            role=role,
            name=(federation.name, reader),
            keys=signers(federation, reader),
            at=now(),
            with_mldsa=True,
            refusals_head=hash_of(lists[-1]) if lists else b"",
        )
    )


def refusals(
    federation: Federation,
    batch: Batch,
    *refused: Refusal,
    reader: str = "tn-dgsn",
    key: Ed25519Key | None = None,
    previous: bytes = b"",
) -> list[exchange_pb2.RefusalList]:
    """Return a reader's signed list of what it refused."""
    return sign_refusals(
        refused,
        stream_id=batch.stream_id,
        signer=reader,
        key=key or federation.agencies[reader].opened,
        previous=previous,
    )


def hash_of(message: exchange_pb2.RefusalList) -> bytes:
    return refusal_list_hash(message.SerializeToString(deterministic=True))


def take(
    desk: Desk,
    *receipts: exchange_pb2.Receipt,
    lists: Sequence[exchange_pb2.RefusalList] = (),
) -> list[Exception]:
    home = desk.home
    answers = Answers([], list(receipts), list(lists))
    return home.database.write_sync(lambda each: keep_answers(each, home, answers, at=desk.clock()))


def issued(cairo: Desk) -> Batch:
    cairo.take_batches()
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    (batch,) = cairo.take_batches()
    return batch


def test_an_acceptance_frees_the_signed_sizes_below_it(cairo: Desk) -> None:
    first, second = issued(cairo), issued(cairo)
    assert accept(cairo, first) == []
    sizes = f"SELECT size FROM node_own_checkpoint WHERE log_no = {first.log_no}"  # noqa: S608
    assert cairo.rows(sizes) == [(second.segment.state.size,)]
    accepted = f"SELECT accepted_size FROM node_stream WHERE log_no = {first.log_no}"  # noqa: S608
    assert cairo.number(accepted) == first.segment.state.size


def test_a_body_that_was_taken_back_goes_when_the_withdrawal_is_accepted(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.take_batches()
    cairo.done(IssueItem(record, None, None, OFFICER))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    put, withdrawal = cairo.take_batches()
    bodies = "SELECT sequence FROM node_out_body"
    accept(cairo, put)
    assert cairo.rows(bodies) == [(1,), (2,)], "it has to be sent once"
    accept(cairo, withdrawal)
    assert cairo.rows(bodies) == [(1,)], "the EPOCH is no record"


def test_an_acceptance_by_anybody_else_is_no_acceptance(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    assert federation.hub is not None
    federation.hub.cosigning = SigningPair.generate()
    (fault,) = accept(cairo, batch)
    assert isinstance(fault, AcceptanceMissingError)
    assert cairo.number("SELECT count(*) FROM node_acceptance") == 0


def test_an_acceptance_beyond_what_was_signed_is_no_acceptance(cairo: Desk) -> None:
    batch = issued(cairo)
    answers = Answers(
        [exchange_pb2.Acceptance(stream_id=batch.stream_id, size=99, cosignature="x" * 64)]
    )
    (fault,) = cairo.home.database.write_sync(
        lambda each: keep_answers(each, cairo.home, answers, at=now())
    )
    assert isinstance(fault, ProofRefusedError)


def test_a_refusal_that_no_database_holds_stops_nobody(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    hostile, plain = (
        refusals(federation, batch, Refusal(2, "NO_CLAUSE", registry_size))
        for registry_size in (REGISTRY_SIZE_MAX + 1, REGISTRY_SIZE_MAX)
    )
    (fault,) = take(cairo, lists=[*hostile, *plain])
    assert isinstance(fault, ProofRefusedError)
    assert cairo.number("SELECT count(*) FROM node_refusal") == 1


def test_receipts_are_kept_for_good_and_each_once(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    held, opened = receipt(federation, batch, HELD), receipt(federation, batch)
    assert take(cairo, held, opened, opened) == []
    assert cairo.rows("SELECT role, size FROM node_receipt ORDER BY role") == [
        ("held", 3),
        ("opened", 3),
    ]


def test_a_held_cannot_be_shown_as_an_opened(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    held = receipt(federation, batch, HELD)
    held.role = exchange_pb2.RECEIPT_ROLE_OPENED
    held.cosignature = held.cosignature.replace("/held/", "/opened/")
    held.cosignature_mldsa = ""
    (fault,) = take(cairo, held)
    assert isinstance(fault, ProofRefusedError)
    assert cairo.number("SELECT count(*) FROM node_receipt") == 0


def test_a_receipt_cannot_be_shown_as_another_readers(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    other = receipt(federation, batch)
    other.reader = "int-iom"
    (fault,) = take(cairo, other)
    assert isinstance(fault, ProofRefusedError)


def test_a_receipt_over_another_root_is_a_conflict_with_evidence(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    (fault,) = take(cairo, receipt(federation, batch, root=bytes(32)))
    assert isinstance(fault, ReceiptConflictError)
    assert cairo.alarms() == ["receipt conflict"]
    assert len(list(cairo.home.evidence.iterdir())) == 1
    # The same conflict is told once, however often it comes.
    take(cairo, receipt(federation, batch, root=bytes(32)))
    assert cairo.alarms() == ["receipt conflict"]


def test_a_readers_refusals_are_kept_with_their_signature(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, Refusal(2, "NO_CLAUSE", 7))
    assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.rows("SELECT sequence, signer, reason, registry_size FROM node_refusal") == [
        (2, "tn-dgsn", "NO_CLAUSE", 7)
    ]


def test_refusals_that_somebody_else_signed_are_not_kept(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    stranger = SigningPair.generate().ed25519
    lists = refusals(federation, batch, Refusal(2, "NO_CLAUSE", 7), key=stranger)
    assert len(take(cairo, lists=lists)) == 1
    assert cairo.number("SELECT count(*) FROM node_refusal") == 0


# --- deadlines --------------------------------------------------------------------------


def check_receipts(desk: Desk) -> None:
    desk.home.database.write_sync(
        lambda each: housekeeping.check_receipts(each, desk.home, at=desk.clock())
    )


def test_a_receipt_is_overdue_after_the_agreements_deadline(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    accept(cairo, batch)
    deadline = cairo.home.registry.agreement("test-agreement").agreement.deadlines
    cairo.clock.ahead = deadline.delivery_receipt - timedelta(seconds=5)
    check_receipts(cairo)
    assert cairo.alarms() == []
    take(cairo, receipt(federation, batch))
    cairo.clock.ahead = deadline.delivery_receipt + timedelta(seconds=5)
    check_receipts(cairo)
    assert cairo.alarms() == ["receipt overdue"], "the other reader has not opened"
    check_receipts(cairo)
    assert cairo.alarms() == ["receipt overdue"]


def standing(desk: Desk) -> list[str]:
    rows = desk.rows("SELECT subject FROM node_alarm WHERE lifted_at_ms IS NULL ORDER BY subject")
    return [str(subject).split("/")[1] for (subject,) in rows]


def test_a_reader_that_was_never_online_is_one_alarm_for_each_stream_however_long_it_stays_away(
    cairo: Desk, federation: Federation
) -> None:
    deadline = cairo.home.registry.agreement("test-agreement").agreement.deadlines
    batches = [issued(cairo) for _ in range(3)]
    for hours, batch in zip((1, 2, 30), batches, strict=True):
        accept(cairo, batch)
        take(cairo, receipt(federation, batch))
        cairo.clock.ahead = deadline.delivery_receipt + timedelta(hours=hours)
        check_receipts(cairo)
        check_receipts(cairo)
        assert standing(cairo) == ["int-iom"]
    assert cairo.alarms() == ["receipt overdue"]


def test_an_overdue_receipt_that_arrives_lifts_its_alarm_and_the_next_raises_it_again(
    cairo: Desk, federation: Federation
) -> None:
    deadline = cairo.home.registry.agreement("test-agreement").agreement.deadlines
    first, second, third = issued(cairo), issued(cairo), issued(cairo)
    accept(cairo, first)
    accept(cairo, second)
    cairo.clock.ahead = deadline.delivery_receipt + timedelta(seconds=5)
    check_receipts(cairo)
    assert standing(cairo) == ["int-iom", "tn-dgsn"]
    take(cairo, receipt(federation, first))
    check_receipts(cairo)
    assert standing(cairo) == ["int-iom", "tn-dgsn"], "it owes the second still"
    take(cairo, receipt(federation, second))
    check_receipts(cairo)
    assert standing(cairo) == ["int-iom"]
    accept(cairo, third)
    cairo.clock.ahead += deadline.delivery_receipt + timedelta(hours=1)
    check_receipts(cairo)
    assert standing(cairo) == ["int-iom", "tn-dgsn"]
    assert cairo.number("SELECT count(*) FROM node_alarm") == 2


def test_what_the_hub_has_not_accepted_is_no_readers_fault(cairo: Desk) -> None:
    issued(cairo)
    cairo.clock.ahead = timedelta(hours=1)
    check_receipts(cairo)
    assert cairo.alarms() == []


def test_an_erasure_is_overdue_after_the_agreements_deadline(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, ("tn-dgsn",), OFFICER))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    deadline = cairo.home.registry.agreement("test-agreement").agreement.deadlines.erasure_receipt
    for ahead, alarms in (
        (deadline - timedelta(seconds=30), []),
        (deadline + timedelta(seconds=30), ["erasure overdue"]),
    ):
        cairo.clock.ahead = ahead
        cairo.home.database.write_sync(
            lambda each: housekeeping.check_erasures(each, cairo.home, at=cairo.clock())
        )
        assert cairo.alarms() == alarms


def test_own_bodies_and_old_secrets_go_when_every_reader_has_opened(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    accept(cairo, batch)

    def bodies() -> object:
        cairo.home.database.write_sync(
            lambda each: housekeeping.drop_delivered(each, cairo.home, at=cairo.clock())
        )
        return cairo.number("SELECT count(*) FROM node_out_body")

    assert bodies() == 2
    take(cairo, receipt(federation, batch))
    assert bodies() == 2
    take(cairo, receipt(federation, batch, reader="int-iom"))
    assert bodies() == 0
    assert cairo.number("SELECT count(*) FROM node_epoch WHERE secret IS NOT NULL") == 1


# --- views and freeze lists -------------------------------------------------------------


def frozen(cairo: Desk, reader: str = "tn-dgsn") -> exchange_pb2.FreezeList:
    lists = cairo.home.database.read_sync(
        lambda each: housekeeping.freeze_lists(each, cairo.home, at=cairo.clock())
    )
    return next(each for each in lists if each.reader == reader)


def look(desk: Desk, message: exchange_pb2.FreezeList) -> None:
    desk.home.database.write_sync(
        lambda each: take_freeze_list(each, desk.home, message, at=desk.clock())
    )


def delivered(cairo: Desk, tunis: Desk) -> Batch:
    opened = cairo.take_batches()
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    batches = opened + cairo.take_batches()
    accept(cairo, *batches)
    tunis.receive(*batches)
    return batches[-1]


def test_a_freeze_list_names_every_accepted_stream_of_the_reader(cairo: Desk, tunis: Desk) -> None:
    delivered(cairo, tunis)
    message = frozen(cairo)
    assert len(message.streams) == 3
    look(tunis, message)
    assert tunis.alarms() == []
    assert tunis.number("SELECT count(*) FROM node_freeze") == 1


def test_a_stream_that_is_never_delivered_shows_in_the_freeze_list(
    cairo: Desk, tunis: Desk
) -> None:
    batches = cairo.take_batches()
    accept(cairo, *batches)
    message = frozen(cairo)
    look(tunis, message)
    assert tunis.alarms() == [], "it may still be on its way"
    tunis.clock.ahead = timedelta(seconds=150)
    tunis.home.database.write_sync(
        lambda each: check_overdue_lists(
            each, tunis.home, since={"eg-moi": now()}, at=tunis.clock()
        )
    )
    assert set(tunis.alarms()) == {"stale: sender or hub"}


def test_a_sender_fills_no_reader_with_alarms_about_its_lists(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    """It can name streams that are nowhere, in each list others: each alarm has its file."""
    delivered(cairo, tunis)
    keys, begun = federation.agencies["eg-moi"].log, now() - OVERDUE_AFTER
    for number in range(2):
        heads = [
            Head(bytes([number, each]) * 16, 1, bytes(32))
            for each in range(LIST_ALARMS_PER_DAY_MAX)
        ]
        message = sign_freeze_list(
            heads,
            federation=federation.name,
            sender="eg-moi",
            reader="tn-dgsn",
            keys=keys,
            at=begun + timedelta(seconds=number),
        )
        look(tunis, message)
    assert len(tunis.alarms()) == LIST_ALARMS_PER_DAY_MAX
    tunis.clock.ahead = timedelta(days=1, seconds=1)
    late = sign_freeze_list(
        [Head(b"\xff" * 32, 1, bytes(32))],
        federation=federation.name,
        sender="eg-moi",
        reader="tn-dgsn",
        keys=keys,
        at=now(),
    )
    look(tunis, late)
    assert len(tunis.alarms()) == LIST_ALARMS_PER_DAY_MAX + 1


def test_a_sender_is_silent_once_its_first_list_is_overdue(cairo: Desk, tunis: Desk) -> None:
    delivered(cairo, tunis)
    since = {"eg-moi": now()}
    for late, alarms in ((-1, set[str]()), (1, {"stale: sender or hub"})):
        at = since["eg-moi"] + OVERDUE_AFTER + timedelta(seconds=late)
        check = partial(check_overdue_lists, home=tunis.home, since=since, at=at)
        tunis.home.database.write_sync(check)
        assert set(tunis.alarms()) == alarms


def test_who_has_no_stream_to_this_node_owes_it_no_list(cairo: Desk, tunis: Desk) -> None:
    assert tunis.home.database.read_sync(expected_senders) == set()
    delivered(cairo, tunis)
    assert tunis.home.database.read_sync(expected_senders) == {"eg-moi"}


def test_another_root_in_a_freeze_list_is_a_fork(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = delivered(cairo, tunis)
    message = sign_freeze_list(
        [Head(batch.stream_id, 2, bytes(32))],
        federation=federation.name,
        sender="eg-moi",
        reader="tn-dgsn",
        keys=federation.agencies["eg-moi"].log,
        at=now(),
    )
    look(tunis, message)
    assert tunis.alarms() == ["fork"]


def test_an_older_freeze_list_does_not_replace_a_newer_one(cairo: Desk, tunis: Desk) -> None:
    delivered(cairo, tunis)
    older = frozen(cairo)
    cairo.clock.ahead = timedelta(seconds=60)
    newer = frozen(cairo)
    look(tunis, newer)
    look(tunis, older)
    assert tunis.number("SELECT at FROM node_freeze") == newer.at


def test_a_freeze_list_from_the_future_is_clock_skew(cairo: Desk, tunis: Desk) -> None:
    delivered(cairo, tunis)
    cairo.clock.ahead = timedelta(minutes=3)
    look(tunis, frozen(cairo))
    assert tunis.alarms() == ["clock skew"]
    assert tunis.number("SELECT count(*) FROM node_freeze") == 0


def test_readers_that_were_shown_two_histories_find_out_by_comparing_receipts(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = delivered(cairo, tunis)
    same = receipt(federation, batch, HELD, reader="int-iom")
    other = receipt(federation, batch, HELD, reader="int-iom", root=bytes(32))
    for message, alarms in ((same, []), (other, ["receipt conflict"])):
        views = exchange_pb2.Receipts(receipts=[message])
        tunis.home.database.write_sync(partial(compare_views, home=tunis.home, views=views))
        assert tunis.alarms() == alarms


def test_a_receipt_for_no_stream_is_refused_and_its_neighbours_are_compared(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = delivered(cairo, tunis)
    nameless = receipt(federation, batch, HELD, reader="int-iom")
    nameless.stream_id = b"no stream"
    other = receipt(federation, batch, HELD, reader="int-iom", root=bytes(32))
    views = exchange_pb2.Receipts(receipts=[nameless, other])
    faults = tunis.home.database.write_sync(partial(compare_views, home=tunis.home, views=views))
    assert [type(each) for each in faults] == [NameFormatError]
    assert tunis.alarms() == ["receipt conflict"]
