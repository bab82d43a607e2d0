"""Who takes part, as the registrar shows it: hub, registrar, members, the invited.

Read from the registry and from what the registrar has handed out; nothing is decided.
The end of a certificate is known where the registrar issued it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from mithaq.certs.keys import key_id
from mithaq.certs.participants import Hub, Member
from mithaq.certs.registrar import RegistrarLog
from mithaq.certs.registry import Registry
from mithaq.certs.tls import load_certificate
from mithaq.v1 import trust_pb2

HUB: Final = "hub"
REGISTRAR: Final = "registrar"
# Reception keys are announced every week: who asks wants the newest.
RECEPTION_KEYS_SHOWN_MAX: Final = 8


def member_rows(log: RegistrarLog, verified: Mapping[str, int]) -> list[trust_pb2.MemberRow]:
    """Return hub, registrar, members and the invited, each with its keys."""
    certificates = log.certificates()
    rows = [_hub(log.registry.hub, certificates)] if log.registry.has_hub else []
    rows.append(_registrar(log.registry, certificates))
    rows += [_member(log.registry, each, certificates) for each in log.registry.members()]
    known = {**verified, REGISTRAR: log.registry.size}
    for row in rows:
        row.verified_registry_size = known.get(row.member, 0)
        ends = [each.expires_at for each in row.keys if each.purpose == "certificate"]
        row.certificate_expires_at = ends[-1] if ends else 0
    return [*rows, *_invited(log)]


def administrator_rows(registry: Registry) -> list[trust_pb2.AdministratorRow]:
    """Return the administrators, by name."""
    return [
        trust_pb2.AdministratorRow(name=name, fingerprint=key.fingerprint)
        for name, key in sorted(registry.administrators.items())
    ]


def _hub(hub: Hub, certificates: Mapping[bytes, bytes]) -> trust_pb2.MemberRow:
    return trust_pb2.MemberRow(
        member=HUB,
        kind=HUB,
        display_name=hub.exchange_address,
        state="active",
        keys=[
            _key("cosigning", hub.cosigning.fingerprint),
            *_certificates(hub.tls_fingerprints, certificates),
        ],
    )


def _registrar(registry: Registry, certificates: Mapping[bytes, bytes]) -> trust_pb2.MemberRow:
    registrar = registry.registrar
    return trust_pb2.MemberRow(
        member=REGISTRAR,
        kind=REGISTRAR,
        state="active",
        keys=[
            _key("ordering", registrar.key.fingerprint),
            *_certificates(registrar.tls_fingerprints, certificates),
        ],
    )


def _member(
    registry: Registry, member: Member, certificates: Mapping[bytes, bytes]
) -> trust_pb2.MemberRow:
    receptions = [each for each in registry.reception_keys(member.id) if not each.revoked]
    return trust_pb2.MemberRow(
        member=member.id,
        kind="node",
        display_name=member.display_name.en,
        state=member.state.value,
        keys=[
            _key("log", member.log.fingerprint),
            *(_key("receipt", key_id(each)) for each in _receipt_keys(member)),
            *(_key("reception", each.key_id) for each in receptions[-RECEPTION_KEYS_SHOWN_MAX:]),
            *_certificates(member.tls_fingerprints, certificates),
        ],
    )


def _receipt_keys(member: Member) -> tuple[bytes, ...]:
    return member.receipt.held, member.receipt.opened, member.receipt.mldsa44


def _certificates(
    fingerprints: Iterable[bytes], certificates: Mapping[bytes, bytes]
) -> list[trust_pb2.KeyRow]:
    return [
        _key("certificate", each, expires_at=_expiry(certificates.get(each)))
        for each in fingerprints
    ]


def _key(purpose: str, fingerprint: bytes, *, expires_at: int = 0) -> trust_pb2.KeyRow:
    return trust_pb2.KeyRow(purpose=purpose, fingerprint=fingerprint, expires_at=expires_at)


def _expiry(certificate: bytes | None) -> int:
    if certificate is None:
        return 0
    return int(load_certificate(certificate).not_valid_after_utc.timestamp())


def _invited(log: RegistrarLog) -> list[trust_pb2.MemberRow]:
    enrolled = {each.id for each in log.registry.members()}
    return [
        trust_pb2.MemberRow(
            member=each.member,
            kind="node",
            state="pending" if each.used_by else "invited",
        )
        for each in log.state.invitations.values()
        if each.member not in enrolled
    ]
