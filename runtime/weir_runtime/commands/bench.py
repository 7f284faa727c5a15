"""`weir bench`: real recordings over real sockets against a server, and what came of it.

The load is open-loop (docs/load.md). Without `--url` a `weir serve` is started in a process of its own: in this one it
would share the interpreter with the clients, and both would measure each other.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import TypeAdapter
from rich.console import Console

from weir_api.degradation import ClassName
from weir_api.manifest import parse, read_manifest
from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.bench.chart import chart_of
from weir_runtime.bench.child import serving
from weir_runtime.bench.figures import Slo, Summary, summarise
from weir_runtime.bench.find import best, limited_by_client, most_streams
from weir_runtime.bench.live import watching
from weir_runtime.bench.play import play
from weir_runtime.bench.plot import draw, require_matplotlib
from weir_runtime.bench.record import Run
from weir_runtime.bench.reference import hear
from weir_runtime.bench.replay import as_trace
from weir_runtime.bench.report import as_json, print_report
from weir_runtime.bench.speech import Recording, Tape, make_tapes, read_recordings
from weir_runtime.bench.target import Target
from weir_runtime.bench.traffic import Mix, Phase, Traffic, read_traffic
from weir_runtime.commands.console import run

WIDTH = 140  # columns, where no terminal says
SETTLED = 0.5  # of a measurement with --find: its figures are those of the second half
MIX = TypeAdapter(dict[str, Mix])
SHAPE = "a mix is written interactive=40,standard=40,batch=20"
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The command line, made sense of."""

    traffic: Traffic
    slo: Slo
    promise_ms: dict[ClassName, int]
    speech: Path | None
    reference: bool
    json: Path | None
    plot: Path | None
    trace: Path | None


@click.command()
@click.option("--url", help="A running server; without it one is started for the run.")
@click.option("-f", "--file", type=FILE, help="Manifest of the server that is started, and of its promises.")
@click.option("--key", envvar="WEIR_KEY", help="API key of the server; also $WEIR_KEY.")
@click.option("--control-url", help="Where /metrics is, if on a port of its own.")
@click.option("--pid", type=click.IntRange(1), help="The server's process, if on this machine: its memory is shown.")
@click.option("--threads", type=click.IntRange(1, 256), help="Of one engine step of the server that is started.")
@click.option("--traffic", type=FILE, help="Traffic file (docs/load.md); else the next three.")
@click.option("--streams", default=8, show_default=True, type=click.IntRange(1, 20_000), help="Clients at once.")
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(2, 86_400), help="For so long.")
@click.option("--mix", help="Percent of each class, such as interactive=40,standard=40,batch=20.")
@click.option("--find", is_flag=True, help="Search the most streams that hold the promise, beginning at --streams.")
@click.option("--slo-class", default="interactive", show_default=True, type=click.Choice(get_args(ClassName)))
@click.option("--slo-ms", type=click.FloatRange(1, 100_000), help="The promise; else what the manifest says, else 300.")
@click.option("--slo-percentile", default=95.0, show_default=True, type=click.FloatRange(1, 99.9))
@click.option("--speech", type=click.Path(path_type=Path, file_okay=False), help="Folder of recordings to stream.")
@click.option("--reference", is_flag=True, help="First hear all on the idle server, and compare transcripts with it.")
@click.option("--json", type=FILE, help="Write the report here.")
@click.option("--plot", type=FILE, help="Draw the run here (PNG, SVG or PDF).")
@click.option("--trace", type=FILE, help="Write here what a replay by `weir simulate` needs.")
@click.option("--calibrate", is_flag=True, help="Load nothing: measure what engine calls cost, write it into --file.")
def bench(calibrate: bool, **given: Any) -> None:
    """Load a server with real recordings; exit code 0 if it kept its promise."""
    if calibrate:
        from weir_runtime.commands import calibration  # here, since a client alone should not load torch

        calibration.calibrate(given["file"], given["threads"])
        return
    run(_bench(**given))


async def _bench(url: str | None, file: Path | None, threads: int | None, find: bool, **given: Any) -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    wanted = _wanted(file, find, given)
    if wanted.plot is not None:
        require_matplotlib()
    recordings = read_recordings(wanted.speech)
    target = Target(url or "", given["key"], given["control_url"], given["pid"])
    with contextlib.nullcontext(target) if url else _started(target, file, threads) as at:
        return await (_find if find else _measure)(at, wanted, recordings, console)


@contextlib.contextmanager
def _started(given: Target, file: Path | None, threads: int | None) -> Iterator[Target]:
    arguments = () if threads is None else ("--threads", str(threads))
    with serving(file, *arguments) as child:
        yield replace(child, key=given.key)


