"""`weir serve`: one manifest on one machine, until a signal says otherwise."""

import gc
import logging
import os
import sys
from pathlib import Path

import click
import torch
import uvloop

from weir_api.manifest import ManifestError, read_manifest
from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.engine.checkpoint import CheckpointError
from weir_runtime.engine.sources import SourceError
from weir_runtime.front.server import Shutdown, serve_until
from weir_runtime.front.watched_socket import silence_uvicorn
from weir_runtime.logs import LEVELS, configure_logs, log
from weir_runtime.wiring import runtime, site

SWITCH_S = 0.00005  # the engine holds the interpreter only between operations, and should not wait long to get it back


@click.command()
@click.option("-f", "--file", type=click.Path(path_type=Path), help="StreamingPipeline manifest; else defaults.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--control-port", type=click.IntRange(0, 65535), help="Probes and metrics on a port of their own.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads of one engine step; else half of the cores.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def serve(
    file: Path | None, host: str, port: int, control_port: int | None, threads: int | None, log_level: str
) -> None:
    """Serve a pipeline: streams at /v1/stream, a captions page at /."""
    configure_logs(log_level)
    silence_uvicorn()
    sys.setswitchinterval(SWITCH_S)
    torch.set_num_threads(threads or default_threads())
    try:
        pipeline = StreamingPipeline() if file is None else read_manifest(file)
        uvloop.run(_serve(pipeline, host, port, control_port))
    except (ManifestError, SourceError, CheckpointError, OSError) as error:
        click.echo(f"weir: {error}", err=True)
        sys.exit(1)


def default_threads() -> int:
    """One thread a step leaves a small machine's other core to the sockets."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


async def _serve(pipeline: StreamingPipeline, host: str, port: int, control_port: int | None) -> None:
    async with runtime(pipeline) as running, site(running, host, port, control_port) as here:
        if not here.door.loopback and pipeline.spec.auth is None:
            log(logging.WARNING, "anybody who reaches this address can stream: name a keys file in spec.auth")
        shutdown = Shutdown(here.door, pipeline.spec.rollout.drain_seconds)
        gc.collect()
        gc.freeze()  # what is loaded stays: later collections need not look at it
        click.echo(f"weir: listening on {here.url}")
        if here.control_url != here.url:
            click.echo(f"weir: probes and metrics on {here.control_url}")
        sys.stdout.flush()
        await serve_until(here.servers, shutdown, running.pumping)
