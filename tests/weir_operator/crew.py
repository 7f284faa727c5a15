"""Load reports, pods and observations for the tests of pressure, status and events."""

from dataclasses import replace

from hypothesis import strategies as st

from weir_api.changes import revision_of
from weir_api.degradation import CLASSES
from weir_api.forecast import Costs
from weir_api.ladder import Plan as LadderPlan
from weir_api.policy import steps_of
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, DemandReport, LoadReport, PolicyReport
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.memory import Memory
from weir_operator.observed import Observed, Pod, PodReport, Revision

NOW = 1_800_000_000.0
MODES = (1, 2, 7, 14)
SPEC = StreamingPipelineSpec.model_validate({"replicas": 3, "admission": {"maxStreams": 100}})
REVISION = revision_of(SPEC)
STEPS = steps_of(SPEC.ladder, SPEC.classes)
N_BUCKETS = len(LATENCY_BUCKETS_S) + 1


def latency(**counts):
    """A histogram: `b10=5` are five results in the tenth bucket from 0."""
    return [counts.get(f"b{place}", 0) for place in range(N_BUCKETS)]


def report_of(streams=10, **fields):
    """An honest pod at full quality with this many interactive streams."""
    classes = {name: ClassReport(streams=0, refused=0, latency=latency()) for name in SPEC.classes}
    classes["interactive"] = ClassReport(streams=streams, refused=0, staged=0, latency=latency(b5=streams))
    plain = LoadReport(
        pod_uid="u", revision=REVISION, state="ready", streams=streams, slots_used=streams, slots_total=100,
        classes=classes, detector=0.01, front=0.1, memory=0.2, usual_streams=streams, variant="large", calls=10,
        demand=[DemandReport(class_="interactive", variant="large", chunk_ms=160, frames_per_s=7.5 * streams)],
        chunk_s={"large": dict(zip(MODES, (0.003, 0.004, 0.008, 0.012), strict=True)),
                 "small": dict(zip(MODES, (0.002, 0.003, 0.005, 0.008), strict=True))},
    )  # fmt: skip
    return plain.model_copy(update=fields)


COUNTS = st.dictionaries(st.integers(0, N_BUCKETS - 1), st.integers(1, 20), max_size=4).map(
    lambda found: [found.get(place, 0) for place in range(N_BUCKETS)]
)
CLASS_REPORTS = st.tuples(st.integers(0, 33), st.integers(0, 50), st.integers(0, 33), COUNTS).map(
    lambda t: ClassReport(streams=t[0], refused=t[1], staged=min(t[0], t[2]), latency=t[3])
)
CHUNK_S = st.tuples(st.floats(1e-5, 0.1), st.floats(1e-5, 0.1)).map(
    lambda t: {"large": {mode: mode * t[0] for mode in MODES}, "small": {mode: mode * t[1] for mode in MODES}}
)
DEMAND = st.tuples(
    st.sampled_from(CLASSES), st.sampled_from(["large", "small"]), st.sampled_from(MODES), st.floats(0, 1000)
).map(lambda t: DemandReport(class_=t[0], variant=t[1], chunk_ms=80 * t[2], frames_per_s=t[3]))
PLACES = st.sets(st.integers(0, len(STEPS) - 1)).map(sorted)
REPORTS = st.fixed_dictionaries(
    {
        "state": st.just("ready"),
        "streams": st.integers(0, 100),
        "slots_used": st.integers(0, 100),
        "slots_total": st.just(100),
        "classes": st.fixed_dictionaries(dict.fromkeys(SPEC.classes, CLASS_REPORTS)),
        "demand": st.lists(DEMAND, max_size=5),
        "detector": st.floats(0, 1),
        "slowdown": st.floats(0.5, 5),
        "queue_chunks": st.integers(0, 100),
        "queue_slope": st.floats(-100, 100),
        "front": st.floats(0, 2),
        "memory": st.floats(0, 1),
        "high_rate_streams": st.integers(0, 100),
        "usual_streams": st.floats(0, 100),
        "chunk_s": CHUNK_S,
        "policy": PLACES.map(
            lambda places: PolicyReport(in_force=places, rung=STEPS[places[-1]].rung if places else 0)
        ),
    }
).map(lambda fields: LoadReport(**fields))  # not st.builds: it would add the fields once more, by their aliases
CREWS = st.lists(REPORTS, min_size=1, max_size=4)


def ladder_of(chunk_s: Costs):
    return LadderPlan(STEPS, SPEC.degradation.signals, SPEC.degradation.dwell_seconds, chunk_s)


HONEST = report_of()


def pod_of(suffix="aaaaa", report=HONEST, at=NOW, **fields):
    """A pod that serves, with a report of this moment; `report` None: it was never asked."""
    said = None if report is None else PodReport(at, report)
    plain = Pod(
        f"captions-{REVISION}-{suffix}", f"uid-{suffix}", REVISION, NOW - 3600, "10.0.0.1", "node", "Running", True,
        report=said,
    )  # fmt: skip
    return replace(plain, **fields)


def saying(*reports, at=NOW):
    return [pod_of(name, report, at) for name, report in zip(("aaaaa", "bbbbb", "ccccc"), reports, strict=False)]


THREE = tuple(pod_of(suffix) for suffix in ("aaaaa", "bbbbb", "ccccc"))


def observed_of(pods=THREE, spec=SPEC, status=None, **fields):
    """A pipeline of three pods that serve at full quality."""
    revisions = {REVISION: Revision(REVISION, SPEC, "weir/runtime:1", NOW - 3600)}
    plain = Observed("default", "captions", "uid", 7, spec, status or StreamingPipelineStatus(), tuple(pods),
                     revisions=revisions, memory=Memory(good_revision=REVISION))  # fmt: skip
    return replace(plain, **fields)
