"""Results as a run would find them, with figures that are easy to reckon with."""

from bench.result import (
    Absence,
    As4,
    As4Round,
    Callers,
    CallersRound,
    CatchUp,
    ColdSync,
    Content,
    CopyRound,
    EndToEnd,
    FanOut,
    Fsync,
    Machine,
    OnPostgres,
    Reconnect,
    Result,
    Round,
    Single,
    Stored,
    Throughput,
)
from bench.statistics import latency, spread

MACHINE = Machine(
    cpu="A processor",
    cores=2,
    ram_gib=24.0,
    kernel="Linux 6.1",
    python="3.11.7",
    versions={"grpcio": "1.85.1"},
)
CPU_US = {"sender": 1.0, "hub": 2.0, "reader": 3.0}


def throughput(
    seconds: float, *, records: int = 1000, cpu_us: float = 50, peak: float = 100
) -> Throughput:
    roles = ("sender", "hub", "reader")
    return Throughput(
        records=records,
        seconds=seconds,
        cpu_us=dict.fromkeys(roles, cpu_us),
        peak_rss_mib=dict.fromkeys(roles, peak),
    )


def rounds(*seconds: float) -> EndToEnd:
    """Return rounds in which the probe took a tenth of a second each."""
    played = tuple(
        Round(product=throughput(each), probe=throughput(0.1), from_memory=throughput(0.05))
        for each in seconds
    )
    return EndToEnd(
        rounds=played,
        ratio=spread([each.ratio for each in played]),
        ratio_from_memory=spread([each.ratio_from_memory for each in played]),
    )


def callers(count: int, *, nats_seconds: float) -> Callers:
    """Return a round in which every record was answered within a second."""
    played = CallersRound(
        answered_seconds=1.0,
        opened_seconds=1.1,
        cpu_us=CPU_US,
        nats_seconds=nats_seconds,
        nats_cpu_us=90,
    )
    return Callers(callers=count, records=1000, rounds=(played,), ratio=spread([nats_seconds]))


def back(stored: int) -> Reconnect:
    """Return what coming back cost."""
    return Reconnect(
        nodes=32,
        stored=stored,
        returns=96,
        seconds=0.5,
        bytes_up=9000,
        bytes_down=8000,
        hub_cpu_us=7000,
        node_cpu_us=6000,
        idle_hub_us_per_s=900,
        idle_node_us_per_s=800,
    )


def bare() -> Result:
    """Return a result without any figure."""
    return Result(at="now", commit="0", command="make bench", machine=MACHINE)


def whole() -> Result:
    """Return a result with every figure that has a target."""
    return Result(
        at="2026-11-22 01:00 UTC",
        commit="0123456789",
        command="make bench",
        machine=MACHINE,
        fsync=Fsync(count=1, p50_us=300, p99_us=900),
        content=Content(reading_us=spread([30.0]), indexing_us=spread([10.0])),
        end_to_end=rounds(0.15, 0.2, 0.25),
        single=Single(
            product=latency([0.008] * 99 + [0.02], cpu_us=CPU_US),
            probe=latency([0.004] * 99 + [0.01], cpu_us=CPU_US),
            ratio_p50=spread([2.0, 2.2, 1.8]),
            ratio_p99=spread([2.5, 2.6, 1.9]),
        ),
        callers=(callers(16, nats_seconds=1.2), callers(256, nats_seconds=4.0)),
        catch_up=CatchUp(
            records=16_000,
            absences=(Absence(seconds=2.0, reader_cpu_us=90),),
            rate=spread([8000]),
        ),
        fan_out=(
            FanOut(readers=1, records=1000, hub_cpu_us=30, sender_cpu_us=40),
            FanOut(readers=31, records=1000, hub_cpu_us=210, sender_cpu_us=50),
        ),
        stored=(
            Stored(stored=10_000, rounds=(throughput(1.0, peak=50),)),
            Stored(stored=50_000, rounds=(throughput(1.0),)),
            Stored(stored=500_000, rounds=(throughput(1.0, peak=110),)),
            Stored(stored=1_000_000, rounds=(throughput(1.0, cpu_us=60, peak=200),)),
        ),
        reconnect=(back(10_000), back(1_000_000)),
        cold_sync=ColdSync(records=100_000, seconds=20, cpu_us=CPU_US),
        postgres=OnPostgres(
            rounds=(CopyRound(product=throughput(0.2), copy_seconds=0.1),), ratio=spread([0.5])
        ),
        as4=As4(
            rounds=(
                As4Round(
                    product=throughput(1.0),
                    as4_records=20,
                    as4_seconds=1.0,
                    as4_cpu_us={"send": 4500, "receive": 4000, "receipt": 500},
                ),
            ),
            ratio=spread([50]),
            cpu_ratio=spread([60]),
        ),
        not_measured={"nats": "it was not there"},
    )
