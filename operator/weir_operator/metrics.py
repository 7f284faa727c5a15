"""The operator's own metrics, in one table. Label values come from small fixed sets, never a pipeline's name."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RECONCILE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
PUSH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    registry: CollectorRegistry
    leader: Gauge
    epoch: Gauge
    pipelines: Gauge
    queue_depth: Gauge
    reconcile_seconds: Histogram
    reconciles: Counter
    api_requests: Counter
    push_seconds: Histogram
    pushes: Counter
    scrape_round_seconds: Histogram


def new_metrics() -> Metrics:
    registry = CollectorRegistry()
    return Metrics(
        registry,
        Gauge("weir_operator_leader", "1 while this replica leads.", registry=registry),
        Gauge("weir_operator_epoch", "Of this leader; 0 on a standby.", registry=registry),
        Gauge("weir_operator_pipelines", "Pipelines that are looked after.", registry=registry),
        Gauge("weir_operator_queue_depth", "Pipelines that are due and wait for a worker.", registry=registry),
        Histogram("weir_operator_reconcile_seconds", "One look at a pipeline.", buckets=RECONCILE_S, registry=registry),
        Counter(
            "weir_operator_reconciles_total",
            "Looks: done, again, stopped, gone, failed.",
            ["result"],
            registry=registry,
        ),
        Counter("weir_operator_api_requests_total", "Requests to the API server.", ["verb", "kind"], registry=registry),
        Histogram("weir_operator_push_seconds", "One policy to all pods.", buckets=PUSH_S, registry=registry),
        Counter("weir_operator_pushes_total", "Orders by what became of them.", ["result"], registry=registry),
        Histogram("weir_operator_scrape_seconds", "One round of load reports.", buckets=PUSH_S, registry=registry),
    )
