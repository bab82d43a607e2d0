"""Who may enter what (PROTOCOL 2.1): each rule on both sides of its line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.entries import (
    EntrySignature,
    EntrySigner,
    SignedEntry,
    SignerRole,
    draw_up,
    sign_entry,
)
from mithaq.certs.errors import (
    AuthorityMissingError,
    ReplayedEntryError,
    SignatureInvalidError,
    SignatureUncalledError,
    SignerUnknownError,
    TrustError,
    TrustFormatError,
    WrongFederationError,
)
from mithaq.certs.keys import Ed25519Key, ReceptionKey, SigningPair
from tests.certs.refusals import refused
from tests.federation import Federation, now

REASON = NarrowingReason.ADMINISTRATIVE


@dataclass(frozen=True)
class Case:
    """An act, and what has to happen before it fits."""

    act: Callable[[Federation], acts.Act]
    before: Callable[[Federation], object] = lambda _: None


def new_pair() -> acts.NamedPair:
    return acts.NamedPair("admin-d", SigningPair.generate().public)


def new_registrar() -> acts.RegistrarIdentity:
    return acts.RegistrarIdentity(SigningPair.generate().public, b"\x07" * 32)


WIDENING = {
    "enrol a hub": Case(
        lambda _: acts.HubEnrolled(
            SigningPair.generate().public, b"\x01" * 32, "hub.example:1", "hub.example:2"
        )
    ),
    "enrol a member": Case(lambda f: f.enrolment_of(f.new_agency("it-mi"))),
    "renew a certificate": Case(lambda _: acts.TlsRenewed(TlsSubject.NODE, b"\x02" * 32, "eg-moi")),
    "reinstate": Case(lambda _: acts.MemberReinstated("eg-moi"), lambda f: f.suspend("eg-moi")),
    "lift the administrators' suspension": Case(
        lambda _: acts.AgreementLifted("eg-tn"),
        lambda f: f.enter(acts.AgreementSuspended("eg-tn", REASON), f.by_administrators(1)),
    ),
    "add an administrator": Case(lambda _: acts.AdministratorAdded(new_pair())),
    "add a CA": Case(
        lambda f: acts.CaAdded(type(f.authority).create(f.name, at=now()).certificate_der)
    ),
    "replace the registrar": Case(lambda _: acts.RegistrarReplaced(new_registrar())),
}
NARROWING = {
    "suspend a member": Case(lambda _: acts.MemberSuspended("eg-moi", REASON)),
    "revoke a member": Case(lambda _: acts.MemberRevoked("eg-moi", REASON)),
    "revoke a key": Case(
        lambda f: acts.KeyRevoked(f.agencies["eg-moi"].certificate.fingerprint, REASON)
    ),
    "end an agreement for all": Case(lambda _: acts.AgreementEnded("eg-tn", REASON)),
    "suspend an agreement": Case(lambda _: acts.AgreementSuspended("eg-tn", REASON)),
    "remove an administrator": Case(lambda _: acts.AdministratorRemoved("admin-c", REASON)),
}


def signatories(federation: Federation, member: str, count: int = 2) -> list[EntrySigner]:
    return [
        EntrySigner.signatory(member, name, pair)
        for name, pair in federation.agencies[member].signatories.items()
    ][:count]


def log_key(federation: Federation, member: str) -> EntrySigner:
    return EntrySigner.log(member, federation.agencies[member].log)


def duty(federation: Federation, member: str) -> EntrySigner:
    return EntrySigner.duty(member, federation.agencies[member].duty)


def altered(leaf: bytes, change: Callable[[EntrySignature], EntrySignature]) -> bytes:
    """Return a leaf whose first signature is changed."""
    entry = SignedEntry.from_bytes(leaf)
    first, *rest = entry.signatures
    return replace(entry, signatures=(change(first), *rest)).to_bytes()


@pytest.mark.parametrize("name", WIDENING)
def test_what_widens_takes_k_administrators_and_not_one_fewer(
    federation: Federation, name: str
) -> None:
    case = WIDENING[name]
    case.before(federation)
    act = case.act(federation)
    fewer = federation.by_administrators(federation.threshold - 1)
    refused(federation, federation.entry(act, fewer), AuthorityMissingError, "1 more")
    federation.enter(act, federation.by_administrators(federation.threshold))


@pytest.mark.parametrize("name", NARROWING)
def test_what_narrows_takes_one_administrator(federation: Federation, name: str) -> None:
    case = NARROWING[name]
    federation.enter(case.act(federation), federation.by_administrators(1))


@pytest.mark.parametrize("name", [*WIDENING, *NARROWING])
def test_no_act_of_administrators_is_entered_by_a_members_keys(
    federation: Federation, name: str
) -> None:
    case = {**WIDENING, **NARROWING}[name]
    case.before(federation)
    act = case.act(federation)
    for signers in (
        [log_key(federation, "eg-moi")],
        [duty(federation, "eg-moi")],
        signatories(federation, "eg-moi"),
    ):
        refused(federation, federation.entry(act, signers), SignatureUncalledError)


def test_an_entry_that_nobody_signed_is_refused(federation: Federation) -> None:
    for act in (acts.MemberSuspended("eg-moi", REASON), announcement("eg-moi")):
        refused(federation, federation.entry(act, []), AuthorityMissingError, "1 more")


def test_more_administrators_than_k_may_sign(federation: Federation) -> None:
    act = federation.enrolment_of(federation.new_agency("it-mi"))
    federation.enter(act, federation.by_administrators(3))


def test_one_administrator_who_signs_twice_counts_once(federation: Federation) -> None:
    act = federation.enrolment_of(federation.new_agency("it-mi"))
    leaf = federation.entry(act, federation.by_administrators(1) * 2)
    refused(federation, leaf, TrustFormatError, "sorted, each once")


def test_an_administrator_under_two_names_is_unknown_under_the_second(
    federation: Federation,
) -> None:
    act = federation.enrolment_of(federation.new_agency("it-mi"))
    pair = federation.administrators["admin-a"]
    signers = [EntrySigner.administrator(each, pair) for each in ("admin-a", "admin-x")]
    refused(federation, federation.entry(act, signers), SignerUnknownError, "admin-x")


def test_an_administrator_who_signs_in_anothers_name_is_noticed(federation: Federation) -> None:
    act = federation.enrolment_of(federation.new_agency("it-mi"))
    pair = federation.administrators["admin-a"]
    signers = [EntrySigner.administrator(each, pair) for each in ("admin-a", "admin-b")]
    refused(federation, federation.entry(act, signers), SignatureInvalidError)


@pytest.mark.parametrize("half", ["ed25519", "mldsa44"])
def test_both_halves_of_a_signature_have_to_verify(federation: Federation, half: str) -> None:
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1))

    def flipped(signature: EntrySignature) -> EntrySignature:
        value = getattr(signature, half)
        return replace(signature, **{half: bytes((value[0] ^ 1,)) + value[1:]})

    refused(federation, altered(leaf, flipped), SignatureInvalidError)
    federation.registry.apply(leaf)


def test_a_signature_stripped_of_its_second_half_is_not_read(federation: Federation) -> None:
    signers = federation.by_administrators(1)
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), signers)
    stripped = altered(leaf, lambda each: replace(each, mldsa44=b""))
    refused(federation, stripped, TrustFormatError, "ADMINISTRATOR has other parts")


def test_a_signature_given_for_another_body_is_worth_nothing(federation: Federation) -> None:
    signers = federation.by_administrators(1)
    harmless = federation.entry(acts.MemberSuspended("int-iom", REASON), signers)
    signatures = SignedEntry.from_bytes(harmless).signatures
    body = draw_up(acts.MemberRevoked("eg-moi", REASON), federation=federation.name, at=now())
    refused(federation, SignedEntry(body, signatures).to_bytes(), SignatureInvalidError)


def test_a_signature_for_another_federation_is_worth_nothing_here(federation: Federation) -> None:
    elsewhere = draw_up(acts.MemberRevoked("eg-moi", REASON), federation="other.example", at=now())
    leaf = sign_entry(elsewhere, federation.by_administrators(1)).to_bytes()
    refused(federation, leaf, WrongFederationError)


def test_the_same_body_is_entered_once_whoever_signs_it_again(federation: Federation) -> None:
    leaf = federation.enter(acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1))
    federation.enter(acts.MemberReinstated("eg-moi"))
    refused(federation, leaf, ReplayedEntryError)
    body = SignedEntry.from_bytes(leaf).body
    again = sign_entry(body, federation.by_administrators(3)).to_bytes()
    refused(federation, again, ReplayedEntryError)


def test_an_administrator_who_was_removed_signs_nothing_more(federation: Federation) -> None:
    federation.enter(acts.AdministratorRemoved("admin-a", REASON), federation.by_administrators(1))
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1))
    refused(federation, leaf, SignerUnknownError, "admin-a")


def test_an_administrator_who_was_added_counts_from_the_next_entry(federation: Federation) -> None:
    pair = SigningPair.generate()
    newcomer = EntrySigner.administrator("admin-d", pair)
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), [newcomer])
    refused(federation, leaf, SignerUnknownError, "admin-d")
    federation.enter(acts.AdministratorAdded(acts.NamedPair("admin-d", pair.public)))
    federation.registry.apply(leaf)


# --- what members may do themselves ---------------------------------------------------


def announcement(member: str) -> acts.ReceptionKeyAnnounced:
    return acts.ReceptionKeyAnnounced(member, ReceptionKey.generate().public)


def test_a_member_announces_its_own_reception_key(federation: Federation) -> None:
    federation.enter(announcement("eg-moi"), [log_key(federation, "eg-moi")])


def test_a_member_speaks_for_no_other(federation: Federation) -> None:
    leaf = federation.entry(announcement("eg-moi"), [log_key(federation, "tn-dgsn")])
    refused(federation, leaf, SignatureUncalledError, "log of tn-dgsn")
    forged = EntrySigner.log("eg-moi", federation.agencies["tn-dgsn"].log)
    refused(federation, federation.entry(announcement("eg-moi"), [forged]), SignatureInvalidError)


def test_administrators_cannot_announce_a_members_reception_key(federation: Federation) -> None:
    # They could read what is sealed to it.
    leaf = federation.entry(announcement("eg-moi"), federation.by_administrators(3))
    refused(federation, leaf, SignatureUncalledError)
    extra = [log_key(federation, "eg-moi"), *federation.by_administrators(1)]
    refused(federation, federation.entry(announcement("eg-moi"), extra), SignatureUncalledError)


@pytest.mark.parametrize("wrong", ["duty", "signatory"])
def test_only_the_log_key_announces_a_reception_key(federation: Federation, wrong: str) -> None:
    signers: Sequence[EntrySigner] = (
        [duty(federation, "eg-moi")] if wrong == "duty" else signatories(federation, "eg-moi")
    )
    leaf = federation.entry(announcement("eg-moi"), signers)
    refused(federation, leaf, SignatureUncalledError)


def test_a_party_suspends_its_agreement_by_its_duty_key_alone(federation: Federation) -> None:
    act = acts.AgreementSuspended("eg-tn", REASON, "eg-moi")
    for signers in (
        [log_key(federation, "eg-moi")],
        signatories(federation, "eg-moi"),
        federation.by_administrators(3),
        [duty(federation, "tn-dgsn")],
    ):
        refused(federation, federation.entry(act, signers), SignatureUncalledError)
    federation.enter(act, [duty(federation, "eg-moi")])


def test_a_duty_key_does_nothing_but_suspend(federation: Federation) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    for act in (
        acts.AgreementLifted("eg-tn", "eg-moi"),
        acts.AgreementEnded("eg-tn", REASON, "eg-moi"),
        announcement("eg-moi"),
        acts.MemberSuspended("tn-dgsn", REASON),
    ):
        leaf = federation.entry(act, [duty(federation, "eg-moi")])
        refused(federation, leaf, SignatureUncalledError)


def test_a_duty_key_of_no_party_suspends_nothing(federation: Federation) -> None:
    act = acts.AgreementSuspended("eg-tn", REASON, "int-iom")
    leaf = federation.entry(act, [duty(federation, "int-iom")])
    refused(federation, leaf, TrustError, "int-iom is no party")


def test_a_forged_duty_signature_suspends_nothing(federation: Federation) -> None:
    act = acts.AgreementSuspended("eg-tn", REASON, "eg-moi")
    forger = EntrySigner.duty("eg-moi", Ed25519Key.generate())
    refused(federation, federation.entry(act, [forger]), SignatureInvalidError)


def test_a_duty_signature_carries_no_second_half(federation: Federation) -> None:
    act = acts.AgreementSuspended("eg-tn", REASON, "eg-moi")
    leaf = federation.entry(act, [duty(federation, "eg-moi")])
    padded = altered(leaf, lambda each: replace(each, mldsa44=b"\x00" * 2420))
    refused(federation, padded, TrustFormatError, "DUTY has other parts")


def test_lifting_takes_k_administrators_and_two_signatories_of_who_suspended(
    federation: Federation,
) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    act = acts.AgreementLifted("eg-tn", "eg-moi")
    administrators, own = federation.by_administrators(2), signatories(federation, "eg-moi")
    for signers in (administrators, own, [*administrators, own[0]], [administrators[0], *own]):
        refused(federation, federation.entry(act, signers), AuthorityMissingError)
    others = [*administrators, *signatories(federation, "tn-dgsn")]
    refused(federation, federation.entry(act, others), SignatureUncalledError)
    federation.enter(act, [*administrators, *own])


def test_administrators_alone_cannot_lift_a_partys_suspension(federation: Federation) -> None:
    federation.suspend_agreement("eg-tn", "eg-moi")
    leaf = federation.entry(acts.AgreementLifted("eg-tn"), federation.by_administrators(3))
    refused(federation, leaf, TrustError, "administrators has not suspended")


def test_a_party_leaves_by_two_signatories(federation: Federation) -> None:
    act = acts.AgreementEnded("all-three", REASON, "eg-moi")
    one = federation.entry(act, signatories(federation, "eg-moi", 1))
    refused(federation, one, AuthorityMissingError)
    by_others = federation.entry(act, federation.by_administrators(3))
    refused(federation, by_others, SignatureUncalledError)
    federation.enter(act, signatories(federation, "eg-moi"))


def test_a_revoked_member_signs_nothing(federation: Federation) -> None:
    federation.revoke("eg-moi")
    for act, signers in (
        (acts.AgreementSuspended("eg-tn", REASON, "eg-moi"), [duty(federation, "eg-moi")]),
        (acts.AgreementEnded("eg-tn", REASON, "eg-moi"), signatories(federation, "eg-moi")),
        (announcement("eg-moi"), [log_key(federation, "eg-moi")]),
    ):
        refused(federation, federation.entry(act, signers), SignerUnknownError, "eg-moi")


def test_a_suspended_member_may_still_narrow_and_nothing_else(federation: Federation) -> None:
    federation.suspend("eg-moi")
    leaf = federation.entry(announcement("eg-moi"), [log_key(federation, "eg-moi")])
    refused(federation, leaf, TrustError, "suspended")
    federation.suspend_agreement("eg-tn", "eg-moi")
    own = signatories(federation, "eg-moi")
    lifting = federation.entry(
        acts.AgreementLifted("eg-tn", "eg-moi"), [*federation.by_administrators(), *own]
    )
    refused(federation, lifting, TrustError, "suspended")
    federation.enter(acts.AgreementEnded("all-three", REASON, "eg-moi"), own)


def test_a_member_that_nobody_enrolled_signs_nothing(federation: Federation) -> None:
    stranger = EntrySigner.log("it-mi", SigningPair.generate())
    leaf = federation.entry(announcement("it-mi"), [stranger])
    refused(federation, leaf, SignerUnknownError, "it-mi")


def test_a_signatory_who_is_none_is_unknown(federation: Federation) -> None:
    stranger = EntrySigner.signatory("eg-moi", "signer-x", SigningPair.generate())
    signers = [*signatories(federation, "eg-moi", 1), stranger]
    leaf = federation.entry(acts.AgreementEnded("all-three", REASON, "eg-moi"), signers)
    refused(federation, leaf, SignerUnknownError, "signer-x")


def test_roles_are_told_apart_though_the_numbers_match(federation: Federation) -> None:
    # An administrator's signature relabelled as a signatory's, of the same name and body.
    leaf = federation.entry(acts.MemberSuspended("eg-moi", REASON), federation.by_administrators(1))
    relabelled = altered(
        leaf, lambda each: replace(each, role=SignerRole.SIGNATORY, member="eg-moi")
    )
    refused(federation, relabelled, SignatureUncalledError, "signatory of eg-moi")
