"""Random bytes drawn from the system in blocks, so that a record does not cost four calls.

Each call into the system gives up the interpreter's lock, which costs more than the bytes.
The one rule: no byte is handed out twice, whichever threads ask, and none stays here after
it was handed out.
"""

import threading
from collections.abc import Callable
from typing import Final

BLOCK_SIZE_BYTES: Final = 32 * 1024
# What is larger than this is drawn by itself.
SLICE_SIZE_BYTES_MAX: Final = 1024


class BlockRandomness:
    """A `Randomness` over another: call it with a number of bytes."""

    __slots__ = ("_at", "_block", "_draw", "_lock")

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._block = bytearray()
        self._at = 0

    def __call__(self, size_bytes: int) -> bytes:
        """Return so many bytes that nobody else has been or will be given."""
        if size_bytes > SLICE_SIZE_BYTES_MAX:
            return self._draw(size_bytes)
        with self._lock:
            end = self._at + size_bytes
            if end > len(self._block):
                self._block = bytearray(self._draw(BLOCK_SIZE_BYTES))
                self._at, end = 0, size_bytes
            taken = bytes(self._block[self._at : end])
            self._block[self._at : end] = bytes(size_bytes)
            self._at = end
            return taken
