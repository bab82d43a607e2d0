"""Acts to protobuf and back, field by field; nothing is decided here.

The messages' own rules have been checked before anything is read from them.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

from mithaq.certs import acts
from mithaq.certs.acts import Act, NarrowingReason
from mithaq.certs.errors import TrustFormatError
from mithaq.certs.keys import PairPublic
from mithaq.v1 import registry_pb2 as pb


def pair_to_pb(pair: PairPublic) -> pb.PairPublic:
    """Return the message of a pair."""
    return pb.PairPublic(ed25519=pair.ed25519, mldsa44=pair.mldsa44)


def pair_from_pb(message: pb.PairPublic) -> PairPublic:
    """Return the pair of a message."""
    return PairPublic(message.ed25519, message.mldsa44)


def name_to_pb(name: acts.LocalizedName) -> pb.LocalizedName:
    """Return the message of a display name."""
    return pb.LocalizedName(en=name.en, fr=name.fr, ar=name.ar)


def name_from_pb(message: pb.LocalizedName) -> acts.LocalizedName:
    """Return the display name of a message."""
    return acts.LocalizedName(message.en, message.fr, message.ar)


def receipt_to_pb(keys: acts.ReceiptKeys) -> pb.ReceiptKeys:
    """Return the message of a member's receipt keys."""
    return pb.ReceiptKeys(held=keys.held, opened=keys.opened, mldsa44=keys.mldsa44)


def receipt_from_pb(message: pb.ReceiptKeys) -> acts.ReceiptKeys:
    """Return the receipt keys of a message."""
    return acts.ReceiptKeys(message.held, message.opened, message.mldsa44)


def check_sorted(keys: Iterable[tuple[str, ...]], what: str) -> None:
    """Raise TrustFormatError unless these stand in order, each once: one spelling of a set."""
    given = list(keys)
    if given != sorted(set(given)):
        raise TrustFormatError(f"{what} are sorted, each once")


def _named_to_pb(named: acts.NamedPair) -> pb.NamedPair:
    return pb.NamedPair(name=named.name, key=pair_to_pb(named.key))


def _named_from_pb(message: pb.NamedPair) -> acts.NamedPair:
    return acts.NamedPair(message.name, pair_from_pb(message.key))


def _all_named_from_pb(messages: Iterable[pb.NamedPair]) -> tuple[acts.NamedPair, ...]:
    named = tuple(_named_from_pb(each) for each in messages)
    check_sorted(((each.name,) for each in named), "administrators and signatories")
    return named


def _registrar_to_pb(registrar: acts.RegistrarIdentity) -> pb.RegistrarIdentity:
    return pb.RegistrarIdentity(
        key=pair_to_pb(registrar.key), tls_fingerprint=registrar.tls_fingerprint
    )


def _registrar_from_pb(message: pb.RegistrarIdentity) -> acts.RegistrarIdentity:
    return acts.RegistrarIdentity(pair_from_pb(message.key), message.tls_fingerprint)


def _policy_to_pb(policy: acts.Policy) -> pb.FederationPolicy:
    return pb.FederationPolicy(
        freshness_limit_seconds=int(policy.freshness_limit.total_seconds()),
        registry_entries_max=policy.registry_entries_max,
        catch_up_limit_seconds=int(policy.catch_up_limit.total_seconds()),
        reception_key_life_seconds=int(policy.reception_key_life.total_seconds()),
        batch_entries_max=policy.batch_entries_max,
        batch_bytes_max=policy.batch_bytes_max,
        clock_skew_limit_seconds=int(policy.clock_skew_limit.total_seconds()),
    )


def _policy_from_pb(message: pb.FederationPolicy) -> acts.Policy:
    return acts.Policy(
        freshness_limit=timedelta(seconds=message.freshness_limit_seconds),
        registry_entries_max=message.registry_entries_max,
        catch_up_limit=timedelta(seconds=message.catch_up_limit_seconds),
        reception_key_life=timedelta(seconds=message.reception_key_life_seconds),
        batch_entries_max=message.batch_entries_max,
        batch_bytes_max=message.batch_bytes_max,
        clock_skew_limit=timedelta(seconds=message.clock_skew_limit_seconds),
    )


def _genesis_to_pb(act: acts.Genesis) -> pb.Genesis:
    return pb.Genesis(
        policy=_policy_to_pb(act.policy),
        threshold=act.threshold,
        administrators=[_named_to_pb(each) for each in act.administrators],
        registrar=_registrar_to_pb(act.registrar),
        ca_certificate=act.ca_certificate,
    )


