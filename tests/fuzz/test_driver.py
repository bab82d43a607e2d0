"""The driver bites: it finds what is planted in toys, keeps the input, and lets the sound pass."""

import subprocess
import sys
from pathlib import Path

import pytest

from mithaq.v1 import entry_pb2, exchange_pb2
from tests.architecture.rooms import ROOT
from tests.fuzz import toy
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Finding

# One process for all toys: the interpreter and atheris are loaded once.
PLAY = """
import sys
from pathlib import Path
from atheris.import_hook import instrument_imports
from tests.fuzz.driver import Plan, fuzz_all
with instrument_imports(include=["tests.fuzz.toy"]):
    from tests.fuzz import toy
folder = Path(sys.argv[1])
plan = Plan(seconds=20, processes=2, corpus=folder / "kept", findings=folder / "found",
            grown=folder / "grown", runs=20000, input_seconds_max=1, memory_mib_max=512)
for each in toy.TARGETS:
    (plan.corpus / each.name).mkdir(parents=True)
    for number, seed in enumerate(each.seeds()):
        (plan.corpus / each.name / str(number)).write_bytes(seed)
print(*fuzz_all(toy.TARGETS, plan))
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the folder in which the toys were fuzzed, and in which of them something was found."""
    folder = tmp_path_factory.mktemp("toys")
    result = subprocess.run(
        [sys.executable, "-c", PLAY, folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return folder, result.stdout.splitlines()[-1].split()


def test_what_is_planted_is_found_and_what_is_sound_is_not(played: tuple[Path, list[str]]) -> None:
    _, found = played
    assert found == ["endless", "greedy", "other_error", "two_spellings"]


def test_the_input_of_a_finding_is_kept_and_shows_it_again(played: tuple[Path, list[str]]) -> None:
    folder, _ = played
    checks = {each.name: each.check for each in toy.TARGETS}
    (spelt,) = (folder / "found").glob("two_spellings-crash-*")
    with pytest.raises(Finding):
        checks["two_spellings"](spelt.read_bytes())
    (other,) = (folder / "found").glob("other_error-crash-*")
    with pytest.raises(IndexError):
        checks["other_error"](other.read_bytes())
    (endless,) = (folder / "found").glob("endless-timeout-*")
    assert endless.read_bytes()[:2] == b"go"
    assert list((folder / "found").glob("never-*")) == []


def shortened(data: bytes, size_max: int) -> bytes:
    return data[: min(len(data) // 2, size_max)]


def unchanged(data: bytes, _size_max: int) -> bytes:
    return data


def test_a_message_that_was_changed_is_a_message_still() -> None:
    terms = entry_pb2.EntryTerms(version=1, category="ARREST", epoch=7)
    batch = exchange_pb2.Batch(
        stream_id=bytes(32),
        runs=[exchange_pb2.EntryRun(terms=terms.SerializeToString(), own_size=8, own=bytes(16))],
        bodies=[b"body", b"other"],
    )
    data = batch.SerializeToString(deterministic=True)
    made = {
        mutated(exchange_pb2.Batch, data, 4096, seed=seed, change_bytes=unchanged)
        for seed in range(200)
    }
    read = [exchange_pb2.Batch.FromString(each) for each in made]
    assert len({each.first_sequence for each in read}) > 2
    assert {len(each.bodies) for each in read} >= {1, 2, 3}
    # Terms that travel within as bytes are changed field by field, too.
    terms_of = [entry_pb2.EntryTerms.FromString(run.terms) for each in read for run in each.runs]
    assert len({each.epoch for each in terms_of}) > 2


def test_what_is_no_message_is_changed_as_bytes() -> None:
    changed = mutated(exchange_pb2.Batch, b"\xff" * 8, 3, seed=1, change_bytes=shortened)
    assert changed == b"\xff" * 3
