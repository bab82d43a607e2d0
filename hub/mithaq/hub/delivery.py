"""One reader's connection, from the hub's side: headers, then bodies against its receipt.

A delivery is a cursor for each stream and one loop that turns them, a piece at a time, so
that no stream starves another and nothing is held in memory but the piece being sent. The
rules: a body is released only below a ``held`` that is committed (PROTOCOL 5.4, 5.5) and
whose headers went out on this connection; a successor waits for its predecessor's CLOSE
(3.5); nothing is sent beyond the reader's window.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mithaq.hub.directory import Directory, HeldStream, Listener
from mithaq.hub.pieces import BodyPiece, HeaderPiece, Wanted
from mithaq.hub.reading import next_bodies, next_headers
from mithaq.hub.receipts import HELD, OPENED
from mithaq.hub.window import Unacknowledged, Window
from mithaq.store.engine import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a reader says it stands in a stream."""

    held_size: int
    opened_size: int


@dataclass(eq=False, slots=True)
class Cursor:
    """How far one stream has been sent on this connection, and what of it is unanswered."""

    log_no: int
    headers_size: int
    bodies_size: int
    headers: Unacknowledged = field(default_factory=Unacknowledged)
    bodies: Unacknowledged = field(default_factory=Unacknowledged)


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where a delivery sends its pieces; each returns when the transport has taken it."""

    headers: Callable[[HeldStream, HeaderPiece], Awaitable[None]]
    # And the sequence from which on they are bodies.
    bodies: Callable[[HeldStream, BodyPiece, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Release:
    """What the registry and the clocks say about releasing bodies now."""

    # Whether bodies of this stream may go to this reader at all.
    allowed: Callable[[HeldStream, str], bool]
    # The earlier of the local clock and the registry's time, in seconds since 1970.
    expired_at: Callable[[], int]


class Delivery:
    """Sends one reader what it may have, in the order that the rules ask for."""

    def __init__(
        self,
        listener: Listener,
        *,
        directory: Directory,
        database: Database,
        outlet: Outlet,
        release: Release,
        window_bytes: int,
        standing: Mapping[bytes, Standing],
    ) -> None:
        """Begin where `standing`, by stream id, says that the reader is."""
        self._listener = listener
        self._reader = listener.member
        self._directory = directory
        self._database = database
        self._outlet = outlet
        self._release = release
        # One for each: bodies may wait at the reader until a WITHDRAW's header has come (5.4),
        # and must not keep it back.
        self._headers_window = Window(window_bytes)
        self._bodies_window = Window(window_bytes)
        self._standing = standing
        self._cursors: dict[int, Cursor] = {}
        # In order of arrival; a stream waits for one turn at most.
        self._turns: dict[int, None] = {}
        for stream in directory.read_by(self._reader):
            self._take_turn(stream.log_no)

    async def deliver_all(self) -> None:
        """Deliver until nothing more may go out now."""
        while True:
            for log_no in self._listener.take():
                self._take_turn(log_no)
            if not self._turns:
                return
            log_no = next(iter(self._turns))
            del self._turns[log_no]
            if await self._turn(self._cursor(log_no)):
                self._take_turn(log_no)

    def _take_turn(self, log_no: int) -> None:
        self._turns.setdefault(log_no)

    def _cursor(self, log_no: int) -> Cursor:
        cursor = self._cursors.get(log_no)
        if cursor is None:
            stream_id = self._directory.stream(log_no).state.stream_id
            standing = self._standing.get(stream_id, Standing(0, 0))
            cursor = Cursor(log_no, standing.held_size, standing.opened_size)
            self._cursors[log_no] = cursor
        return cursor

    async def _turn(self, cursor: Cursor) -> bool:
        """Send at most one piece of headers and one of bodies; return whether anything went."""
        stream = self._directory.stream(cursor.log_no)
        self._acknowledge(cursor)
        went = await self._turn_bodies(cursor, stream)
        return await self._turn_headers(cursor, stream) or went

    def _acknowledge(self, cursor: Cursor) -> None:
        held = self._directory.signed_size(cursor.log_no, self._reader, HELD)
        opened = self._directory.signed_size(cursor.log_no, self._reader, OPENED)
        freed = (
            (self._headers_window, cursor.headers.acknowledge(held)),
            (self._bodies_window, cursor.bodies.acknowledge(opened)),
        )
        if any(freed_bytes and not window.is_open for window, freed_bytes in freed):
            # The window opens for the other streams as well.
            for log_no in self._cursors:
                self._take_turn(log_no)
        for window, freed_bytes in freed:
            window.give_back(freed_bytes)

    async def _turn_headers(self, cursor: Cursor, stream: HeldStream) -> bool:
        if cursor.headers_size >= stream.state.size or not self._headers_window.is_open:
            return False
        if self._waits_for_predecessor(stream):
            return False
        piece = await self._next_headers(cursor)
        if piece is None:
            return False
        await self._outlet.headers(stream, piece)
        cursor.headers_size = piece.size
        cursor.headers.add(size=piece.size, sent_bytes=piece.weight_bytes)
        self._headers_window.take(piece.weight_bytes)
        self._wake_successors(stream, cursor)
        return True

    async def _turn_bodies(self, cursor: Cursor, stream: HeldStream) -> bool:
        held = self._directory.signed_size(cursor.log_no, self._reader, HELD)
        end = min(held, cursor.headers_size)
        if cursor.bodies_size >= end or not self._bodies_window.is_open:
            return False
        if self._must_know_first(cursor):
            return False
        if not self._release.allowed(stream, self._reader):
            return False
        piece = await self._next_bodies(cursor, end=end)
        if piece is None:
            return False
        await self._outlet.bodies(stream, piece, cursor.bodies_size)
        cursor.bodies_size = piece.size
        cursor.bodies.add(size=piece.size, sent_bytes=piece.weight_bytes)
        self._bodies_window.take(piece.weight_bytes)
        return True

    def _must_know_first(self, cursor: Cursor) -> bool:
        """Tell whether the reader has to be sent more headers before bodies (PROTOCOL 5.4).

        One that stands below its own ``opened`` has lost what it had, and can check the
        receipt that it is shown instead of bodies only where it knows the root.
        """
        opened = self._directory.signed_size(cursor.log_no, self._reader, OPENED)
        return cursor.bodies_size < opened and cursor.headers_size < opened

    async def _next_headers(self, cursor: Cursor) -> HeaderPiece | None:
        log_no, start, room_bytes = (
            cursor.log_no,
            cursor.headers_size,
            self._headers_window.room_bytes,
        )
        recent = self._directory.recent.headers(log_no, start=start, room_bytes=room_bytes)
        if recent is not None:
            return recent
        return await self._database.read(
            lambda each: next_headers(each, log_no=log_no, start=start, room_bytes=room_bytes)
        )

    async def _next_bodies(self, cursor: Cursor, *, end: int) -> BodyPiece | None:
        log_no, start = cursor.log_no, cursor.bodies_size
        opened = self._directory.signed_size(log_no, self._reader, OPENED)
        wanted = Wanted(self._reader, end, self._release.expired_at(), opened)
        room_bytes = self._bodies_window.room_bytes
        recent = self._directory.recent.bodies(log_no, wanted, start=start, room_bytes=room_bytes)
        if recent is not None:
            return recent
        return await self._database.read(
            lambda each: next_bodies(
                each, wanted, log_no=log_no, start=start, room_bytes=room_bytes
            )
        )

    def _waits_for_predecessor(self, stream: HeldStream) -> bool:
        """Tell whether the reader hasn't been sent its predecessor's CLOSE yet (PROTOCOL 3.5)."""
        predecessor = self._predecessor(stream)
        if predecessor is None or self._reader not in predecessor.audience:
            return False
        if predecessor.closed_at is None:
            return True
        return self._cursor(predecessor.log_no).headers_size <= predecessor.closed_at

    def _predecessor(self, stream: HeldStream) -> HeldStream | None:
        stream_id = stream.state.opening.predecessor
        return None if stream_id is None else self._directory.find(stream_id)

    def _wake_successors(self, stream: HeldStream, cursor: Cursor) -> None:
        if stream.closed_at is None or cursor.headers_size <= stream.closed_at:
            return
        for other in self._directory.read_by(self._reader):
            if other.state.opening.predecessor == stream.state.stream_id:
                self._take_turn(other.log_no)
