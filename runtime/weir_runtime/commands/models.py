"""`weir models`: which models are here, fetch one, look into one."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from weir_runtime.engine.checkpoint import (
    Architecture,
    CheckpointError,
    check_architecture,
    read_checkpoint,
    read_config,
)
from weir_runtime.engine.sources import EMBEDDED, SourceError, pull, resolve

FRAME_MS = 80


@click.group()
def models() -> None:
    """Which models are here; fetch one; look into one."""


@models.command()
def ls() -> None:
    """The models on this machine."""
    table = Table("source", "MB", "chunks, ms", "vocabulary", box=None)
    for source, path in _here():
        try:
            config = read_config(path)
            chunks = _chunks(check_architecture(config))
            vocabulary = str(len(config.get("decoder", {}).get("vocabulary") or ()) or "?")
        except CheckpointError as error:
            chunks, vocabulary = str(error), ""
        table.add_row(source, f"{path.stat().st_size / 1e6:.1f}", chunks, vocabulary)
    Console().print(table)


@models.command("pull")
@click.argument("source")
def pull_(source: str) -> None:
    """Fetch an hf:// model into the hub's cache, so that `weir serve` finds it."""
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(source, total=None)
            path = pull(source, lambda done, total: bar.update(task, completed=done, total=total or None))
        click.echo(path)
    except SourceError as error:
        _fail(error)


@models.command()
@click.argument("source")
def inspect(source: str) -> None:
    """What a model is, and whether the native engine runs it."""
    try:
        path = resolve(source)
        config = read_config(path)
        click.echo(f"file        {path} ({path.stat().st_size / 1e6:.1f} MB)")
        click.echo(f"target      {config.get('target', 'not stated')}")
        arch = check_architecture(config)
        checkpoint = read_checkpoint(path)
    except (SourceError, CheckpointError) as error:
        _fail(error)
    parameters = sum(weight.numel() for name, weight in checkpoint.weights.items() if not name.startswith("preproc"))
    click.echo(
        f"encoder     {arch.layers} layers of {arch.width}, {arch.heads} heads, kernel {arch.kernel}, {arch.norm}"
    )
    click.echo(f"parameters  {parameters / 1e6:.2f} million")
    click.echo(f"vocabulary  {len(checkpoint.vocabulary)} pieces")
    click.echo(f"context     {arch.left} frames of {FRAME_MS} ms before; chunks of {_chunks(arch)} ms")
    click.echo("engine      native")


def _here() -> Iterator[tuple[str, Path]]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    for name in EMBEDDED:
        yield f"embedded://{name}", resolve(f"embedded://{name}")
    try:
        repos = sorted(scan_cache_dir().repos, key=lambda repo: str(repo.repo_id))
    except CacheNotFound:
        return
    for repo in repos:
        for file in {file for revision in repo.revisions for file in revision.files}:
            if file.file_name.endswith(".nemo"):
                yield f"hf://{repo.repo_id}/{file.file_name}", file.file_path


def _chunks(arch: Architecture) -> str:
    return ", ".join(str(FRAME_MS * mode) for mode in arch.modes)


def _fail(error: Exception) -> NoReturn:
    click.echo(f"weir: {error}", err=True)
    sys.exit(1)
