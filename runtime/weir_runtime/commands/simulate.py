"""`weir simulate`: a pipeline's policy against a traffic in virtual time, before `kubectl apply`."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from weir_api.manifest import ManifestError, read_manifest
from weir_runtime.bench.plot import NoMatplotlib, draw, require_matplotlib
from weir_runtime.bench.traffic import read_traffic
from weir_runtime.simulation.play import simulate as play
from weir_runtime.simulation.report import as_json, chart_of, print_outcome

WIDTH = 140  # columns, where no terminal says
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("-f", "--file", type=FILE, required=True, help="Manifest of the pipeline.")
@click.option("--traffic", type=FILE, required=True, help="Traffic file: how many clients when, and what they ask for.")
@click.option("--json", "json_", type=FILE, help="Write the outcome here.")
@click.option("--plot", type=FILE, help="Draw the outcome here (PNG, SVG or PDF).")
@click.option("--seed", type=click.IntRange(0), help="Of all that is left to chance; the traffic's own by default.")
def simulate(file: Path, traffic: Path, json_: Path | None, plot: Path | None, seed: int | None) -> None:
    """Try a pipeline's classes, limits and ladder against a load, without a server. Device costs are the manifest's
    (`weir bench --calibrate` writes them), else those of the embedded models on one core."""
    try:
        if plot is not None:
            require_matplotlib()
        pipeline, load = read_manifest(file), read_traffic(traffic)
        columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("simulating", total=load.seconds)
            outcome = play(pipeline.spec, load, seed=seed,
                           watch=lambda second: progress.update(task, completed=second))  # fmt: skip
        print_outcome(outcome, Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH))
        if json_ is not None:
            json_.write_text(json.dumps(as_json(outcome), indent=1) + "\n")
        if plot is not None:
            draw(chart_of(outcome, f"weir simulate: {file.name} under {traffic.name}"), plot)
    except (ManifestError, NoMatplotlib, OSError, ValueError) as error:
        click.echo(f"weir: {error}", err=True)
        sys.exit(1)
