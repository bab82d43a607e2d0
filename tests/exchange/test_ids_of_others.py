"""Records in another member's name, or under ids that it gave: refused, and their sender named."""

from dataclasses import dataclass

import pytest

from mithaq.ledger.entry import WithdrawScope
from mithaq.node.exchange.acts import AnswerItem
from mithaq.node.exchange.opening import ISSUER_MISMATCH, SENDER_MISMATCH
from mithaq.node.records.model import ParsedRecord, claimed_members, seal_in
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk
from tests.exchange.test_evil_sender import EvilSender, alert, reasons
from tests.federation import Federation


def hit(sender: Desk, about: ParsedRecord, *, hit_id: str) -> ParsedRecord:
    seconds = int(sender.clock().timestamp())
    return seal_in(
        wire.Record(
            hit_report=wire.HitReport(
                hit_id=hit_id,
                reporter=sender.member,
                alert_id=about.alert_id,
                alert_version=1,
                matched=wire.DisclosureName(stream_id=bytes(32), sequence=3),
                found_at=seconds,
                created_at=seconds,
                place=subject.Place(city="Zarbal"),
                outcome=wire.ACTION_OUTCOME_TAKEN,
                officer_reference="o-17",
                case_reference="c-4",
                handling=wire.HANDLING_H0,
            )
        )
    )


def form(sender: Desk, about: ParsedRecord, *, form_id: str) -> ParsedRecord:
    return seal_in(
        wire.Record(
            form=wire.Form(
                form_id=form_id,
                kind=wire.FORM_KIND_MISCELLANEOUS,
                sender=sender.member,
                alert_id=about.alert_id,
                created_at=int(sender.clock().timestamp()),
                handling=wire.HANDLING_H0,
                remarks=[wire.Remark(language="fr", text="Bien reçu")],
            )
        )
    )


def answer(sender: Desk, peer: Desk, record: ParsedRecord) -> None:
    """Answer, and let the peer take all that is in the sender's streams by now."""
    sender.done(AnswerItem(peer.member, "test-agreement", record, OFFICER))
    peer.receive(*sender.take_batches())


def test_a_hit_under_the_id_of_an_own_hit_stops_nobody(cairo: Desk, tunis: Desk) -> None:
    theirs, ours = cairo.alert(), tunis.alert()
    hit_id = "tn-dgsn-" + theirs.alert_id[-26:]
    answer(tunis, cairo, hit(tunis, theirs, hit_id=hit_id))
    # Its own books would stop Cairo; those of an evil member do not.
    cairo.home.database.write_sync(lambda each: each.exec_driver_sql("DELETE FROM node_hit"))
    answer(cairo, tunis, hit(cairo, ours, hit_id=hit_id))
    assert tunis.rows("SELECT reason FROM node_refusal") == [(SENDER_MISMATCH,)]
    assert tunis.alarms() == ["outside agreement"]
    answer(cairo, tunis, hit(cairo, ours, hit_id="eg-moi-" + ours.alert_id[-26:]))
    assert tunis.number("SELECT count(*) FROM node_hit WHERE status = 'received'") == 1


@pytest.mark.parametrize(("prefix", "refused"), [("eg-moi-", 1), ("tn-dgsn-", 0)])
def test_a_form_under_the_id_of_an_alert_does_not_keep_that_out(
    cairo: Desk, tunis: Desk, prefix: str, refused: int
) -> None:
    alert = tunis.alert()
    ulid = alert.alert_id[-26:]
    answer(tunis, cairo, form(tunis, alert, form_id=prefix + ulid))
    assert cairo.number("SELECT count(*) FROM node_refusal") == refused
    assert cairo.number("SELECT count(*) FROM node_record WHERE own IS FALSE") == 1 - refused


# --- alerts -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """In whose name an alert is, and whose id it stands under."""

    issuer: str
    id_of: str

    def written(self, record: ParsedRecord) -> bytes:
        """Return an alert as it is with these names."""
        message = record.message
        message.alert.issuer = self.issuer
        message.alert.alert_id = f"{self.id_of}-{record.alert_id[-26:]}"
        return message.SerializeToString(deterministic=True)


