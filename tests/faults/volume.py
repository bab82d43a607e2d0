"""A volume that can be full: a small file system of its own where this process may mount one.

Where it may not, the nearest that an ordinary user can do: a process whose files cannot
grow, or a database at its largest number of pages. Each is an error of the system's or of
SQLite's own, at the same place.
"""

import errno
import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mithaq.store.engine import Database

SIZE_BYTES: Final = 48 * 1024**2
PIECE: Final = bytes(64 * 1024)
PAGES_MAX: Final = 2**31 - 2


@dataclass(slots=True)
class Volume:
    """A folder whose file system is filled and freed; without a mount, what writes to it is."""

    folder: Path
    is_mounted: bool

    def fill(self, *, pid: int = 0, database: Database | None = None) -> None:
        """Leave no room: for the process, or the database of this process, that is named."""
        if self.is_mounted:
            fill_up(self._filler)
        elif database is not None:
            limit_pages(database, 1)
        else:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

    def free(self, *, pid: int = 0, database: Database | None = None) -> None:
        """Make room again."""
        if self.is_mounted:
            self._filler.unlink()
        elif database is not None:
            limit_pages(database, PAGES_MAX)
        else:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def fill_up(file: Path) -> None:
    """Write to a file until the system says that there is no room."""
    with suppress_full(), file.open("wb", buffering=0) as filler:
        for size in (len(PIECE), 1):
            with suppress_full():
                while filler.write(PIECE[:size]):
                    continue


@contextmanager
def suppress_full() -> Generator[None]:
    """Go on after an error that says that the volume is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def limit_pages(database: Database, pages: int) -> None:
    """Let a database grow to so many pages, or to those that it has: SQLite takes no fewer."""
    database.write_sync(lambda each: each.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))


@contextmanager
def small_volume(folder: Path, *, may_mount: bool) -> Generator[Volume]:
    """Yield an empty volume of 48 MiB at a folder, until the block ends."""
    folder.mkdir()
    is_mounted = may_mount and _mounted(folder)
    try:
        yield Volume(folder, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["/usr/bin/umount", "--lazy", folder], check=True)


def _mounted(folder: Path) -> bool:
    options = f"size={SIZE_BYTES},mode=0700"
    command = ["/usr/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    with suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False