async def _measure(target: Target, wanted: Wanted, recordings: list[Recording], console: Console) -> int:
    tapes = make_tapes(recordings, wanted.traffic)
    reference = await hear(target, tapes) if wanted.reference else None
    found = await _play(target, wanted.traffic, tapes)
    summary = summarise(found, tapes, wanted.slo, reference)
    print_report(summary, console)
    _write(wanted, found, summary)
    return int(not (summary.heard and summary.verdict.held))


async def _play(target: Target, traffic: Traffic, tapes: list[Tape], settle_s: float = 0.0) -> Run:
    with watching(traffic) as watch:
        return await play(target, traffic, tapes, settle_s=settle_s, watch=watch)


async def _find(target: Target, wanted: Wanted, recordings: list[Recording], console: Console) -> int:
    tapes = make_tapes(recordings, wanted.traffic)
    last: list[tuple[Run, Summary]] = []

    async def measure(n: int) -> Summary:
        phase = Phase(seconds=wanted.traffic.seconds, streams=n)
        traffic = wanted.traffic.model_copy(update={"phases": [phase]})
        found = await _play(target, traffic, tapes, traffic.seconds * SETTLED)
        summary = summarise(found, tapes, wanted.slo)
        last.append((found, summary))
        console.print(_point(n, summary))
        return summary

    points = await most_streams(measure, wanted.traffic.phases[0].streams)
    held = best(points)
    if held is not None:
        _write(wanted, *next(pair for pair in last if pair[1] is held.summary))
    console.print(f"\n[bold]{0 if held is None else held.streams}[/bold] streams hold {wanted.slo.priority} "
                  f"p{wanted.slo.percentile:g} within {wanted.slo.ms:g} ms.")  # fmt: skip
    if limited_by_client(points):
        console.print("[yellow]The clients were the limit, not the server[/yellow]: give them another machine.")
    return int(held is None)


def _point(n: int, summary: Summary) -> str:
    verdict, refused = summary.verdict, sum(sum(one.refused.values()) for one in summary.classes)
    took = "nothing heard" if verdict.measured_s is None else f"{1000 * verdict.measured_s:.0f} ms"
    more = f", {refused} refusals" if refused else ""
    cores = "" if summary.cores is None else f", {summary.cores:.2f} cores"
    return f"{n:6} streams: {took}{more}{cores}, clients late by {1000 * summary.lag_p99_s:.1f} ms p99"


def _write(wanted: Wanted, found: Run, summary: Summary) -> None:
    chart = chart_of(found, f"weir bench: at most {summary.most_open} streams at once", wanted.promise_ms)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(as_json(summary, chart, found.samples), indent=1) + "\n")
    if wanted.trace is not None:
        wanted.trace.write_text(json.dumps(as_trace(found), separators=(",", ":")) + "\n")
    if wanted.plot is not None:
        draw(chart, wanted.plot)


def _wanted(file: Path | None, find: bool, given: dict[str, Any]) -> Wanted:
    """Raises ManifestError, click.UsageError."""
    pipeline = StreamingPipeline() if file is None else read_manifest(file)
    promise_ms = {one.name: one.latency_ms for one in pipeline.spec.priority_classes if one.latency_ms is not None}
    of_class: ClassName = given["slo_class"]
    if given["slo_ms"] is not None:
        promise_ms[of_class] = round(given["slo_ms"])
    slo = Slo(of_class, float(promise_ms.get(of_class, 300)), given["slo_percentile"])
    files = {name: given[name] for name in ("json", "plot", "trace")}
    return Wanted(_traffic(find, given), slo, promise_ms, given["speech"], given["reference"], **files)


def _traffic(find: bool, given: dict[str, Any]) -> Traffic:
    if given["traffic"] is None:
        phase = Phase(seconds=given["seconds"], streams=given["streams"])
        return Traffic(phases=[phase], mix=_mix(given["mix"], given["slo_class"], find))
    if find:
        raise click.UsageError("--find varies --streams: it goes with --streams, --seconds and --mix, not --traffic")
    return read_traffic(given["traffic"])


def _mix(text: str | None, slo_class: ClassName, find: bool) -> Mix:
    """With --find all streams are of the promised class unless said otherwise."""
    if text is None:
        return Mix.model_validate({slo_class: 100}) if find else Mix(interactive=40, standard=40, batch=20)
    return parse(f"mix: {{{text.replace('=', ': ')}}}", "--mix", MIX, SHAPE)["mix"]