def _genesis_from_pb(message: pb.Genesis) -> acts.Genesis:
    administrators = _all_named_from_pb(message.administrators)
    if message.threshold > len(administrators):
        raise TrustFormatError("there are fewer administrators than the threshold")
    return acts.Genesis(
        policy=_policy_from_pb(message.policy),
        threshold=message.threshold,
        administrators=administrators,
        registrar=_registrar_from_pb(message.registrar),
        ca_certificate=message.ca_certificate,
    )


def _hub_to_pb(act: acts.HubEnrolled) -> pb.HubEnrolled:
    return pb.HubEnrolled(
        cosigning=pair_to_pb(act.cosigning),
        tls_fingerprint=act.tls_fingerprint,
        exchange_address=act.exchange_address,
        enrolment_address=act.enrolment_address,
    )


def _hub_from_pb(message: pb.HubEnrolled) -> acts.HubEnrolled:
    return acts.HubEnrolled(
        cosigning=pair_from_pb(message.cosigning),
        tls_fingerprint=message.tls_fingerprint,
        exchange_address=message.exchange_address,
        enrolment_address=message.enrolment_address,
    )


def _member_to_pb(act: acts.MemberEnrolled) -> pb.MemberEnrolled:
    return pb.MemberEnrolled(
        member=act.member,
        display_name=name_to_pb(act.display_name),
        country=act.country,
        log=pair_to_pb(act.log),
        receipt=receipt_to_pb(act.receipt),
        reception=act.reception,
        duty=act.duty,
        signatories=[_named_to_pb(each) for each in act.signatories],
        tls_fingerprint=act.tls_fingerprint,
    )


def _member_from_pb(message: pb.MemberEnrolled) -> acts.MemberEnrolled:
    return acts.MemberEnrolled(
        member=message.member,
        display_name=name_from_pb(message.display_name),
        country=message.country,
        log=pair_from_pb(message.log),
        receipt=receipt_from_pb(message.receipt),
        reception=message.reception,
        duty=message.duty,
        signatories=_all_named_from_pb(message.signatories),
        tls_fingerprint=message.tls_fingerprint,
    )


def _tls_to_pb(act: acts.TlsRenewed) -> pb.TlsRenewed:
    return pb.TlsRenewed(
        subject=pb.TlsSubject.ValueType(act.subject),
        member=act.member,
        tls_fingerprint=act.tls_fingerprint,
    )


def _tls_from_pb(message: pb.TlsRenewed) -> acts.TlsRenewed:
    subject = acts.TlsSubject(message.subject)
    if bool(message.member) != (subject is acts.TlsSubject.NODE):
        raise TrustFormatError("a TLS renewal names a member if it is a node's, and only then")
    return acts.TlsRenewed(subject, message.tls_fingerprint, message.member)


def _admitted_to_pb(act: acts.AgreementAdmitted) -> pb.AgreementAdmitted:
    return pb.AgreementAdmitted(
        terms=act.terms,
        signatures=[
            pb.AgreementSignature(
                member=each.member, name=each.name, ed25519=each.ed25519, mldsa44=each.mldsa44
            )
            for each in act.signatures
        ],
    )


def _admitted_from_pb(message: pb.AgreementAdmitted) -> acts.AgreementAdmitted:
    signatures = tuple(
        acts.AgreementSignature(each.member, each.name, each.ed25519, each.mldsa44)
        for each in message.signatures
    )
    check_sorted(((each.member, each.name) for each in signatures), "an agreement's signatures")
    return acts.AgreementAdmitted(message.terms, signatures)


