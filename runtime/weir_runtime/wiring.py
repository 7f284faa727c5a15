"""Builds the parts of a runtime from a manifest and ties them together; the one place that knows all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from socket import socket

from weir_api.v1alpha1 import StreamingPipeline, StreamingPipelineSpec, Variant
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.values import DeviceCosts, VariantInfo
from weir_runtime.engine.calibrate import costs_of, detector_cost
from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.interface import Engine
from weir_runtime.engine.native import NativeEngine
from weir_runtime.engine.nemo import NemoEngine
from weir_runtime.engine.silero import BatchedSilero
from weir_runtime.engine.sources import resolve
from weir_runtime.front.access import Access
from weir_runtime.front.app import control_routes, make_app, public_routes
from weir_runtime.front.door import Door
from weir_runtime.front.metrics import Metrics
from weir_runtime.front.observer import Observer
from weir_runtime.front.server import Server, listen, make_server
from weir_runtime.front.tracing import make_tracer
from weir_runtime.front.watched_socket import HangUpWatch
from weir_runtime.governor import Governor
from weir_runtime.pump import LocalLink, Pump

FRAME_MS = 80


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running recogniser: what a front needs of it."""

    pipeline: StreamingPipeline
    link: LocalLink
    observer: Observer
    pump: Pump
    pumping: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Site:
    """Bound servers and the door behind them; nothing is answered before they are run."""

    door: Door
    servers: list[tuple[Server, socket]]
    url: str
    control_url: str


@contextlib.asynccontextmanager
async def runtime(pipeline: StreamingPipeline) -> AsyncIterator[Runtime]:
    """Load the models (torch's import apart, under two seconds for the embedded ones) and run the pump.

    Raises SourceError or CheckpointError where a model cannot be had.
    """
    spec = pipeline.spec
    n_slots = spec.admission.max_streams
    engines = {variant.name: load_engine(variant, n_slots) for variant in spec.model.variants}
    infos = [_info(variant, engines[variant.name]) for variant in spec.model.variants]
    detector = BatchedSilero(n_slots)
    core = Pipeline(spec, infos, _costs(spec, engines, detector))
    link = LocalLink(core, {info.name: info for info in infos})
    tracer = make_tracer(spec.tracing)
    observer = Observer(Metrics(), tracer, link.answered)
    observer.metrics.watch(link.load)
    pump = Pump(core, link, detector, engines, observer.chunk, observer.engine_failed)
    pumping = asyncio.create_task(pump.run(), name="pump")
    governing = asyncio.create_task(Governor(core, link, observer).run(), name="governor")
    try:
        yield Runtime(pipeline, link, observer, pump, pumping)
    finally:
        for task in (governing, pumping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if tracer is not None:
            await asyncio.to_thread(tracer.shutdown)


@contextlib.asynccontextmanager
async def site(running: Runtime, host: str, port: int, control_port: int | None) -> AsyncIterator[Site]:
    """Bind the ports (0: any) and put the apps behind them; raises OSError where a port cannot be had, ManifestError
    where the keys cannot.
    """
    spec, watch = running.pipeline.spec, HangUpWatch()
    access = Access(spec, running.observer)
    public = listen(host, port)
    control = None if control_port is None else listen(host, control_port)
    address, *_ = public.getsockname()
    door = Door(running.link, spec, running.observer, access, ip_address(address).is_loopback)
    samples = Path(str(files("weir_runtime"))) / "samples"
    outside = public_routes(door, samples)
    inside = control_routes(door, running.observer.metrics, lambda: running.pump.beat)
    largest = spec.admission.max_frame_bytes
    if control is None:
        servers = [(make_server(make_app(outside, inside, pages=True), largest, watch), public)]
    else:
        servers = [
            (make_server(make_app(outside, pages=True), largest, watch), public),
            (make_server(make_app(inside, pages=False), largest, watch), control),
        ]
    watching = asyncio.create_task(access.watch(), name="keys")
    try:
        yield Site(door, servers, _url(public), _url(control or public))
    finally:
        watching.cancel()
        for server_socket in (public, control):
            if server_socket is not None:
                server_socket.close()
        watch.close()


@contextlib.asynccontextmanager
async def serving(pipeline: StreamingPipeline, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """A whole server in this process, without signal handlers; its base URL. On exit every stream gets its finals."""
    async with runtime(pipeline) as running, site(running, host, port, None) as here:
        tasks = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in here.servers]
        await _started([server for server, _ in here.servers])
        try:
            yield here.url
        finally:
            here.door.begin_drain(0.0)
            here.door.end_all()
            await here.door.wait_empty()
            for server, _ in here.servers:
                server.should_exit = True
            await asyncio.gather(*tasks)


async def _started(servers: Sequence[Server]) -> None:
    """The sockets listen already; a first request would only wait. What is waited for is uvicorn's own start-up."""
    await asyncio.gather(*(server.up.wait() for server in servers))


def load_engine(variant: Variant, n_slots: int) -> Engine:
    """The engine of one variant, warmed up."""
    path = resolve(variant.source)
    if variant.engine == "nemo":
        return NemoEngine(path, n_slots)
    engine = NativeEngine(read_checkpoint(path), n_slots)
    engine.warm_up()
    return engine


def _costs(spec: StreamingPipelineSpec, engines: Mapping[str, Engine], detector: BatchedSilero) -> DeviceCosts:
    """What calls of the device cost: what the manifest states, and what it leaves out measured."""
    n_slots = spec.admission.max_streams
    engine = {variant.name: costs_of(variant, engines[variant.name], n_slots) for variant in spec.model.variants}
    return DeviceCosts(engine, detector_cost(spec.stages.vad, detector, n_slots))


def _info(variant: Variant, engine: Engine) -> VariantInfo:
    wanted = variant.chunk_ms // FRAME_MS
    mode = max((t for t in engine.modes if t <= wanted), default=min(engine.modes))
    return VariantInfo(variant.name, engine.modes, mode, engine.vocabulary, variant.language)


def _url(bound: socket) -> str:
    host, port, *_ = bound.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
