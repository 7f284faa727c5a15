"""`weir serve`: one manifest on one machine, until a signal says otherwise."""

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
import uvloop

from weir_api.logs import LEVELS, configure_logs, log
from weir_api.manifest import ManifestError, read_manifest
from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.engine.checkpoint import CheckpointError
from weir_runtime.engine.sources import SourceError
from weir_runtime.front.server import Shutdown, serve_until
from weir_runtime.front.station import Station
from weir_runtime.front.watched_socket import silence_uvicorn
from weir_runtime.wiring import control_port, runtime, site

SWITCH_S = 0.00005  # the engine holds the interpreter only between operations, and should not wait long to get it back


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and who this is to an operator."""

    host: str
    port: int
    control_port: int | None
    operator_key: Path | None
    pipeline_uid: str
    pod_uid: str
    resume_key: Path | None


@click.command()
@click.option("-f", "--file", type=click.Path(path_type=Path), help="StreamingPipeline manifest; else defaults.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--control-port", type=click.IntRange(0, 65535), help="Probes, metrics and orders on a port of their own."
)
@click.option("--operator-key", type=click.Path(path_type=Path), help="Public key of whoever may give orders.")
@click.option(
    "--resume-key",
    type=click.Path(path_type=Path),
    envvar="WEIR_RESUME_KEY",
    help="Keys of resume tokens, one a line: the first signs, all are believed. Else one of this process.",
)
@click.option("--pipeline-uid", default="", envvar="WEIR_PIPELINE_UID", help="Which pipeline orders must name.")
@click.option("--pod-uid", default="", envvar="WEIR_POD_UID", help="Which pod orders must name.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads of one engine step; else half of the cores.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def serve(file: Path | None, threads: int | None, log_level: str, **place: Any) -> None:
    """Serve a pipeline: streams at /v1/stream, a captions page at /."""
    configure_logs(log_level)
    silence_uvicorn()
    sys.setswitchinterval(SWITCH_S)
    torch.set_num_threads(threads or default_threads())
    try:
        pipeline = StreamingPipeline() if file is None else read_manifest(file)
        uvloop.run(_serve(pipeline, Place(**place)))
    except (ManifestError, SourceError, CheckpointError, OSError) as error:
        click.echo(f"weir: {error}", err=True)
        sys.exit(1)


def default_threads() -> int:
    """One thread a step leaves a small machine's other core to the sockets."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


async def _serve(pipeline: StreamingPipeline, place: Place) -> None:
    station = Station(place.pipeline_uid, place.pod_uid, place.operator_key, place.resume_key)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # nothing is there yet that must end well
        loop.add_signal_handler(number, os._exit, 128 + number)
    async with AsyncExitStack() as stack:
        control = None
        if place.control_port is not None:
            opening = control_port(place.host, place.control_port, pipeline.spec, station)
            control = await stack.enter_async_context(opening)
        running = await stack.enter_async_context(runtime(pipeline))
        here = await stack.enter_async_context(site(running, place.host, place.port, control, station))
        if not here.door.loopback and pipeline.spec.auth is None:
            log(logging.WARNING, "anybody who reaches this address can stream: name a keys file in spec.auth")
        gc.collect()
        gc.freeze()  # what is loaded stays: later collections need not look at it
        click.echo(f"weir: listening on {here.url}")
        if control is not None:
            click.echo(f"weir: probes, metrics and orders on {control.url}")
        sys.stdout.flush()
        await serve_until(here.server, here.bound, Shutdown(here.door), running.pumping)
