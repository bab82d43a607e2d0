"""Whoever signs wrongly is named by an alarm, with a file that a third party can check."""

import os

import pytest

from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.names import HUB
from mithaq.ledger.stream import Run
from mithaq.node.exchange.accusing import ALARMS_PER_PIECE_MAX
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.errors import AcceptanceMissingError, HeadersUnsignedError
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.synthetic import made_up_alert
from tests.exchange.nodes import CHANCE, OFFICER
from tests.exchange.relay import Desk, acceptance_of, bodies_of, headers_of
from tests.exchange.test_evil_sender import EvilSender, reasons
from tests.exchange.test_inbox import altered, ready, sent
from tests.federation import Federation, now


def signed_by(pair: SigningPair, batch: Batch) -> bytes:
    """Return a note over a batch's true head by a pair of keys."""
    state = batch.segment.state
    head = Checkpoint(state.origin, state.size, state.frontier.root())
    return sign_checkpoint(head, ed25519=pair.ed25519, mldsa=pair.mldsa, at=now())


def without_line(note: bytes, number: int) -> bytes:
    lines = note.decode().splitlines(keepends=True)
    return "".join(each for at, each in enumerate(lines) if at != number).encode()


# --- headers ----------------------------------------------------------------------------


@pytest.mark.parametrize("forgery", ["a stranger's keys", "no ed25519", "no ml-dsa"])
def test_headers_that_their_sender_did_not_sign_raise_root_mismatch_with_the_hubs_word(
    cairo: Desk, tunis: Desk, forgery: str
) -> None:
    batch = ready(cairo, tunis)
    note = {
        "a stranger's keys": signed_by(SigningPair.generate(), batch),
        "no ed25519": without_line(batch.checkpoint, 4),
        "no ml-dsa": without_line(batch.checkpoint, 5),
    }[forgery]
    held = tunis.hold(altered(headers_of(tunis.federation, batch), checkpoint=note))
    assert isinstance(held.failed[batch.stream_id], HeadersUnsignedError)
    assert tunis.alarms() == ["root mismatch"]
    evidence, verified = tunis.proof()
    # The hub accepted what its owner never signed: whoever has the registry can see that.
    assert (evidence.accused, evidence.kept_by) == (HUB, "tn-dgsn")
    assert verified.holds("acceptance")
    assert verified.holds("entries")
    assert not verified.holds("checkpoint")


