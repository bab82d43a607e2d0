"""The kept inputs again, without a fuzzer: what was found once stays mended."""

from collections.abc import Iterator

import pytest

from tests.fuzz import stage
from tests.fuzz.target import Finding, Target
from tests.fuzz.targets import BY_NAME, CORPUS, TARGETS, kept_inputs

INPUTS_MAX = 100
FOLDER_BYTES_MAX = 512 * 1024


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    stage.close_all()


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: each.name)
def test_every_kept_input_is_answered_as_it_has_to_be(target: Target) -> None:
    for path in kept_inputs(target):
        try:
            target.check(path.read_bytes())
        except Exception as fault:
            raise Finding(f"{target.name}: {path.name}") from fault


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: each.name)
def test_what_a_target_begins_with_is_taken(target: Target) -> None:
    for seed in target.seeds():
        assert len(seed) <= target.size_bytes_max
        target.check(seed)


def test_no_two_targets_have_one_name() -> None:
    assert len(BY_NAME) == len(TARGETS)


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    folders = {path.name for path in CORPUS.iterdir()}
    assert folders == set(BY_NAME)
    assert [each.name for each in TARGETS if not kept_inputs(each)] == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: each.name)
def test_a_corpus_is_small(target: Target) -> None:
    sizes = [path.stat().st_size for path in kept_inputs(target)]
    assert len(sizes) <= INPUTS_MAX
    assert max(sizes) <= target.size_bytes_max
    assert sum(sizes) <= FOLDER_BYTES_MAX
