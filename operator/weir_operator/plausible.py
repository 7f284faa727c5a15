"""Whether a load report can be true: one that says more than such a pod can have at all is no report. Pure.

Rules: a limit is what no honest pod reaches, however busy, for streams speak no faster than people do and a pod has no
more slots than its manifest gives it; what is merged (pressure.py) has come through here, so a pod that lies moves
nothing, or no more than a busy one does.
"""

from collections.abc import Iterator
from itertools import chain

from weir_api.forecast import STREAM_S
from weir_api.policy import FRAME_MS
from weir_api.report import LoadReport
from weir_api.v1alpha1 import StreamingPipelineSpec

FRAMES_PER_S = 1000 / FRAME_MS  # of one stream, at the speed of speech
RUSH = 4  # times that: a window of three seconds may hold what a client sent in more
RESULTS = 2 * 3 * FRAMES_PER_S * RUSH  # of one stream in a window: chunks, and what was written of them
MODES = frozenset({1, 2, 7, 14})  # frames per chunk
SLOWEST = 10  # times its own length, that a chunk takes: far beyond what could serve anybody
DETECTOR = 0.1  # of the device, for one stream's voice activity
FRONT = 2.0  # cores: the thread itself, as it runs and as it waits
SLOWDOWN = (0.1, 100.0)  # the runtime says no less; no device is so much slower and still answers
MEMORY = 2.0  # by the limit: shared pages count here, and not there
REFUSED = 50_000  # in a window, more than one process can say no to
CLASS_BY_CLASS = ("optionalStages", "smallerVariant")  # rungs with a step for each class


def plausible(report: LoadReport, spec: StreamingPipelineSpec) -> str:
    """What is wrong with the report of a pod that runs `spec`, in plain words; "" if nothing is."""
    return next(_wrong(report, spec), "")


def _wrong(report: LoadReport, spec: StreamingPipelineSpec) -> Iterator[str]:
    slots = spec.admission.max_streams
    if report.slots_total != slots and not (report.state == "loading" and report.slots_total == 0):
        yield f"slotsTotal is {report.slots_total}, but admission.maxStreams is {slots}"
    yield from _above("slotsUsed", report.slots_used, slots)
    yield from _above("streams", report.streams, slots)
    yield from _above("streams of all classes", sum(entry.streams for entry in report.classes.values()), slots)
    yield from _above("highRateStreams", report.high_rate_streams, slots)
    yield from _above("usualStreams", report.usual_streams, slots)
    yield from _above("queueChunks", report.queue_chunks, slots)  # a stream has one in the queue
    yield from _above("queueSlope, up or down,", abs(report.queue_slope), slots)
    yield from _above("detector", report.detector, slots * DETECTOR)
    yield from _above("front", report.front, FRONT + slots * STREAM_S)
    yield from _above("memory", report.memory, MEMORY)
    yield from _above("slowdown", report.slowdown, SLOWDOWN[1])
    if report.slowdown < SLOWDOWN[0]:
        yield f"slowdown {report.slowdown:g} is less than the least possible ({SLOWDOWN[0]:g})"
    yield from _above("failedCalls", report.failed_calls, report.calls)
    yield from _wrong_classes(report, spec)
    yield from _wrong_costs(report, spec)
    yield from _wrong_demand(report, spec)
    yield from _wrong_steps(report, spec)


def _above(name: str, value: float, most: float) -> Iterator[str]:
    if value > most:
        yield f"{name} {value:g} is more than such a pod can have ({most:g})"


def _wrong_classes(report: LoadReport, spec: StreamingPipelineSpec) -> Iterator[str]:
    offered, slots = spec.classes, spec.admission.max_streams
    for name, entry in report.classes.items():
        if name not in offered:
            yield f"class {name} is not among priorityClasses"
        yield from _above(f"staged of {name}", entry.staged, entry.streams)
        yield from _above(f"refused of {name}", entry.refused, REFUSED)
        yield from _above(f"results of {name}", sum(entry.latency), slots * RESULTS)


def _wrong_costs(report: LoadReport, spec: StreamingPipelineSpec) -> Iterator[str]:
    if list(report.chunk_s) != [each.name for each in spec.model.variants if each.name in report.chunk_s]:
        yield "chunkS does not name variants of the pipeline in their order"
    for variant, modes in report.chunk_s.items():
        for mode, seconds in modes.items():
            if mode not in MODES:
                yield f"chunkS of {variant}: there are no chunks of {mode} frames"
            elif not 0 < seconds <= SLOWEST * mode / FRAMES_PER_S:
                yield f"chunkS of {variant}: {seconds:g} s for a chunk of {mode} frames cannot be"


def _wrong_demand(report: LoadReport, spec: StreamingPipelineSpec) -> Iterator[str]:
    for row in report.demand:
        if row.class_ not in spec.classes:
            yield f"demand of class {row.class_}, which is not among priorityClasses"
        if row.chunk_ms % FRAME_MS or row.chunk_ms // FRAME_MS not in report.chunk_s.get(row.variant, {}):
            yield f"demand in chunks of {row.chunk_ms} ms of variant {row.variant!r}, which chunkS does not have"
    frames_per_s = sum(row.frames_per_s for row in report.demand)
    yield from _above("demand in frames per second", frames_per_s, spec.admission.max_streams * FRAMES_PER_S * RUSH)


def _wrong_steps(report: LoadReport, spec: StreamingPipelineSpec) -> Iterator[str]:
    """A pod that has not got a shorter ladder yet is not believed until it has."""
    ladder, policy = spec.ladder, report.policy
    n_steps = sum(len(spec.classes) if rung.action in CLASS_BY_CLASS else 1 for rung in ladder)
    yield from _above("rung", policy.rung, len(ladder))
    yield from _above("the highest step in force", max(chain(policy.floor, policy.in_force), default=0),
                      max(0, n_steps - 1))  # fmt: skip
    variants = [each.name for each in spec.model.variants]
    if report.variant and report.variant not in variants:
        yield f"variant {report.variant!r} is not among model.variants"
