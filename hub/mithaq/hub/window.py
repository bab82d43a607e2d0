"""How much a reader may be sent before it answers.

gRPC's own flow control let a server run 6 MB ahead of a stalled reader (LIMITS), so the
hub counts: bytes of headers until a ``held``, and apart from them, for bodies may wait for
headers, bytes of bodies until an ``opened``. The one rule: sending stops at the window, but
a whole batch is never split by it, because a reader can only sign at a checkpoint. So a
reader is at most one batch over each window.
"""

from collections import deque
from dataclasses import dataclass

WINDOW_BYTES_DEFAULT = 4 * 1024 * 1024
WINDOW_BYTES_MIN = 64 * 1024
WINDOW_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Sent:
    """Bytes that an answer for this size, or a larger one, acknowledges."""

    size: int
    sent_bytes: int


class Unacknowledged:
    """What one stream has sent and not had answered, oldest first."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()

    def add(self, *, size: int, sent_bytes: int) -> None:
        """Note bytes that an answer for `size` will acknowledge; sizes never decrease."""
        self._sent.append(_Sent(size, sent_bytes))

    def acknowledge(self, size: int) -> int:
        """Return how many bytes an answer for `size` sets free."""
        freed = 0
        while self._sent and self._sent[0].size <= size:
            freed += self._sent.popleft().sent_bytes
        return freed


class Window:
    """The bytes of one connection that its reader has not answered yet."""

    __slots__ = ("_limit_bytes", "_unacknowledged_bytes")

    def __init__(self, limit_bytes: int = WINDOW_BYTES_DEFAULT) -> None:
        self._limit_bytes = min(max(limit_bytes, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX)
        self._unacknowledged_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether another batch may be sent."""
        return self._unacknowledged_bytes < self._limit_bytes

    @property
    def room_bytes(self) -> int:
        """How much may be sent now; a single batch may weigh more."""
        return max(0, self._limit_bytes - self._unacknowledged_bytes)

    def take(self, sent_bytes: int) -> None:
        """Count bytes that were sent."""
        self._unacknowledged_bytes += sent_bytes

    def give_back(self, answered_bytes: int) -> None:
        """Count bytes that were answered."""
        self._unacknowledged_bytes -= answered_bytes
