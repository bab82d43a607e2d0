"""Whatever is handed in, in whatever order: what must hold of every history."""

from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.agreements.status import AgreementState
from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.entries import EntrySigner, SignedEntry
from mithaq.certs.errors import TrustError
from mithaq.certs.keys import ReceptionKey
from mithaq.certs.mandate import mandate_of
from mithaq.certs.participants import MemberState
from mithaq.certs.registry import Registry
from tests.certs.refusals import state_of
from tests.federation import Federation, agreement

REASON = NarrowingReason.ADMINISTRATIVE
MEMBERS = ("eg-moi", "tn-dgsn", "it-mi")
AGREEMENTS = ("eg-tn", "none")


@cache
def founded() -> Federation:
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol("eg-moi", "tn-dgsn")
    federation.agree(agreement("eg-moi", "tn-dgsn", agreement_id="eg-tn"))
    return federation


members = st.sampled_from(MEMBERS)
optional_members = st.sampled_from(("", *MEMBERS))
agreements = st.sampled_from(AGREEMENTS)
certificates = st.integers(1, 6).map(lambda number: bytes((number,)) * 32)
possible_acts = st.one_of(
    st.builds(acts.MemberSuspended, members, st.just(REASON)),
    st.builds(acts.MemberReinstated, members),
    st.builds(acts.MemberRevoked, members, st.just(REASON)),
    st.builds(acts.TlsRenewed, st.just(TlsSubject.NODE), certificates, members),
    st.builds(acts.TlsRenewed, st.just(TlsSubject.HUB), certificates),
    st.builds(acts.KeyRevoked, certificates, st.just(REASON)),
    st.builds(acts.AgreementSuspended, agreements, st.just(REASON), optional_members),
    st.builds(acts.AgreementLifted, agreements, optional_members),
    st.builds(acts.AgreementEnded, agreements, st.just(REASON), optional_members),
    st.builds(acts.AdministratorRemoved, st.sampled_from(("admin-a", "admin-c")), st.just(REASON)),
    st.builds(
        acts.ReceptionKeyAnnounced, members, st.builds(lambda: ReceptionKey.generate().public)
    ),
)


def every_signer(federation: Federation) -> list[EntrySigner]:
    signers = federation.by_administrators(3)
    for member, agency in federation.agencies.items():
        signers.append(EntrySigner.log(member, agency.log))
        signers.append(EntrySigner.duty(member, agency.duty))
        signers += [
            EntrySigner.signatory(member, name, pair) for name, pair in agency.signatories.items()
        ]
    return signers


def proper_signers(act: acts.Act, federation: Federation) -> list[EntrySigner]:
    """Return those whom the act needs, as far as there are such keys."""
    needed = dict(mandate_of(act, threshold=federation.threshold).needed)
    chosen: list[EntrySigner] = []
    for each in every_signer(federation):
        if needed.get((each.role, each.member), 0) > 0:
            needed[each.role, each.member] -= 1
            chosen.append(each)
    return chosen


choices = st.lists(st.integers(0, 10), max_size=4, unique=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(possible_acts, st.one_of(st.none(), st.none(), choices)), max_size=12))
def test_every_history_keeps_the_rules_and_replays_to_the_same_registry(
    history: list[tuple[acts.Act, list[int] | None]],
) -> None:
    base = founded()
    federation = replace(base, registry=base.registry.copy(), leaves=list(base.leaves))
    signers = every_signer(federation)
    for act, chosen in history:
        given_by = (
            proper_signers(act, federation)
            if chosen is None
            else [signers[each] for each in chosen]
        )
        take_or_leave(federation, federation.entry(act, given_by))
        check_invariants(federation.registry)
    replayed = Registry.start(federation.leaves[0], federation.pin)
    for leaf in federation.leaves[1:]:
        replayed.apply(leaf)
    assert state_of(replayed) == state_of(federation.registry)


def take_or_leave(federation: Federation, leaf: bytes) -> None:
    registry = federation.registry
    before, expected = registry.copy(), fits(registry, leaf)
    try:
        registry.apply(leaf)
    except TrustError:
        assert not expected
        assert state_of(registry) == state_of(before)
        return
    assert expected
    federation.leaves.append(leaf)


def fits(registry: Registry, leaf: bytes) -> bool:
    """Tell by ``examine`` whether the entry would be taken: the two have to agree."""
    try:
        return not registry.examine(SignedEntry.from_bytes(leaf)).missing
    except TrustError:
        return False


def check_invariants(registry: Registry) -> None:
    assert len(registry.administrators) >= registry.threshold
    assert registry.root == registry.frontier.root() == registry.root_at(registry.size)
    for member in registry.members():
        for fingerprint in member.tls_fingerprints:
            known = reachable(registry, fingerprint)
            assert known == (member.state is MemberState.ACTIVE)
    for record in registry.agreements():
        status = record.status
        if status.state is not AgreementState.ENDED:
            assert (status.state is AgreementState.SUSPENDED) == bool(status.suspended_by)
            assert len(record.agreement.members.difference(status.left)) >= 2
        if status.left:
            assert status.left.keys() <= {each.id for each in registry.members()}
        assert record.admitted_size <= record.changed_size <= registry.size


def reachable(registry: Registry, fingerprint: bytes) -> bool:
    try:
        registry.by_tls_fingerprint(fingerprint)
    except TrustError:
        return False
    return True


def test_the_histories_above_do_enter_something() -> None:
    base = founded()
    federation = replace(base, registry=base.registry.copy(), leaves=list(base.leaves))
    signers = every_signer(federation)
    take_or_leave(federation, federation.entry(acts.MemberSuspended("eg-moi", REASON), signers[:1]))
    take_or_leave(federation, federation.entry(acts.MemberReinstated("eg-moi"), signers[:2]))
    assert federation.registry.size == base.registry.size + 2
