"""What members seal for each other and agree on: records, agreements, epochs.

Nobody between two members reads a record, so the reader is the first that can refuse it.
What it takes goes on through rules, index, screens and files, and none of them may stumble
over what the parser let pass.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa

from mithaq.agreements import yaml_form
from mithaq.agreements.act import Disclosure, act_of
from mithaq.agreements.decision import decide_disclosure
from mithaq.agreements.diff import diff
from mithaq.agreements.draft import draft
from mithaq.agreements.errors import AgreementError, FactsInvalidError, YamlFormError
from mithaq.agreements.explain import explain
from mithaq.agreements.facts import Facts
from mithaq.agreements.lint import lint
from mithaq.agreements.streams import streams_from
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import RecordField
from mithaq.ledger.entry import Own, pack_own
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.instants import day_from
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole
from mithaq.ledger.run import Run
from mithaq.ledger.terms import EpochReader, Terms, encode_terms
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.inbox import ArrivedHeaders, hold_headers
from mithaq.node.exchange.judge import HeaderPiece
from mithaq.node.exchange.reception import load_keys
from mithaq.node.exchange.unsealing import open_bodies
from mithaq.node.local.mask import masked
from mithaq.node.lookup.keys import IndexKey, keys_of
from mithaq.node.lookup.match import NameQuery, score
from mithaq.node.records import forms
from mithaq.node.records.errors import FormError, RecordError
from mithaq.node.records.facts import facts_of
from mithaq.node.records.model import ParsedRecord, RecordKind, parse_record, seal_in, serialise
from mithaq.node.records.render import hit_rows, rows_of
from mithaq.node.records.wording import action_text, summary_of, warnings_of
from mithaq.node.sealing.body import ContentKey
from mithaq.node.sealing.epoch import EpochPlace, EpochSecret, split_wraps, wrap_epoch
from mithaq.node.sealing.errors import SealingError
from mithaq.v1 import agreement_pb2, record_pb2
from tests.federation import FEDERATION
from tests.federation import agreement as made_agreement
from tests.fuzz import records, stage, streams
from tests.fuzz.cast import AT, CAIRO, FOUNDED, MEMBERS, TUNIS, agency, federation, material
from tests.fuzz.node_targets import accepted, sign_head, undone
from tests.fuzz.target import Exposure, Finding, Target, holds, same, text_of
from tests.streams import StreamWriter

INDEX_KEY = IndexKey(bytes(32))
QUERY = NameQuery("Mohamed Example", AT.date())
AGREEMENT_ID = "test-agreement"


# --- records --------------------------------------------------------------------------


def record(data: bytes) -> None:
    """A record that was opened, and all that a node does with one."""
    try:
        parsed = parse_record(data)
    except RecordError:
        return
    same(serialise(parsed.message), data, "a record has two encodings")
    if parsed.kind is RecordKind.HIT_REPORT:
        hit_rows(parsed.message.hit_report)
    if parsed.kind is not RecordKind.ALERT:
        return
    _decide(parsed)
    _show(parsed)
    keys_of(parsed, INDEX_KEY)
    score(parsed, QUERY)


def _decide(parsed: ParsedRecord) -> None:
    standing = federation().registry.agreement(AGREEMENT_ID)
    terms = standing.in_force(at=AT)
    try:
        facts = facts_of(parsed, agreement=terms, sender=CAIRO)
    except (RecordError, AgreementError):
        return
    decision = decide_disclosure(
        terms, status=standing.status, facts=facts, sender=CAIRO, recipient=TUNIS, at=AT
    )
    act = _disclosure(facts)
    replayed = act_of(act.to_json()).decide(terms)
    same(replayed, decision, "a decision is replayed as another")


def _disclosure(facts: Facts) -> Disclosure:
    standing = federation().registry.agreement(AGREEMENT_ID)
    return Disclosure(
        status=standing.status,
        facts=facts,
        sender=CAIRO,
        recipient=TUNIS,
        at=AT,
        created_at=AT,
    )


def _show(parsed: ParsedRecord) -> None:
    alert = parsed.alert
    for text in (action_text(alert), summary_of(alert), *warnings_of(alert)):
        text.encode()
    for row in rows_of(alert):
        row.text.encode()
        if any(ord(each) < 32 for each in row.text):
            raise Finding("a screen shows a control character")
    for granted in ((), tuple(RecordField)):
        rows_of(masked(parsed.message, granted).alert)
    try:
        written = forms.load(forms.dump(parsed.message))
    except FormError as fault:
        raise Finding("a record's own form cannot be read") from fault
    same(written, parsed.message, "a record is written as another")


def alert_form(data: bytes) -> None:
    """An alert as an officer writes it, in YAML or JSON."""
    text = text_of(data)
    if text is None:
        return
    try:
        message = forms.load(text)
    except FormError:
        return
    same(forms.load(forms.dump(message)), message, "an alert is written as another")
    try:
        seal_in(message)
    except RecordError:
        return


# --- records where they are sealed ----------------------------------------------------


class Sealer(NamedTuple):
    """A stream of Cairo's to Tunis in its first epoch, and the key of that."""

    writer: StreamWriter
    key: ContentKey


