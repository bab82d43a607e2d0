"""What an act of the registry says, in people's words: read before it is signed.

Names of offices, ids and fingerprints only: nothing in the registry is about a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mithaq.agreements.terms import Agreement
from mithaq.certs import acts
from mithaq.certs.keys import grouped
from mithaq.certs.tls import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mithaq.certs.acts import Act, NamedPair


def words(act: Act) -> list[str]:
    """Return the lines that say what an act does."""
    match act:
        case acts.Genesis():
            return _genesis(act)
        case acts.HubEnrolled():
            return _hub(act)
        case acts.MemberEnrolled():
            return _member(act)
        case acts.AgreementAdmitted():
            return _agreement(act)
        case _:
            return [_line(act)]


def _genesis(act: acts.Genesis) -> list[str]:
    return [
        f"found a federation: {act.threshold} of {len(act.administrators)} administrators widen",
        *_named("administrator", act.administrators),
        f"registrar {grouped(act.registrar.key.fingerprint)}",
        f"issuing CA {grouped(fingerprint(act.ca_certificate))}",
    ]


def _hub(act: acts.HubEnrolled) -> list[str]:
    return [
        f"enrol the hub at {act.exchange_address}, enrolment at {act.enrolment_address}",
        f"cosigning key {grouped(act.cosigning.fingerprint)}",
        f"certificate {grouped(act.tls_fingerprint)}",
    ]


def _member(act: acts.MemberEnrolled) -> list[str]:
    return [
        f"enrol {act.member}, {act.display_name.en} ({act.country})",
        f"log key {grouped(act.log.fingerprint)}",
        *_named("signatory", act.signatories),
        f"certificate {grouped(act.tls_fingerprint)}",
    ]


def _agreement(act: acts.AgreementAdmitted) -> list[str]:
    terms = Agreement.from_bytes(act.terms)
    signed = ", ".join(f"{each.name} of {each.member}" for each in act.signatures)
    return [
        f"admit the agreement {terms.id}, version {terms.version}",
        f"among {', '.join(sorted(terms.members))}",
        f"signed by {signed}",
    ]


def _named(what: str, named: Iterable[NamedPair]) -> list[str]:
    return [f"{what} {each.name} {grouped(each.key.fingerprint)}" for each in named]


def _line(act: Act) -> str:
    match act:
        case acts.TlsRenewed():
            whose = act.member or act.subject.name.lower()
            text = f"renew the certificate of {whose}: {grouped(act.tls_fingerprint)}"
        case acts.KeyRevoked():
            text = f"revoke the certificate or key {grouped(act.key_id)} ({_reason(act)})"
        case acts.CaAdded():
            text = f"trust the issuing CA {grouped(fingerprint(act.ca_certificate))}"
        case acts.RegistrarReplaced():
            text = f"replace the registrar by {grouped(act.registrar.key.fingerprint)}"
        case acts.AdministratorAdded():
            (text,) = _named("add the administrator", [act.administrator])
        case acts.AdministratorRemoved():
            text = f"remove the administrator {act.name} ({_reason(act)})"
        case _:
            text = _standing(act)
    return text


def _standing(act: Act) -> str:
    text = type(act).__name__
    match act:
        case acts.MemberReinstated():
            text = f"reinstate {act.member}"
        case acts.MemberSuspended() | acts.MemberRevoked():
            verb = "suspend" if isinstance(act, acts.MemberSuspended) else "revoke"
            text = f"{verb} {act.member} ({_reason(act)})"
        case acts.AgreementLifted():
            text = f"lift the suspension of {act.agreement_id} by {_whose(act.member)}"
        case acts.AgreementSuspended() | acts.AgreementEnded():
            verb = "suspend" if isinstance(act, acts.AgreementSuspended) else "end"
            text = f"{verb} the agreement {act.agreement_id} ({_reason(act)})"
        case _:
            pass
    return text


def _whose(member: str) -> str:
    return member or "the administrators"


def _reason(
    act: acts.KeyRevoked
    | acts.AdministratorRemoved
    | acts.MemberSuspended
    | acts.MemberRevoked
    | acts.AgreementSuspended
    | acts.AgreementEnded,
) -> str:
    return act.reason.name.lower().replace("_", " ")
