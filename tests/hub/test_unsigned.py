"""What came by a member's TLS identity without its signature: said of its keys, once a day."""

import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mithaq.certs.acts import TlsRenewed, TlsSubject
from mithaq.certs.errors import TrustError
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.hub import tables
from mithaq.hub.batch import parse_batch
from mithaq.hub.committer import Accepted, Taken
from mithaq.hub.errors import ReceiptConflictError, RootMismatchError, SequenceError
from mithaq.hub.evidence import KEPT_PER_STREAM_MAX, UNSIGNED_EVERY
from mithaq.hub.receipts import parse_receipt
from mithaq.hub.unsigned import KEY_USED_ELSEWHERE
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import (
    Role,
    cosign_ed25519,
    cosign_mldsa,
    cosigner_name,
)
from mithaq.ledger.errors import LedgerError
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import VerifiedEvidence, verify_evidence
from mithaq.v1 import exchange_pb2
from tests.federation import now
from tests.hub.core import Core, receipt_of, spoilt_note
from tests.hub.test_receipts import refusal_list
from tests.streams import StreamWriter, open_terms

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"
STRANGER = SigningPair.generate()


def kept(core: Core) -> list[Evidence]:
    raw = core.database.read_sync(
        lambda each: list(
            each.scalars(sa.select(tables.EVIDENCE.c.evidence).order_by(tables.EVIDENCE.c.serial))
        )
    )
    return [Evidence.from_json(each) for each in raw]


def the_one(core: Core, *, member: str = SENDER) -> VerifiedEvidence:
    """Return what a third party finds in the one alarm that there is, about a member's keys."""
    (found,) = kept(core)
    assert (found.alarm, found.accused) == (KEY_USED_ELSEWHERE, member)
    verified = verify_evidence(found, core.federation.registry)
    assert verified.contradictions == ()
    return verified


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream of 6 entries to tn-dgsn alone."""
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    writer.put(4)
    core.accept(writer)
    return writer


def thief(core: Core, ordinal: int = 7, member: str = SENDER) -> StreamWriter:
    """Return the writer of a stream in a member's name that has none of its keys."""
    writer = StreamWriter.to(core.federation, member, READER, ordinal=ordinal)
    writer.agency = dataclasses.replace(writer.agency, log=STRANGER)
    writer.epoch()
    return writer


def note_by(writer: StreamWriter, ed25519: Ed25519Key, mldsa: MlDsa44Key) -> bytes:
    return sign_checkpoint(writer.state.checkpoint(), ed25519=ed25519, mldsa=mldsa, at=now())


def lines(note: bytes) -> list[str]:
    """Return a note's three lines of text, a blank one, Ed25519's and ML-DSA's."""
    return note.decode().splitlines(keepends=True)


# --- batches ----------------------------------------------------------------------------


def test_a_stream_that_is_opened_without_its_members_signature_is_an_alarm_about_its_keys(
    core: Core,
) -> None:
    assert isinstance(core.publish(thief(core).batch(), sender=SENDER), LedgerError)
    verified = the_one(core)
    (statement,) = verified.statements
    assert (statement.message, statement.holds) == ("checkpoint", False)
    (found,) = kept(core)
    assert "TLS identity" in found.explanation
    assert found.subject.startswith(f"{SENDER}/")


@pytest.mark.parametrize("forgery", ["a stranger's keys", "one key of two", "a signature spoilt"])
def test_a_stream_that_goes_on_without_its_members_signature_is_an_alarm_about_its_keys(
    core: Core, writer: StreamWriter, forgery: str
) -> None:
    writer.put(1)
    own = core.federation.agencies[SENDER].log
    note = {
        "a stranger's keys": note_by(writer, STRANGER.ed25519, STRANGER.mldsa),
        "one key of two": note_by(writer, own.ed25519, STRANGER.mldsa),
        # Under the member's own key id.
        "a signature spoilt": "".join(
            [
                *lines(writer.note())[:4],
                *lines(spoilt_note(core.federation, writer, root=b"x" * 32))[4:],
            ]
        ).encode(),
    }[forgery]
    message = writer.batch(checkpoint=note)
    assert isinstance(core.publish(message, sender=SENDER), LedgerError)
    assert not the_one(core).holds("checkpoint")
    # The member's own batch goes on from where it was.
    message.checkpoint = writer.note()
    assert isinstance(core.publish(message, sender=SENDER), Accepted)


