"""Runs the registrar's revisions."""

from mithaq.store.migrations import run_revisions

run_revisions()
