"""The demo types commands: the same code, options and output as at a shell.

A command runs in this process, so that its imports are paid once; its JSON is what
a program would read.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from mithaq.cli.errors import EXIT_INTERRUPTED, CliError
from mithaq.cli.main import run


def command(*arguments: str, expect: int = 0) -> dict[str, Any]:
    """Run one command with `--json` and return its object.

    Raises:
        CliError: it ended with another exit code than `expect`.
        KeyboardInterrupt: it was interrupted, and with it the demo.

    """
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        exit_code = run([*arguments, "--json"])
    if exit_code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if exit_code != expect:
        raise CliError(
            "MQ-DEMO-COMMAND",
            f"`mithaq {' '.join(arguments[:2])}` ended with {exit_code} and not with {expect}",
            why=said.getvalue().strip()[-600:],
        )
    text = out.getvalue().strip()
    return dict(json.loads(text.splitlines()[-1])) if text else {}