def test_entries_that_are_there_already_under_a_strangers_note_are_an_alarm(
    core: Core, writer: StreamWriter
) -> None:
    writer.put(1)
    message = writer.batch()
    core.publish(message, sender=SENDER)
    message.checkpoint = note_by(writer, STRANGER.ed25519, STRANGER.mldsa)
    assert isinstance(core.publish(message, sender=SENDER), LedgerError)
    assert not the_one(core).holds("checkpoint")


def test_a_batch_that_is_sent_again_is_no_alarm(core: Core, writer: StreamWriter) -> None:
    writer.put(1)
    message = writer.batch()
    for _ in range(3):
        assert isinstance(core.publish(message, sender=SENDER), Accepted)
    assert kept(core) == []


def test_a_member_whose_other_keys_are_new_signs_as_before(
    core: Core, writer: StreamWriter
) -> None:
    core.federation.announce(SENDER, ReceptionKey.generate())
    core.federation.enter(TlsRenewed(TlsSubject.NODE, b"\x07" * 32, SENDER))
    writer.put(1)
    core.accept(writer)
    assert kept(core) == []


@pytest.mark.parametrize("what", ["no ed25519", "no ml-dsa", "no lines", "text", "nothing"])
def test_a_note_that_is_not_complete_is_refused_and_no_alarm(
    core: Core, writer: StreamWriter, what: str
) -> None:
    """Nobody's signature is in it to be checked; a broken program sends the like, too."""
    writer.put(1)
    whole = lines(note_by(writer, STRANGER.ed25519, STRANGER.mldsa))
    spoilt = {
        "no ed25519": [*whole[:4], *whole[5:]],
        "no ml-dsa": whole[:5],
        "no lines": whole[:4],
        "text": whole[:3],
        "nothing": ["x"],
    }[what]
    message = writer.batch(checkpoint="".join(spoilt).encode())
    assert isinstance(core.publish(message, sender=SENDER), LedgerError)
    assert kept(core) == []


def test_a_note_of_the_members_own_that_lacks_a_line_is_no_alarm(
    core: Core, writer: StreamWriter
) -> None:
    writer.put(1)
    message = writer.batch(checkpoint="".join(lines(writer.note())[:5]).encode())
    assert isinstance(core.publish(message, sender=SENDER), LedgerError)
    assert kept(core) == []


def test_a_batch_that_is_refused_for_another_reason_says_nothing_of_keys(
    core: Core, writer: StreamWriter
) -> None:
    writer.put(1)
    right = writer.batch()
    gap = exchange_pb2.Batch()
    gap.CopyFrom(right)
    writer.put(1)
    later = writer.batch()
    later.checkpoint = note_by(writer, STRANGER.ed25519, STRANGER.mldsa)
    assert isinstance(core.publish(later, sender=SENDER), SequenceError)
    assert kept(core) == []
    core.publish(right, sender=SENDER)
    later.checkpoint = spoilt_note(core.federation, writer, root=bytes(32))
    assert isinstance(core.publish(later, sender=SENDER), RootMismatchError)
    assert [each.alarm for each in kept(core)] == ["root mismatch"]


def test_notes_of_another_member_are_no_alarm_about_the_keys_of_who_replays_them(
    core: Core, writer: StreamWriter
) -> None:
    writer.put(1)
    message = writer.batch()
    core.publish(message, sender=SENDER)
    core.publish(message, sender=OTHER)
    # Of a stream that is not here yet.
    other = StreamWriter(core.federation, open_terms(core.federation, SENDER, [READER], ordinal=5))
    assert isinstance(core.publish(other.batch(), sender=OTHER), LedgerError)
    # And under a stream of the replayer's own.
    own = StreamWriter.to(core.federation, OTHER, READER)
    mixed = own.batch(checkpoint=message.checkpoint)
    assert isinstance(core.publish(mixed, sender=OTHER), LedgerError)
    assert kept(core) == []


# --- receipts ---------------------------------------------------------------------------


def receipt_by(
    core: Core,
    writer: StreamWriter,
    signer: Ed25519Key,
    *,
    role: Role = Role.HELD,
    root: bytes | None = None,
    reader: str = READER,
) -> exchange_pb2.Receipt:
    """Return a receipt in READER's name, whose line is by this key and in `reader`'s name."""
    message = receipt_of(core.federation, READER, writer, role, root=root)
    message.cosignature = cosign_ed25519(
        Checkpoint(writer.state.origin, message.size, message.root),
        name=cosigner_name(core.federation.name, role, reader),
        signer=signer,
        at=now(),
    ).line()
    return message


