"""AgreementService: agreements as this member sees them, and what its signatories signed.

The node reads its registry and passes bytes on; it signs nothing here, because keys of
signatories never stand on a node (DESIGN 3). The rule: a member sees the agreements
that it is party to, and no others.
"""

from typing import Any

from grpc import StatusCode

from mithaq.certs.errors import TrustError
from mithaq.certs.participants import AgreementRecord
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.views import agreement_row
from mithaq.service.errors import MithaqError
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, local_pb2_grpc

# gRPC's context has no type that says more.
Context = Any


class AgreementMissingError(MithaqError):
    """No agreement of this id has this member as a party."""

    code = "MQ-AGR-MISSING"
    public_message = "This agency is party to no agreement with this id."
    fix = "List the agreements with `mithaq agreement list`."
    grpc_status = StatusCode.NOT_FOUND


class AgreementService(local_pb2_grpc.AgreementServiceServicer):
    """What everybody may read of agreements, and what administrators hand in."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ListAgreements(  # noqa: N802 (named by the service)
        self, request: local_pb2.ListAgreementsRequest, context: Context
    ) -> local_pb2.ListAgreementsResponse:
        """List this member's agreements."""
        del request
        caller = await self._desk.admit(context, "AgreementService/ListAgreements")
        rows = [
            agreement_row(record)
            for record in self._desk.home.registry.agreements()
            if self._is_ours(record)
        ]
        await self._log(caller, Operation.CONSULT, "list of agreements", len(rows))
        return local_pb2.ListAgreementsResponse(agreements=rows)

    async def GetAgreement(  # noqa: N802
        self, request: local_pb2.GetAgreementRequest, context: Context
    ) -> local_pb2.GetAgreementResponse:
        """Return an agreement's newest terms, as they were signed."""
        caller = await self._desk.admit(context, "AgreementService/GetAgreement")
        record = self._ours(request.agreement_id)
        await self._log(caller, Operation.CONSULT, f"agreement {request.agreement_id}", 1)
        return local_pb2.GetAgreementResponse(
            row=agreement_row(record), terms=record.agreement.to_bytes()
        )

    async def SubmitAgreement(  # noqa: N802
        self, request: local_pb2.SubmitAgreementRequest, context: Context
    ) -> local_pb2.SubmitAgreementResponse:
        """Pass a signed entry to the registrar through the hub."""
        caller = await self._desk.admit(context, "AgreementService/SubmitAgreement")
        body_hash = await self._desk.submit_entry(request.entry)
        await self._log(caller, Operation.ADMINISTER, f"submitted entry {body_hash.hex()}", 1)
        return local_pb2.SubmitAgreementResponse(body_hash=body_hash)

    def _is_ours(self, record: AgreementRecord) -> bool:
        return any(self._desk.home.member in each.members for each in record.versions)

    def _ours(self, agreement_id: str) -> AgreementRecord:
        try:
            record = self._desk.home.registry.agreement(agreement_id)
        except TrustError:
            raise AgreementMissingError(f"no agreement {agreement_id}") from None
        if not self._is_ours(record):
            # The same answer: whether others have an agreement is theirs to tell.
            raise AgreementMissingError(f"not party to {agreement_id}")
        return record

    async def _log(self, caller: Caller, operation: Operation, subject: str, count: int) -> None:
        await self._desk.log(
            entry_of(
                actor_of(caller),
                operation,
                at=self._desk.now(),
                certificate=caller.tls_fingerprint,
                subject=subject,
                result_count=count,
            )
        )
