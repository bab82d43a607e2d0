"""What a reader believes of headers and bodies, and what an evil hub is caught at."""

import dataclasses
from datetime import timedelta

import pytest

from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.ledger.entry import WithdrawReason
from mithaq.ledger.errors import (
    ForkError,
    RootMismatchError,
    SequenceGapError,
)
from mithaq.ledger.names import HUB
from mithaq.ledger.stream import Run
from mithaq.ledger.tree import Frontier
from mithaq.node.exchange.acts import IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.errors import (
    BodyOrderError,
    BodyWithheldError,
    HeadersUnsignedError,
    NotInAudienceError,
)
from mithaq.node.exchange.inbox import ArrivedHeaders
from mithaq.node.exchange.omissions import (
    EXPIRED,
    NOT_A_READER,
    REFUSED,
    WITHDRAWN,
    Omission,
)
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.records.model import ParsedRecord
from mithaq.node.sealing.errors import BodyMismatchError
from mithaq.store import log_store
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk, bodies_of, carry, headers_of
from tests.federation import Federation, now

WITHDRAWN_REASON = WithdrawReason.WITHDRAWN


def sent(sender: Desk, *records: ParsedRecord, reader: str = "tn-dgsn") -> list[Batch]:
    """Issue alerts and return all batches so far that go to a reader."""
    for record in records or (sender.alert(),):
        sender.done(IssueItem(record, None, None, OFFICER))
    return [each for each in sender.take_batches() if reader in each.segment.state.opening.audience]


def put_batch(batches: list[Batch]) -> Batch:
    return batches[-1]


def stream_of(batches: list[Batch], batch: Batch) -> list[Batch]:
    return [each for each in batches if each.log_no == batch.log_no]


def ready(cairo: Desk, tunis: Desk, *records: ParsedRecord) -> Batch:
    """Let Tunis hold and open all streams but the last batch, and return that one."""
    batches = sent(cairo, *records)
    tunis.receive(*batches[:-1])
    return batches[-1]


def altered(headers: ArrivedHeaders, **fields: object) -> ArrivedHeaders:
    return dataclasses.replace(headers, piece=headers.piece._replace(**fields))  # type: ignore[arg-type]


# --- headers ----------------------------------------------------------------------------


