"""The steps of a record's life in order, whatever whole seconds and clocks make of their times."""

from random import Random

from mithaq.node.local.tracing import in_order
from mithaq.v1.local_pb2 import TraceStep

STREAM = bytes(32)
SECOND = 1_795_294_122_000


def step(name: str, at_ms: int, *, reader: str = "", version: int = 1) -> TraceStep:
    return TraceStep(
        version=version, stream_id=STREAM, sequence=version, reader=reader, step=name, at_ms=at_ms
    )


def names(steps: list[TraceStep]) -> list[str]:
    return [each.step for each in steps]


def shuffled(steps: list[TraceStep], seed: int) -> list[TraceStep]:
    rng = Random(seed)  # noqa: S311 - an order, no secret
    return rng.sample(steps, len(steps))


def test_steps_of_one_second_stand_in_the_order_of_a_life() -> None:
    life = [
        step("sealed", SECOND + 600),
        step("accepted", SECOND),
        step("held", SECOND, reader="tn-dgsn"),
        step("opened", SECOND, reader="tn-dgsn"),
        step("withdrawn", SECOND + 900),
        step("erased", SECOND, reader="tn-dgsn"),
    ]
    for seed in range(20):
        assert in_order(shuffled(life, seed)) == life


def test_a_clock_that_is_slow_puts_no_step_before_the_one_it_follows() -> None:
    slow = [
        step("sealed", SECOND + 600),
        step("accepted", SECOND - 5000),
        step("held", SECOND - 9000, reader="tn-dgsn"),
    ]
    assert names(in_order(slow[::-1])) == ["sealed", "accepted", "held"]


def test_a_later_step_of_one_reader_stands_after_an_earlier_one_of_another() -> None:
    steps = [
        step("sealed", SECOND),
        step("accepted", SECOND),
        step("held", SECOND, reader="tn-dgsn"),
        step("opened", SECOND, reader="tn-dgsn"),
        step("withdrawn", SECOND + 10_000),
        step("erased", SECOND + 10_000, reader="tn-dgsn"),
        step("held", SECOND + 20_000, reader="int-iom"),
    ]
    assert in_order(steps[::-1]) == steps


def test_a_next_version_comes_after_the_first() -> None:
    steps = [step("sealed", SECOND), step("sealed", SECOND + 3000, version=2)]
    assert [each.version for each in in_order(steps[::-1])] == [1, 2]
