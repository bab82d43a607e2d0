"""Members, hub, registrar and their keys, as the registry shows them."""

from dataclasses import replace

import pytest

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import EntrySigner, sign_entry
from mithaq.certs.errors import (
    CertificateError,
    EnrolmentError,
    EntryConflictError,
    GenesisMismatchError,
    KeyFormatError,
    KeyReusedError,
    MemberInactiveError,
    ReceptionKeyMissingError,
    RegistryFullError,
    SignatureInvalidError,
    TrustError,
    TrustFormatError,
    UnknownAgreementError,
    UnknownMemberError,
)
from mithaq.certs.genesis import create_genesis, found
from mithaq.certs.keys import MLKEM768_PUBLIC_SIZE_BYTES, ReceptionKey, SigningPair, key_id
from mithaq.certs.participants import MemberState, Principal, PrincipalKind
from mithaq.certs.registry import Registry
from mithaq.ledger.cosignature import Role
from mithaq.ledger.tree import leaf_hash, root_of
from tests.certs import refusals
from tests.certs.refusals import state_of
from tests.federation import Federation, now

REASON = NarrowingReason.KEY_COMPROMISED


def refused(federation: Federation, act: acts.Act, error: type[TrustError], match: str) -> None:
    """Check that an act with all its administrators' signatures doesn't fit."""
    refusals.refused(federation, federation.entry(act), error, match)


def test_a_replay_of_the_leaves_gives_the_same_registry(federation: Federation) -> None:
    federation.suspend("int-iom")
    replayed = Registry.start(federation.leaves[0], federation.pin)
    for leaf in federation.leaves[1:]:
        replayed.apply(leaf)
    assert state_of(replayed) == state_of(federation.registry)
    assert replayed.size == len(federation.leaves)
    assert replayed.root == root_of([leaf_hash(each) for each in federation.leaves])
    assert replayed.frontier.root() == replayed.root


def test_a_registry_starts_with_the_pinned_entry_only(federation: Federation) -> None:
    other = Federation.found(federation.name)
    with pytest.raises(GenesisMismatchError, match="another hash"):
        Registry.start(other.leaves[0], federation.pin)


def test_a_registry_starts_with_a_genesis_entry_only(federation: Federation) -> None:
    leaf = federation.leaves[1]
    with pytest.raises(GenesisMismatchError, match="founds no federation"):
        Registry.start(leaf, leaf_hash(leaf))


def test_a_genesis_entry_is_signed_by_k_of_its_own_administrators(federation: Federation) -> None:
    impostor = Federation.found(federation.name)
    impostor.administrators = federation.administrators
    body_of_impostor = impostor.entry(
        acts.Genesis(
            acts.Policy(),
            2,
            tuple(
                acts.NamedPair(name, SigningPair.generate().public)
                for name in ("admin-a", "admin-b")
            ),
            acts.RegistrarIdentity(SigningPair.generate().public, b"\x01" * 32),
            impostor.authority.certificate_der,
        )
    )
    with pytest.raises(SignatureInvalidError):
        Registry.start(body_of_impostor, leaf_hash(body_of_impostor))


def test_a_federation_is_founded_by_cards_that_prove_their_keys() -> None:
    pair, authority = SigningPair.generate(), Federation.found().authority

    def body(*cards: KeyCard, threshold: int = 1) -> bytes:
        return create_genesis(
            authority.federation,
            administrators=cards,
            threshold=threshold,
            registrar=acts.RegistrarIdentity(SigningPair.generate().public, b"\x01" * 32),
            ca_certificate=authority.certificate_der,
            at=now(),
        )

    card = KeyCard.administrator(authority.federation, "admin-a", pair)
    signer = EntrySigner.administrator("admin-a", pair)
    registry = found(sign_entry(body(card), [signer]))
    assert (registry.policy, registry.threshold) == (acts.Policy(), 1)
    assert registry.origin == f"{authority.federation}/registry"
    other = KeyCard.administrator(authority.federation, "admin-a", SigningPair.generate())
    with pytest.raises(EnrolmentError, match="same name"):
        body(card, other)
    with pytest.raises(EnrolmentError, match="does not prove"):
        body(replace(card, ed25519=other.ed25519))
    with pytest.raises(EnrolmentError, match="another federation"):
        body(KeyCard.administrator("other.example", "admin-a", pair))
    with pytest.raises(TrustFormatError, match="threshold"):
        body(card, threshold=2)


