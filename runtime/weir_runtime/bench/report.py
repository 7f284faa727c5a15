"""What a run found, as a table for people and as JSON for machines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from rich.console import Console
from rich.table import Table

from weir_runtime.bench.chart import Chart
from weir_runtime.bench.figures import SLOW_CLIENT_S, Summary
from weir_runtime.bench.quantiles import Spread
from weir_runtime.bench.record import Sample

ABSENT = "–"
COMPARED = ("equal", "changed, told", "changed, not told")
LOAD_FIELDS = ("rung", "rung_name", "in_force", "streams", "queue", "refused", "latency_ms", "load")


def print_report(summary: Summary, console: Console) -> None:
    console.print(_streams(summary))
    console.print(_delays(summary))
    for name, value in _lines(summary):
        console.print(f"{name:<28} {value}")
    console.print(_verdict(summary))


def as_json(summary: Summary, chart: Chart, samples: Sequence[Sample]) -> dict[str, Any]:
    """The same figures, and how they came about second by second. Seconds end in `_s`; null is what nobody knows."""
    found: dict[str, Any] = _finite(asdict(summary))
    found["verdict"]["held"] = summary.verdict.held
    found["slow_client"] = summary.slow_client
    for figures, entry in zip(summary.classes, found["classes"], strict=True):
        entry["words"] |= {"rate": round(figures.words.rate, 4)}
    clients = {"wanted": chart.target, "streams": chart.streams, "p95_ms": chart.p95_ms, "refused": chart.refused}
    return found | {"clients_by_second": _finite(clients), "server_by_second": [_second(one) for one in samples]}


def milliseconds(spread: Spread | None) -> str:
    """p50/p95/p99."""
    if spread is None:
        return ABSENT
    values = (1000 * value for value in (spread.p50_s, spread.p95_s, spread.p99_s))
    return "/".join("∞" if value == inf else f"{value:.0f}" for value in values)


def _second(sample: Sample) -> dict[str, Any]:
    load = {name: sample.load[name] for name in LOAD_FIELDS if name in sample.load}
    process = {"rss": sample.rss, "cpu_s": sample.cpu_s, "loop_s": sample.loop_s}
    return {"at_s": round(sample.at_s, 3)} | load | (process if sample.rss is not None else {})


def _streams(summary: Summary) -> Table:
    """With a reference run, also how many transcripts are the idle server's."""
    compared = any(one.equal + one.announced + one.unequal for one in summary.classes)
    table = _table("Streams", "streams", "opened", "refused", "WER", *(COMPARED if compared else ()))
    for one in summary.classes:
        rate = f"{100 * one.words.rate:.1f} %" if one.words.words else ABSENT
        more = (one.equal, one.announced, one.unequal) if compared else ()
        refused = sum(one.refused.values())
        table.add_row(one.priority, str(one.asked), str(one.opened), str(refused), rate, *map(str, more))
    return table


def _delays(summary: Summary) -> Table:
    table = _table("Delays, p50/p95/p99 in ms", "client", "server", "speech end → final", "server final")
    for one in summary.classes:
        table.add_row(one.priority, *map(milliseconds, (one.client, one.server, one.final, one.server_final)))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("class", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _lines(summary: Summary) -> list[tuple[str, str]]:
    lines = [
        ("streams at once, at most", str(summary.most_open)),
        ("streams ended by", _counts(summary.ended)),
        ("refused for", _counts(sum((Counter(one.refused) for one in summary.classes), Counter()))),
        ("errors", _counts(summary.errors)),
        ("audio given up", f"{summary.lost_ms} ms"),
        ("highest rung", ABSENT if summary.highest_rung is None else str(summary.highest_rung)),
        ("refusals, ms at the client", milliseconds(summary.refusal)),
    ]
    if summary.most_rss is not None:
        lines.append(("server's memory, at most", f"{summary.most_rss / 1e6:.0f} MB"))
    if summary.cores is not None:
        lines.append(("server's processor", f"{summary.cores:.2f} cores"))
    lag = (
        f"{1000 * summary.lag_p99_s:.1f} ms p99, {summary.client_ms_per_stream_second:.2f} ms of CPU per stream-second"
    )
    return [*lines, ("the clients themselves", lag)]


def _verdict(summary: Summary) -> str:
    verdict = summary.verdict
    promise = f"{verdict.slo.priority} p{verdict.slo.percentile:g} within {verdict.slo.ms:g} ms"
    if not summary.heard or verdict.measured_s is None:
        return f"[red]NOT HELD[/red]: {promise}: no result was heard"
    word = "[green]HELD[/green]" if verdict.held else "[red]NOT HELD[/red]"
    told = f"{word}: {promise}: {1000 * verdict.measured_s:.0f} ms, measured by the {verdict.by}"
    if summary.slow_client:
        told += f"\n[yellow]The clients were late themselves[/yellow] (more than {1000 * SLOW_CLIENT_S:.0f} ms): " \
                "these figures are theirs as much as the server's. Run the bench on another machine."  # fmt: skip
    return told


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "0"


def _finite(value: Any) -> Any:
    """JSON has no infinity: a percentile beyond the last bucket is null."""
    match value:
        case float():
            return None if value == inf else round(value, 6)
        case dict():
            return {name: _finite(inner) for name, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
    return value
