"""What each act changes, apart from agreements (those: ``agreement_transitions``).

A transition looks at the state and an act whose signatures have been checked, and
returns a whole change or raises. It writes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.authority import check_authority_certificate
from mithaq.certs.errors import EntryConflictError, KeyReusedError
from mithaq.certs.keys import PairPublic, ReceptionPublic, key_id
from mithaq.certs.participants import (
    Hub,
    Member,
    MemberState,
    Narrowing,
    Principal,
    PrincipalKind,
    ReceptionRecord,
    Registrar,
)
from mithaq.certs.state import Change, RegistryState
from mithaq.certs.tls import fingerprint

# The current certificate and the one before it.
TLS_FINGERPRINTS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: the registry's size with it, and when it was drawn up."""

    size: int
    made_at: datetime

    def narrowing(self, subject: str, act: object, reason: NarrowingReason | None) -> Narrowing:
        """Return that this entry takes something from a subject."""
        return Narrowing(self.size, subject, type(act).__name__, reason)


def check_fresh_keys(keys: Iterable[bytes], state: RegistryState) -> None:
    """Raise KeyReusedError if a key is bound already, or stands twice in one entry."""
    seen: set[bytes] = set()
    for each in keys:
        if each in state.keys or each in seen:
            raise KeyReusedError(f"the key {each.hex()[:8]} is bound to a purpose already")
        seen.add(each)


def pair_ids(pair: PairPublic) -> tuple[bytes, bytes]:
    """Return what both halves are called."""
    return key_id(pair.ed25519), key_id(pair.mldsa44)


def found(federation: str, act: acts.Genesis) -> RegistryState:
    """Return the state after the genesis entry; raises KeyReusedError, CertificateError."""
    check_authority_certificate(act.ca_certificate)
    administrators = {each.name: each.key for each in act.administrators}
    principal = Principal(PrincipalKind.REGISTRAR)
    state = RegistryState(
        federation=federation,
        policy=act.policy,
        threshold=act.threshold,
        registrar=_registrar(act.registrar, size=1),
        administrators=administrators,
        ca_certificates=(act.ca_certificate,),
        principals={act.registrar.tls_fingerprint: principal},
    )
    keys = (
        *(each for pair in administrators.values() for each in pair_ids(pair)),
        *pair_ids(act.registrar.key),
        act.registrar.tls_fingerprint,
        fingerprint(act.ca_certificate),
    )
    check_fresh_keys(keys, state)
    state.keys.update(keys)
    return state


def enrol_hub(state: RegistryState, act: acts.HubEnrolled, place: Place) -> Change:
    """Enrol the hub, or another in its place: the one before is out at once."""
    gone = state.hub.tls_fingerprints if state.hub else ()
    hub = Hub(
        cosigning=act.cosigning,
        tls_fingerprints=(act.tls_fingerprint,),
        exchange_address=act.exchange_address,
        enrolment_address=act.enrolment_address,
        enrolled_size=place.size,
    )
    return Change(
        keys=(*pair_ids(act.cosigning), act.tls_fingerprint),
        hub=hub,
        principals={
            **dict.fromkeys(gone),
            act.tls_fingerprint: Principal(PrincipalKind.HUB),
        },
    )


def enrol_member(state: RegistryState, act: acts.MemberEnrolled, place: Place) -> Change:
    """Enrol a member under an id never used before, so that its logs have one owner."""
    if act.member in state.members:
        raise EntryConflictError(f"the member id {act.member} has been used before")
    member = Member(
        id=act.member,
        state=MemberState.ACTIVE,
        display_name=act.display_name,
        country=act.country,
        log=act.log,
        receipt=act.receipt,
        duty=act.duty,
        signatories=act.signatories,
        tls_fingerprints=(act.tls_fingerprint,),
        enrolled_size=place.size,
        changed_size=place.size,
    )
    record = _reception(act.reception, place)
    return Change(
        keys=(*_member_keys(act), record.key_id),
        member=member,
        reception=(act.member, (record,)),
        principals={act.tls_fingerprint: Principal(PrincipalKind.NODE, act.member)},
    )