def test_a_federation_is_founded_once(federation: Federation) -> None:
    again = acts.Genesis(
        acts.Policy(),
        1,
        (acts.NamedPair("admin-a", SigningPair.generate().public),),
        acts.RegistrarIdentity(SigningPair.generate().public, b"\x01" * 32),
        federation.authority.certificate_der,
    )
    refused(federation, again, EntryConflictError, "founded once")


def test_a_registry_takes_no_more_entries_than_its_policy_allows() -> None:
    federation = Federation.found(policy=acts.Policy(registry_entries_max=100))
    federation.enrol("eg-moi")
    for _ in range(49):
        federation.suspend("eg-moi")
        federation.enter(acts.MemberReinstated("eg-moi"))
    assert federation.registry.size == 100
    refused(federation, acts.MemberReinstated("eg-moi"), RegistryFullError, "holds 100 entries")


# --- members --------------------------------------------------------------------------


def test_a_member_shows_every_key_that_it_was_enrolled_with(federation: Federation) -> None:
    agency, member = federation.agencies["eg-moi"], federation.registry.active_member("eg-moi")
    assert (member.log_ed25519, member.log_mldsa) == (
        agency.log.ed25519.public,
        agency.log.mldsa.public,
    )
    assert member.receipt.held == agency.held.public
    assert member.receipt_mldsa == agency.receipt_mldsa.public
    assert member.duty == agency.duty.public
    assert member.tls_fingerprints == (agency.certificate.fingerprint,)
    assert member.state is MemberState.ACTIVE
    assert member.enrolled_size == 3
    assert [each.id for each in federation.registry.members()] == list(federation.agencies)


def test_held_and_opened_are_told_apart_by_their_keys(federation: Federation) -> None:
    agency, member = federation.agencies["eg-moi"], federation.registry.member("eg-moi")
    assert member.receipt_key(Role.HELD) == agency.held.public
    assert member.receipt_key(Role.WITNESS) == agency.held.public
    assert member.receipt_key(Role.OPENED) == member.opened_ed25519 == agency.opened.public


def test_an_unknown_member_is_an_alarm(federation: Federation) -> None:
    with pytest.raises(UnknownMemberError, match="it-mi") as caught:
        federation.registry.member("it-mi")
    assert caught.value.alarm == "unknown member"


def test_a_member_id_is_never_used_twice(federation: Federation) -> None:
    federation.revoke("int-iom")
    again = federation.enrolment_of(federation.new_agency("int-iom"))
    refused(federation, again, EntryConflictError, "used before")


def test_a_suspended_member_is_cut_off_until_it_is_reinstated(federation: Federation) -> None:
    registry = federation.registry
    fingerprint = federation.agencies["eg-moi"].certificate.fingerprint
    federation.suspend("eg-moi")
    assert registry.member("eg-moi").state is MemberState.SUSPENDED
    with pytest.raises(MemberInactiveError, match="suspended"):
        registry.by_tls_fingerprint(fingerprint)
    with pytest.raises(MemberInactiveError, match="suspended"):
        registry.active_member("eg-moi")
    federation.enter(acts.MemberReinstated("eg-moi"))
    assert registry.by_tls_fingerprint(fingerprint) == Principal(PrincipalKind.NODE, "eg-moi")
    assert registry.active_member("eg-moi").changed_size == registry.size


def test_a_revoked_member_never_comes_back(federation: Federation) -> None:
    federation.suspend("eg-moi")
    federation.revoke("eg-moi")
    refused(federation, acts.MemberReinstated("eg-moi"), EntryConflictError, "revoked, not susp")
    with pytest.raises(EntryConflictError, match="revoked already"):
        federation.revoke("eg-moi")
    with pytest.raises(MemberInactiveError, match="revoked"):
        federation.suspend("eg-moi")
    with pytest.raises(MemberInactiveError, match="revoked"):
        federation.registry.by_tls_fingerprint(
            federation.agencies["eg-moi"].certificate.fingerprint
        )


def test_a_member_is_suspended_once_at_a_time(federation: Federation) -> None:
    federation.suspend("eg-moi")
    with pytest.raises(MemberInactiveError, match="suspended"):
        federation.suspend("eg-moi")


