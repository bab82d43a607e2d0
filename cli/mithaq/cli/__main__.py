"""`python -m mithaq.cli`, the same as `mithaq`."""

from __future__ import annotations

from mithaq.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
