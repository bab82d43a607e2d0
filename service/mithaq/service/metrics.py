"""Counters and times of one process, for an operator's Prometheus.

Labels are names from our own code (method, status); a member, a person or a
record is never one.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds; around the measured idle latency of 3 to 10 ms and up to a deadline.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class CallMetrics:
    """What is counted of the calls that this process serves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.finished = Counter(
            "mithaq_rpc_finished",
            "Calls served, by method and gRPC status.",
            ("method", "code"),
            registry=registry,
        )
        self.seconds = Histogram(
            "mithaq_rpc_seconds",
            "Time to serve a unary call, by method.",
            ("method",),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.open = Gauge(
            "mithaq_rpc_open", "Calls being served now, by method.", ("method",), registry=registry
        )
