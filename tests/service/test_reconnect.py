"""Coming back: later each time, not all at once, and at once after a good session."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from mithaq.service.errors import MithaqError, RemoteError, to_status
from mithaq.service.reconnect import Backoff, keep_connected
from tests.service.test_errors import rpc_error

UNAVAILABLE = rpc_error(grpc.StatusCode.UNAVAILABLE)


def never() -> float:
    return 0.0


def almost_one() -> float:
    return 0.999_999


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(never, shortest=timedelta(seconds=1), longest=timedelta(seconds=5))
    assert [backoff.next_wait().total_seconds() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next_wait() == timedelta(seconds=1)


def test_chance_takes_off_up_to_half_of_a_wait() -> None:
    backoff = Backoff(almost_one, shortest=timedelta(seconds=4))
    assert timedelta(seconds=2) <= backoff.next_wait() < timedelta(seconds=2.01)


def test_many_failures_do_not_overflow() -> None:
    assert Backoff(never, failures=10_000).next_wait() == timedelta(seconds=5)


class Session:
    """A session that ends each time as told, and stops the loop when nothing is left."""

    def __init__(
        self,
        *ends: BaseException | None,
        lasting: float = 0,
        survived: tuple[type[Exception], ...] = (),
    ) -> None:
        self.ends = list(ends)
        self.survived = survived
        self.lasting = lasting
        self.now = 0.0
        self.waits: list[float] = []
        self.errors: list[str | Exception] = []

    async def __call__(self) -> None:
        """End as told."""
        self.now += self.lasting
        if not self.ends:
            raise asyncio.CancelledError
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def sleep(self, seconds: float) -> None:
        """Note the wait instead of sleeping."""
        self.waits.append(seconds)

    def failed(self, error: Exception) -> None:
        """Note the error."""
        self.errors.append(error.code if isinstance(error, RemoteError) else error)

    async def run(self) -> None:
        """Keep connected until nothing is left."""
        with pytest.raises(asyncio.CancelledError):
            await keep_connected(
                self,
                backoff=Backoff(never, shortest=timedelta(seconds=1)),
                failed=self.failed,
                survived=self.survived,
                sleep=self.sleep,
                clock=lambda: self.now,
            )


async def test_failures_wait_longer_each_time() -> None:
    session = Session(*[UNAVAILABLE] * 4)
    await session.run()
    assert session.waits == [1, 2, 4, 5]
    assert session.errors == ["MQ-UNREACHABLE"] * 4


async def test_a_drained_session_comes_back_soon() -> None:
    session = Session(UNAVAILABLE, UNAVAILABLE, None, None)
    await session.run()
    assert session.waits == [1, 2, 1, 1]


@pytest.mark.parametrize("end", [UNAVAILABLE, ValueError("ours")])
async def test_a_session_that_lasted_starts_from_the_shortest_wait(end: Exception) -> None:
    session = Session(*[end] * 3, lasting=6, survived=(ValueError,))
    await session.run()
    assert session.waits == [1, 1, 1]
    brief = Session(*[end] * 3, lasting=5.9, survived=(ValueError,))
    await brief.run()
    assert brief.waits == [1, 2, 4]


async def test_a_wait_that_the_peer_names_is_kept() -> None:
    error = MithaqError(
        code="MQ-BUSY", grpc_status=grpc.StatusCode.UNAVAILABLE, retry_after=timedelta(seconds=9)
    )
    session = Session(rpc_error(grpc.StatusCode.UNAVAILABLE, to_status(error)))
    await session.run()
    assert session.waits == [9]


async def test_an_error_that_time_does_not_heal_waits_the_longest() -> None:
    session = Session(*[rpc_error(grpc.StatusCode.UNAUTHENTICATED)] * 2)
    await session.run()
    assert session.waits == [30, 30]


@pytest.mark.parametrize("status", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
async def test_what_broke_on_its_way_is_no_refusal(status: grpc.StatusCode) -> None:
    session = Session(rpc_error(status))
    await session.run()
    assert session.waits == [1]


async def test_an_error_of_ours_that_is_survived_is_told_and_waited_out() -> None:
    fault = ValueError("ours")
    session = Session(fault, UNAVAILABLE, fault, survived=(ValueError,))
    await session.run()
    assert session.waits == [1, 2, 4]
    assert session.errors == [fault, "MQ-UNREACHABLE", fault]


async def test_an_error_of_ours_ends_it() -> None:
    with pytest.raises(ValueError, match="ours"):
        await keep_connected(
            Session(ValueError("ours")), backoff=Backoff(never), failed=lambda _: None
        )