@pytest.mark.parametrize("act", [acts.MemberReinstated("it-mi"), acts.MemberReinstated("eg-moi")])
def test_only_a_suspended_member_is_reinstated(
    federation: Federation, act: acts.MemberReinstated
) -> None:
    refused(federation, act, TrustError, "it-mi|not suspended")


# --- one key, one purpose ---------------------------------------------------------------


def test_a_key_is_registered_once_for_whatever_purpose(federation: Federation) -> None:
    taken = federation.agencies["eg-moi"]
    newcomer = federation.new_agency("it-mi")
    act = federation.enrolment_of(newcomer)
    for changed in (
        replace(act, duty=taken.duty.public),
        replace(act, duty=newcomer.held.public),
        replace(act, duty=newcomer.log.ed25519.public),
        replace(act, log=federation.administrators["admin-a"].public),
        replace(act, reception=taken.reception.public),
        replace(act, tls_fingerprint=taken.certificate.fingerprint),
        replace(
            act,
            signatories=(
                act.signatories[0],
                acts.NamedPair("signer-b", act.signatories[0].key),
            ),
        ),
    ):
        refused(federation, changed, KeyReusedError, "bound to a purpose")
    federation.enter(act)


def test_one_person_cannot_be_two_administrators() -> None:
    pair = SigningPair.generate().public
    authority = Federation.found().authority
    federation = Federation.found()
    body = acts.Genesis(
        acts.Policy(),
        2,
        (acts.NamedPair("admin-a", pair), acts.NamedPair("admin-b", pair)),
        acts.RegistrarIdentity(SigningPair.generate().public, b"\x01" * 32),
        authority.certificate_der,
    )
    leaf = federation.entry(body)
    with pytest.raises(KeyReusedError):
        Registry.start(leaf, leaf_hash(leaf))


def test_a_reception_key_that_nobody_can_seal_to_is_refused(federation: Federation) -> None:
    # A sender would fail at the first epoch with this reader in it.
    good = ReceptionKey.generate().public
    low_order = good[:MLKEM768_PUBLIC_SIZE_BYTES] + bytes(32)
    unreduced = b"\xff" * MLKEM768_PUBLIC_SIZE_BYTES + good[MLKEM768_PUBLIC_SIZE_BYTES:]
    for bad in (low_order, unreduced):
        act = federation.enrolment_of(federation.new_agency("it-mi"))
        changed = replace(act, reception=bad)
        refused(federation, changed, KeyFormatError, "not")


# --- certificates -------------------------------------------------------------------------


def test_a_certificate_of_the_right_ca_is_unknown_unless_it_was_entered(
    federation: Federation,
) -> None:
    stranger = federation.new_agency("eg-moi")
    with pytest.raises(UnknownMemberError, match="does not know this certificate") as caught:
        federation.registry.by_tls_fingerprint(stranger.certificate.fingerprint)
    assert caught.value.alarm == "unknown member"


def test_hub_and_registrar_are_known_by_their_certificates(federation: Federation) -> None:
    assert federation.hub is not None
    known = federation.registry.by_tls_fingerprint
    assert known(federation.hub.certificate.fingerprint) == Principal(PrincipalKind.HUB)
    assert known(federation.registrar_certificate.fingerprint) == Principal(PrincipalKind.REGISTRAR)


@pytest.mark.parametrize("subject", TlsSubject)
def test_a_renewed_certificate_stands_beside_the_one_before_and_no_older_one(
    federation: Federation, subject: TlsSubject
) -> None:
    registry = federation.registry
    assert federation.hub is not None
    first = {
        TlsSubject.NODE: federation.agencies["eg-moi"].certificate,
        TlsSubject.HUB: federation.hub.certificate,
        TlsSubject.REGISTRAR: federation.registrar_certificate,
    }[subject].fingerprint
    member = "eg-moi" if subject is TlsSubject.NODE else ""
    second, third = b"\x02" * 32, b"\x03" * 32
    principal = registry.by_tls_fingerprint(first)
    federation.enter(acts.TlsRenewed(subject, second, member))
    assert registry.by_tls_fingerprint(first) == registry.by_tls_fingerprint(second) == principal
    federation.enter(acts.TlsRenewed(subject, third, member))
    assert registry.by_tls_fingerprint(second) == registry.by_tls_fingerprint(third) == principal
    with pytest.raises(UnknownMemberError):
        registry.by_tls_fingerprint(first)


