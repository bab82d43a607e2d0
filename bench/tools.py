"""Where `make bench-tools` puts what only the bench needs and the product must not touch."""

from typing import Final

from bench.machine import ROOT

BENCH_TOOLS: Final = ROOT / ".tools" / "bench"
