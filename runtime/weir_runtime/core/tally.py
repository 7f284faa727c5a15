"""What is counted over all streams, those that are gone included."""

from collections.abc import Collection

from weir_runtime.core.scheduler import Scheduler
from weir_runtime.core.stream import Stream
from weir_runtime.core.values import Load
from weir_runtime.messages import SAMPLE_RATE


class Tally:
    """`waiting` samples are not consumed yet: asked for with every refusal, so it is kept and not summed up."""

    def __init__(self) -> None:
        self.waiting = 0
        self.batches = self.failed = 0
        self._of_stream: dict[str, int] = {}
        self._consumed = self._encoded = 0  # of streams that are gone

    def count_waiting(self, stream: Stream) -> None:
        n_samples = stream.waiting
        self.waiting += n_samples - self._of_stream.get(stream.id, 0)
        self._of_stream[stream.id] = n_samples

    def forget(self, stream: Stream) -> None:
        self.waiting -= self._of_stream.pop(stream.id, 0)
        self._consumed += stream.consumed
        self._encoded += stream.encoded

    def load(self, streams: Collection[Stream], scheduler: Scheduler, now: float) -> Load:
        window, (rung, rung_name) = scheduler.window(), scheduler.shown
        consumed = self._consumed + sum(stream.consumed for stream in streams)
        encoded = self._encoded + sum(stream.encoded for stream in streams)
        return Load(
            streams=len(streams),
            streams_by_class={str(name): load.streams for name, load in window.classes.items()},
            slots_total=window.slots_total,
            slots_used=window.slots_used,
            queue_chunks=window.queue_chunks,
            queue_audio_s=self.waiting / SAMPLE_RATE,
            queued_bytes=4 * sum(stream.audio.n_samples for stream in streams),
            audio_s=consumed / SAMPLE_RATE,
            silence_s=max(0, consumed - encoded) / SAMPLE_RATE,
            batches=self.batches,
            failed_chunks=self.failed,
            rung=rung,
            rung_name=rung_name,
            in_force=tuple(step.name for step in scheduler.in_force),
            breaker=scheduler.breaker.state(now),
            latency_p95_s={str(name): load.latency_p95_s for name, load in window.classes.items()},
            device_s={str(name): seconds for name, seconds in scheduler.device_s.items()},
            device=scheduler.device_load(),
            busy=scheduler.vitals.busy,
            slowdown=window.slowdown,
            front=window.front,
            memory=window.memory,
        )
