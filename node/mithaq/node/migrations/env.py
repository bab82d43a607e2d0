"""Runs the node's revisions; what that takes is in ``store.migrations``."""

from mithaq.store.migrations import run_revisions

run_revisions()