_ENCODERS: Final[dict[type, Callable[[Any], pb.RegistryBody]]] = {
    acts.Genesis: lambda act: pb.RegistryBody(genesis=_genesis_to_pb(act)),
    acts.HubEnrolled: lambda act: pb.RegistryBody(hub_enrolled=_hub_to_pb(act)),
    acts.MemberEnrolled: lambda act: pb.RegistryBody(member_enrolled=_member_to_pb(act)),
    acts.TlsRenewed: lambda act: pb.RegistryBody(tls_renewed=_tls_to_pb(act)),
    acts.ReceptionKeyAnnounced: lambda act: pb.RegistryBody(
        reception_key_announced=pb.ReceptionKeyAnnounced(member=act.member, reception=act.reception)
    ),
    acts.MemberSuspended: lambda act: pb.RegistryBody(
        member_suspended=pb.MemberSuspended(member=act.member, reason=act.reason)
    ),
    acts.MemberReinstated: lambda act: pb.RegistryBody(
        member_reinstated=pb.MemberReinstated(member=act.member)
    ),
    acts.MemberRevoked: lambda act: pb.RegistryBody(
        member_revoked=pb.MemberRevoked(member=act.member, reason=act.reason)
    ),
    acts.KeyRevoked: lambda act: pb.RegistryBody(
        key_revoked=pb.KeyRevoked(key_id=act.key_id, reason=act.reason)
    ),
    acts.AgreementAdmitted: lambda act: pb.RegistryBody(agreement_admitted=_admitted_to_pb(act)),
    acts.AgreementSuspended: lambda act: pb.RegistryBody(
        agreement_suspended=pb.AgreementSuspended(
            agreement_id=act.agreement_id, member=act.member, reason=act.reason
        )
    ),
    acts.AgreementLifted: lambda act: pb.RegistryBody(
        agreement_lifted=pb.AgreementLifted(agreement_id=act.agreement_id, member=act.member)
    ),
    acts.AgreementEnded: lambda act: pb.RegistryBody(
        agreement_ended=pb.AgreementEnded(
            agreement_id=act.agreement_id, member=act.member, reason=act.reason
        )
    ),
    acts.AdministratorAdded: lambda act: pb.RegistryBody(
        administrator_added=pb.AdministratorAdded(administrator=_named_to_pb(act.administrator))
    ),
    acts.AdministratorRemoved: lambda act: pb.RegistryBody(
        administrator_removed=pb.AdministratorRemoved(name=act.name, reason=act.reason)
    ),
    acts.CaAdded: lambda act: pb.RegistryBody(
        ca_added=pb.CaAdded(ca_certificate=act.ca_certificate)
    ),
    acts.RegistrarReplaced: lambda act: pb.RegistryBody(
        registrar_replaced=pb.RegistrarReplaced(registrar=_registrar_to_pb(act.registrar))
    ),
}

_DECODERS: Final[dict[str, Callable[[pb.RegistryBody], Act]]] = {
    "genesis": lambda body: _genesis_from_pb(body.genesis),
    "hub_enrolled": lambda body: _hub_from_pb(body.hub_enrolled),
    "member_enrolled": lambda body: _member_from_pb(body.member_enrolled),
    "tls_renewed": lambda body: _tls_from_pb(body.tls_renewed),
    "reception_key_announced": lambda body: acts.ReceptionKeyAnnounced(
        body.reception_key_announced.member, body.reception_key_announced.reception
    ),
    "member_suspended": lambda body: acts.MemberSuspended(
        body.member_suspended.member, NarrowingReason(body.member_suspended.reason)
    ),
    "member_reinstated": lambda body: acts.MemberReinstated(body.member_reinstated.member),
    "member_revoked": lambda body: acts.MemberRevoked(
        body.member_revoked.member, NarrowingReason(body.member_revoked.reason)
    ),
    "key_revoked": lambda body: acts.KeyRevoked(
        body.key_revoked.key_id, NarrowingReason(body.key_revoked.reason)
    ),
    "agreement_admitted": lambda body: _admitted_from_pb(body.agreement_admitted),
    "agreement_suspended": lambda body: acts.AgreementSuspended(
        body.agreement_suspended.agreement_id,
        NarrowingReason(body.agreement_suspended.reason),
        body.agreement_suspended.member,
    ),
    "agreement_lifted": lambda body: acts.AgreementLifted(
        body.agreement_lifted.agreement_id, body.agreement_lifted.member
    ),
    "agreement_ended": lambda body: acts.AgreementEnded(
        body.agreement_ended.agreement_id,
        NarrowingReason(body.agreement_ended.reason),
        body.agreement_ended.member,
    ),
    "administrator_added": lambda body: acts.AdministratorAdded(
        _named_from_pb(body.administrator_added.administrator)
    ),
    "administrator_removed": lambda body: acts.AdministratorRemoved(
        body.administrator_removed.name, NarrowingReason(body.administrator_removed.reason)
    ),
    "ca_added": lambda body: acts.CaAdded(body.ca_added.ca_certificate),
    "registrar_replaced": lambda body: acts.RegistrarReplaced(
        _registrar_from_pb(body.registrar_replaced.registrar)
    ),
}


def act_to_pb(act: Act) -> pb.RegistryBody:
    """Return a RegistryBody that holds this act and nothing else yet."""
    return _ENCODERS[type(act)](act)


def act_from_pb(body: pb.RegistryBody) -> Act:
    """Return the act of a RegistryBody whose message rules have been checked.

    Raises:
        TrustFormatError: a rule that spans fields is broken.

    """
    return _DECODERS[body.WhichOneof("act") or ""](body)
