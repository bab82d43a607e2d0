"""AlertService: issue, import, list, show, find, update, withdraw and trace alerts."""

from collections.abc import AsyncIterator
from typing import Any

from mithaq.node.local import finding, listing, showing, tracing, writing
from mithaq.node.local.desk import Desk
from mithaq.node.local.importing import ListImport
from mithaq.node.local.listfile import drain
from mithaq.service.errors import MithaqError
from mithaq.v1 import local_pb2, local_pb2_grpc

# gRPC's context has no type that says more.
Context = Any


class AlertService(local_pb2_grpc.AlertServiceServicer):
    """What officers, consoles and national systems call about alerts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._imports = ListImport(desk)

    async def Issue(  # noqa: N802 (named by the service)
        self, request: local_pb2.IssueRequest, context: Context
    ) -> local_pb2.IssueResponse:
        """Issue one alert."""
        caller = await self._desk.admit(context, "AlertService/Issue")
        return await writing.issue(self._desk, caller, request)

    async def IssueMany(  # noqa: N802
        self, request: local_pb2.IssueManyRequest, context: Context
    ) -> local_pb2.IssueManyResponse:
        """Issue up to 256 alerts, each answered on its own."""
        caller = await self._desk.admit(context, "AlertService/IssueMany")
        return await writing.issue_many(self._desk, caller, request.items)

    async def ImportList(  # noqa: N802
        self, request_iterator: AsyncIterator[local_pb2.ImportListRequest], context: Context
    ) -> AsyncIterator[local_pb2.ImportListResponse]:
        """Import a list file as a delta, with progress."""
        try:
            caller = await self._desk.admit(context, "AlertService/ImportList")
            async for progress in self._imports.run(caller, request_iterator):
                yield progress
        except MithaqError:
            # Aborting while the caller writes reaches it as INTERNAL (LIMITS).
            await drain(request_iterator)
            raise

    async def ListAlerts(  # noqa: N802
        self, request: local_pb2.ListAlertsRequest, context: Context
    ) -> local_pb2.ListAlertsResponse:
        """List alerts without personal data."""
        caller = await self._desk.admit(context, "AlertService/ListAlerts")
        return await listing.list_alerts(self._desk, caller, request)

    async def ShowAlert(  # noqa: N802
        self, request: local_pb2.ShowAlertRequest, context: Context
    ) -> local_pb2.ShowAlertResponse:
        """Show one alert."""
        caller = await self._desk.admit(context, "AlertService/ShowAlert")
        return await showing.show_alert(self._desk, caller, request)

    async def FindAlerts(  # noqa: N802
        self, request: local_pb2.FindAlertsRequest, context: Context
    ) -> local_pb2.FindAlertsResponse:
        """Look up a document or a name."""
        caller = await self._desk.admit(context, "AlertService/FindAlerts")
        return await finding.find(self._desk, caller, request)

    async def UpdateAlert(  # noqa: N802
        self, request: local_pb2.UpdateAlertRequest, context: Context
    ) -> local_pb2.UpdateAlertResponse:
        """Issue the next version of an own alert."""
        caller = await self._desk.admit(context, "AlertService/UpdateAlert")
        return await writing.update(self._desk, caller, request)

    async def WithdrawAlert(  # noqa: N802
        self, request: local_pb2.WithdrawAlertRequest, context: Context
    ) -> local_pb2.WithdrawAlertResponse:
        """Take an own alert back."""
        caller = await self._desk.admit(context, "AlertService/WithdrawAlert")
        return await writing.withdraw(self._desk, caller, request)

    async def TraceAlert(  # noqa: N802
        self, request: local_pb2.TraceAlertRequest, context: Context
    ) -> local_pb2.TraceAlertResponse:
        """Trace an own alert."""
        caller = await self._desk.admit(context, "AlertService/TraceAlert")
        return await tracing.trace_alert(self._desk, caller, request)