def test_a_forged_entry_under_the_senders_old_note_raises_root_mismatch(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    headers = headers_of(tunis.federation, batch)
    *runs, last = headers.piece.runs
    own = last.own_bytes[:-1] + bytes([last.own_bytes[-1] ^ 1])
    evil = altered(headers, runs=(*runs, Run(last.terms_bytes, last.own_size, own)))
    tunis.hold(evil)
    assert tunis.alarms() == ["root mismatch"]
    _, verified = tunis.proof()
    assert verified.holds("checkpoint")
    assert verified.contradictions == ("entries give another root than is signed",)


@pytest.mark.parametrize("lie", ["a stranger's line", "over another root", "no line"])
def test_headers_that_the_hub_did_not_accept_raise_receipt_conflict(
    cairo: Desk, tunis: Desk, lie: str
) -> None:
    batch = ready(cairo, tunis)
    state, federation = batch.segment.state, tunis.federation
    assert federation.hub is not None
    signer = federation.hub.cosigning if lie == "over another root" else SigningPair.generate()
    root = bytes(32) if lie == "over another root" else state.frontier.root()
    line = cosign_ed25519(
        Checkpoint(state.origin, state.size, root),
        name=cosigner_name(federation.name, Role.HUB, HUB),
        signer=signer.ed25519,
        at=now(),
    ).line()
    evil = altered(
        headers_of(federation, batch), acceptance="nothing\n" if lie == "no line" else line
    )
    held = tunis.hold(evil)
    assert isinstance(held.failed[batch.stream_id], AcceptanceMissingError)
    assert tunis.alarms() == ["receipt conflict"]
    evidence, verified = tunis.proof()
    assert evidence.accused == HUB
    assert verified.holds("checkpoint")
    assert not verified.holds("acceptance")


def test_a_stream_with_forged_headers_stops_and_its_neighbours_go_on(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    cairo.done(IssueItem(cairo.alert(), None, ("tn-dgsn",), OFFICER))
    (other,) = cairo.take_batches()
    forged = altered(
        headers_of(tunis.federation, batch), checkpoint=signed_by(SigningPair.generate(), batch)
    )
    held = tunis.hold(forged, headers_of(tunis.federation, other))
    assert list(held.failed) == [batch.stream_id]
    assert [each.stream_id for each in held.receipts] == [other.stream_id]
    assert not tunis.open_bodies(bodies_of(other)).failed
    # Nothing of the forgery is kept: the true headers are still taken.
    assert not tunis.hold(headers_of(tunis.federation, batch)).failed


def test_the_same_forgery_is_one_alarm_however_often_it_comes(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    forged = altered(
        headers_of(tunis.federation, batch), checkpoint=signed_by(SigningPair.generate(), batch)
    )
    for _ in range(3):
        tunis.hold(forged)
    assert tunis.alarms() == ["root mismatch"]


def test_an_acceptance_proves_what_it_is_over(cairo: Desk, tunis: Desk) -> None:
    assert not tunis.hold(*(headers_of(tunis.federation, each) for each in sent(cairo))).failed
    batch = sent(cairo)[-1]
    evil = altered(
        headers_of(tunis.federation, batch), acceptance=acceptance_of(tunis.federation, batch)
    )
    assert not tunis.hold(evil).failed


# --- two texts as one record ------------------------------------------------------------


def retold(record: ParsedRecord, reason: str) -> bytes:
    """Return the same version of an alert with another text."""
    message = type(record.message)()
    message.CopyFrom(record.message)
    message.alert.reason = reason
    return message.SerializeToString(deterministic=True)


def alert() -> ParsedRecord:
    return made_up_alert(CHANCE, issuer="eg-moi", category="ARREST", at=now())


@pytest.mark.parametrize("where", ["two streams", "one stream", "one delivery"])
def test_two_texts_of_one_version_raise_commitment_mismatch_and_the_second_is_not_taken(
    federation: Federation, tunis: Desk, where: str
) -> None:
    first, record = EvilSender(federation, tunis), alert()
    second = first if where != "two streams" else EvilSender(federation, tunis, ordinal=8)
    first.put(record.raw, of=record)
    if where != "one delivery":
        assert reasons(first.deliver()) == []
    sequence = second.put(retold(record, "Another reason"), of=record)
    assert reasons(second.deliver()) == [(sequence, "CONTENT_DIFFERS")]
    assert tunis.alarms() == ["commitment mismatch"]
    assert tunis.rows("SELECT status FROM node_record") == [("live",)]
    evidence, verified = tunis.proof()
    assert evidence.accused == "eg-moi"
    # Both leaves stand in heads that the sender signed, and the reader stands by its word.
    assert verified.holds("entry_proof")
    assert verified.holds("other_entry_proof")
    assert verified.holds("refusals")


def test_the_evidence_of_two_texts_holds_neither(federation: Federation, tunis: Desk) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    sender.put(record.raw, of=record)
    sender.put(retold(record, "CANARY-REASON"), of=record)
    sender.deliver()
    (file,) = tunis.home.evidence.iterdir()
    assert b"CANARY-REASON" not in file.read_bytes()
    assert record.alert_id.encode() not in file.read_bytes()


def test_a_stream_of_lies_leaves_a_few_files_and_one_list(
    federation: Federation, tunis: Desk
) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    sender.put(record.raw, of=record)
    for number in range(ALARMS_PER_PIECE_MAX + 4):
        sender.put(retold(record, f"Reason {number}"), of=record)
    assert len(reasons(sender.deliver())) == ALARMS_PER_PIECE_MAX + 4
    assert tunis.alarms() == ["commitment mismatch"] * ALARMS_PER_PIECE_MAX


def test_what_does_not_open_is_proved_by_the_entry_that_its_sender_signed(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    sealed = sender.seal(record.raw)._replace(commitment=os.urandom(32))
    sender.put(record.raw, sealed=sealed, of=record)
    sender.deliver()
    assert tunis.alarms() == ["commitment mismatch"]
    _, verified = tunis.proof()
    assert verified.holds("entry_proof")
    assert verified.holds("refusals")
