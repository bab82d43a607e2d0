"""Which role may call what at a node.

A method that is not in the table may be called by nobody. A system never
confirms a match: that takes a person (LED Art. 11).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from grpc import StatusCode

from mithaq.service.errors import MithaqError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What somebody is at this node."""

    OFFICER = "officer"
    DUTY_SUPERVISOR = "duty-supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or a system, known by its certificate, with its role at this node."""

    user: str
    role: Role
    tls_fingerprint: bytes


_OPERATIONAL = frozenset({Role.OFFICER, Role.DUTY_SUPERVISOR, Role.SYSTEM})
_PERSONS = frozenset({Role.OFFICER, Role.DUTY_SUPERVISOR})
_BULK = frozenset({Role.DUTY_SUPERVISOR, Role.SYSTEM})
_EVERYBODY = frozenset(Role)
_AUDITOR = frozenset({Role.AUDITOR})
_ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})

ACCESS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "AlertService/Issue": _OPERATIONAL,
        "AlertService/IssueMany": _BULK,
        "AlertService/ImportList": _BULK,
        "AlertService/ListAlerts": _OPERATIONAL | _AUDITOR,
        "AlertService/ShowAlert": _OPERATIONAL,
        "AlertService/FindAlerts": _OPERATIONAL,
        "AlertService/UpdateAlert": _OPERATIONAL,
        "AlertService/WithdrawAlert": _OPERATIONAL,
        "AlertService/TraceAlert": _PERSONS | _AUDITOR,
        "HitService/ConfirmHit": _PERSONS,
        "HitService/RejectHit": _PERSONS,
        "HitService/ListHits": _PERSONS | _AUDITOR,
        "HitService/ShowHit": _PERSONS,
        "AuditService/ListAudit": _AUDITOR,
        "AuditService/VerifyAudit": _AUDITOR | _ADMINISTRATOR,
        "AuditService/ExportAudit": _AUDITOR,
        "AgreementService/ListAgreements": _EVERYBODY,
        "AgreementService/GetAgreement": _EVERYBODY,
        "AgreementService/SubmitAgreement": _ADMINISTRATOR | {Role.DUTY_SUPERVISOR},
        "NodeService/GetNodeStatus": _EVERYBODY,
        "NodeService/RecomputeRoots": _AUDITOR | _ADMINISTRATOR,
        "NodeService/AddOfficer": _ADMINISTRATOR,
        "NodeService/ListOfficers": _ADMINISTRATOR | _AUDITOR,
        "NodeService/RemoveOfficer": _ADMINISTRATOR,
    }
)


class RoleError(MithaqError):
    """The caller's role may not do this."""

    code = "MQ-IDENTITY-ROLE"
    public_message = "Your role does not allow this."
    grpc_status = StatusCode.PERMISSION_DENIED

    def __init__(self, method: str, caller: Caller) -> None:
        """Name the role that the caller has, and those that may: it is its own agency's user."""
        allowed = ACCESS.get(method, frozenset())
        super().__init__(
            f"{method} is not open to {caller.role}",
            public_message=f"The role {caller.role} does not allow this.",
            fix=_fix(allowed),
        )


def _fix(allowed: frozenset[Role]) -> str:
    if not allowed:
        return "Nobody may do this at a node."
    roles = " or ".join(role for role in Role if role in allowed)
    return (
        f"Use the profile of somebody with the role {roles}; "
        "an administrator gives it with `mithaq node officer add`."
    )


def check_allowed(method: str, caller: Caller) -> None:
    """Raise RoleError unless the role may call `Service/Method`."""
    if caller.role not in ACCESS.get(method, frozenset()):
        raise RoleError(method, caller)
