"""Why somebody looks, and who acts: what the audit log keeps of a call (DESIGN 8).

Grounds were checked for their form when the request came in; here the purpose becomes
a word of the agreements' vocabulary, and the role the one in which clauses grant
reading. The rule: a purpose that no agreement knows is refused, never passed on.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mithaq.agreements.vocabulary import OfficerRole, Purpose
from mithaq.node.exchange.home import Actor
from mithaq.node.local.access import Caller, Role
from mithaq.service.errors import InvalidRequestError
from mithaq.v1 import local_pb2

# The role in which agreements' clauses grant reading. A system at a border looks as the
# first line does; a supervisor on duty sits in the 24/7 bureau.
READING_ROLES: Final[Mapping[Role, OfficerRole]] = MappingProxyType(
    {
        Role.OFFICER: OfficerRole.FIRST_LINE,
        Role.SYSTEM: OfficerRole.FIRST_LINE,
        Role.DUTY_SUPERVISOR: OfficerRole.BUREAU,
        Role.AUDITOR: OfficerRole.AUDITOR,
        Role.ADMINISTRATOR: OfficerRole.ADMINISTRATOR,
    }
)


def purpose_of(grounds: local_pb2.Grounds) -> Purpose:
    """Return the purpose named; raise InvalidRequestError for a word that is none."""
    if grounds.purpose not in Purpose.__members__.values():
        raise InvalidRequestError(
            ("grounds.purpose", f"must be one of {', '.join(Purpose.__members__.values())}")
        )
    return Purpose(grounds.purpose)


def actor_of(caller: Caller, grounds: local_pb2.Grounds | None = None) -> Actor:
    """Return who acts and why, as the audit log keeps it."""
    if grounds is None:
        return Actor(user=caller.user, role=caller.role.value)
    return Actor(
        user=caller.user,
        role=caller.role.value,
        purpose=grounds.purpose,
        legal_basis=grounds.legal_basis,
        case_reference=grounds.case_reference,
        justification=grounds.justification,
    )
