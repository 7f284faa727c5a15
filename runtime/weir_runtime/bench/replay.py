"""The trace of a run: what a replay through the simulator needs, and what to hold it against."""

from collections import Counter
from typing import Any

from weir_api.degradation import CLASSES
from weir_runtime.bench.figures import open_streams
from weir_runtime.bench.plan import FRAME_S
from weir_runtime.bench.record import Run, Sample, StreamRecord

COST_FIELDS = ("variants", "detector_cost")
LOAD_FIELDS = ("streams", "classes", "queue", "refused", "rung", "latency_ms", "load", "breaker")


def as_trace(run: Run) -> dict[str, Any]:
    """Times are seconds since the start of the traffic."""
    streams = sorted(run.streams, key=lambda stream: stream.asked_s)
    return {
        "traffic": run.traffic.model_dump(mode="json", by_alias=True, exclude_none=True),
        "streams": [_stream(stream, run.traffic.stream.speech_percent) for stream in streams],
        "rungs": _rungs(run.samples),
        "open": [dict(zip(CLASSES, counts, strict=True)) for counts in open_streams(run)],
        "load": [
            {"at_s": _s(one.at_s)} | {k: one.load[k] for k in LOAD_FIELDS if k in one.load} for one in run.samples
        ],
        "refusals": {
            name: dict(Counter(one.reason for s in streams if s.priority == name for one in s.refusals))
            for name in CLASSES
        },
        "cost": _cost(run.samples),
    }


def _cost(samples: list[Sample]) -> dict[str, Any] | None:
    """What calls of the server's device cost, as it says itself."""
    known = (one.load for one in samples if all(name in one.load for name in COST_FIELDS))
    return next(({name: load[name] for name in COST_FIELDS} for load in known), None)


def _stream(stream: StreamRecord, speech_percent: int) -> dict[str, Any]:
    """`start_s` is null where the stream was never taken; `seconds` is what it wanted, `sent_s` what it came to."""
    return {
        "client": stream.client,
        "class": stream.priority,
        "asked_s": _s(stream.asked_s),
        "start_s": None if stream.opened_s is None else _s(stream.opened_s),
        "end_s": _s(stream.end_s),
        "seconds": _s(stream.seconds),
        "sent_s": _s(stream.frames * FRAME_S),
        "speech_percent": speech_percent,
        "outcome": stream.outcome,
        "reason": stream.reason,
        "refusals": [
            {"at_s": _s(one.at_s), "reason": one.reason, "retry_after_s": one.retry_after_s} for one in stream.refusals
        ],
    }


def _rungs(samples: list[Sample]) -> list[dict[str, Any]]:
    """Each change, the first report being one; `in_force` where the server says it."""
    changes: list[dict[str, Any]] = []
    for one in samples:
        state = {name: one.load[name] for name in ("rung", "rung_name", "in_force") if name in one.load}
        if not changes or state != {name: changes[-1][name] for name in changes[-1] if name != "at_s"}:
            changes.append({"at_s": _s(one.at_s)} | state)
    return changes


def _s(seconds: float) -> float:
    return round(seconds, 3)
