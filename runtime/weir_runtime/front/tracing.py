"""One OpenTelemetry span per stream with its chunks as children; off unless an endpoint is set.

Sampling is per stream and before the first span, so that a traced stream is whole. A client's `traceparent` decides
for its own stream. Chunk times come from the core's clock and are moved onto the wall clock once.
"""

from time import monotonic_ns, time_ns

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from weir_api.v1alpha1 import Tracing
from weir_runtime.core.values import ChunkTiming


class Tracer:
    """Keeps the spans of the sampled streams that are open."""

    def __init__(self, processor: SpanProcessor, sample_permille: int) -> None:
        sampler = ParentBased(TraceIdRatioBased(sample_permille / 1000))
        self._provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": "weir"}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("weir_runtime")
        self._spans: dict[str, Span] = {}
        self._epoch_ns = time_ns() - monotonic_ns()

    def opened(self, stream: str, priority: str, traceparent: str | None) -> None:
        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent} if traceparent else {})
        attributes = {"stream.id": stream, "stream.class": priority}
        span = self._tracer.start_span("stream", parent, trace.SpanKind.SERVER, attributes)
        if span.is_recording():
            self._spans[stream] = span

    def event(self, stream: str, name: str) -> None:
        if span := self._spans.get(stream):
            span.add_event(name)

    def chunk(self, timing: ChunkTiming) -> None:
        span = self._spans.get(timing.stream)
        if span is None:
            return
        attributes: dict[str, str | int | float] = {
            "stream.id": timing.stream,
            "chunk.sequence_number": timing.seq,
            "chunk.duration_ms": timing.n_samples / 16,
            "model.variant": timing.variant,
            "batch.size": timing.batch_size,
        }
        begin, end = self._wall(timing.arrived), self._wall(timing.done)
        child = self._tracer.start_span(
            "chunk", trace.set_span_in_context(span), attributes=attributes, start_time=begin
        )
        for name, at in (("queued", timing.queued), ("batched", timing.batched), ("started", timing.started)):
            child.add_event(name, timestamp=self._wall(at))
        child.end(end)

    def exemplar(self, stream: str) -> dict[str, str] | None:
        """The labels that tie an observation to this stream's trace."""
        span = self._spans.get(stream)
        if span is None:
            return None
        context = span.get_span_context()
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def closed(self, stream: str, reason: str) -> None:
        if span := self._spans.pop(stream, None):
            span.set_attribute("close.reason", reason)
            span.end()

    def shutdown(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _wall(self, seconds: float) -> int:
        return int(seconds * 1e9) + self._epoch_ns


def make_tracer(tracing: Tracing) -> Tracer | None:
    """None where the manifest names no endpoint: no span object is ever made."""
    if tracing.endpoint is None:
        return None
    exporter = OTLPSpanExporter(endpoint=f"{tracing.endpoint.rstrip('/')}/v1/traces")
    return Tracer(BatchSpanProcessor(exporter), tracing.sample_permille)
