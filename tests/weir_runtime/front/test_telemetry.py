"""What operators see: metrics with exemplars, one trace per stream."""

import re

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from talk import events, send, until_event
from websockets.exceptions import InvalidStatus

from weir_api.v1alpha1 import Tracing
from weir_runtime.core.values import ChunkTiming
from weir_runtime.front.events import Problem
from weir_runtime.front.metrics import Metrics
from weir_runtime.front.observer import Observer, StreamRecord
from weir_runtime.front.tracing import Tracer, make_tracer
from weir_runtime.messages import Final

BREAKPOINTS = ("arrival_to_queue", "queue_to_batch", "batch_to_device", "device", "device_to_sent", "total")


def value(text, name):
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_stream_leaves_its_traces_in_the_metrics(serve, clips):
    own = serve()
    clip = clips("coffee")[3]
    with own.connect("class=interactive") as socket:
        until_event(socket, "ready")
        assert value(own.metrics(), 'weir_streams{class="interactive"}') == 1
        assert value(own.metrics(), "weir_slots_used") == 1
        socket.send(clip.pcm)
        send(socket, "close")
        events(socket)
    text = own.metrics()
    assert text.endswith("# EOF\n")
    for point in BREAKPOINTS:
        assert value(text, f'weir_chunk_seconds_count{{breakpoint="{point}",class="interactive"}}') > 0 or value(
            text, f'weir_chunk_seconds_count{{class="interactive",breakpoint="{point}"}}'
        ), point
    assert value(text, 'weir_streams_opened_total{class="interactive"}') == 1
    assert value(text, 'weir_streams_closed_total{class="interactive",reason="close"}') == 1
    assert value(text, 'weir_final_delay_seconds_count{class="interactive"}') == 1
    assert value(text, 'weir_first_result_seconds_count{class="interactive"}') == 1
    assert value(text, 'weir_stream_setup_seconds_count{class="interactive"}') == 1
    assert value(text, 'weir_batch_size_count{variant="small"}') > 3
    assert value(text, "weir_received_bytes_total") == len(clip.pcm)
    assert value(text, "weir_streams") == 0
    seconds = len(clip.pcm) / 32000
    assert abs(value(text, "weir_audio_seconds_total") - seconds) < 0.001
    assert 0 < value(text, "weir_silence_seconds_total") < seconds
    assert not re.search(r"s_[0-9a-f]{16}", text), "a stream's id is no label"


def test_refusals_and_errors_are_counted(serve):
    own = serve(admission={"maxStreams": 1})
    with own.connect() as socket:
        socket.send("nonsense")
        until_event(socket, "error")
        assert own.load()["slots"] == {"used": 1, "total": 1}
        with pytest.raises(InvalidStatus, match="503"):
            own.connect()
    text = own.metrics()
    assert value(text, 'weir_refusals_total{class="standard",reason="slots"}') == 1
    assert value(text, 'weir_errors_total{code="bad_message"}') == 1


def timing(stream, seq):
    at = 100.0 + seq
    return ChunkTiming(stream, "standard", "small", 2, 4, 2560, seq, at, at + 0.01, at + 0.02, at + 0.03, at + 0.05)


def traced(permille=1000):
    exporter = InMemorySpanExporter()
    tracer = Tracer(SimpleSpanProcessor(exporter), permille)
    return Observer(Metrics(), tracer, lambda priority, seconds: None), exporter


def test_a_stream_is_one_span_with_a_child_per_chunk():
    observer, exporter = traced()
    record = StreamRecord("s_1", "standard", "small", 99.0)
    observer.opened(record, 99.1, None)
    observer.received(record, 3200, 99.2)
    observer.chunk(timing("s_1", 0))
    observer.chunk(timing("s_1", 1))
    observer.chunk(timing("s_other", 0))
    final = Final("s_1", 0, 0, 1, "text", "text", "v", (), "", 0, 0, (), 1.0, "close", 101.0, 101.05, 101.0)
    observer.written(record, final, 101.06)
    observer.written(record, Problem(0, "bad_message", "no"), 101.07)
    exposed = observer.metrics.render("application/openmetrics-text")[0].decode()
    observer.closed(record, "close", 2.0, 102.0)
    one, two, stream = exporter.get_finished_spans()
    assert (one.name, two.name, stream.name) == ("chunk", "chunk", "stream")
    assert one.parent.span_id == two.parent.span_id == stream.context.span_id
    assert dict(one.attributes) == {
        "stream.id": "s_1", "chunk.sequence_number": 0, "chunk.duration_ms": 160.0, "model.variant": "small",
        "batch.size": 4,
    }  # fmt: skip
    assert abs((one.end_time - one.start_time) / 1e9 - 0.05) < 1e-6
    assert [event.name for event in stream.events] == ["first audio", "first text"]
    assert stream.attributes["close.reason"] == "close"
    assert f'trace_id="{stream.context.trace_id:032x}"' in exposed


def test_a_traced_client_decides_for_its_own_stream():
    observer, exporter = traced(permille=0)
    for stream, parent in (("a", None), ("b", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")):
        record = StreamRecord(stream, "standard", "small", 0.0)
        observer.opened(record, 0.0, parent)
        observer.closed(record, "close", 0.0, 1.0)
    (span,) = exporter.get_finished_spans()
    assert span.attributes["stream.id"] == "b"
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


def test_without_an_endpoint_nothing_is_traced():
    assert make_tracer(Tracing()) is None
