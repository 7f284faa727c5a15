"""Builds the parts of a runtime from a manifest and ties them together; the one place that knows all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from socket import socket
from time import monotonic

from weir_api.changes import revision_of
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
from weir_runtime.front.app import make_app, public_routes
from weir_runtime.front.control import Face, control_routes, loading_routes, order_routes
from weir_runtime.front.door import Door
from weir_runtime.front.metrics import Metrics
from weir_runtime.front.observer import Observer
from weir_runtime.front.orders import OrderDesk
from weir_runtime.front.resume import Tokens, read_resume_keys
from weir_runtime.front.server import Server, listen, make_server
from weir_runtime.front.station import Station, loading_report
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
    load_s: float  # that loading took


@dataclass(frozen=True, slots=True)
class Site:
    """A bound server and the door behind it; nothing is answered before it is run."""

    door: Door
    server: Server
    bound: socket
    url: str


@dataclass(frozen=True, slots=True)
class ControlPort:
    """It answers already."""

    face: Face
    url: str


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    engines: dict[str, Engine]
    detector: BatchedSilero
    costs: DeviceCosts


@contextlib.asynccontextmanager
async def runtime(pipeline: StreamingPipeline) -> AsyncIterator[Runtime]:
    """Load the models (torch's import apart, under two seconds for the embedded ones) and run the pump. Loading has a
    thread of its own, so that probes are answered meanwhile.

    Raises SourceError or CheckpointError where a model cannot be had.
    """
    spec, began = pipeline.spec, monotonic()
    with ThreadPoolExecutor(1, "load") as thread:
        loaded = await asyncio.get_running_loop().run_in_executor(thread, _load, spec)
    engines, detector = loaded.engines, loaded.detector
    infos = [_info(variant, engines[variant.name]) for variant in spec.model.variants]
    core = Pipeline(spec, infos, loaded.costs)
    link = LocalLink(core, {info.name: info for info in infos})
    tracer = make_tracer(spec.tracing)
    observer = Observer(Metrics(), tracer, link.answered)
    observer.metrics.watch(link.load)
    pump = Pump(core, link, detector, engines, observer.chunk, observer.engine_failed)
    pumping = asyncio.create_task(pump.run(), name="pump")
    governing = asyncio.create_task(Governor(core, link, observer).run(), name="governor")
    try:
        yield Runtime(pipeline, link, observer, pump, pumping, monotonic() - began)
    finally:
        for task in (governing, pumping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if tracer is not None:
            await asyncio.to_thread(tracer.shutdown)


@contextlib.asynccontextmanager
async def control_port(
    host: str, port: int, spec: StreamingPipelineSpec, station: Station
) -> AsyncIterator[ControlPort]:
    """Serve the control face on a port of its own (0: any) until the end; raises OSError where it cannot be had."""
    watch, bound = HangUpWatch(), listen(host, port)
    face = Face(make_app(loading_routes(loading_report(station, spec)), pages=False))
    server = make_server(face, spec.admission.max_frame_bytes, watch)
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="control")
    try:
        yield ControlPort(face, _url(bound))
    finally:
        server.should_exit = True
        await serving
        bound.close()
        watch.close()


@contextlib.asynccontextmanager
async def site(
    running: Runtime, host: str, port: int, control: ControlPort | None, station: Station
) -> AsyncIterator[Site]:
    """Bind the port (0: any) and put the app behind it; raises OSError where it cannot be had, ManifestError where the
    keys cannot.
    """
    spec, watch = running.pipeline.spec, HangUpWatch()
    access = Access(spec, running.observer)
    tokens = Tokens(read_resume_keys(station.resume_key) if station.resume_key else ())
    bound = listen(host, port)
    address, *_ = bound.getsockname()
    door = Door(running.link, spec, running.observer, access, tokens, ip_address(address).is_loopback)
    desk = OrderDesk(door, replace(station, revision=revision_of(spec), load_s=running.load_s))
    outside = public_routes(door, Path(str(files("weir_runtime"))) / "samples")
    inside = control_routes(door, running.observer.metrics, lambda: running.pump.beat), order_routes(desk)
    if control is None:
        app = make_app(outside, *inside, pages=True)
    else:
        app = make_app(outside, pages=True)
        control.face.app = make_app(*inside, pages=False)
    watching = asyncio.create_task(access.watch(), name="keys")
    try:
        yield Site(door, make_server(app, spec.admission.max_frame_bytes, watch), bound, _url(bound))
    finally:
        watching.cancel()
        bound.close()
        watch.close()


@contextlib.asynccontextmanager
async def serving(
    pipeline: StreamingPipeline, host: str = "127.0.0.1", port: int = 0, station: Station | None = None
) -> AsyncIterator[str]:
    """A whole server in this process, without signal handlers; its base URL. On exit every stream gets its finals."""
    station = station or Station()
    async with runtime(pipeline) as running, site(running, host, port, None, station) as here:
        task = asyncio.create_task(here.server.serve(sockets=[here.bound]))
        await here.server.up.wait()  # the socket listens already: what is waited for is uvicorn's own start-up
        try:
            yield here.url
        finally:
            here.door.begin_drain(0.0)
            here.door.end_all()
            await here.door.wait_empty()
            here.server.should_exit = True
            await task


def _load(spec: StreamingPipelineSpec) -> _Loaded:
    n_slots = spec.admission.max_streams
    engines = {variant.name: load_engine(variant, n_slots) for variant in spec.model.variants}
    detector = BatchedSilero(n_slots)
    return _Loaded(engines, detector, _costs(spec, engines, detector))


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
