"""`make demo-postgres`: the demo with the hub on a PostgreSQL server that is started for it."""

import subprocess
import sys

from tests.postgres import running_postgres

LIMIT_S = 900


def main() -> int:
    """Play the demo with the arguments given; return its exit code."""
    with running_postgres() as server:
        url = server.render_as_string(hide_password=False)
        play = [sys.executable, "-m", "mithaq.cli", "demo", "--hub-database", url, *sys.argv[1:]]
        return subprocess.run(play, check=False, timeout=LIMIT_S).returncode


if __name__ == "__main__":
    sys.exit(main())
