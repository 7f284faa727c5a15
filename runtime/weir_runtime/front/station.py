"""Who this server is to an operator, and what it says of itself to it; `weir serve` alone is nobody's."""

from dataclasses import dataclass, field
from pathlib import Path
from time import time

from weir_api.changes import revision_of
from weir_api.control import Orders
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, LoadReport, State
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.front.door import Door


@dataclass(frozen=True, slots=True)
class Station:
    pipeline_uid: str = ""
    pod_uid: str = ""
    operator_key: Path | None = None  # file of the public key that orders are signed with; None: no orders are taken
    resume_key: Path | None = (
        None  # file of the keys of resume tokens; None: they are worth something in this process only
    )
    started_at: float = field(default_factory=time)  # Unix seconds
    revision: str = ""
    load_s: float = 0.0  # that loading the models took


def loading_report(station: Station, spec: StreamingPipelineSpec) -> LoadReport:
    """Before there is anything to measure."""
    nothing = ClassReport(streams=0, refused=0, latency=[0] * (len(LATENCY_BUCKETS_S) + 1))
    return LoadReport(
        pod_uid=station.pod_uid,
        revision=revision_of(spec),
        state="loading",
        streams=0,
        slots_used=0,
        slots_total=spec.admission.max_streams,
        classes=dict.fromkeys(spec.classes, nothing),
        started_at=station.started_at,
    )


def pod_report(station: Station, door: Door, orders: Orders) -> LoadReport:
    report = door.link.report()
    epoch, revision = orders.policy
    mine = {
        "pod_uid": station.pod_uid,
        "revision": station.revision,
        "state": _state(door),
        "policy": report.policy.model_copy(update={"epoch": epoch, "revision": revision}),
        "started_at": station.started_at,
        "load_s": station.load_s,
    }
    return report.model_copy(update=mine)


def _state(door: Door) -> State:
    return "drained" if door.state == "draining" and door.empty else door.state
