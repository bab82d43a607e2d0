"""All targets, the most exposed first."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fuzz import (
    content_targets,
    file_targets,
    hub_targets,
    ledger_targets,
    node_targets,
    proof_targets,
    registry_targets,
    trust_targets,
)
from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
TARGETS: Sequence[Target] = sorted(
    (
        *ledger_targets.TARGETS,
        *trust_targets.TARGETS,
        *hub_targets.TARGETS,
        *node_targets.TARGETS,
        *content_targets.TARGETS,
        *file_targets.TARGETS,
        *proof_targets.TARGETS,
        *registry_targets.TARGETS,
    ),
    key=lambda each: (each.exposure, each.name),
)
BY_NAME: Mapping[str, Target] = {each.name: each for each in TARGETS}


def kept_inputs(target: Target) -> list[Path]:
    """Return the files of a target's corpus, in order."""
    return sorted((CORPUS / target.name).glob("*"))