def renew_tls(state: RegistryState, act: acts.TlsRenewed, place: Place) -> Change:
    """Add a certificate; the one before stays beside it, an older one goes."""
    new = act.tls_fingerprint
    if act.subject is TlsSubject.NODE:
        member = state.active_member(act.member)
        kept, gone = _with_newest(member.tls_fingerprints, new)
        principal = Principal(PrincipalKind.NODE, act.member)
        member = replace(member, tls_fingerprints=kept, changed_size=place.size)
        return Change(
            keys=(new,), member=member, principals={**dict.fromkeys(gone), new: principal}
        )
    if act.subject is TlsSubject.REGISTRAR:
        kept, gone = _with_newest(state.registrar.tls_fingerprints, new)
        return Change(
            keys=(new,),
            registrar=replace(state.registrar, tls_fingerprints=kept),
            principals={**dict.fromkeys(gone), new: Principal(PrincipalKind.REGISTRAR)},
        )
    if state.hub is None:
        raise EntryConflictError("there is no hub whose certificate could be renewed")
    kept, gone = _with_newest(state.hub.tls_fingerprints, new)
    return Change(
        keys=(new,),
        hub=replace(state.hub, tls_fingerprints=kept),
        principals={**dict.fromkeys(gone), new: Principal(PrincipalKind.HUB)},
    )


def announce_reception_key(
    state: RegistryState, act: acts.ReceptionKeyAnnounced, place: Place
) -> Change:
    """Add a member's next reception key; senders seal to the newest."""
    member = state.active_member(act.member)
    record = _reception(act.reception, place)
    records = (*state.receptions[member.id], record)
    return Change(keys=(record.key_id,), reception=(member.id, records))


def suspend_member(state: RegistryState, act: acts.MemberSuspended, place: Place) -> Change:
    """Suspend an active member."""
    member = state.active_member(act.member)
    return Change(
        member=replace(member, state=MemberState.SUSPENDED, changed_size=place.size),
        narrowed_member=place.narrowing(act.member, act, act.reason),
    )


def reinstate_member(state: RegistryState, act: acts.MemberReinstated, place: Place) -> Change:
    """Let a suspended member act again; a revoked one never does."""
    member = state.member(act.member)
    if member.state is not MemberState.SUSPENDED:
        raise EntryConflictError(f"the member {act.member} is {member.state}, not suspended")
    return Change(member=replace(member, state=MemberState.ACTIVE, changed_size=place.size))


def revoke_member(state: RegistryState, act: acts.MemberRevoked, place: Place) -> Change:
    """End a membership, from whatever state but the end itself."""
    member = state.member(act.member)
    if member.state is MemberState.REVOKED:
        raise EntryConflictError(f"the member {act.member} is revoked already")
    return Change(
        member=replace(member, state=MemberState.REVOKED, changed_size=place.size),
        narrowed_member=place.narrowing(act.member, act, act.reason),
    )


def revoke_key(state: RegistryState, act: acts.KeyRevoked, place: Place) -> Change:
    """Take a certificate or a reception key out of use at once."""
    owner = state.reception_owners.get(act.key_id)
    if owner is not None:
        return _revoke_reception(state, owner, act, place)
    principal = state.principals.get(act.key_id)
    if principal is None:
        raise EntryConflictError("no certificate or reception key in use has this SHA-256")
    return _revoke_certificate(state, principal, act, place)


def add_administrator(state: RegistryState, act: acts.AdministratorAdded, _: Place) -> Change:
    """Add an administrator."""
    named = act.administrator
    if named.name in state.administrators:
        raise EntryConflictError(f"there is an administrator {named.name} already")
    return Change(
        keys=pair_ids(named.key),
        administrators={**state.administrators, named.name: named.key},
    )


