"""How a run is followed while it lasts: a bar with live figures on a terminal, else a plain line now and then."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from weir_runtime.bench.person import Stage
from weir_runtime.bench.play import Watch
from weir_runtime.bench.quantiles import rank
from weir_runtime.bench.traffic import Traffic

LINE_EVERY_S = 10.0
RECENT_S = 3.0


@contextmanager
def watching(traffic: Traffic) -> Iterator[Watch]:
    """On stderr, so that the report alone is on stdout."""
    if not sys.stderr.isatty():
        yield _lines(traffic)
        return
    columns = (BarColumn(16), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=traffic.seconds)
        yield lambda stage: progress.update(task, completed=stage.now(), description=describe(stage))


def describe(stage: Stage) -> str:
    """One line of where the run stands."""
    run, now_s = stage.run, stage.now()
    recent = {name: sorted(series.last(now_s - RECENT_S)) for name, series in run.results.items()}
    delays = ", ".join(f"{name} {1000 * rank(found, 0.95):.0f}" for name, found in recent.items() if found)
    told = f"{sum(stage.open.values())}/{run.traffic.clients_at(now_s)} streams"
    if delays:
        told += f"; p95 ms: {delays}"
    if run.samples:
        load = run.samples[-1].load
        told += f"; rung {load.get('rung', 0)}; {load.get('refused', 0)} refused"
    return told


def _lines(traffic: Traffic) -> Watch:
    due_s = LINE_EVERY_S

    def watch(stage: Stage) -> None:
        nonlocal due_s
        if stage.now() >= due_s:
            due_s += LINE_EVERY_S
            click.echo(f"{stage.now():4.0f} of {traffic.seconds:.0f} s: {describe(stage)}", err=True)

    return watch