def sealed(data: bytes) -> None:
    """A record sealed by Cairo, delivered to Tunis, opened and kept or refused there."""
    try:
        parsed = parse_record(data)
    except RecordError:
        parsed = None
    is_alert = parsed is None or parsed.kind is RecordKind.ALERT
    sealer = _sealer(StreamRole.DISCLOSURE if is_alert else StreamRole.RETURN)
    sequence = sealer.writer.size
    body = sealer.key.seal(sequence, data, salt=bytes(32), nonce=bytes(12))
    terms = encode_terms(_terms(sealer.writer, parsed))
    own = pack_own(
        EntryKind.PUT, Own(sequence, None, len(body.body), body.body_hash, body.commitment)
    )
    headers = _headers(sealer.writer, [Run(terms, len(own), own)])
    bodies = ArrivedBodies(sealer.writer.stream_id, sequence + 1, {sequence: body.body}, {})
    desk = stage.node()

    def act(connection: sa.Connection) -> bool:
        held = hold_headers(connection, desk.home, [headers], at=AT)
        if held.failed:
            raise Finding("headers that are right were not held")
        opened = _open(connection, bodies)
        rows = connection.execute(
            sa.text("SELECT count(*) FROM node_record WHERE own = false")
        ).scalar_one()
        # Refused with a signed reason, or kept; never neither.
        return bool(rows) or bool(opened)

    answered = undone(desk, act)
    if parsed is not None and parsed.kind is RecordKind.ALERT:
        holds(answered, "a record was neither kept nor refused")


def _open(connection: sa.Connection, bodies: ArrivedBodies) -> int:
    """Open bodies, which must be answered, and return how many refusals were signed."""
    home = stage.node().home
    unsealed = open_bodies(connection, home, [bodies], reception=load_keys(connection, home), at=AT)
    if unsealed.failed or unsealed.waiting:
        raise Finding("bodies that are right were not answered")
    return sum(len(each.lists) for each in unsealed.receipts)


def _terms(writer: StreamWriter, parsed: ParsedRecord | None) -> Terms:
    """Return the header that fits the record, as far as it says anything."""
    expires_at, category, priority = streams.EXPIRES, "ARREST", Priority.ROUTINE
    if parsed is not None:
        category = parsed.category
    if parsed is not None and parsed.kind is RecordKind.ALERT:
        expires_at = day_from(parsed.expiry)
        priority = Priority(parsed.alert.priority or 1)
    try:
        return _put(writer, category, expires_at, priority)
    except LedgerError:
        return _put(writer, "ARREST", streams.EXPIRES, priority)


def _put(writer: StreamWriter, category: str, expires_at: object, priority: Priority) -> Terms:
    return writer.terms(
        EntryKind.PUT,
        epoch=1,
        category=category,
        priority=priority,
        expires_at=expires_at,
        created_at=AT,
    )


def _headers(writer: StreamWriter, runs: Sequence[Run]) -> ArrivedHeaders:
    state = writer.state.admit_all(runs, kind_at=lambda _: []).state if runs else writer.state
    head = state.checkpoint()
    piece = HeaderPiece(
        writer.stream_id,
        writer.size if runs else 0,
        tuple(runs or writer.runs),
        sign_head(head, CAIRO),
        accepted(head),
    )
    return ArrivedHeaders(piece, ())


@cache
def _sealer(role: StreamRole) -> Sealer:
    """Return a stream whose OPEN and EPOCH Tunis has opened already."""
    writer = streams.new(TUNIS, role=role, ordinal=2)
    secret = EpochSecret.of(material("epoch", 64))
    place = EpochPlace(writer.stream_id, 1, CAIRO)
    tunis = agency(TUNIS).reception
    body = wrap_epoch(secret, place, [(TUNIS, tunis.public)])
    _begin_epoch(writer, body, secret.commitment)
    desk = stage.node()
    held = desk.hold(_headers(writer, []))
    assert not held.failed, held.failed
    unsealed = desk.open_bodies(ArrivedBodies(writer.stream_id, 2, {1: body}, {}))
    assert not unsealed.failed
    return Sealer(writer, ContentKey(stream_id=writer.stream_id, epoch=1, secret=secret.secret))


