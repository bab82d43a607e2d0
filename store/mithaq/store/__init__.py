"""Shared persistence of hub and node: logs, registry, audit and witnessed heads.

One database, SQLite or PostgreSQL, one transaction per act. What the pure rooms
computed is stored here and read back as frozen dataclasses; table rows never leave
this room. Nothing here signs by its own decision or talks to the network.
"""
