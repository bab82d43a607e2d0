"""What every call passes on a server: who calls, is it well formed, how did it end.

One interceptor instead of one per concern, because each costs a wrapper per call. It
knows nothing of what a method does. The rule: a method is entered only by a peer that
the lookup knows now, and leaves only with a status of ours.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from mithaq.service.errors import INTERNAL_CODE, Fault, abort_with, fault_of
from mithaq.service.identity import LiveCall, LiveCalls, peer_fingerprint
from mithaq.service.logging import RPC_FAILED, RPC_FINISHED, logger
from mithaq.service.metrics import CallMetrics
from mithaq.service.validation import check_message

# gRPC's handlers take any request type; their own annotations say no more.
Context = Any
Request = Any
Response = Any
Handler = Any
Behaviour = Callable[[Request, Context], Response]
PEER_LABEL_LENGTH = 16


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Identity, validation, errors, metrics and one log line, for every method."""

    def __init__(
        self,
        *,
        lookup: Callable[[bytes], object] | None,
        live: LiveCalls,
        metrics: CallMetrics,
    ) -> None:
        """Guard calls by `lookup` of the peer's certificate; None only where none is asked for."""
        self._lookup = lookup
        self._live = live
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the method's handler behind our checks; None stays None, an unknown method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return self._wrapped(handler, handler_call_details.method)

    def _wrapped(self, handler: Handler, method: str) -> Handler:
        codec = handler.request_deserializer, handler.response_serializer
        if handler.stream_stream:
            wrapped = self._streaming(handler.stream_stream, method, checked=False)
            return grpc.stream_stream_rpc_method_handler(wrapped, *codec)
        if handler.unary_stream:
            wrapped = self._streaming(handler.unary_stream, method, checked=True)
            return grpc.unary_stream_rpc_method_handler(wrapped, *codec)
        if handler.stream_unary:
            wrapped = self._answering(handler.stream_unary, method, lasts=True)
            return grpc.stream_unary_rpc_method_handler(wrapped, *codec)
        wrapped = self._answering(handler.unary_unary, method, lasts=False)
        return grpc.unary_unary_rpc_method_handler(wrapped, *codec)

    def _answering(self, behaviour: Behaviour, method: str, *, lasts: bool) -> Behaviour:
        async def answer(request: Request, context: Context) -> Response:
            async with self._guarded(method, context, lasts=lasts):
                if not lasts:
                    check_request(request)
                return await behaviour(request, context)

        return answer

    def _streaming(self, behaviour: Behaviour, method: str, *, checked: bool) -> Behaviour:
        async def write_itself(request: Request, context: Context) -> None:
            async with self._guarded(method, context, lasts=True):
                if checked:
                    check_request(request)
                await behaviour(request, context)

        async def yield_each(request: Request, context: Context) -> AsyncIterator[Response]:
            async with self._guarded(method, context, lasts=True):
                if checked:
                    check_request(request)
                async with aclosing(behaviour(request, context)) as responses:
                    async for response in responses:
                        yield response

        return yield_each if inspect.isasyncgenfunction(behaviour) else write_itself

    @asynccontextmanager
    async def _guarded(self, method: str, context: Context, *, lasts: bool) -> AsyncGenerator[None]:
        started = time.perf_counter()
        self._metrics.open.labels(method).inc()
        fingerprint, code = b"", grpc.StatusCode.OK.name
        call: LiveCall | None = None
        try:
            with ExitStack() as stack:
                if self._lookup is not None:
                    fingerprint = peer_fingerprint(context)
                    self._lookup(fingerprint)
                if lasts:
                    call = stack.enter_context(self._live.entered(fingerprint))
                yield
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED.name
            if call is not None and (why := call.why_cut) is not None:
                # Cancelled by us: gRPC would end the task and leave the peer without a status.
                code = why.grpc_status.name
                await abort_with(context, fault_of(why))
            raise
        except grpc.aio.AbortError:
            code = status_name(context.code())
            raise
        except Exception as error:
            if context.done():
                # The peer has gone: gRPC fails what was being read or written, in its own words.
                code = grpc.StatusCode.CANCELLED.name
                raise
            fault = self._noted(error, method)
            code = fault.grpc_status.name
            await abort_with(context, fault)
        finally:
            seconds = time.perf_counter() - started
            self._finish(method, code, seconds=seconds, lasts=lasts, peer=fingerprint)

    def _noted(self, error: Exception, method: str) -> Fault:
        fault = fault_of(error)
        if fault.code == INTERNAL_CODE:
            logger().error(RPC_FAILED, method=method, reference=fault.reference, exc_info=error)
        return fault

    def _finish(self, method: str, code: str, *, seconds: float, lasts: bool, peer: bytes) -> None:
        self._metrics.open.labels(method).dec()
        self._metrics.finished.labels(method, code).inc()
        if not lasts:
            self._metrics.seconds.labels(method).observe(seconds)
        logger().info(
            RPC_FINISHED,
            method=method,
            code=code,
            duration_ms=round(seconds * 1000, 3),
            peer=peer.hex()[:PEER_LABEL_LENGTH],
        )


def check_request(request: object) -> None:
    """Raise InvalidRequestError for a message that breaks a rule of its .proto file."""
    if isinstance(request, Message):
        check_message(request)


def status_name(code: object) -> str:
    """Return the name of a status, which gRPC hands back as itself or as its number."""
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((each.name for each in grpc.StatusCode if each.value[0] == code), "UNKNOWN")
