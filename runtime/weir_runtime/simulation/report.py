"""A simulation's outcome: as tables for people, as JSON for machines, as the chart that bench/plot.py draws."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.chart import FULL_QUALITY, Chart
from weir_runtime.bench.report import ABSENT, milliseconds
from weir_runtime.simulation.outcome import ClassTotals, Outcome

FIRST, LAST = 12, 4  # changes of the ladder that the table shows, where there are more


def print_outcome(outcome: Outcome, console: Console) -> None:
    console.print(_classes(outcome))
    if outcome.changes:
        console.print(_changes(outcome))
    for name, value in _lines(outcome):
        console.print(f"{name:<28} {value}")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Every field of the outcome; seconds end in `_s`, and a figure that nobody had is null."""
    found = asdict(outcome)
    for name, totals in outcome.classes.items():
        found["classes"][name]["share"] = totals.share
    return found


def chart_of(outcome: Outcome, title: str) -> Chart:
    seconds = outcome.seconds
    return Chart(
        title=title,
        target=[second.clients for second in seconds],
        streams={name: [s.streams.get(name, 0) for s in seconds] for name in CLASSES},
        p95_ms={name: [_ms(s.p95_s.get(name)) for s in seconds] for name in CLASSES},
        promise_ms={name: round(1000 * s) for name, s in outcome.promises.items() if s is not None},
        rungs=[(0.0, 0, FULL_QUALITY), *((c.at_s, c.rung, c.rung_name) for c in outcome.changes)],
        refused={name: [s.refused.get(name, 0) for s in seconds] for name in CLASSES},
    )


def _classes(outcome: Outcome) -> Table:
    table = Table(title="By class; delays are p50 / p95 / p99 in ms", title_justify="left", box=None, padding=(0, 1))
    table.add_column("class")
    for name in (
        "opened",
        "refused",
        "never taken",
        "chunks",
        "delay",
        "longest",
        "promised",
        "device",
        "of its share",
    ):
        table.add_column(name, justify="right")
    device_s = sum(totals.device_s for totals in outcome.classes.values())
    for name in (name for name in CLASSES if name in outcome.classes):
        table.add_row(name, *_row(outcome, name, outcome.classes[name], device_s))
    return table


def _row(outcome: Outcome, name: ClassName, totals: ClassTotals, device_s: float) -> list[str]:
    promise = outcome.promises[name]
    return [
        str(totals.opened),
        ", ".join(f"{n} {reason}" for reason, n in sorted(totals.refused.items())) or "0",
        str(totals.given_up),
        str(totals.chunks),
        milliseconds(totals.latency),
        f"{1000 * totals.longest_s:.0f}",
        ABSENT if promise is None else f"{1000 * promise:.0f}",
        f"{100 * totals.device_s / device_s:.0f} %" if device_s else ABSENT,
        ABSENT if totals.share is None else f"{100 * totals.share:.0f} %",
    ]


def _changes(outcome: Outcome) -> Table:
    table = Table(title="The ladder", title_justify="left", box=None, padding=(0, 1))
    for name in ("second", "", "step", "because of"):
        table.add_column(name, justify="right" if name == "second" else "left")
    changes = outcome.changes
    left_out = len(changes) - FIRST - LAST
    for place, change in enumerate(changes):
        if left_out <= 0 or place < FIRST or place >= FIRST + left_out:
            table.add_row(f"{change.at_s:.2f}", "enters" if change.entered else "leaves", change.step, change.reason)
        elif place == FIRST:
            table.add_row("", "", f"… {left_out} more", "")
    return table


def _lines(outcome: Outcome) -> list[tuple[str, str]]:
    refused = sum(outcome.refusals(name) for name in outcome.classes)
    asked = refused + sum(totals.opened for totals in outcome.classes.values())
    recovered = "not by the end" if outcome.recovered_s is None else f"{outcome.recovered_s:.1f} s after the load ended"
    if not outcome.changes:
        recovered = "full quality throughout"
    return [
        ("streams at once, at most", str(outcome.most_open)),
        ("chunks waiting, at most", str(outcome.most_waiting)),
        ("refused", f"{refused} of {asked} askings"),
        ("steps entered and left", str(len(outcome.changes))),
        ("highest rung", f"{outcome.highest_rung} of {len(outcome.ladder)}"),
        ("back at full quality", recovered),
        ("closed early", str(outcome.closed_early)),
    ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