SENDER, OTHER = "eg-moi", "int-iom"


@pytest.mark.parametrize(
    "names", [Names(OTHER, OTHER), Names(SENDER, OTHER), Names(OTHER, SENDER)], ids=str
)
@pytest.mark.parametrize("category", ["ARREST", "CHECK_DISCREET"], ids=["announced", "otherwise"])
def test_an_alert_in_the_name_or_under_the_id_of_another_accuses_its_sender(
    federation: Federation, tunis: Desk, names: Names, category: str
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    sender.put(names.written(record), of=record, category=category)
    assert reasons(sender.deliver()) == [(2, ISSUER_MISMATCH)]
    assert tunis.alarms() == ["outside agreement"]
    evidence, verified = tunis.proof()
    assert evidence.accused == SENDER
    assert verified.holds("entry_proof")
    assert verified.holds("refusals")
    assert record.alert_id[-26:].encode() not in evidence.to_json()
    assert tunis.number("SELECT count(*) FROM node_record") == 0


def test_an_alert_of_its_senders_that_breaks_a_rule_of_form_accuses_nobody(
    federation: Federation, tunis: Desk
) -> None:
    """Two versions of the software may differ in these."""
    sender, record = EvilSender(federation, tunis), alert()
    own = Names(SENDER, SENDER)
    endless, formless = record.message, record.message
    endless.alert.expires_at = endless.alert.valid_from
    formless.alert.alert_id = f"{SENDER}-{record.alert_id[-26:].lower()}"
    for message in (endless, formless):
        sender.put(message.SerializeToString(deterministic=True), of=record)
    sender.put(own.written(record), of=record, category="CHECK_DISCREET")
    sender.put(own.written(record), of=record)
    assert [sequence for sequence, _ in reasons(sender.deliver())] == [2, 3, 4]
    assert tunis.alarms() == []
    assert tunis.rows("SELECT status FROM node_record") == [("live",)]


@pytest.mark.parametrize("names", [Names(OTHER, OTHER), Names(SENDER, OTHER)], ids=str)
@pytest.mark.parametrize("fault", ["endless", "long", "nameless", "unknown field", "lower case"])
def test_a_rule_of_form_that_is_broken_as_well_lets_nobody_off(
    federation: Federation, tunis: Desk, names: Names, fault: str
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    message = type(record.message).FromString(names.written(record))
    match fault:
        case "endless":
            message.alert.expires_at = message.alert.valid_from
        case "long":
            message.alert.reason = "x" * 1001
        case "nameless":
            message.alert.person.ClearField("names")
        case "lower case":
            message.alert.alert_id = message.alert.alert_id.lower()
        case _:
            pass
    unknown = b"\xf8\x7f\x01" if fault == "unknown field" else b""
    sender.put(message.SerializeToString(deterministic=True) + unknown, of=record)
    assert reasons(sender.deliver()) == [(2, ISSUER_MISMATCH)]
    assert tunis.alarms() == ["outside agreement"]


def test_a_cut_id_and_bytes_that_are_no_record_name_nobody() -> None:
    cut = wire.Record(alert=wire.Alert(issuer=SENDER, alert_id="eg-mo-01ARZ3NDEKTSV4RRFFQ69G5"))
    assert claimed_members(cut.SerializeToString()) == {SENDER}
    assert claimed_members(wire.Record(alert=wire.Alert(issuer="?")).SerializeToString()) == set()
    assert claimed_members(b"\xff") == set()


@pytest.mark.parametrize("names", [Names(OTHER, OTHER), Names(SENDER, OTHER)], ids=str)
def test_what_is_taken_back_under_the_id_of_another_buries_nothing(
    federation: Federation, tunis: Desk, names: Names
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    sequence = sender.put(names.written(record), of=record)
    sender.deliver()
    sender.writer.withdraw(sequence, scope=WithdrawScope.RECORD)
    sender.deliver()
    assert tunis.alarms() == ["outside agreement"]
    assert tunis.number("SELECT count(*) FROM node_tombstone") == 0