def test_held_is_signed_over_the_root_that_the_reader_computed(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    (receipt,) = tunis.hold(headers_of(tunis.federation, batch)).receipts
    assert (receipt.role, receipt.size) == (Role.HELD, batch.segment.state.size)
    assert receipt.root == batch.segment.state.frontier.root()
    assert tunis.number("SELECT count(*) FROM node_record") == 0


def test_headers_delivered_again_are_held_once_and_answered_again(cairo: Desk, tunis: Desk) -> None:
    headers = headers_of(tunis.federation, ready(cairo, tunis))
    first, again = tunis.hold(headers), tunis.hold(headers)
    assert [each.size for each in again.receipts] == [each.size for each in first.receipts]
    assert not again.failed


def test_a_hub_that_drops_a_header_is_caught_at_the_gap(cairo: Desk, tunis: Desk) -> None:
    ready(cairo, tunis)
    (later,) = sent(cairo)
    held = tunis.hold(headers_of(tunis.federation, later))
    assert isinstance(held.failed[later.stream_id], SequenceGapError)
    assert tunis.alarms() == ["sequence gap"]


def test_a_hub_that_alters_a_header_is_caught_by_the_root(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    headers = headers_of(tunis.federation, batch)
    *runs, last = headers.piece.runs
    own = last.own_bytes[:-1] + bytes([last.own_bytes[-1] ^ 1])
    evil = altered(headers, runs=(*runs, Run(last.terms_bytes, last.own_size, own)))
    held = tunis.hold(evil)
    assert isinstance(held.failed[batch.stream_id], RootMismatchError)
    assert tunis.alarms() == ["root mismatch"]


def another_history(headers: ArrivedHeaders) -> ArrivedHeaders:
    """Return headers with another last entry, under the note of the true ones."""
    *runs, last = headers.piece.runs
    own = last.own_bytes[:-1] + bytes([last.own_bytes[-1] ^ 1])
    return altered(headers, runs=(*runs, Run(last.terms_bytes, last.own_size, own)))


def test_a_sender_that_shows_two_histories_is_caught_at_the_fork(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    headers = headers_of(tunis.federation, batch)
    tunis.hold(headers)
    other = another_history(headers)
    first, state = headers.piece.first_sequence, batch.segment.state
    before = cairo.home.database.read_sync(
        lambda each: log_store.leaf_hashes_at(each, batch.log_no, 0, first)
    )
    after = Frontier.empty().extend(
        [*before, *(each for run in other.piece.runs for each in run.leaf_hashes())]
    )
    note = sign_checkpoint(
        Checkpoint(state.origin, after.size, after.root()),
        ed25519=cairo.home.log.ed25519,
        mldsa=cairo.home.log.mldsa,
        at=now(),
    )
    held = tunis.hold(altered(other, checkpoint=note))
    assert isinstance(held.failed[batch.stream_id], ForkError)
    assert tunis.alarms() == ["fork"]
    _, verified = tunis.proof()
    assert verified.holds("known_entry_proof")
    assert verified.holds("entries")
    (fork,) = verified.contradictions
    assert fork.startswith("checkpoint and known_checkpoint name different roots")


def test_a_hub_that_alters_what_is_held_already_accuses_no_sender_of_a_fork(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    headers = headers_of(tunis.federation, batch)
    tunis.hold(headers)
    held = tunis.hold(another_history(headers))
    assert isinstance(held.failed[batch.stream_id], ForkError)
    # PROTOCOL 1.6: a fork is signed twice by the stream's owner, and this is not.
    assert tunis.alarms() == ["root mismatch"]
    evidence, verified = tunis.proof()
    assert evidence.accused == HUB
    assert {"checkpoint", "known_checkpoint", "acceptance", "entries"} <= evidence.messages.keys()
    # The other entry at that sequence is in the history that the sender signed.
    assert verified.holds("known_entry_proof")
    assert not verified.holds("entries"), "this one was altered on the way"


def test_a_hub_that_says_again_what_was_said_long_ago_stops_no_stream(
    cairo: Desk, tunis: Desk
) -> None:
    old = headers_of(tunis.federation, ready(cairo, tunis))
    tunis.hold(old)
    (batch,) = sent(cairo)
    tunis.hold(headers_of(tunis.federation, batch))
    again = tunis.hold(old)
    assert not again.failed
    assert [each.size for each in again.receipts] == [batch.segment.state.size]
    assert tunis.alarms() == []


def test_headers_without_the_beginning_of_their_stream_are_a_gap(cairo: Desk, tunis: Desk) -> None:
    batch = sent(cairo)[-1]
    tunis.hold(headers_of(tunis.federation, batch))
    assert tunis.alarms() == ["sequence gap"]


def test_a_header_that_no_stream_can_hold_is_a_root_mismatch(cairo: Desk, tunis: Desk) -> None:
    headers = headers_of(tunis.federation, ready(cairo, tunis))
    *runs, last = headers.piece.runs
    grown = Run(last.terms_bytes + b"\xc0\x0c\x01", last.own_size, last.own_bytes)
    tunis.hold(altered(headers, runs=(*runs, grown)))
    assert tunis.alarms() == ["root mismatch"]
    evidence, verified = tunis.proof()
    assert evidence.accused == HUB
    assert verified.contradictions == ("entries give another root than is signed",)


def test_a_checkpoint_needs_both_signatures_of_the_sender(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    note = batch.checkpoint.decode()
    lines = note.splitlines(keepends=True)
    for left_out in (4, 5):
        stripped = "".join(each for at, each in enumerate(lines) if at != left_out)
        headers = altered(headers_of(tunis.federation, batch), checkpoint=stripped.encode())
        held = tunis.hold(headers)
        assert isinstance(held.failed[batch.stream_id], HeadersUnsignedError)


def test_a_stolen_tls_identity_signs_no_checkpoint(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    thief = SigningPair.generate()
    state = batch.segment.state
    note = sign_checkpoint(
        Checkpoint(state.origin, state.size, state.frontier.root()),
        ed25519=thief.ed25519,
        mldsa=thief.mldsa,
        at=now(),
    )
    held = tunis.hold(altered(headers_of(tunis.federation, batch), checkpoint=note))
    assert batch.stream_id in held.failed


def test_a_stream_that_does_not_name_this_member_is_refused(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    foreign = next(
        each for each in cairo.take_batches() if each.segment.state.opening.audience == ("int-iom",)
    )
    held = tunis.hold(headers_of(federation, foreign))
    assert isinstance(held.failed[foreign.stream_id], NotInAudienceError)
    assert tunis.alarms() == ["outside agreement"]
    assert tunis.number("SELECT count(*) FROM node_stream WHERE NOT own") == 0


def test_entries_that_name_a_larger_registry_wait_until_it_has_come(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    first = ready(cairo, tunis)
    tunis.receive(first)
    federation.enrol("it-int")
    cairo.learn()
    batches = sent(cairo)
    held = tunis.hold(*(headers_of(federation, each) for each in batches))
    assert [each.piece for each in held.waiting] == [
        headers_of(federation, each).piece._replace(acceptance=waiting.piece.acceptance)
        for each, waiting in zip(batches, held.waiting, strict=True)
    ]
    assert not held.receipts
    tunis.learn()
    assert len(tunis.hold(*held.waiting).receipts) == 1


def test_a_failed_stream_leaves_its_neighbours_alone(cairo: Desk, tunis: Desk) -> None:
    batches = sent(cairo)
    bad, *good = (headers_of(tunis.federation, each) for each in batches)
    held = tunis.hold(altered(bad, checkpoint=b"x" * 100), *good)
    assert list(held.failed) == [bad.stream_id]
    assert len(held.receipts) == len({each.stream_id for each in good} - {bad.stream_id})


def test_a_piece_that_fails_leaves_nothing_in_the_store(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    before = tunis.rows("SELECT log_no, size, root FROM log ORDER BY log_no")
    refusals = sign_refusals(
        [Refusal(2, "NO_CLAUSE", 1)],
        stream_id=batch.stream_id,
        signer="hub",
        key=SigningPair.generate().ed25519,
    )
    headers = dataclasses.replace(headers_of(tunis.federation, batch), refusals=tuple(refusals))
    tunis.hold(headers)
    assert tunis.rows("SELECT log_no, size, root FROM log ORDER BY log_no") == before


# --- bodies -----------------------------------------------------------------------------


def test_opened_follows_when_every_body_is_stored(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    unsealed = tunis.receive(*sent(cairo, record))
    last = unsealed.receipts[-1]
    assert (last.receipt.role, last.receipt.size, last.lists) == (Role.OPENED, 3, ())
    assert tunis.rows("SELECT alert_id, version, status FROM node_record") == [
        (record.alert_id, 1, "live")
    ]


def test_bodies_delivered_again_are_stored_once(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    tunis.receive(batch)
    again = tunis.open_bodies(bodies_of(batch))
    assert [each.receipt.size for each in again.receipts] == [3]
    assert tunis.number("SELECT count(*) FROM node_record") == 1


def opened_with(tunis: Desk, batch: Batch, bodies: ArrivedBodies) -> Exception | None:
    tunis.hold(headers_of(tunis.federation, batch))
    return tunis.open_bodies(bodies).failed.get(batch.stream_id)


def test_a_body_left_out_without_a_word_is_an_alarm(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    whole = bodies_of(batch)
    for left_out in whole.bodies:
        rest = {key: body for key, body in whole.bodies.items() if key != left_out}
        fault = opened_with(tunis, batch, dataclasses.replace(whole, bodies=rest))
        assert isinstance(fault, BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]
    assert tunis.number("SELECT count(*) FROM node_epoch") == 0


@pytest.mark.parametrize("reason", [WITHDRAWN, REFUSED, EXPIRED, NOT_A_READER, 99])
def test_a_body_left_out_with_a_false_reason_is_an_alarm(
    cairo: Desk, tunis: Desk, reason: int
) -> None:
    batch = ready(cairo, tunis)
    whole = bodies_of(batch)
    rest = {key: body for key, body in whole.bodies.items() if key != 2}
    evil = dataclasses.replace(whole, bodies=rest, omissions={2: Omission(2, reason, 1)})
    assert isinstance(opened_with(tunis, batch, evil), BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]


def test_another_body_than_the_header_names_stops_the_stream(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    whole = bodies_of(batch)
    evil = dataclasses.replace(whole, bodies={**whole.bodies, 2: bytes(1052)})
    assert isinstance(opened_with(tunis, batch, evil), BodyMismatchError)
    assert tunis.alarms() == ["body mismatch"]
    assert tunis.number("SELECT count(*) FROM node_refusal") == 0
    # The hub's fault is not held against the sender: the right body is still taken.
    assert not tunis.open_bodies(whole).failed
    assert tunis.number("SELECT count(*) FROM node_record") == 1


def test_bodies_before_their_headers_or_for_no_entry_are_refused(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    whole = bodies_of(batch)
    assert isinstance(tunis.open_bodies(whole).failed[batch.stream_id], BodyOrderError)
    more = dataclasses.replace(whole, bodies={**whole.bodies, 9: b""})
    assert isinstance(opened_with(tunis, batch, more), BodyOrderError)
    twice = dataclasses.replace(whole, omissions={2: Omission(2, WITHDRAWN, 1)})
    assert isinstance(opened_with(tunis, batch, twice), BodyOrderError)


def test_a_withdrawn_body_may_be_left_out_once_its_withdrawal_is_held(
    cairo: Desk, tunis: Desk
) -> None:
    record = cairo.alert()
    batch = ready(cairo, tunis, record)
    cairo.done(WithdrawItem(record.alert_id, WITHDRAWN_REASON, OFFICER))
    (withdrawal,) = cairo.take_batches()
    whole = bodies_of(batch)
    rest = {key: body for key, body in whole.bodies.items() if key != 2}
    left_out = dataclasses.replace(whole, bodies=rest, omissions={2: Omission(2, WITHDRAWN, 3)})
    tunis.hold(headers_of(tunis.federation, batch))
    # Its header is still on its way: nothing is lost, nobody is accused.
    waiting = tunis.open_bodies(left_out)
    assert waiting.waiting == [left_out]
    assert not waiting.failed
    tunis.hold(headers_of(tunis.federation, withdrawal))
    assert not tunis.open_bodies(left_out).failed
    assert tunis.number("SELECT count(*) FROM node_record") == 0
    assert tunis.number("SELECT count(*) FROM node_erasure_task") == 1


def test_a_body_that_the_hub_refused_may_be_left_out_with_its_signature(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = ready(cairo, tunis)
    assert federation.hub is not None
    refusals = sign_refusals(
        [Refusal(2, "QUOTA_EXHAUSTED", 5)],
        stream_id=batch.stream_id,
        signer="hub",
        key=federation.hub.cosigning.ed25519,
    )
    headers = dataclasses.replace(headers_of(federation, batch), refusals=tuple(refusals))
    assert not tunis.hold(headers).failed
    whole = bodies_of(batch)
    rest = {key: body for key, body in whole.bodies.items() if key != 2}
    left_out = dataclasses.replace(whole, bodies=rest, omissions={2: Omission(2, REFUSED, 0)})
    assert not tunis.open_bodies(left_out).failed
    assert tunis.rows("SELECT sequence, signer, reason FROM node_refusal") == [
        (2, "hub", "QUOTA_EXHAUSTED")
    ]


def test_an_expired_body_may_be_left_out_only_when_both_clocks_have_passed(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    whole = bodies_of(batch)
    rest = {key: body for key, body in whole.bodies.items() if key != 2}
    left_out = dataclasses.replace(whole, bodies=rest, omissions={2: Omission(2, EXPIRED, 0)})
    tunis.hold(headers_of(tunis.federation, batch))
    tunis.clock.ahead = timedelta(days=400)
    assert tunis.open_bodies(left_out).waiting == [left_out], "the registry is stale"
    note = tunis.federation.checkpoint(at=now() + timedelta(days=399, hours=23, minutes=59))
    tunis.home.database.write_sync(lambda each: tunis.home.trust.extend(each, [], note))
    assert not tunis.open_bodies(left_out).failed


# --- what a sender seals ----------------------------------------------------------------


def test_a_record_outside_the_agreement_is_refused_and_keeps_its_place(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = ready(cairo, tunis)
    federation.suspend_agreement("test-agreement", "tn-dgsn")
    tunis.learn()
    tunis.hold(headers_of(federation, batch))
    (opened,) = tunis.open_bodies(bodies_of(batch)).receipts
    ((refusal,),) = [each.refusals for each in opened.lists]
    assert (refusal.sequence, refusal.reason) == (2, "NARROWED_SINCE")
    assert opened.receipt.size == 3
    assert tunis.number("SELECT count(*) FROM node_record") == 0
    assert tunis.number("SELECT opened_size FROM node_stream WHERE opened_size = 3") == 3


def test_under_a_stale_registry_nothing_new_is_opened(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    tunis.hold(headers_of(tunis.federation, batch))
    limit = tunis.home.registry.policy.freshness_limit
    tunis.clock.ahead = limit + timedelta(seconds=5)
    assert len(tunis.open_bodies(bodies_of(batch)).waiting) == 1
    tunis.clock.ahead = limit - timedelta(seconds=30)
    assert not tunis.open_bodies(bodies_of(batch)).waiting


def test_the_highest_version_is_live_whichever_comes_first(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    batches = sent(cairo, record)
    cairo.done(UpdateItem(next_version(record), OFFICER))
    tunis.receive(*batches, *cairo.take_batches())
    assert tunis.rows("SELECT version, status FROM node_record ORDER BY version") == [
        (1, "superseded"),
        (2, "live"),
    ]


def test_a_withdrawal_is_carried_out_when_its_header_is_held(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    tunis.receive(*sent(cairo, record))
    cairo.done(WithdrawItem(record.alert_id, WITHDRAWN_REASON, OFFICER))
    (batch,) = cairo.take_batches()
    held = tunis.hold(headers_of(tunis.federation, batch))
    assert held.withdrawn
    assert tunis.rows("SELECT status, wrapped_key, body FROM node_record") == [
        ("erased", None, None)
    ]
    assert tunis.number("SELECT count(*) FROM node_lookup_page") == 0


def test_a_withdrawn_version_comes_back_by_no_way(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    tunis.receive(*sent(cairo, record))
    cairo.done(WithdrawItem(record.alert_id, WITHDRAWN_REASON, OFFICER))
    tunis.receive(*cairo.take_batches())
    # A backup of the sender is restored, and the alert sent again in another stream.
    cairo.home.database.write_sync(lambda each: each.exec_driver_sql("DELETE FROM node_record"))
    cairo.done(IssueItem(record, None, ("tn-dgsn",), OFFICER))
    unsealed = tunis.receive(*cairo.take_batches())
    ((refusal,),) = [each.refusals for each in unsealed.receipts[-1].lists]
    assert (refusal.reason, tunis.alarms()) == ("WITHDRAWN_BEFORE", [])
    assert tunis.number("SELECT count(*) FROM node_record WHERE body IS NOT NULL") == 0


def test_what_the_bureau_acted_on_may_be_kept_in_its_case_file(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    tunis.receive(*sent(cairo, record))
    until = int((now() + timedelta(days=90)).timestamp())
    tunis.home.database.write_sync(
        lambda each: each.exec_driver_sql(
            f"UPDATE node_record SET retain_ground = 'CPC 42, case 7', retain_until = {until}"  # noqa: S608
        )
    )
    cairo.done(WithdrawItem(record.alert_id, WITHDRAWN_REASON, OFFICER))
    tunis.receive(*cairo.take_batches())
    assert tunis.rows("SELECT status, body IS NULL FROM node_record") == [("retained", 0)]
    assert tunis.rows("SELECT outcome, ground, until FROM node_erasure_task") == [
        (2, "CPC 42, case 7", until)
    ]
    assert tunis.number("SELECT count(*) FROM node_lookup_page") == 0


def test_the_readers_log_recomputes_to_the_senders_root(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    tunis.receive(batch)
    log = tunis.home.database.read_sync(
        lambda each: log_store.log_no(each, batch.segment.state.origin)
    )
    root = tunis.home.database.read_sync(lambda each: log_store.recompute_root(each, log))
    assert root == batch.segment.state.frontier.root()


def test_carrying_leaves_out_whom_a_stream_does_not_name(
    cairo: Desk, federation: Federation
) -> None:
    batches = cairo.take_batches()
    assert len(carry(federation, "tn-dgsn", batches)) == 3
    assert carry(federation, "it-int", batches) == []
