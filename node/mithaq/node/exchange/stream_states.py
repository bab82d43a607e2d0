"""States of own streams as bytes and back, the latest remembered.

Each act of a stream reads the state that the act before it has written. The one rule:
what is remembered stands under its exact bytes, so other bytes are always read anew.
"""

from typing import Final

from mithaq.ledger.stream import StreamState

STATES_REMEMBERED_MAX: Final = 256


class StreamStates:
    """For the writer thread alone. The oldest are forgotten."""

    __slots__ = ("_states",)

    def __init__(self) -> None:
        self._states: dict[bytes, StreamState] = {}

    def write(self, state: StreamState) -> bytes:
        """Return a state's bytes."""
        data = state.to_bytes()
        self._states[data] = state
        if len(self._states) > STATES_REMEMBERED_MAX:
            del self._states[next(iter(self._states))]
        return data

    def read(self, data: bytes) -> StreamState:
        """Return the state that was written as these bytes; raise LedgerError for no state."""
        state = self._states.get(data)
        return StreamState.from_bytes(data) if state is None else state