def test_no_hub_means_no_hub_to_renew() -> None:
    federation = Federation.found()
    with pytest.raises(UnknownMemberError, match="no hub"):
        _ = federation.registry.hub
    act = acts.TlsRenewed(TlsSubject.HUB, b"\x02" * 32)
    refused(federation, act, EntryConflictError, "there is no hub")


def test_a_suspended_members_certificate_is_not_renewed(federation: Federation) -> None:
    federation.suspend("eg-moi")
    act = acts.TlsRenewed(TlsSubject.NODE, b"\x02" * 32, "eg-moi")
    refused(federation, act, MemberInactiveError, "suspended")


def test_another_hub_takes_the_place_of_the_one_before(federation: Federation) -> None:
    assert federation.hub is not None
    old = federation.hub
    new = federation.enrol_hub(exchange_address="[::1]:7443")
    hub = federation.registry.hub
    assert (hub.cosign_ed25519, hub.cosign_mldsa) == (
        new.cosigning.ed25519.public,
        new.cosigning.mldsa.public,
    )
    assert hub.exchange_address == "[::1]:7443"
    with pytest.raises(UnknownMemberError):
        federation.registry.by_tls_fingerprint(old.certificate.fingerprint)


def test_another_registrar_takes_the_place_of_the_one_before(federation: Federation) -> None:
    old = federation.registrar_certificate.fingerprint
    pair = SigningPair.generate()
    federation.enter(acts.RegistrarReplaced(acts.RegistrarIdentity(pair.public, b"\x05" * 32)))
    assert federation.registry.registrar.key == pair.public
    assert federation.registry.by_tls_fingerprint(b"\x05" * 32).kind is PrincipalKind.REGISTRAR
    with pytest.raises(UnknownMemberError):
        federation.registry.by_tls_fingerprint(old)


@pytest.mark.parametrize("subject", TlsSubject)
def test_a_revoked_certificate_is_out_at_once(federation: Federation, subject: TlsSubject) -> None:
    assert federation.hub is not None
    fingerprint = {
        TlsSubject.NODE: federation.agencies["eg-moi"].certificate,
        TlsSubject.HUB: federation.hub.certificate,
        TlsSubject.REGISTRAR: federation.registrar_certificate,
    }[subject].fingerprint
    act = acts.KeyRevoked(fingerprint, REASON)
    federation.enter(act, federation.by_administrators(1))
    with pytest.raises(UnknownMemberError):
        federation.registry.by_tls_fingerprint(fingerprint)
    refused(federation, acts.KeyRevoked(fingerprint, REASON), EntryConflictError, "in use")
    member = "eg-moi" if subject is TlsSubject.NODE else ""
    again = acts.TlsRenewed(subject, fingerprint, member)
    refused(federation, again, KeyReusedError, "bound to a purpose")
    federation.enter(acts.TlsRenewed(subject, b"\x09" * 32, member))


def test_a_ca_is_added_beside_the_one_before(federation: Federation) -> None:
    other = type(federation.authority).create(federation.name, at=now())
    federation.enter(acts.CaAdded(other.certificate_der))
    assert federation.registry.ca_certificates == (
        federation.authority.certificate_der,
        other.certificate_der,
    )
    refused(federation, acts.CaAdded(other.certificate_der), KeyReusedError, "bound")


def test_what_is_no_ca_is_not_added(federation: Federation) -> None:
    leaf = federation.agencies["eg-moi"].certificate.der
    refused(federation, acts.CaAdded(leaf), CertificateError, "CA")


# --- reception keys -----------------------------------------------------------------------


def test_senders_seal_to_the_newest_reception_key(federation: Federation) -> None:
    registry = federation.registry
    first = registry.reception_key("eg-moi")
    key = ReceptionKey.generate()
    federation.announce("eg-moi", key)
    newest = registry.reception_key("eg-moi")
    assert (newest.key_id, newest.public) == (key_id(key.public), key.public)
    assert newest.announced_size == registry.size
    assert [each.key_id for each in registry.reception_keys("eg-moi")] == [
        first.key_id,
        key.key_id,
    ]


def test_a_reception_key_is_announced_once(federation: Federation) -> None:
    key = federation.agencies["eg-moi"].reception
    with pytest.raises(KeyReusedError):
        federation.announce("eg-moi", key)


