"""`make bench-overload`: a real server at twice its capacity; writes docs/overload.md, docs/overload.png and the trace
that tests/simulation replays.

First the capacity: the most streams of the mix that hold the interactive promise with the ladder off. Then, with the
ladder on: calm at half of it, twice of it for a minute, calm again. Clients and server share this machine, so both are
squeezed; the clients' own lag stands in the table.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import strftime

from overload_report import AFTER_S, CALM_S, END_S, LOADED_S, Line, Scrape, changes, lines

from weir_runtime.bench.chart import chart_of
from weir_runtime.bench.child import serving
from weir_runtime.bench.figures import Slo, Summary, summarise
from weir_runtime.bench.find import best, most_streams
from weir_runtime.bench.play import play
from weir_runtime.bench.plot import draw
from weir_runtime.bench.record import Run
from weir_runtime.bench.reference import hear
from weir_runtime.bench.replay import as_trace
from weir_runtime.bench.speech import Recording, make_tapes, read_recordings
from weir_runtime.bench.target import Target
from weir_runtime.bench.traffic import Manners, Mix, Phase, Range, Traffic

DOCS, TRACE, SPEECH = Path("docs"), Path("tests/simulation/overload-trace.json"), Path("tests/speech")
MIX = Mix(interactive=40, standard=40, batch=20)
FIND_S = 16.0
SPEC = {"admission": {"maxStreams": 1024}}


@contextlib.contextmanager
def server(spec: dict[str, object]) -> Iterator[Target]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"spec": spec}, file)
        file.flush()
        with serving(Path(file.name), "--threads", "1") as target:
            yield target


async def find_capacity(recordings: list[Recording], first: int) -> Summary:
    """With the ladder off, so that it is the capacity at full quality."""

    async def measure(n: int) -> Summary:
        traffic = Traffic(phases=[Phase(seconds=FIND_S, streams=n)], mix=MIX)
        tapes = make_tapes(recordings, traffic)
        summary = summarise(await play(target, traffic, tapes, settle_s=FIND_S / 2), tapes, Slo())
        took, lag = summary.verdict.measured_s, summary.lag_p99_s
        print(f"{n} streams: p95 {took or 0:.3f} s, clients late by {lag:.3f} s", file=sys.stderr)
        return summary

    with server(SPEC | {"degradation": {"ladder": []}}) as target:
        held = best(await most_streams(measure, first))
    if held is None:
        raise SystemExit(f"not even {first} streams keep the promise on this machine; name fewer")
    return held.summary


async def overload(recordings: list[Recording], capacity: int) -> tuple[Run, Summary, Scrape, Scrape]:
    """The run, what came of it, and /metrics at the beginning and the end of the load."""
    clients = ((CALM_S, capacity // 2), (LOADED_S, 2 * capacity), (AFTER_S, max(1, capacity // 8)))
    phases = [Phase(seconds=seconds, streams=n) for seconds, n in clients]
    traffic = Traffic(phases=phases, mix=MIX, stream=Manners(seconds=Range(from_=8, to=30)))
    tapes = make_tapes(recordings, traffic)
    with server(SPEC) as target:
        reference = await hear(target, tapes)
        playing = asyncio.create_task(play(target, traffic, tapes, settle_s=CALM_S))
        await asyncio.sleep(CALM_S)
        before = await target.scrape()
        await asyncio.sleep(LOADED_S)
        behind = await target.scrape()
        run = await playing
    return run, summarise(run, tapes, Slo(), reference), before, behind


def page(rows: Sequence[Line], run: Run) -> str:
    measured = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    rungs = "\n".join(f"| {at_s:.0f} | {rung} | {', '.join(names) or '–'} |" for at_s, rung, names in changes(run))
    return f"""# A real server at twice its capacity

Made by `make bench-overload` on {strftime("%Y-%m-%d")}: {os.cpu_count()} cores, no GPU, one thread for the engine.
Clients and server share the machine. The default manifest with `maxStreams: 1024`, so the large and the small embedded
model; 40 % interactive, 40 % standard, 20 % batch streams of 8 to 30 s with recordings of tests/speech, 60 % speech,
interims on. Half the capacity for {CALM_S} s, twice of it for {LOADED_S} s, then an eighth. Latency is the server's
own: from the arrival of the last sample that a result needed to its write, less what interims wait for their turn.

| what | measured | bar |
| --- | --- | --- |
{measured}

![streams, p95, rung and refusals over time](overload.png)

| s | rung | in force |
| --- | --- | --- |
{rungs}
"""


async def measure(first: int) -> tuple[Run, str, str]:
    recordings = read_recordings(SPEECH)
    capacity = await find_capacity(recordings, first)
    run, summary, before, behind = await overload(recordings, capacity.most_open)
    title = f"Twice the capacity of {capacity.most_open} streams, from {CALM_S} s to {END_S} s"
    return run, title, page(list(lines(capacity, run, summary, before, behind)), run)


def main() -> None:
    run, title, text = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 64))
    draw(chart_of(run, title, {"interactive": 300, "standard": 1000}), DOCS / "overload.png")
    TRACE.write_text(json.dumps(as_trace(run), separators=(",", ":")) + "\n")
    (DOCS / "overload.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
