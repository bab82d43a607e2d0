"""A member that seals what it should not: refused entry by entry, and told so under signature."""

import dataclasses
import hashlib
import os
from datetime import timedelta

import pytest

from mithaq.agreements.vocabulary import RETURN_MESSAGE
from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.entry import (
    EntryKind,
    EpochReader,
    Own,
    Priority,
    StreamRole,
    WithdrawScope,
    day_from,
    encode_terms,
    pack_own,
)
from mithaq.ledger.stream import Run
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.inbox import ArrivedHeaders
from mithaq.node.exchange.judge import HeaderPiece
from mithaq.node.exchange.keeping import WITHDRAWN_BEFORE
from mithaq.node.exchange.unsealing import Unsealed
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import made_up_alert
from mithaq.node.sealing.body import ContentKey, SealedBody
from mithaq.node.sealing.epoch import EpochPlace, EpochSecret, wrap_epoch
from mithaq.v1 import record_pb2
from tests.exchange.nodes import CHANCE
from tests.exchange.relay import Desk
from tests.federation import Federation, now
from tests.streams import StreamWriter, open_terms


class EvilSender:
    """A sender with its own keys that signs whatever it likes."""

    def __init__(
        self,
        federation: Federation,
        reader: Desk,
        *,
        ordinal: int = 9,
        role: StreamRole = StreamRole.DISCLOSURE,
    ) -> None:
        self.federation = federation
        self.reader = reader
        opening = open_terms(federation, "eg-moi", ("tn-dgsn",), ordinal=ordinal, role=role)
        self.writer = StreamWriter(federation, opening)
        self.secret = EpochSecret.of(os.urandom(64))
        self.epoch()

    def epoch(self, *, opens_to: EpochSecret | None = None) -> None:
        """Begin an epoch; the body may hold another secret than the header commits to."""
        number = self.writer.state.epoch + 1
        key: ReceptionKey = self.federation.agencies["tn-dgsn"].reception
        place = EpochPlace(self.writer.stream_id, number, "eg-moi")
        body = wrap_epoch(opens_to or self.secret, place, [("tn-dgsn", key.public)])
        terms = self.writer.terms(
            EntryKind.EPOCH, epoch=number, readers=(EpochReader("tn-dgsn", key.key_id),)
        )
        self._append(terms, SealedBody(body, hashlib.sha256(body).digest(), self.secret.commitment))

    def seal(self, record: bytes) -> SealedBody:
        """Seal a record for the next sequence."""
        key = ContentKey(
            stream_id=self.writer.stream_id,
            epoch=self.writer.state.epoch,
            secret=self.secret.secret,
        )
        return key.seal(self.writer.size, record, salt=os.urandom(32), nonce=os.urandom(12))

    def put(
        self,
        record: bytes,
        *,
        sealed: SealedBody | None = None,
        category: str = "ARREST",
        days: int = 0,
        of: ParsedRecord | None = None,
        target: int | None = None,
    ) -> int:
        """Add a record; header and body need not agree."""
        sealed = sealed or self.seal(record)
        expiry = of.expiry if of else now() + timedelta(days=300)
        terms = self.writer.terms(
            EntryKind.PUT,
            epoch=self.writer.state.epoch,
            category=category,
            priority=Priority.URGENT,
            expires_at=day_from(expiry + timedelta(days=days)),
        )
        return self._append(terms, sealed, target=target)

    def _append(self, terms: object, sealed: SealedBody, *, target: int | None = None) -> int:
        sequence = self.writer.size
        own = pack_own(
            terms.kind,  # type: ignore[attr-defined]
            Own(sequence, target, len(sealed.body), sealed.body_hash, sealed.commitment),
        )
        self.writer.sent[sequence] = sealed.body
        self.writer.bodies.append(sealed.body)
        self.writer._append(Run(encode_terms(terms), len(own), own), terms)  # type: ignore[arg-type]
        return sequence

    def behind_the_registry(self) -> None:
        """Begin an epoch under a registry that is larger than there is."""
        state = self.writer.state
        terms = self.writer.terms(
            EntryKind.EPOCH, epoch=state.epoch + 1, readers=state.epoch_readers
        )
        ahead = dataclasses.replace(terms, registry_size=self.federation.registry.size + 1)
        self._append(ahead, SealedBody(bytes(100), bytes(32), bytes(32)))

    def headers(self) -> ArrivedHeaders:
        """Return what was added as an honest hub would deliver its headers."""
        message = self.writer.batch()
        state = self.writer.state
        assert self.federation.hub is not None
        acceptance = cosign_ed25519(
            state.checkpoint(),
            name=cosigner_name(self.federation.name, Role.HUB, "hub"),
            signer=self.federation.hub.cosigning.ed25519,
            at=now(),
        )
        runs = tuple(Run(each.terms, each.own_size, each.own) for each in message.runs)
        piece = HeaderPiece(
            state.stream_id, message.first_sequence, runs, message.checkpoint, acceptance.line()
        )
        return ArrivedHeaders(piece, ())

    def deliver(self) -> Unsealed:
        """Let an honest hub deliver everything; nothing of it may stop the stream."""
        held = self.reader.hold(self.headers())
        assert not held.failed, held.failed
        state = self.writer.state
        unsealed = self.reader.open_bodies(
            ArrivedBodies(state.stream_id, state.size, dict(self.writer.sent), {})
        )
        assert not unsealed.failed, unsealed.failed
        return unsealed