def remove_administrator(state: RegistryState, act: acts.AdministratorRemoved, _: Place) -> Change:
    """Remove an administrator; k have to stay, or nobody could ever widen again."""
    if act.name not in state.administrators:
        raise EntryConflictError(f"there is no administrator {act.name}")
    if len(state.administrators) <= state.threshold:
        raise EntryConflictError(f"{state.threshold} administrators have to stay")
    left = {name: key for name, key in state.administrators.items() if name != act.name}
    return Change(administrators=left)


def add_ca(_: RegistryState, act: acts.CaAdded, __: Place) -> Change:
    """Add an issuing CA beside those before."""
    check_authority_certificate(act.ca_certificate)
    return Change(keys=(fingerprint(act.ca_certificate),), ca_certificate=act.ca_certificate)


def replace_registrar(state: RegistryState, act: acts.RegistrarReplaced, place: Place) -> Change:
    """Put a registrar in place of the one before, which is out at once."""
    new = act.registrar
    return Change(
        keys=(*pair_ids(new.key), new.tls_fingerprint),
        registrar=_registrar(new, size=place.size),
        principals={
            **dict.fromkeys(state.registrar.tls_fingerprints),
            new.tls_fingerprint: Principal(PrincipalKind.REGISTRAR),
        },
    )


def _registrar(identity: acts.RegistrarIdentity, *, size: int) -> Registrar:
    return Registrar(identity.key, (identity.tls_fingerprint,), size)


def _member_keys(act: acts.MemberEnrolled) -> tuple[bytes, ...]:
    receipt = act.receipt
    return (
        *pair_ids(act.log),
        *(key_id(each) for each in (receipt.held, receipt.opened, receipt.mldsa44)),
        key_id(act.duty),
        *(each for named in act.signatories for each in pair_ids(named.key)),
        act.tls_fingerprint,
    )


def _reception(public: bytes, place: Place) -> ReceptionRecord:
    # A key that nobody can seal to would stop every sender: refuse it here.
    ReceptionPublic.from_bytes(public)
    return ReceptionRecord(key_id(public), public, place.size, place.made_at)


def _with_newest(
    fingerprints: tuple[bytes, ...], new: bytes
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return what is kept and what goes."""
    every = (*fingerprints, new)
    return every[-TLS_FINGERPRINTS_MAX:], every[:-TLS_FINGERPRINTS_MAX]


def _revoke_reception(
    state: RegistryState, owner: str, act: acts.KeyRevoked, place: Place
) -> Change:
    records = state.receptions[owner]
    if any(each.key_id == act.key_id and each.revoked for each in records):
        raise EntryConflictError("this reception key is revoked already")
    changed = tuple(
        replace(each, revoked=each.revoked or each.key_id == act.key_id) for each in records
    )
    return Change(
        reception=(owner, changed), narrowed_member=place.narrowing(owner, act, act.reason)
    )


def _revoke_certificate(
    state: RegistryState, principal: Principal, act: acts.KeyRevoked, place: Place
) -> Change:
    gone = act.key_id

    def without(fingerprints: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple(each for each in fingerprints if each != gone)

    if principal.kind is PrincipalKind.NODE:
        member = state.members[principal.member]
        kept = without(member.tls_fingerprints)
        return Change(
            member=replace(member, tls_fingerprints=kept, changed_size=place.size),
            principals={gone: None},
            narrowed_member=place.narrowing(member.id, act, act.reason),
        )
    if principal.kind is PrincipalKind.REGISTRAR:
        kept = without(state.registrar.tls_fingerprints)
        return Change(
            registrar=replace(state.registrar, tls_fingerprints=kept), principals={gone: None}
        )
    hub = state.hub
    return Change(
        hub=replace(hub, tls_fingerprints=without(hub.tls_fingerprints)) if hub else None,
        principals={gone: None},
    )