def test_no_one_seals_to_a_revoked_reception_key_nor_back_to_an_older_one(
    federation: Federation,
) -> None:
    registry, key = federation.registry, ReceptionKey.generate()
    federation.announce("eg-moi", key)
    act = acts.KeyRevoked(key.key_id, REASON)
    federation.enter(act, federation.by_administrators(1))
    with pytest.raises(ReceptionKeyMissingError, match="eg-moi"):
        registry.reception_key("eg-moi")
    assert [each.revoked for each in registry.reception_keys("eg-moi")] == [False, True]
    refused(federation, acts.KeyRevoked(key.key_id, REASON), EntryConflictError, "already")
    federation.announce("eg-moi", ReceptionKey.generate())
    assert registry.reception_key("eg-moi").announced_size == registry.size


def test_a_revoked_older_reception_key_leaves_the_newest_alone(federation: Federation) -> None:
    old = federation.agencies["eg-moi"].reception
    federation.announce("eg-moi", ReceptionKey.generate())
    act = acts.KeyRevoked(old.key_id, REASON)
    federation.enter(act, federation.by_administrators(1))
    assert not federation.registry.reception_key("eg-moi").revoked


# --- administrators -------------------------------------------------------------------------


def test_administrators_never_fall_below_the_threshold(federation: Federation) -> None:
    federation.enter(acts.AdministratorRemoved("admin-c", REASON), federation.by_administrators(1))
    assert set(federation.registry.administrators) == {"admin-a", "admin-b"}
    act = acts.AdministratorRemoved("admin-b", REASON)
    refused(federation, act, EntryConflictError, "2 administrators have to stay")


def test_administrators_are_named_once_and_removed_once(federation: Federation) -> None:
    new = acts.NamedPair("admin-a", SigningPair.generate().public)
    refused(federation, acts.AdministratorAdded(new), EntryConflictError, "already")
    act = acts.AdministratorRemoved("admin-x", REASON)
    refused(federation, act, EntryConflictError, "no administrator admin-x")


# --- narrowings -------------------------------------------------------------------------------


def test_a_narrowing_touches_only_entries_judged_before_it(federation: Federation) -> None:
    registry, before = federation.registry, federation.registry.size
    federation.suspend("eg-moi")
    since = registry.narrowing_since
    found = since(before, members=["tn-dgsn", "eg-moi"])
    assert found is not None
    assert (found.size, found.subject, found.act) == (registry.size, "eg-moi", "MemberSuspended")
    assert found.reason is NarrowingReason.ADMINISTRATIVE
    assert since(registry.size, members=["eg-moi"]) is None
    assert since(before, members=["tn-dgsn"]) is None
    assert since(before) is None
    federation.enter(acts.MemberReinstated("eg-moi"))
    assert since(before, members=["eg-moi"]) == found


def test_the_newest_of_several_narrowings_is_told(federation: Federation) -> None:
    before = federation.registry.size
    federation.suspend("eg-moi")
    federation.suspend_agreement("eg-tn", "tn-dgsn")
    found = federation.registry.narrowing_since(before, members=["eg-moi"], agreement="eg-tn")
    assert found is not None
    assert (found.act, found.subject) == ("AgreementSuspended", "eg-tn")


@pytest.mark.parametrize("what", ["certificate", "reception key"])
def test_a_revoked_key_narrows_its_member(federation: Federation, what: str) -> None:
    agency, before = federation.agencies["eg-moi"], federation.registry.size
    key = agency.certificate.fingerprint if what == "certificate" else agency.reception.key_id
    federation.enter(acts.KeyRevoked(key, REASON), federation.by_administrators(1))
    found = federation.registry.narrowing_since(before, members=["eg-moi"])
    assert found is not None
    assert (found.act, found.reason) == ("KeyRevoked", REASON)


def test_applying_tells_what_was_narrowed(federation: Federation) -> None:
    act = acts.MemberSuspended("eg-moi", REASON)
    leaf = federation.entry(act, federation.by_administrators(1))
    applied = federation.registry.apply(leaf)
    assert (applied.size, applied.body.act) == (federation.registry.size, act)
    assert applied.narrowing is not None
    assert applied.narrowing.subject == "eg-moi"


def test_an_unknown_agreement_is_said_to_be_unknown(federation: Federation) -> None:
    with pytest.raises(UnknownAgreementError, match="none"):
        federation.registry.agreement("none")