def reasons(unsealed: Unsealed) -> list[tuple[int, str]]:
    return [
        (each.sequence, each.reason)
        for receipt in unsealed.receipts
        for lists in receipt.lists
        for each in lists.refusals
    ]


def alert(issuer: str = "eg-moi", category: str = "ARREST") -> ParsedRecord:
    return made_up_alert(CHANCE, issuer=issuer, category=category, at=now())


def test_a_text_that_the_header_does_not_commit_to_is_refused_and_the_next_is_taken(
    federation: Federation, tunis: Desk
) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    key = ContentKey(stream_id=sender.writer.stream_id, epoch=1, secret=sender.secret.secret)
    other = key.seal(2, alert().raw, salt=os.urandom(32), nonce=os.urandom(12))
    said = key.seal(2, record.raw, salt=os.urandom(32), nonce=os.urandom(12))
    sender.put(record.raw, sealed=other._replace(commitment=said.commitment), of=record)
    sender.put(record.raw, of=record)
    assert reasons(sender.deliver()) == [(2, "MQ-LEDGER-COMMITMENT")]
    assert tunis.alarms() == ["commitment mismatch"]
    assert tunis.rows("SELECT status FROM node_record") == [("live",)]


def test_an_epoch_whose_secret_is_another_is_refused_and_so_is_what_it_seals(
    federation: Federation, tunis: Desk
) -> None:
    sender = EvilSender(federation, tunis)
    sender.epoch(opens_to=EpochSecret.of(os.urandom(64)))
    record = alert()
    sender.put(record.raw, of=record)
    assert reasons(sender.deliver()) == [
        (2, "MQ-LEDGER-COMMITMENT"),
        (3, "EPOCH_NOT_OPENED"),
    ]


def test_bytes_that_are_no_record_are_refused(federation: Federation, tunis: Desk) -> None:
    sender = EvilSender(federation, tunis)
    sender.put(b"not a record")
    ((_, reason),) = reasons(sender.deliver())
    assert reason.startswith("MQ-RECORD")
    assert tunis.number("SELECT count(*) FROM node_record") == 0


def test_nobody_speaks_for_another_member(federation: Federation, tunis: Desk) -> None:
    sender = EvilSender(federation, tunis)
    record = alert("int-iom")
    sender.put(record.raw, of=record)
    assert reasons(sender.deliver()) == [(2, "ISSUER_MISMATCH")]
    assert tunis.number("SELECT count(*) FROM node_record") == 0


