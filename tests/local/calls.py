"""Calls of the local API as a test makes them: an answer, or the error as a caller sees it."""

from typing import Any

import grpc
import sqlalchemy as sa

from mithaq.service.errors import from_rpc_error
from mithaq.store.audit import AuditFilter
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.v1 import local_pb2_grpc
from tests.local.house import House

DEADLINE_S = 20


async def call(house: House, user: str, method: str, request: Any) -> Any:  # noqa: ANN401 - any message
    """Call `Service/Method` as a user; raise RemoteError."""
    service, name = method.split("/")
    async with house.as_user(user) as channel:
        stub = getattr(local_pb2_grpc, f"{service}Stub")(channel)
        try:
            return await getattr(stub, name)(request, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


async def logged(house: House, operation: Operation) -> list[AuditEntry]:
    """Return the audit entries of an operation, newest first."""
    wanted = AuditFilter(operation=operation)
    rows = await house.home.database.read(lambda each: house.home.audit.read(each, wanted))
    return [entry for _, entry in rows.rows]


async def rows(house: House, statement: str) -> list[Any]:
    """Return the rows of a query in the node's own database."""
    return await house.home.database.read(lambda each: list(each.execute(sa.text(statement))))
