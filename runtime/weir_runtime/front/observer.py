"""Everything that is measured, traced and logged about a stream goes through here, so that the path of a frame is not
crowded with it. Latency is counted from the arrival of the last sample that a result needed to the write of that
result to the socket (decisions 23).
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from weir_api.degradation import ClassName
from weir_api.logs import log
from weir_api.policy import Step
from weir_runtime.core.values import ChunkTiming
from weir_runtime.front.events import Problem, SessionEvent
from weir_runtime.front.metrics import Metrics
from weir_runtime.front.tracing import Tracer
from weir_runtime.messages import Failed, Final, Interim


@dataclass(slots=True)
class StreamRecord:
    """What is kept of a stream until it ends."""

    stream: str
    priority: ClassName
    model: str
    asked: float  # when the request came
    tenant: str = ""
    session: str = ""  # that it goes on with; empty: its own
    first_audio: float | None = None
    first_text: bool = False


class Observer:
    """`answered(class, seconds)` tells the core how long each result took from its audio to the socket."""

    def __init__(self, metrics: Metrics, tracer: Tracer | None, answered: Callable[[ClassName, float], None]) -> None:
        self.metrics, self._tracer, self._answered = metrics, tracer, answered

    def refused(self, priority: str, reason: str, took_s: float) -> None:
        self.metrics.refusal.observe(took_s)
        self.metrics.refused.labels(priority, reason).inc()
        log(logging.INFO, "stream refused", **{"class": priority, "reason": reason})

    def opened(self, record: StreamRecord, now: float, traceparent: str | None) -> None:
        self.metrics.opened.labels(record.priority).inc()
        self.metrics.set_up.labels(record.priority).observe(now - record.asked)
        if self._tracer is not None:
            self._tracer.opened(record.stream, record.priority, traceparent)
        named = {"class": record.priority, "tenant": record.tenant}
        if record.session:
            self.metrics.resumed.labels(record.priority).inc()
            named["session"] = record.session
        log(logging.INFO, "stream opened", stream=record.stream, model=record.model, **named)

    def received(self, record: StreamRecord, n_bytes: int, now: float) -> None:
        self.metrics.bytes_in.inc(n_bytes)
        if record.first_audio is None:
            record.first_audio = now
            self._mark(record, "first audio")

    def written(self, record: StreamRecord, event: SessionEvent, now: float) -> None:
        """`event` is on its way: the moment at which the clock of a promise stops."""
        if isinstance(event, Interim | Final):
            exemplar = self._tracer.exemplar(record.stream) if self._tracer is not None else None
            chunk = self.metrics.chunk
            ready = event.due if isinstance(event, Interim) else event.computed
            took = max(0.0, now - ready + event.computed - event.arrived)  # less what interims wait for their turn
            chunk.labels(record.priority, "device_to_sent").observe(max(0.0, now - ready), exemplar)
            chunk.labels(record.priority, "total").observe(took, exemplar)
            self._answered(record.priority, took)
            if isinstance(event, Final):
                self.metrics.final_delay.labels(record.priority).observe(max(0.0, now - event.decided), exemplar)
            if event.text and not record.first_text and record.first_audio is not None:
                record.first_text = True
                self.metrics.first_result.labels(record.priority).observe(now - record.first_audio)
                self._mark(record, "first text")
        elif isinstance(event, Problem | Failed):
            self.metrics.errors.labels(event.code).inc()
            log(logging.WARNING, "error sent", stream=record.stream, code=event.code, fatal=event.fatal)

    def closed(self, record: StreamRecord, reason: str, consumed_s: float, now: float) -> None:
        self.metrics.closed.labels(record.priority, reason).inc()
        self.metrics.session.labels(record.priority).observe(now - record.asked)
        if self._tracer is not None:
            self._tracer.closed(record.stream, reason)
        told = {"reason": reason, "audio_s": round(consumed_s, 3), "tenant": record.tenant}
        log(logging.INFO, "stream closed", stream=record.stream, **told)

    def chunk(self, timing: ChunkTiming) -> None:
        self.metrics.on_chunk(timing)
        if self._tracer is not None:
            self._tracer.chunk(timing)

    def bent(self, entered: Iterable[Step], left: Iterable[Step], why: str, shown: tuple[int, str]) -> None:
        """The ladder has moved; `shown` are number and name of the highest rung now."""
        rung, rung_name = shown
        for direction, steps in (("entered", entered), ("left", left)):
            for step in steps:
                self.metrics.rung_changes.labels(step.action, direction).inc()
                log(logging.WARNING, f"rung {direction}", step=step.name, rung=rung, rung_name=rung_name, why=why)

    def order(self, kind: str, result: str, level: int, detail: str) -> None:
        """The operator, or somebody in its name, has told this server something."""
        self.metrics.orders.labels(kind, result).inc()
        log(level, "order", kind=kind, result=result, detail=detail)

    def engine_failed(self, error: BaseException) -> None:
        self.metrics.failures.inc()
        log(logging.ERROR, "engine call failed", error=f"{type(error).__name__}: {error}")

    def keys_reloaded(self, n: int) -> None:
        self.metrics.key_reloads.labels("ok").inc()
        log(logging.INFO, "keys reloaded", keys=n)

    def keys_not_reloaded(self, error: str) -> None:
        self.metrics.key_reloads.labels("failed").inc()
        log(logging.ERROR, "keys not reloaded, the old ones hold", error=error)

    def _mark(self, record: StreamRecord, name: str) -> None:
        if self._tracer is not None:
            self._tracer.event(record.stream, name)