def test_a_record_that_its_header_announced_otherwise_is_refused(
    federation: Federation, tunis: Desk
) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    sender.put(record.raw, category="CHECK_DISCREET", of=record)
    sender.put(record.raw, days=2, of=record)
    assert {reason for _, reason in reasons(sender.deliver())} == {"MQ-RECORD-HEADER-MISMATCH"}


def test_two_texts_as_one_version_are_not_both_taken(federation: Federation, tunis: Desk) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    message = type(record.message)()
    message.CopyFrom(record.message)
    message.alert.reason = "Another reason for the same version"
    sender.put(record.raw, of=record)
    assert reasons(sender.deliver()) == []
    sender.put(message.SerializeToString(deterministic=True), of=record)
    assert reasons(sender.deliver()) == [(3, "CONTENT_DIFFERS")]


@pytest.mark.parametrize("taken", [2, 3])
def test_a_withdrawn_record_does_not_stay_by_a_second_disclosure_beside_it(
    federation: Federation, tunis: Desk, taken: int
) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    sender.put(record.raw, of=record)
    sender.put(record.raw, of=record)
    sender.writer.withdraw(taken, scope=WithdrawScope.RECORD)
    # Its header is held before any of the bodies is opened.
    assert reasons(sender.deliver()) == [(5 - taken, WITHDRAWN_BEFORE)]
    assert tunis.number("SELECT count(*) FROM node_record") == 0
    # Both were sent before it.
    assert tunis.alarms() == []


def test_a_member_takes_no_alert_of_another_back_by_an_answer_about_it(
    federation: Federation, tunis: Desk
) -> None:
    theirs = alert("int-iom")
    form = record_pb2.Form(
        form_id="eg-moi-" + theirs.alert_id[-26:],
        kind=record_pb2.FORM_KIND_MISCELLANEOUS,
        sender="eg-moi",
        alert_id=theirs.alert_id,
        created_at=int(now().timestamp()),
        handling=record_pb2.HANDLING_H0,
        remarks=[record_pb2.Remark(language="fr", text="Bien reçu")],
    )
    sender = EvilSender(federation, tunis, role=StreamRole.RETURN)
    sender.put(seal_in(record_pb2.Record(form=form)).raw, category=RETURN_MESSAGE)
    sender.writer.withdraw(2, scope=WithdrawScope.RECORD)
    assert reasons(sender.deliver()) == []
    assert tunis.number("SELECT count(*) FROM node_tombstone") == 0


def test_of_two_disclosures_one_may_be_taken_back_alone(
    federation: Federation, tunis: Desk
) -> None:
    sender = EvilSender(federation, tunis)
    record = alert()
    sender.put(record.raw, of=record)
    sender.put(record.raw, of=record)
    sender.writer.withdraw(2, scope=WithdrawScope.DISCLOSURE)
    assert reasons(sender.deliver()) == []
    assert tunis.rows("SELECT status FROM node_record") == [("live",)]


def test_refusals_are_signed_by_the_reader_and_kept(federation: Federation, tunis: Desk) -> None:
    sender = EvilSender(federation, tunis)
    sender.put(b"not a record")
    unsealed = sender.deliver()
    (lists,) = unsealed.receipts[-1].lists
    assert (lists.signer, lists.stream_id) == ("tn-dgsn", sender.writer.stream_id)
    assert tunis.rows("SELECT signer, sequence FROM node_refusal") == [("tn-dgsn", 2)]
    assert tunis.number("SELECT count(*) FROM node_refusal_list") == 1


def test_no_refusal_says_anything_of_what_was_sealed(federation: Federation, tunis: Desk) -> None:
    canary = b"CANARY-NAME"
    sender = EvilSender(federation, tunis)
    sender.put(canary)
    unsealed = sender.deliver()
    assert canary not in unsealed.receipts[-1].lists[0].SerializeToString()
    for file in tunis.folder.rglob("*"):
        assert not file.is_file() or canary not in file.read_bytes()
