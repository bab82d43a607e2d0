import platform
from typing import Any

import pytest
from pydantic import ValidationError

from bench import targets
from bench.machine import describe
from bench.result import ColdSync, FanOut, Result, Stored
from bench.statistics import percentile, ratio_of_all, spread
from bench.tables import tables
from tests.bench.results import CPU_US, bare, rounds, throughput, whole

# What nothing must be.
STATED = {
    "end to end, × the probe fed from memory",
    "end to end, hub on PostgreSQL, × a bare COPY",
    "the same work by AS4, × its rate",
    "the same work by AS4, its CPU × the product's",
}


def met(result: Result) -> dict[str, bool | None]:
    return {each.figure: each.is_met for each in targets.lines(result)}


# --- statistics -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_value_that_this_share_does_not_exceed(
    share: float, expected: int
) -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.01)])
def test_no_percentile_is_made_up(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        percentile(values, share)


def test_ratios_are_told_by_their_median_and_range() -> None:
    found = spread([0.5, 0.9, 0.4])
    assert (found.median, found.low, found.high) == (0.5, 0.4, 0.9)


def test_no_spread_is_made_up_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_a_ratio_of_all_records_is_told_with_the_range_of_its_rounds() -> None:
    found = ratio_of_all([[2.0, 9.0], [4.0, 4.0]], [[1.0, 1.0], [1.0, 2.0]], 0.5)
    assert (found.median, found.low, found.high) == (4.0, 2.0, 4.0)


def test_a_round_s_ratio_is_the_product_s_rate_by_the_probe_s() -> None:
    played = rounds(0.1, 0.2).rounds
    assert [each.ratio for each in played] == pytest.approx([1.0, 0.5])
    assert [each.ratio_from_memory for each in played] == pytest.approx([0.5, 0.25])


# --- JSON -----------------------------------------------------------------------------


def test_a_result_comes_back_from_json_as_it_went() -> None:
    assert Result.from_json(whole().to_json()) == whole()


def test_the_json_says_its_form() -> None:
    assert '"schema": "mithaq-bench/2"' in whole().to_json()


@pytest.mark.parametrize(
    "change", [{"schema": "mithaq-bench/1"}, {"more": 1}, {"catch_up": {"records": 1}}]
)
def test_another_form_is_refused(change: dict[str, Any]) -> None:
    changed = whole().model_dump(by_alias=True) | change
    with pytest.raises(ValidationError):
        Result.model_validate(changed)


def test_a_time_of_zero_is_no_measurement() -> None:
    with pytest.raises(ValidationError):
        rounds(0.0)


def test_figures_of_two_runs_come_together_the_newer_first() -> None:
    newer = bare().model_copy(update={"at": "later", "end_to_end": rounds(0.1)})
    both = whole().with_newer(newer)
    assert (both.at, both.end_to_end, both.single) == ("later", rounds(0.1), whole().single)


def test_what_one_of_two_runs_has_measured_is_not_missing() -> None:
    older = bare().model_copy(update={"not_measured": {"single": "why", "nats": "gone"}})
    newer = bare().model_copy(
        update={"single": whole().single, "not_measured": {"postgres": "away"}}
    )
    both = older.with_newer(newer)
    assert both.not_measured == {"nats": "gone", "postgres": "away"}


# --- targets --------------------------------------------------------------------------


def test_every_target_is_met_on_its_line() -> None:
    assert {is_met for name, is_met in met(whole()).items() if name not in STATED} == {True}
    assert {is_met for name, is_met in met(whole()).items() if name in STATED} == {None}


def stored_lines(*stored: Stored) -> list[targets.Line]:
    return list(targets.lines(bare().model_copy(update={"stored": stored})))


def test_a_target_of_a_million_records_is_neither_met_nor_missed_by_fewer() -> None:
    first, *_, last = whole().stored
    cost, memory = stored_lines(first, last.model_copy(update={"stored": 999_999}))
    assert (cost.is_met, memory.is_met) == (None, None)
    cost, _ = stored_lines(first, last)
    assert cost.is_met


def test_memory_is_compared_from_fifty_thousand_to_ten_times_as_many() -> None:
    cost, memory = stored_lines(*whole().stored)
    assert "1,000,000 stored, × that at 10,000" in cost.figure
    assert memory.figure.startswith("peak memory at 500,000 stored, × that at 50,000")
    assert (memory.measured, memory.is_met) == ("1.10", True)


def test_the_process_whose_memory_grew_most_is_told() -> None:
    low, high = whole().stored[1:3]
    peaks = high.rounds[0].peak_rss_mib | {"hub": 111.0}
    grown = high.rounds[0].model_copy(update={"peak_rss_mib": peaks})
    _, memory = stored_lines(low, high.model_copy(update={"rounds": (grown,)}))
    assert "(hub)" in memory.figure
    assert memory.is_met is False


def test_one_level_alone_is_compared_with_nothing() -> None:
    assert stored_lines(whole().stored[0]) == []


def test_the_cost_of_a_record_is_the_median_of_its_rounds() -> None:
    rounds = tuple(throughput(1.0, cpu_us=each) for each in (10, 20, 90))
    assert Stored(stored=1, rounds=rounds).cost_us == 60


def test_fewer_live_records_than_a_target_is_about_meet_nothing() -> None:
    few = ColdSync(records=99_999, seconds=1, cpu_us=CPU_US)
    (line,) = targets.lines(bare().model_copy(update={"cold_sync": few}))
    assert line.is_met is None


def test_without_nats_the_callers_are_compared_with_nothing() -> None:
    first = whole().callers[0]
    alone = first.model_copy(update={"ratio": None})
    assert list(targets.lines(bare().model_copy(update={"callers": (alone,)}))) == []


@pytest.mark.parametrize(
    ("part", "change", "figure"),
    [
        ("end_to_end", {"ratio": spread([0.49])}, "end to end, × the probe"),
        ("single", {"ratio_p50": spread([2.01])}, "one record, idle, p50, × the probe"),
        ("single", {"ratio_p99": spread([2.51])}, "one record, idle, p99, × the probe"),
        ("catch_up", {"rate": spread([7999])}, "catch-up, records/s"),
        ("cold_sync", {"seconds": 20.1}, "a new reader has 100,000 live records, seconds"),
    ],
)
def test_a_figure_beyond_its_line_is_not_met(
    part: str, change: dict[str, Any], figure: str
) -> None:
    result = whole()
    worse = getattr(result, part).model_copy(update=change)
    assert not met(result.model_copy(update={part: worse}))[figure]


def test_a_further_reader_s_cost_is_that_beyond_the_first() -> None:
    assert targets.further_reader_us(*whole().fan_out) == pytest.approx(6.0)


@pytest.mark.parametrize(("hub_us", "sender_us", "met_there"), [(210, 50, True), (211, 51, False)])
def test_many_readers_are_judged_by_hub_and_by_sender(
    hub_us: float, sender_us: float, *, met_there: bool
) -> None:
    more = FanOut(readers=31, records=1, hub_cpu_us=hub_us, sender_cpu_us=sender_us)
    result = bare().model_copy(update={"fan_out": (whole().fan_out[0], more)})
    assert [each.is_met for each in targets.lines(result)] == [met_there] * 2


def test_readers_who_share_all_processors_are_stated_and_not_judged() -> None:
    crowded = FanOut(readers=31, apart=False, records=1, hub_cpu_us=330, sender_cpu_us=80)
    result = bare().model_copy(update={"fan_out": (*whole().fan_out, crowded)})
    *judged, stated = targets.lines(result)
    assert [each.is_met for each in judged] == [True, True]
    assert (stated.measured, stated.must, stated.is_met) == ("10.0; 2.00", "stated", None)


@pytest.mark.parametrize(("hub_us", "sender_us"), [(-1, 40), (0, 40), (200, 0)])
def test_what_idle_work_outweighs_meets_nothing(hub_us: float, sender_us: float) -> None:
    more = FanOut(readers=31, records=1, hub_cpu_us=hub_us, sender_cpu_us=sender_us)
    result = bare().model_copy(update={"fan_out": (whole().fan_out[0], more)})
    assert [each.is_met for each in targets.lines(result)] == [None, None]


@pytest.mark.parametrize(("callers", "enough"), [(16, 1.2), (256, 4.0)])
def test_callers_are_judged_by_how_many_they_are(callers: int, enough: float) -> None:
    for ratio, is_met in ((enough, True), (enough - 0.01, False)):
        figure = (
            whole().callers[0].model_copy(update={"callers": callers, "ratio": spread([ratio])})
        )
        (line,) = targets.lines(bare().model_copy(update={"callers": (figure,)}))
        assert line.is_met is is_met


def test_what_was_not_measured_is_not_told() -> None:
    assert list(tables(bare())) == []


# --- tables ---------------------------------------------------------------------------


def test_every_row_of_a_table_has_a_cell_for_each_column() -> None:
    for table in tables(whole()):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_machine_is_described_without_its_name() -> None:
    described = describe()
    assert described.cores > 0
    assert platform.node() not in described.model_dump_json()
