"""A process killed at any moment leaves whole logs: what was answered is there, the rest is not."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mithaq.store import log_store
from mithaq.store.engine import open_database

WRITER = """
import sys
from sqlmodel import SQLModel
from mithaq.ledger.tree import leaf_hash
from mithaq.store import log_store
from mithaq.store.engine import open_database
from mithaq.store.tables import SHARED_TABLES

database = open_database(sys.argv[1], exclusive=True)
database.write_sync(lambda c: SQLModel.metadata.create_all(c, tables=list(SHARED_TABLES)))
log = database.write_sync(
    lambda c: log_store.find_log(c, "a/b") or log_store.create_log(c, "a/b")
)

def act(connection):
    head = log_store.head(connection, log)
    leaves = [b"%d" % n for n in range(head.size, head.size + 77)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return log_store.append(connection, log, leaves, hashes, head.frontier).size

while True:
    print(database.write_sync(act), flush=True)
"""


@pytest.mark.parametrize("after_answers", [1, 12])
def test_what_was_answered_before_a_kill_is_there_and_whole(
    sqlite_url: str, after_answers: int
) -> None:
    answered = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, sqlite_url], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(after_answers):
                answered = int(process.stdout.readline())
            # Somewhere within an append: it never pauses between two.
            time.sleep(0.003 * after_answers)
            process.send_signal(signal.SIGKILL)
            answered = max([answered, *(int(line) for line in process.stdout)])
        answered_is_there(sqlite_url, answered)


def answered_is_there(url: str, answered: int) -> None:
    """Compare a killed writer's log with what it had answered."""
    database = open_database(url, exclusive=True)
    log = database.read_sync(lambda c: log_store.log_no(c, "a/b"))
    head = database.read_sync(lambda c: log_store.check_log(c, log))
    # One append may be durable that was not answered yet.
    assert head.size in {answered, answered + 77}
    assert database.read_sync(lambda c: log_store.read_leaves(c, log, 0, head.size)) == [
        b"%d" % n for n in range(head.size)
    ]
    hashes = database.read_sync(lambda c: log_store.leaf_hashes_at(c, log, 0, head.size))
    assert len(hashes) == head.size
    database.close()


def test_the_lock_of_a_killed_process_is_free(sqlite_url: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, sqlite_url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    open_database(sqlite_url, exclusive=True).close()
    assert (tmp_path / "store.db.lock").exists()
