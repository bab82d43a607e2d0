"""Giving and taking access to this node.

A certificate is made from a request whose key its owner keeps; what its owner may do is
a row, written with its audit entry in one transaction. The rule: access that was taken
away is gone at the next call, and a name is never given twice.
"""

from typing import Any, Final

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from grpc import StatusCode

from mithaq.node.local import officers
from mithaq.node.local.access import Caller, Role
from mithaq.node.local.acting import Outcome
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.service.errors import InvalidRequestError, MithaqError
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.v1 import local_pb2

REQUEST_SIZE_BYTES_MAX: Final = 16 * 1024


class LastAdministratorError(MithaqError):
    """The last administrator of a node can't be removed."""

    code = "MQ-CONFLICT-LAST-ADMINISTRATOR"
    public_message = "This is the last administrator of the node."
    fix = "Add another administrator first."
    grpc_status = StatusCode.FAILED_PRECONDITION


async def add_officer(
    desk: Desk, caller: Caller, request: local_pb2.AddOfficerRequest
) -> local_pb2.AddOfficerResponse:
    """Return the certificate of a new officer, or the next one of an active officer.

    A certificate that is renewed replaces the one before at once.

    Raises:
        InvalidRequestError, CertificateError: not a request for this user by its own key.
        OfficerExistsError: the name was given before, in another role or to one who left.

    """
    issued = desk.authority.issue_user(
        _request_der(request.certificate_request), request.user, at=desk.now()
    )
    user, role, mark = request.user, Role(request.role), issued.fingerprint

    def add(connection: sa.Connection) -> tuple[Outcome, None]:
        if officers.renew(connection, user=user, role=role, tls_fingerprint=mark):
            return Outcome(_entry(desk, caller, f"certificate of {role} {user} renewed")), None
        officers.add(connection, user=user, role=role, tls_fingerprint=mark, at=desk.now())
        return Outcome(_entry(desk, caller, f"officer {user} added as {role}")), None

    await desk.act(add)
    await desk.home.database.read(desk.officers.load)
    chain = issued.pem + desk.authority.ca_pem()
    return local_pb2.AddOfficerResponse(certificate_chain=chain.decode())


async def remove_officer(desk: Desk, caller: Caller, user: str) -> None:
    """Take access away; raise OfficerMissingError, LastAdministratorError."""
    entry = _entry(desk, caller, f"officer {user} removed")

    def remove(connection: sa.Connection) -> tuple[Outcome, None]:
        _check_not_last(connection, user)
        officers.remove(connection, user=user)
        return Outcome(entry), None

    await desk.act(remove)
    await desk.home.database.read(desk.officers.load)
    desk.live.recheck(desk.officers.lookup)


async def list_officers(desk: Desk, caller: Caller) -> local_pb2.ListOfficersResponse:
    """List who has or had access; logged."""
    rows: list[Any] = list(await desk.home.database.read(officers.listed))
    await desk.log(_entry(desk, caller, "list of officers"))
    return local_pb2.ListOfficersResponse(
        officers=[
            local_pb2.OfficerRow(
                user=row.user, role=row.role, active=row.active, added_at_ms=row.added_at_ms
            )
            for row in rows
        ]
    )


def _check_not_last(connection: sa.Connection, user: str) -> None:
    active = [
        row.user
        for row in officers.listed(connection)
        if row.active and row.role == Role.ADMINISTRATOR.value
    ]
    if active == [user]:
        raise LastAdministratorError(f"{user} is the only administrator")


def _request_der(pem: str) -> bytes:
    if len(pem) > REQUEST_SIZE_BYTES_MAX:
        raise InvalidRequestError(("certificate_request", "is too large"))
    try:
        return x509.load_pem_x509_csr(pem.encode()).public_bytes(Encoding.DER)
    except ValueError:
        raise InvalidRequestError(
            ("certificate_request", "must be a PKCS #10 request in PEM")
        ) from None


def _entry(desk: Desk, caller: Caller, subject: str) -> AuditEntry:
    return entry_of(
        actor_of(caller),
        Operation.ADMINISTER,
        at=desk.now(),
        certificate=caller.tls_fingerprint,
        subject=subject,
    )
