"""The same records by AS4, as PyPI's `as4` does it, beside the product.

It runs in a Python of its own (`make bench-tools`), because it needs an older
`cryptography` than the product.
"""

import asyncio
import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.errors import MeasureError, NotInstalledError
from bench.measures import carried
from bench.product import Product
from bench.result import As4, As4Round
from bench.statistics import spread
from bench.tools import BENCH_TOOLS

SCRIPT: Final = Path(__file__).with_name("as4_exchange.py")
SECONDS_MAX: Final = 600.0


async def by_as4(product: Product, *, rounds: int, records: int, as4_records: int) -> As4:
    """Send in bulk through the product, and exchange some of the same records by AS4, in turn."""
    python = interpreter()
    played: list[As4Round] = []
    for _ in range(rounds):
        made = product.records.make(records)
        ours = await carried(product, made)
        raws = [record.raw for record in made[:as4_records]]
        told = await asyncio.to_thread(exchange, python, raws)
        played.append(
            As4Round(
                product=ours,
                as4_records=told["records"],
                as4_seconds=told["seconds"],
                as4_cpu_us=told["cpu_us"],
            )
        )
    return As4(
        rounds=tuple(played),
        ratio=spread([each.ratio for each in played]),
        cpu_ratio=spread([each.cpu_ratio for each in played]),
    )


def interpreter() -> Path:
    """Return the Python that has `as4`; raise NotInstalledError."""
    python = BENCH_TOOLS / "bin" / "python"
    if not python.exists():
        raise NotInstalledError("as4 is not installed (make bench-tools)")
    return python


def exchange(python: Path, raws: Sequence[bytes]) -> dict[str, Any]:
    """Exchange records in one process; return their number, seconds and CPU in µs by part."""
    # Isolated: nothing of this folder is taken for a module of the same name.
    done = subprocess.run(  # noqa: S603 (our own script)
        [python, "-I", SCRIPT],
        input=b"\n".join(base64.b64encode(raw) for raw in raws),
        capture_output=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    if done.returncode != 0:
        raise MeasureError(f"as4: {done.stderr.decode(errors='replace').strip()[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