def _begin_epoch(writer: StreamWriter, body: bytes, commitment: bytes) -> None:
    readers = (EpochReader(TUNIS, agency(TUNIS).reception.key_id),)
    terms = writer.terms(EntryKind.EPOCH, epoch=1, readers=readers, created_at=AT)
    own = pack_own(
        EntryKind.EPOCH, Own(1, None, len(body), hashlib.sha256(body).digest(), commitment)
    )
    writer._append(Run(encode_terms(terms), len(own), own), terms)  # pyright: ignore[reportPrivateUsage]


def epoch_body(data: bytes) -> None:
    try:
        wraps = split_wraps(data)
    except SealingError:
        return
    joined = b"".join(key + len(wrap).to_bytes(4, "big") + wrap for key, wrap in wraps.items())
    same(joined, data, "an EPOCH body has two readings")


# --- agreements -----------------------------------------------------------------------


def agreement_terms(data: bytes) -> None:
    """Signed terms, and all that is worked out of them."""
    try:
        agreement = Agreement.from_bytes(data)
    except AgreementError:
        return
    same(agreement.to_bytes(), data, "terms have two encodings")
    _work_out(agreement)


def agreement_form(data: bytes) -> None:
    text = text_of(data)
    if text is None:
        return
    try:
        agreement = yaml_form.load(text)
    except YamlFormError:
        return
    same(Agreement.from_bytes(agreement.to_bytes()), agreement, "terms are signed as others")
    _work_out(agreement)


def _work_out(agreement: Agreement) -> None:
    try:
        same(yaml_form.load(yaml_form.dump(agreement)), agreement, "terms are shown as others")
    except YamlFormError as fault:
        raise Finding("terms that are in force cannot be read from their own form") from fault
    if diff(agreement, agreement).changes:
        raise Finding("terms differ from themselves")
    lint(agreement)
    # Bounded by an agreement's own limits, and slow only at them.
    if len(agreement.parties) * len(agreement.clauses) <= 64:
        explain(agreement)
        for member in agreement.members:
            for plan in streams_from(agreement, sender=member):
                holds(member not in plan.audience, "a stream to oneself")


def act_json(data: bytes) -> None:
    """A decision's act, as audit logs keep it to be replayed."""
    text = text_of(data)
    if text is None:
        return
    try:
        act = act_of(text)
    except FactsInvalidError:
        return
    same(act_of(act.to_json()), act, "an act is written as another")
    act.decide(federation().registry.agreement(AGREEMENT_ID).in_force(at=AT))


# --- seeds ----------------------------------------------------------------------------


def _records() -> list[bytes]:
    return [each.raw for each in records.alerts()] + [each.raw for each in records.answers()]


def _acts() -> list[bytes]:
    standing = federation().registry.agreement(AGREEMENT_ID)
    terms = standing.in_force(at=AT)
    facts = [facts_of(each, agreement=terms, sender=CAIRO) for each in records.alerts()[:3]]
    return [_disclosure(each).to_json().encode() for each in facts]


def _agreements() -> list[Agreement]:
    drafted = draft(
        FEDERATION,
        MEMBERS,
        agreement_id="drafted",
        effective_from=FOUNDED,
        expires_at=FOUNDED + timedelta(days=365),
    )
    return [made_agreement(*MEMBERS, effective_from=FOUNDED), drafted]


TARGETS = (
    Target(
        "record",
        Exposure.MEMBER,
        record,
        _records,
        message=record_pb2.Record,
    ),
    Target("sealed", Exposure.MEMBER, sealed, _records, message=record_pb2.Record),
    Target(
        "epoch_body",
        Exposure.MEMBER,
        epoch_body,
        lambda: [
            wrap_epoch(
                EpochSecret.of(material("epoch", 64)),
                EpochPlace(bytes(32), 1, CAIRO),
                [(each, agency(each).reception.public) for each in MEMBERS[:count]],
            )
            for count in (1, 2)
        ],
    ),
    Target(
        "agreement_terms",
        Exposure.MEMBER,
        agreement_terms,
        lambda: [each.to_bytes() for each in _agreements()],
        message=agreement_pb2.AgreementTerms,
        size_bytes_max=16 * 1024,
    ),
    Target(
        "agreement_form",
        Exposure.OFFICER,
        agreement_form,
        lambda: [yaml_form.dump(each).encode() for each in _agreements()],
        size_bytes_max=16 * 1024,
    ),
    Target(
        "alert_form",
        Exposure.OFFICER,
        alert_form,
        lambda: [forms.dump(each.message).encode() for each in records.alerts()],
        size_bytes_max=8192,
    ),
    Target("act_json", Exposure.FILE, act_json, _acts),
)
