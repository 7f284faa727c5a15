"""Every metric of the runtime in one table. One registry, in the engine process, asked in the OpenMetrics format.

Rules: buckets straddle the promises (300 ms, 1 s); label values come from small fixed sets, never a stream's id;
gauges are read from the core's snapshot when somebody asks, so nothing has to be kept in step.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from weir_runtime.core.values import ChunkTiming, Load

SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 10.0)
REFUSAL_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0)
SESSION_SECONDS = (1, 5, 15, 30, 60, 300, 900, 3600, 14_400)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.opened = Counter("weir_streams_opened", "Streams taken.", ["class"], registry=r)
        self.resumed = Counter("weir_streams_resumed", "Of those taken, those that go on.", ["class"], registry=r)
        self.closed = Counter("weir_streams_closed", "Streams ended, by reason.", ["class", "reason"], registry=r)
        self.refused = Counter("weir_refusals", "Streams refused before the upgrade.", ["class", "reason"], registry=r)
        self.refusal = Histogram(
            "weir_refusal_seconds",
            "From a request to the answer that it is refused.",
            buckets=REFUSAL_SECONDS,
            registry=r,
        )
        self.key_reloads = Counter("weir_key_reloads", "Changes of the keys file: ok, failed.", ["result"], registry=r)
        self.errors = Counter("weir_errors", "Error events sent to clients.", ["code"], registry=r)
        self.rung_changes = Counter(
            "weir_rung_changes", "Steps of the ladder: entered, left.", ["action", "direction"], registry=r
        )
        self.orders = Counter(
            "weir_orders", "Orders of the operator, by what came of them.", ["kind", "result"], registry=r
        )
        self.failures = Counter("weir_engine_failures", "Engine or detector calls that threw.", registry=r)
        self.bytes_in = Counter("weir_received_bytes", "Audio bytes received.", registry=r)
        self.session = Histogram(
            "weir_stream_seconds", "From accept to close.", ["class"], buckets=SESSION_SECONDS, registry=r
        )
        self.set_up = Histogram(
            "weir_stream_setup_seconds", "From the request to ready.", ["class"], buckets=SECONDS, registry=r
        )
        self.chunk = Histogram(
            "weir_chunk_seconds",
            "Life of a chunk: arrival_to_queue, queue_to_batch, batch_to_device, device, device_to_sent, total.",
            ["class", "breakpoint"],
            buckets=SECONDS,
            registry=r,
        )
        self.first_result = Histogram(
            "weir_first_result_seconds",
            "From the first audio to the first text.",
            ["class"],
            buckets=SECONDS,
            registry=r,
        )
        self.final_delay = Histogram(
            "weir_final_delay_seconds",
            "From the end's decision to its final sent.",
            ["class"],
            buckets=SECONDS,
            registry=r,
        )
        self.batch_size = Histogram(
            "weir_batch_size", "Streams in one engine step.", ["variant"], buckets=BATCH, registry=r
        )

    def on_chunk(self, timing: ChunkTiming) -> None:
        """The breakpoints that end at the device; the front adds device_to_sent and total when it writes."""
        points = (timing.arrived, timing.queued, timing.batched, timing.started, timing.done)
        names = ("arrival_to_queue", "queue_to_batch", "batch_to_device", "device")
        for name, since, until in zip(names, points, points[1:], strict=False):
            self.chunk.labels(timing.priority, name).observe(max(0.0, until - since))
        self.batch_size.labels(timing.variant).observe(timing.batch_size)

    def watch(self, load: Callable[[], Load]) -> None:
        """Report the core's own snapshot with every scrape."""
        self.registry.register(_Snapshot(load))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition in the format that `accept` asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Snapshot(Collector):
    def __init__(self, load: Callable[[], Load]) -> None:
        self._load = load

    def collect(self) -> Iterator[Metric]:
        load = self._load()
        streams = GaugeMetricFamily("weir_streams", "Streams open now.", labels=["class"])
        for priority, n in load.streams_by_class.items():
            streams.add_metric([priority], n)
        yield streams
        yield GaugeMetricFamily("weir_slots", "Slots of the engine's slabs.", load.slots_total)
        yield GaugeMetricFamily("weir_slots_used", "Slots held by streams.", load.slots_used)
        yield GaugeMetricFamily("weir_queue_chunks", "Chunks that wait for the engine.", load.queue_chunks)
        yield GaugeMetricFamily("weir_queue_audio_seconds", "Audio that waits.", load.queue_audio_s)
        yield GaugeMetricFamily("weir_queued_bytes", "Audio held in memory.", load.queued_bytes)
        yield GaugeMetricFamily("weir_rung", "Highest rung of the degradation ladder in force.", load.rung)
        device = CounterMetricFamily("weir_device_seconds", "Device time that each class has had.", labels=["class"])
        for priority, seconds in load.device_s.items():
            device.add_metric([priority], seconds)
        yield device
        yield GaugeMetricFamily("weir_device_load", "Demand at full quality by what the device does.", load.device)
        yield GaugeMetricFamily("weir_device_busy", "Share of the time that the device computes.", load.busy)
        yield GaugeMetricFamily("weir_front_load", "Cores that the sockets' thread needs.", load.front)
        yield GaugeMetricFamily("weir_memory_share", "Of the memory limit.", load.memory)
        state = GaugeMetricFamily("weir_breaker", "Circuit breaker: 1 at its state.", labels=["state"])
        for name in ("closed", "half-open", "open"):
            state.add_metric([name], load.breaker == name)
        yield state
        yield CounterMetricFamily("weir_audio_seconds", "Audio consumed.", load.audio_s)
        yield CounterMetricFamily("weir_silence_seconds", "Of it, spared the encoder as silence.", load.silence_s)
        yield CounterMetricFamily("weir_batches", "Engine steps run.", load.batches)
        yield CounterMetricFamily("weir_failed_chunks", "Chunks given up after all tries.", load.failed_chunks)
