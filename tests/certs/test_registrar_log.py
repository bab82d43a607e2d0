"""The registrar's logic: what waits, what is entered, and when time is signed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mithaq.certs import acts
from mithaq.certs.enrolment import AHEAD_MAX
from mithaq.certs.entries import (
    EntrySigner,
    SignedEntry,
    draw_up,
    parse_body,
    sign_entry,
)
from mithaq.certs.errors import (
    AuthorityMissingError,
    ClockSkewError,
    EntryConflictError,
    ImplausibleTimeError,
    InvitationExpiredError,
    InvitationUnknownError,
    InvitationUsedError,
    PendingFullError,
    PendingMissingError,
    SignatureInvalidError,
    TrustFormatError,
    UnknownMemberError,
)
from mithaq.certs.hub_enrolment import HubApproval, make_hub_request
from mithaq.certs.invitation import Invitation
from mithaq.certs.keys import SigningPair
from mithaq.certs.participants import PrincipalKind
from mithaq.certs.registrar import (
    BODY_AGE_MAX,
    CHECKPOINT_INTERVAL,
    INVITATIONS_MAX,
    RegistrarLog,
)
from mithaq.certs.registrar_state import (
    PendingItem,
    PendingKind,
    RegistrarState,
    Step,
)
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, fingerprint, new_tls_key
from tests.certs.desk import (
    AT,
    REASON,
    SECOND,
    WEEK,
    agreed,
    by_administrators,
    invited,
    only_item,
    rejected_by,
    request,
)
from tests.federation import Federation, now

# --- inviting and asking --------------------------------------------------------------


def test_an_invited_agency_becomes_a_member_when_k_administrators_sign(
    federation: Federation, log: RegistrarLog
) -> None:
    invitation = invited(log)
    data = request(Invitation.parse(str(invitation)))
    log.commit(log.take_enrolment(data, at=AT))
    item = only_item(log)
    assert (item.kind, item.subject) == (PendingKind.MEMBER, "it-mi")
    body, size = item.entry.body, federation.registry.size

    step = log.approve(item.id, by_administrators(federation, body, "admin-b"), at=AT)
    assert (step.leaf, log.commit(step)) == (None, None)
    assert sum(log.missing(only_item(log)).values()) == 1
    assert federation.registry.size == size

    step = log.approve(item.id, by_administrators(federation, body, "admin-a"), at=AT)
    applied = log.commit(step)
    assert applied is not None
    assert applied.size == federation.registry.size == size + 1
    assert log.state.pending == {}
    decision = log.state.decisions[item.request_hash]
    principal = federation.registry.by_tls_fingerprint(fingerprint(decision.certificate))
    assert (principal.kind, principal.member) == (PrincipalKind.NODE, "it-mi")
    assert decision.approved


def test_the_same_request_again_changes_nothing_and_another_one_finds_it_used(
    log: RegistrarLog,
) -> None:
    invitation = invited(log)
    data = request(invitation)
    log.commit(log.take_enrolment(data, at=AT))
    assert log.take_enrolment(data, at=AT) == Step()
    with pytest.raises(InvitationUsedError) as caught:
        log.take_enrolment(request(invitation), at=AT)
    assert caught.value.code == "MQ-INVITE-USED"
    assert len(log.state.pending) == 1


def test_an_invitation_that_was_never_given_out_is_unknown(log: RegistrarLog) -> None:
    invitation, _ = log.invite("it-mi", valid_for=WEEK, at=AT)
    with pytest.raises(InvitationUnknownError):
        log.take_enrolment(request(invitation), at=AT)


def test_a_late_request_is_refused(log: RegistrarLog) -> None:
    invitation = invited(log)
    with pytest.raises(InvitationExpiredError):
        log.take_enrolment(request(invitation), at=AT + WEEK)


def test_an_invitation_says_where_to_ask_and_what_to_trust(
    federation: Federation, log: RegistrarLog
) -> None:
    invitation = invited(log)
    assert invitation.hub_enrolment_address == federation.registry.hub.enrolment_address
    assert invitation.genesis_hash == federation.pin
    assert invitation.ca_certificate_der == federation.authority.certificate_der
    assert invitation.expires_at == AT + WEEK


def test_nobody_is_invited_twice_over_nor_without_a_hub(
    federation: Federation, log: RegistrarLog
) -> None:
    with pytest.raises(EntryConflictError, match="used before"):
        log.invite("eg-moi", valid_for=WEEK, at=AT)
    alone = Federation.found()
    log = RegistrarLog(
        alone.registry, RegistrarState(), key=alone.registrar, authority=alone.authority
    )
    with pytest.raises(UnknownMemberError, match="no hub"):
        log.invite("eg-moi", valid_for=WEEK, at=AT)
    assert federation.registry.size > 1


def test_open_invitations_have_a_limit_and_used_or_expired_ones_make_room(
    log: RegistrarLog,
) -> None:
    invitation = invited(log)
    record = log.state.invitations[invitation.id]
    for number in range(INVITATIONS_MAX - 1):
        key = number.to_bytes(32, "big")
        log.state.invitations[key] = replace(record, id=key)
    with pytest.raises(PendingFullError):
        log.invite("fr-pn", valid_for=WEEK, at=AT)
    log.invite("fr-pn", valid_for=WEEK, at=record.expires_at)
    log.state.invitations[record.id] = replace(record, used_by=b"\x01" * 32)
    log.invite("fr-pn", valid_for=WEEK, at=AT)


def test_a_hub_comes_in_the_same_way(federation: Federation, log: RegistrarLog) -> None:
    pair = SigningPair.generate()
    data = make_hub_request(
        federation.name,
        cosigning=pair,
        exchange_address="127.0.0.1:1",
        enrolment_address="127.0.0.1:2",
        csr=csr(new_tls_key(), SpiffeId(federation.name, IdentityKind.HUB)),
        at=AT,
    )
    log.commit(log.take_hub_request(data, at=AT))
    item = only_item(log)
    assert (item.kind, item.subject) == (PendingKind.HUB, "hub")
    signed = by_administrators(federation, item.entry.body, "admin-a", "admin-c")
    step = log.approve(item.id, signed, at=AT)
    log.commit(step)
    assert step.decision is not None
    assert step.leaf is not None
    leaves = (*federation.leaves, step.leaf)
    approval = log.hub_approval(step.decision, leaves, log.sign_checkpoint(AT))
    opened = HubApproval.from_bytes(approval).open(
        pinned_root_hash=federation.pin, cosigning=pair.public
    )
    assert opened.size == federation.registry.size


# --- entries --------------------------------------------------------------------------


def test_a_complete_entry_is_entered_at_once(federation: Federation, log: RegistrarLog) -> None:
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1))
    step = log.take_entry(leaf, at=now())
    assert step == Step(leaf=leaf)
    assert log.commit(step) is not None


def test_an_agreement_that_its_parties_signed_waits_for_administrators(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.take_entry(agreed(federation), at=AT))
    item = only_item(log)
    assert (item.kind, item.subject) == (PendingKind.AGREEMENT, "eg-tn")
    signed = by_administrators(federation, item.entry.body, "admin-a", "admin-b")
    log.commit(log.approve(item.id, signed, at=AT))
    assert federation.registry.agreement("eg-tn").agreement.version == 2
    assert log.state.decisions == {}


def test_an_agreement_handed_in_again_waits_once(federation: Federation, log: RegistrarLog) -> None:
    first = agreed(federation)
    log.commit(log.take_entry(first, at=AT))
    assert log.take_entry(agreed(federation), at=AT) == Step()
    assert log.take_entry(first, at=AT).pending == only_item(log)
    log.commit(log.take_entry(agreed(federation, version=1, agreement_id="other"), at=AT))
    assert len(log.state.pending) == 2


def test_an_agreement_that_a_party_did_not_sign_does_not_wait(
    federation: Federation, log: RegistrarLog
) -> None:
    body = parse_body(SignedEntry.from_bytes(agreed(federation)).body)
    assert isinstance(body.act, acts.AgreementAdmitted)
    forged = tuple(replace(each, ed25519=bytes(64)) for each in body.act.signatures)
    act = acts.AgreementAdmitted(body.act.terms, forged)
    entry = SignedEntry(draw_up(act, federation=federation.name, at=AT), ())
    with pytest.raises(SignatureInvalidError):
        log.take_entry(entry.to_bytes(), at=AT)


def test_a_lifting_waits_once_its_signatories_have_signed(
    federation: Federation, log: RegistrarLog
) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    own = [
        EntrySigner.signatory("eg-moi", name, pair)
        for name, pair in federation.agencies["eg-moi"].signatories.items()
    ]
    act = acts.AgreementLifted("eg-tn", "eg-moi")
    for too_few in ([], own[:1], federation.by_administrators(2)):
        with pytest.raises(AuthorityMissingError, match="signatory of eg-moi"):
            log.take_entry(federation.entry(act, too_few), at=now())
    log.commit(log.take_entry(federation.entry(act, own), at=now()))
    item = only_item(log)
    assert (item.kind, item.subject) == (PendingKind.LIFTING, "eg-tn")
    assert log.take_entry(federation.entry(act, own), at=now()) == Step()


def test_a_strangers_wish_does_not_wait_for_an_administrator_to_sign_it_by_mistake(
    federation: Federation, log: RegistrarLog
) -> None:
    act = acts.AdministratorAdded(acts.NamedPair("admin-x", SigningPair.generate().public))
    with pytest.raises(AuthorityMissingError, match="nobody has signed"):
        log.take_entry(federation.entry(act, []), at=now())


def test_what_one_administrator_signed_waits_for_the_others(
    federation: Federation, log: RegistrarLog
) -> None:
    body = draw_up(acts.CaAdded(_other_ca(federation)), federation=federation.name, at=AT)
    log.commit(log.take_entry(by_administrators(federation, body, "admin-a"), at=AT))
    item = only_item(log)
    assert item.kind is PendingKind.OTHER
    step = log.take_entry(by_administrators(federation, body, "admin-c"), at=AT)
    assert step.settled == item.id
    entered = SignedEntry.from_bytes(step.leaf or b"")
    assert [each.name for each in entered.signatures] == ["admin-a", "admin-c"]
    log.commit(step)
    assert log.state.pending == {}


def _other_ca(federation: Federation) -> bytes:
    return type(federation.authority).create(federation.name, at=AT).certificate_der


@pytest.mark.parametrize(
    ("act", "subject"),
    [
        (acts.AgreementEnded("eg-tn", REASON), "eg-tn"),
        (acts.AdministratorAdded(acts.NamedPair("new", SigningPair.generate().public)), "new"),
        (acts.AdministratorRemoved("admin-a", REASON), "admin-a"),
        (acts.MemberRevoked("eg-moi", REASON), "eg-moi"),
        (acts.KeyRevoked(b"\x01" * 32, REASON), ""),
    ],
)
def test_administrators_propose_what_they_then_sign(
    federation: Federation, log: RegistrarLog, act: acts.Act, subject: str
) -> None:
    if isinstance(act, acts.KeyRevoked):
        act = acts.KeyRevoked(federation.agencies["eg-moi"].certificate.fingerprint, REASON)
        subject = act.key_id.hex()[:16]
    log.commit(log.propose(act, at=AT))
    assert only_item(log).subject == subject


def test_nothing_waits_that_would_not_fit(log: RegistrarLog) -> None:
    with pytest.raises(EntryConflictError):
        log.propose(acts.MemberReinstated("eg-moi"), at=AT)


def test_signatures_over_another_body_are_refused(
    federation: Federation, log: RegistrarLog
) -> None:
    act = acts.AgreementEnded("eg-tn", REASON)
    log.commit(log.propose(act, at=AT))
    item = only_item(log)
    other = by_administrators(
        federation, draw_up(act, federation=federation.name, at=AT), "admin-a"
    )
    with pytest.raises(TrustFormatError, match="another body"):
        log.approve(item.id, other, at=AT)
    with pytest.raises(PendingMissingError):
        log.approve("0" * 16, other, at=AT)


def test_a_forged_approval_is_refused_and_leaves_the_good_ones(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.propose(acts.CaAdded(_other_ca(federation)), at=AT))
    item = only_item(log)
    good = by_administrators(federation, item.entry.body, "admin-a")
    log.commit(log.approve(item.id, good, at=AT))
    forger = EntrySigner.administrator("admin-b", SigningPair.generate())
    with pytest.raises(SignatureInvalidError):
        log.approve(item.id, sign_entry(item.entry.body, [forger]).to_bytes(), at=AT)
    assert [each.name for each in only_item(log).entry.signatures] == ["admin-a"]


def test_what_no_longer_fits_is_not_entered_though_all_signed(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.propose(acts.AgreementEnded("eg-tn", REASON), at=AT))
    item = only_item(log)
    federation.end_agreement("eg-tn")
    signed = by_administrators(federation, item.entry.body, "admin-a", "admin-b")
    with pytest.raises(EntryConflictError, match="has ended"):
        log.approve(item.id, signed, at=AT)
    log.commit(log.reject(item.id, rejected_by(log, item, "admin-a"), at=AT))
    assert (log.state.pending, log.state.decisions) == ({}, {})


def test_an_entry_is_of_our_time(federation: Federation, log: RegistrarLog) -> None:
    act, signers = acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1)
    leaf = federation.entry(act, signers, at=AT)
    for at in (AT + BODY_AGE_MAX, AT - AHEAD_MAX):
        log.take_entry(leaf, at=at)
    for at in (AT + BODY_AGE_MAX + SECOND, AT - AHEAD_MAX - SECOND):
        with pytest.raises(ImplausibleTimeError):
            log.take_entry(leaf, at=at)


def test_two_entries_never_wait_under_one_id(federation: Federation, log: RegistrarLog) -> None:
    """64 bits of a hash can be met on purpose; then the second is refused."""
    log.commit(log.propose(acts.AgreementEnded("eg-tn", REASON), at=AT))
    body = draw_up(acts.CaAdded(_other_ca(federation)), federation=federation.name, at=AT)
    leaf = by_administrators(federation, body, "admin-a")
    met = PendingItem(SignedEntry.from_bytes(leaf), PendingKind.OTHER, "", AT)
    log.state.pending[met.id] = only_item(log)
    with pytest.raises(EntryConflictError, match="another entry waits"):
        log.take_entry(leaf, at=AT)


def test_what_waits_is_compared_by_a_fingerprint_in_groups(log: RegistrarLog) -> None:
    log.commit(log.take_enrolment(request(invited(log)), at=AT))
    groups = only_item(log).fingerprint.split()
    assert "".join(groups) == only_item(log).request_hash.hex()
    assert {len(each) for each in groups} == {4}
    log.commit(log.propose(acts.AgreementEnded("eg-tn", REASON), at=AT))
    proposed = list(log.state.pending.values())[1]
    assert proposed.fingerprint.replace(" ", "").startswith(proposed.id)


# --- time -----------------------------------------------------------------------------


def test_time_is_signed_when_the_log_grew_and_at_least_every_minute(
    federation: Federation, log: RegistrarLog
) -> None:
    assert timedelta(minutes=1) >= CHECKPOINT_INTERVAL
    assert log.checkpoint_due(AT)
    log.registry.observe_checkpoint(log.sign_checkpoint(AT))
    assert not log.checkpoint_due(AT + CHECKPOINT_INTERVAL - SECOND)
    assert log.checkpoint_due(AT + CHECKPOINT_INTERVAL)
    federation.suspend("eg-moi")
    assert log.checkpoint_due(AT)
    note = log.sign_checkpoint(AT)
    log.registry.observe_checkpoint(note)
    assert not log.checkpoint_due(AT)
    assert federation.registry.checkpoint is not None
    assert federation.registry.checkpoint.note_bytes == note


def test_time_is_never_signed_backwards(log: RegistrarLog) -> None:
    log.registry.observe_checkpoint(log.sign_checkpoint(AT))
    with pytest.raises(ClockSkewError, match="behind"):
        log.sign_checkpoint(AT - SECOND)
    log.sign_checkpoint(AT)
