"""Random bytes in blocks: each is handed out once, to whichever thread asks."""

import os
import threading

import pytest

from mithaq.node.sealing.randomness import (
    BLOCK_SIZE_BYTES,
    SLICE_SIZE_BYTES_MAX,
    BlockRandomness,
)


class Numbers:
    """Gives bytes in which every 8 are another number: what comes twice shows."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, size_bytes: int) -> bytes:
        first, self.next = self.next, self.next + size_bytes // 8
        return b"".join(number.to_bytes(8, "big") for number in range(first, self.next))


@pytest.fixture
def numbers() -> BlockRandomness:
    return BlockRandomness(Numbers())


def test_no_byte_is_handed_out_twice_and_none_is_left_out(numbers: BlockRandomness) -> None:
    count = 3 * BLOCK_SIZE_BYTES // 8
    assert [int.from_bytes(numbers(8), "big") for _ in range(count)] == list(range(count))


def test_threads_that_ask_together_are_given_different_bytes(numbers: BlockRandomness) -> None:
    taken: list[bytes] = []

    def take() -> None:
        taken.extend(numbers(8) for _ in range(4000))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(taken)) == len(taken) == 16_000


@pytest.mark.parametrize(
    "size", [0, 1, 12, 32, SLICE_SIZE_BYTES_MAX, SLICE_SIZE_BYTES_MAX + 1, BLOCK_SIZE_BYTES + 1]
)
def test_as_many_bytes_come_as_were_asked_for(size: int) -> None:
    randomness = BlockRandomness(os.urandom)
    assert len(randomness(size)) == size
    assert len(randomness(size)) == size


def test_what_was_handed_out_is_not_kept(numbers: BlockRandomness) -> None:
    numbers(SLICE_SIZE_BYTES_MAX)
    numbers(8)
    left = bytes(numbers._block)  # pyright: ignore[reportPrivateUsage] # what it keeps is asked
    assert left[: SLICE_SIZE_BYTES_MAX + 8] == bytes(SLICE_SIZE_BYTES_MAX + 8)
    assert left[-8:] != bytes(8)
