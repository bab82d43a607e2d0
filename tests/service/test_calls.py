"""A call over the wire: who calls is asked each time, and every end is a status of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mithaq.service.errors import MithaqError, RemoteError, from_rpc_error
from mithaq.service.identity import current_call
from mithaq.service.server import drain_and_stop
from mithaq.service.tls import channel_credentials_without_certificate
from mithaq.store.errors import DiskFullError
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc, local_pb2, local_pb2_grpc
from tests.federation import Federation
from tests.service.wire import Wire, running

HEADS = exchange_pb2.ListHeadsRequest()
MESSAGE = exchange_pb2.PublishRequest(freeze_list=exchange_pb2.FreezeList())
SHORT = timedelta(seconds=3)


async def refused(call: Awaitable[object]) -> RemoteError:
    """Return the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


class TestIdentity:
    """Who is calling."""

    async def test_a_member_is_known_by_its_certificate(self, wire: Wire) -> None:
        await wire.stub("eg-moi").ListHeads(HEADS)
        await wire.stub("tn-dgsn").ListHeads(HEADS)
        assert wire.publish.seen == ["eg-moi", "tn-dgsn"]

    async def test_the_key_exchange_is_post_quantum(self, wire: Wire) -> None:
        await wire.stub().ListHeads(HEADS)
        assert wire.publish.groups == [b"X25519MLKEM768"]

    async def test_a_certificate_of_our_ca_that_the_registry_does_not_know_is_nobodys(
        self, wire: Wire
    ) -> None:
        stranger = wire.federation.new_agency("it-mi")
        wire.federation.agencies["it-mi"] = stranger
        error = await refused(wire.stub("it-mi").ListHeads(HEADS))
        assert error.code == "MQ-TRUST-UNKNOWN"
        assert wire.publish.seen == []
        assert wire.counted("ListHeads", "OK") == 0

    async def test_a_member_suspended_between_two_calls_is_refused_the_second(
        self, wire: Wire
    ) -> None:
        stub = wire.stub("tn-dgsn")
        await stub.ListHeads(HEADS)
        wire.federation.suspend("tn-dgsn")
        error = await refused(stub.ListHeads(HEADS))
        assert error.code == "MQ-TRUST-INACTIVE"
        assert wire.publish.seen == ["tn-dgsn"]

    async def test_a_certificate_of_another_ca_opens_no_connection(self, wire: Wire) -> None:
        other = Federation.found()
        other.enrol("eg-moi")
        material = other.node_tls("eg-moi")
        channel = wire.channel_with(
            type(material)(material.private_key, material.chain, wire.federation.hub_tls().roots)
        )
        error = await refused(exchange_pb2_grpc.PublishServiceStub(channel).ListHeads(HEADS))
        assert error.code == "MQ-UNREACHABLE"

    async def test_a_server_under_another_name_is_not_talked_to(self, wire: Wire) -> None:
        channel = wire.channel(server_name="hub.elsewhere.example")
        error = await refused(exchange_pb2_grpc.PublishServiceStub(channel).ListHeads(HEADS))
        assert error.code == "MQ-UNREACHABLE"

    async def test_enrolment_asks_nobody_for_a_certificate(self, federation: Federation) -> None:
        async with running(federation, identified=False) as wire:
            channel = wire.channel()
            assert await health_of(channel) == health_pb2.HealthCheckResponse.SERVING


class TestWithoutACertificate:
    """A server that asks for none, with an interceptor that wants one."""

    async def test_a_call_without_a_certificate_is_refused(self, federation: Federation) -> None:
        async with running(federation, asks_for_certificate=False) as wire:
            credentials = channel_credentials_without_certificate(federation.hub_tls().roots)
            async with grpc.aio.secure_channel(f"127.0.0.1:{wire.port}", credentials) as channel:
                stub = exchange_pb2_grpc.PublishServiceStub(channel)
                error = await refused(stub.ListHeads(HEADS))
        assert error.code == "MQ-IDENTITY-MISSING"