def take(core: Core, message: exchange_pb2.Receipt) -> object:
    (outcome,) = core.outcomes(parse_receipt(message, reader=READER))
    return outcome


@pytest.mark.parametrize("role", [Role.HELD, Role.OPENED])
@pytest.mark.parametrize("root", [None, b"x" * 32], ids=["right root", "another root"])
def test_a_receipt_that_its_reader_did_not_sign_is_an_alarm_about_its_keys(
    core: Core, writer: StreamWriter, role: Role, root: bytes | None
) -> None:
    if role is Role.OPENED:
        core.sign(READER, writer, Role.HELD)
    message = receipt_by(core, writer, STRANGER.ed25519, role=role, root=root)
    assert isinstance(take(core, message), LedgerError)
    assert not the_one(core, member=READER).holds("receipt")
    assert core.sign(READER, writer, role) == Taken()


def test_a_receipt_of_the_reader_that_is_refused_says_nothing_of_its_keys(
    core: Core, writer: StreamWriter
) -> None:
    conflict = core.sign(READER, writer, Role.HELD, root=bytes(32))
    assert isinstance(conflict, ReceiptConflictError)
    assert [each.alarm for each in kept(core)] == ["receipt conflict"]
    core.sign(READER, writer, Role.HELD)
    # A list beside it, and the daily second line, that are not the reader's.
    unsigned = refusal_list(core.federation, writer, 2)
    unsigned.signature = bytes(64)
    outcome = core.sign(READER, writer, Role.OPENED, refusals=[unsigned])
    assert isinstance(outcome, TrustError)
    daily = receipt_of(core.federation, READER, writer, Role.OPENED)
    daily.cosignature_mldsa = cosign_mldsa(
        writer.state.checkpoint(),
        name=cosigner_name(core.federation.name, Role.OPENED, READER),
        signer=STRANGER.mldsa,
        at=now(),
    ).line()
    assert isinstance(take(core, daily), LedgerError)
    assert len(kept(core)) == 1


def test_a_line_of_another_readers_or_no_line_is_no_alarm(core: Core, writer: StreamWriter) -> None:
    """Every reader of a stream is shown the others' (PROTOCOL 5.6)."""
    theirs = receipt_by(core, writer, core.federation.agencies[OTHER].held, reader=OTHER)
    assert isinstance(take(core, theirs), LedgerError)
    theirs.cosignature = "nothing\n"
    assert isinstance(take(core, theirs), LedgerError)
    assert kept(core) == []


# --- how often --------------------------------------------------------------------------


def test_of_one_member_it_is_kept_once_a_day_however_much_comes(core: Core) -> None:
    core.now = began = now()
    works = [parse_batch(thief(core, at).batch(), sender=SENDER) for at in range(4)]
    core.commit(*works)
    for at in range(4, 8):
        core.publish(thief(core, at).batch(), sender=SENDER)
    assert [each.accused for each in kept(core)] == [SENDER]
    core.publish(thief(core, 8, OTHER).batch(), sender=OTHER)
    assert [each.accused for each in kept(core)] == [SENDER, OTHER]
    core.now = began + UNSIGNED_EVERY - timedelta(seconds=1)
    core.publish(thief(core, 9).batch(), sender=SENDER)
    assert len(kept(core)) == 2
    core.now = began + UNSIGNED_EVERY + timedelta(seconds=1)
    core.publish(thief(core, 10).batch(), sender=SENDER)
    assert [each.accused for each in kept(core)] == [SENDER, OTHER, SENDER]


def test_no_thief_uses_up_the_room_of_what_is_signed(core: Core, writer: StreamWriter) -> None:
    core.now = now()
    for at in range(KEPT_PER_STREAM_MAX + 2):
        core.publish(thief(core, at + 1).batch(), sender=SENDER)
        core.now += UNSIGNED_EVERY * 2
    assert len(kept(core)) == KEPT_PER_STREAM_MAX
    writer.put(1)
    core.publish(writer.batch(), sender=OTHER)
    *_, signed = kept(core)
    assert (signed.alarm, signed.accused) == (KEY_USED_ELSEWHERE, SENDER)
    assert signed.stream_id == writer.stream_id
    assert verify_evidence(signed, core.federation.registry).holds("checkpoint")
