"""What a saboteur does to a running federation: from outside, to files and processes alone."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mithaq.cli.demo.processes import Process
from mithaq.cli.demo.stage import Stage

WAIT_SECONDS_MAX = 60.0


@contextmanager
def paused(process: Process) -> Generator[None]:
    """Have a process stand still."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def flipped_when_it_waits(stage: Stage, reader: str) -> Generator[None]:
    """Flip a byte in the next body that comes to the hub, while its reader stands still.

    The hub is killed meanwhile: it hands on the newest bodies from its memory. Afterwards
    the byte is as it was.
    """
    database = stage.hub_folder / "hub.db"
    process = stage.members[reader].process
    flipped: list[tuple[tuple[int, int], bytes]] = []
    old = {place for place, _ in bodies(database, reader)}

    def flip() -> None:
        with paused(process):
            place, body = wait_for_body(database, reader, besides=old)
            stage.hub.kill()
            flipped.append((place, body))
            write_body(database, place, flip_middle(body))
            stage.start(stage.hub)

    saboteur = threading.Thread(target=flip)
    saboteur.start()
    try:
        yield
    finally:
        saboteur.join(WAIT_SECONDS_MAX)
        # A stream that failed is asked for anew on the next connection, by each reader.
        stage.hub.kill()
        write_body(database, *flipped[0])
        stage.start(stage.hub)


def flip_middle(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def write_body(database: Path, place: tuple[int, int], body: bytes) -> None:
    change(
        database, "UPDATE hub_body SET body = ? WHERE (log_no, sequence) = (?, ?)", (body, *place)
    )


def wait_for_body(
    database: Path, reader: str, *, besides: set[tuple[int, int]]
) -> tuple[tuple[int, int], bytes]:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        for place, body in bodies(database, reader):
            if place not in besides:
                return place, body
        time.sleep(0.02)
    raise TimeoutError("no body came to the hub")


def bodies(database: Path, reader: str) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the places and bodies of streams that a member reads."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT log_no, sequence, body FROM hub_body"
            " WHERE log_no IN (SELECT log_no FROM hub_audience WHERE member = ?)",
            (reader,),
        ).fetchall()
    return (((log_no, sequence), body) for log_no, sequence, body in rows)


def change(database: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    """Change a database that another process uses."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute(statement, values)
        connection.commit()


@contextmanager
def leaf_changed(hub: Path) -> Generator[None]:
    """Have a byte of a commitment in the newest page of a stream be another."""
    with closing(sqlite3.connect(f"file:{hub / 'hub.db'}?mode=ro", uri=True)) as connection:
        (log_no, start, payload), *_ = connection.execute(
            "SELECT log_no, start, payload FROM log_page"
            " WHERE log_no IN (SELECT log_no FROM hub_body_run) ORDER BY start DESC"
        ).fetchall()
    statement = "UPDATE log_page SET payload = ? WHERE (log_no, start) = (?, ?)"
    changed = payload[:-1] + bytes([payload[-1] ^ 1])
    change(hub / "hub.db", statement, (changed, log_no, start))
    try:
        yield
    finally:
        change(hub / "hub.db", statement, (payload, log_no, start))


@contextmanager
def erasing_prevented(node: Path) -> Generator[None]:
    """Have a node's database keep every record that the node erases, and say nothing of it."""
    change(
        node / "node.db",
        """
        CREATE TRIGGER prevent AFTER UPDATE OF body ON node_record
        WHEN NEW.body IS NULL AND OLD.body IS NOT NULL
        BEGIN
            UPDATE node_record SET body = OLD.body, wrapped_key = OLD.wrapped_key
            WHERE record_no = OLD.record_no;
        END
        """,
    )
    try:
        yield
    finally:
        change(node / "node.db", "DROP TRIGGER prevent")


@contextmanager
def planted(file: Path, content: bytes) -> Generator[None]:
    """Have a file stand there with some content."""
    file.write_bytes(content)
    try:
        yield
    finally:
        file.unlink()