class TestEnds:
    """How a call may end."""

    async def test_a_coded_error_of_any_room_arrives_with_its_fix(self, wire: Wire) -> None:
        wire.publish.failure = DiskFullError("volume of one machine")
        error = await refused(wire.stub().ListHeads(HEADS))
        assert (error.code, error.grpc_status) == (
            "MQ-DISK-FULL",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        )
        assert error.why == DiskFullError.public_message
        assert error.fix == DiskFullError.fix
        assert error.retry_after == timedelta(seconds=1)
        assert error.retryable
        await eventually(lambda: wire.counted("ListHeads", "RESOURCE_EXHAUSTED") == 1)

    async def test_an_unforeseen_error_gives_away_nothing_but_a_reference(self, wire: Wire) -> None:
        wire.publish.failure = KeyError("Canary, born 1980")
        error = await refused(wire.stub().ListHeads(HEADS))
        assert (error.code, error.grpc_status) == ("MQ-INTERNAL", grpc.StatusCode.INTERNAL)
        assert len(error.reference) == 12
        assert error.reference in error.fix
        assert "Canary" not in repr(vars(error))

    async def test_a_message_that_breaks_its_rules_is_answered_by_field(self, wire: Wire) -> None:
        request = exchange_pb2.ReadOwnRequest(stream_id=b"short", count=0)
        error = await refused(wire.stub().ReadOwn(request))
        assert error.code == "MQ-REQUEST-INVALID"
        assert [field for field, _ in error.violations] == ["stream_id", "count"]
        await wire.stub().ReadOwn(exchange_pb2.ReadOwnRequest(stream_id=bytes(32), count=1))

    async def test_a_method_that_nobody_serves_is_unimplemented(self, wire: Wire) -> None:
        stub = exchange_pb2_grpc.WitnessServiceStub(wire.channel())
        error = await refused(stub.GetCheckpoint(exchange_pb2.GetCheckpointRequest(origin="abc")))
        assert error.code == "MQ-REMOTE-UNIMPLEMENTED"

    async def test_a_message_beyond_the_limit_is_refused(self, wire: Wire) -> None:
        request = exchange_pb2.ReadOwnRequest(stream_id=bytes(4 * 1024 * 1024), count=1)
        error = await refused(wire.stub().ReadOwn(request))
        assert error.grpc_status is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_a_call_past_its_deadline_is_a_timeout(self, wire: Wire) -> None:
        stub = exchange_pb2_grpc.SubscribeServiceStub(wire.channel())
        call = stub.Subscribe(timeout=0.2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [response async for response in call]
        assert from_rpc_error(caught.value).code == "MQ-TIMEOUT"

    async def test_a_stream_that_fails_ends_with_its_code(self, wire: Wire) -> None:
        wire.publish.failure = MithaqError(
            code="MQ-TEST", public_message="No.", grpc_status=grpc.StatusCode.ABORTED
        )
        call = wire.stub().Publish()
        await call.write(MESSAGE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert from_rpc_error(caught.value).code == "MQ-TEST"
        await eventually(lambda: wire.counted("Publish", "ABORTED") == 1)

    async def test_a_servicer_may_abort_by_itself(self, wire: Wire) -> None:
        wire.publish.own_abort = True
        error = await refused(wire.stub().ListHeads(HEADS))
        assert error.code == "MQ-OWN"
        await eventually(lambda: wire.counted("ListHeads", "NOT_FOUND") == 1)

    async def test_a_peer_that_goes_away_is_counted_as_cancelled(self, wire: Wire) -> None:
        # Its handler reads nothing: to one that reads, who goes away may look done (2 in 300).
        call = exchange_pb2_grpc.SubscribeServiceStub(wire.channel()).Subscribe()
        await call.read()
        call.cancel()
        cancelled = {"method": "/mithaq.v1.SubscribeService/Subscribe", "code": "CANCELLED"}
        finished = "mithaq_rpc_finished_total"
        await eventually(lambda: wire.metrics.get_sample_value(finished, cancelled) == 1)
        assert len(wire.live) == 0

    async def test_answers_to_one_question_stream_back(self, wire: Wire) -> None:
        stub = local_pb2_grpc.AuditServiceStub(wire.channel())
        grounds = local_pb2.Grounds(
            purpose="audit", case_reference="CASE-1", justification="Yearly inspection."
        )
        call = stub.ExportAudit(local_pb2.ExportAuditRequest(grounds=grounds))
        assert [response.chunk async for response in call] == [b"a", b"b"]
        call = stub.ExportAudit(local_pb2.ExportAuditRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [response async for response in call]
        assert from_rpc_error(caught.value).violations[0][0] == "grounds"

    async def test_many_questions_have_one_answer(self, wire: Wire) -> None:
        count = wire.channel().stream_unary(
            "/test.CountService/Count",
            request_serializer=exchange_pb2.PublishRequest.SerializeToString,
            response_deserializer=exchange_pb2.Drain.FromString,
        )
        answer = await count(iter([MESSAGE, MESSAGE]))
        assert answer.retry_after_ms == 2

    async def test_health_and_reflection_are_served(self, wire: Wire) -> None:
        assert await health_of(wire.channel()) == health_pb2.HealthCheckResponse.SERVING
        methods = await reflected(wire.channel())
        assert "mithaq.v1.PublishService" in methods


class TestLiveCalls:
    """Calls that last are cut when a revocation arrives, and drained before a stop."""

    async def test_a_revoked_peer_is_told_in_band_and_cut(self, wire: Wire) -> None:
        revoked, other = wire.stub("tn-dgsn").Publish(), wire.stub("eg-moi").Publish()
        for call in (revoked, other):
            await call.write(MESSAGE)
            await call.read()
        wire.federation.revoke("tn-dgsn")
        assert wire.live.recheck(wire.publish.lookup) == 1
        answer = await next_of(revoked)
        assert answer.reject.code == "MQ-IDENTITY-REVOKED"
        assert await asyncio.wait_for(revoked.read(), 2) is grpc.aio.EOF
        await other.write(MESSAGE)
        assert (await next_of(other)).back_pressure_ms == 1

    async def test_a_call_that_does_not_heed_its_end_is_cancelled(
        self, wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mithaq.service.identity.CUT_GRACE_S", 0.05)
        stub = exchange_pb2_grpc.SubscribeServiceStub(wire.channel("tn-dgsn"))
        call = stub.Subscribe()
        await call.read()
        wire.federation.revoke("tn-dgsn")
        assert wire.live.recheck(wire.publish.lookup) == 1
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(call.read(), 2)
        await eventually(lambda: len(wire.live) == 0)

    async def test_a_stop_says_drain_and_does_not_wait_out_its_grace(self, wire: Wire) -> None:
        call = wire.stub().Publish()
        await call.write(MESSAGE)
        await call.read()
        began = asyncio.get_running_loop().time()
        await drain_and_stop(
            wire.server, wire.live, retry_after=timedelta(seconds=7), grace=timedelta(seconds=20)
        )
        assert asyncio.get_running_loop().time() - began < SHORT.total_seconds()
        assert (await next_of(call)).drain.retry_after_ms == 7000

    async def test_a_stop_waits_no_longer_than_its_grace(self, wire: Wire) -> None:
        call = exchange_pb2_grpc.SubscribeServiceStub(wire.channel()).Subscribe()
        await call.read()
        began = asyncio.get_running_loop().time()
        await drain_and_stop(wire.server, wire.live, retry_after=SHORT, grace=SHORT / 10)
        assert asyncio.get_running_loop().time() - began < SHORT.total_seconds()

    def test_outside_a_stream_there_is_no_live_call(self) -> None:
        with pytest.raises(RuntimeError):
            current_call()


async def next_of(
    call: "grpc.aio.StreamStreamCall[exchange_pb2.PublishRequest, exchange_pb2.PublishResponse]",
) -> exchange_pb2.PublishResponse:
    """Return the next answer of a stream, which must come soon."""
    answer = await asyncio.wait_for(call.read(), 2)
    assert isinstance(answer, exchange_pb2.PublishResponse)
    return answer


async def health_of(channel: grpc.aio.Channel) -> int:
    """Ask the server how it is, by the standard service."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    answer = await check(health_pb2.HealthCheckRequest())
    return answer.status


async def reflected(channel: grpc.aio.Channel) -> set[str]:
    """Ask the server which services it has, by the standard service."""
    ask = channel.stream_stream(
        f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    return {
        service.name async for answer in call for service in answer.list_services_response.service
    }


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, twenty seconds at most."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")
