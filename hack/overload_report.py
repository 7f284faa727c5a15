"""What `make bench-overload` measured, line by line beside its bar (issue: bend, do not break). Pure."""

import re
from collections.abc import Iterator
from math import inf

from weir_api.degradation import CLASSES
from weir_runtime.bench import quantiles
from weir_runtime.bench.figures import ClassFigures, Summary
from weir_runtime.bench.quantiles import Histogram
from weir_runtime.bench.record import Run, Sample

WEIGHTS = {"interactive": 8, "standard": 3, "batch": 1}
CALM_S, LOADED_S, AFTER_S = 20, 60, 75
END_S = CALM_S + LOADED_S
PLATEAU_S, WINDOW_S, DWELL_S = 15, 10, 5
NO_BAR = "–"
Scrape = dict[str, float]
Line = tuple[str, str, str]  # what, measured, bar


def lines(capacity: Summary, run: Run, summary: Summary, before: Scrape, behind: Scrape) -> Iterator[Line]:
    took = capacity.verdict.measured_s or inf
    yield "streams held at full quality, interactive p95 ≤ 300 ms", f"{capacity.most_open}, {ms(took)}", NO_BAR
    for name, bar in (("interactive", "≤ 300 ms"), ("standard", "≤ 1000 ms"), ("batch", NO_BAR)):
        yield f"{name} p95 during the {LOADED_S} s", p95(before, behind, name), bar
    failed = behind["weir_failed_chunks_total"] - before["weir_failed_chunks_total"]
    yield "chunks of admitted streams lost", f"{failed:.0f}, {summary.lost_ms} ms of audio", "0"
    yield "errors; streams cut", f"{summary.errors or 'none'}; {summary.ended.get('ConnectionLost', 0)}", "none; 0"
    yield "transcripts as on the idle server / changed and told / changed, not told", compared(summary), "… / … / 0"
    yield (f"resident memory behind a {PLATEAU_S} s plateau; peak", memory(run), "± 2 %")
    yield "refusals; p99 of the answer inside the server", refused(before, behind), "< 10 ms"
    yield "highest rung; most steps in force at once", highest(run), NO_BAR
    yield "back at rung 0 behind the end of the load", *recovery(run)
    yield f"batch: least share of the device over {WINDOW_S} s, of its fair share", batch_share(run), "≥ 80 %"
    yield "streams at once: before, most, on average under load", streams(run), NO_BAR
    yield "clients' own lag, p99", ms(summary.lag_p99_s), NO_BAR
    yield from (of_class(one) for one in summary.classes)


def loaded(run: Run, since_s: float = CALM_S) -> list[Sample]:
    return [one for one in run.samples if since_s <= one.at_s < END_S]


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def p95(before: Scrape, behind: Scrape, name: str) -> str:
    found = quantiles.between(before, behind, "weir_chunk_seconds", name, "total")
    return "nothing heard" if found is None else ms(found.quantile(0.95))


def compared(summary: Summary) -> str:
    texts = [(one.equal, one.announced, one.unequal) for one in summary.classes]
    return " / ".join(str(sum(column)) for column in zip(*texts, strict=True))


def memory(run: Run) -> str:
    rss = [one.rss for one in loaded(run, CALM_S + PLATEAU_S) if one.rss]
    middle = (max(rss) + min(rss)) / 2
    peak = max(one.rss or 0 for one in run.samples)
    return f"± {100 * (max(rss) - middle) / middle:.1f} %; {peak / 1e6:.0f} MB"


def refused(before: Scrape, behind: Scrape) -> str:
    buckets = [
        (float(found[1]), behind[key] - before.get(key, 0.0))
        for key in behind
        if (found := re.fullmatch(r'weir_refusal_seconds_bucket\{le="([^"]+)"\}', key))
    ]
    answers = Histogram(tuple(sorted(buckets)))
    return f"{answers.n}; {1000 * answers.quantile(0.99):.1f} ms" if answers.n else "none"


def most_steps(run: Run) -> int:
    return max(len(one.load["in_force"]) for one in run.samples)


def highest(run: Run) -> str:
    top = max(run.samples, key=lambda one: int(one.load["rung"]))
    return f"{top.load['rung']} ({top.load['rung_name']}); {most_steps(run)}"


def recovery(run: Run) -> tuple[str, str]:
    back = next((one.at_s for one in run.samples if one.at_s >= END_S and one.load["rung"] == 0), inf)
    return f"{back - END_S:.0f} s", f"≤ {(most_steps(run) + 1) * DWELL_S} s: (steps + 1) × {DWELL_S} s"


def batch_share(run: Run) -> str:
    """Of the windows in which there were batch streams all the time. Fair is the share of their weight, or of their
    number if they ask for less."""
    under_load, found = loaded(run, CALM_S + DWELL_S), []
    for n, first in enumerate(under_load[:-WINDOW_S]):
        window = under_load[n : n + WINDOW_S + 1]
        had = {name: window[-1].load["device_s"][name] - first.load["device_s"][name] for name in CLASSES}
        asked = min(one.load["classes"]["batch"] / max(1, one.load["streams"]) for one in window)
        fair = min(WEIGHTS["batch"] / sum(WEIGHTS.values()), asked)
        if fair:
            found.append(had["batch"] / sum(had.values()) / fair)
    return f"{100 * min(found):.0f} %" if found else "no batch streams"


def streams(run: Run) -> str:
    calm = [one.load["streams"] for one in run.samples if DWELL_S <= one.at_s < CALM_S]
    busy = [one.load["streams"] for one in loaded(run, CALM_S + DWELL_S)]
    return f"{max(calm)}, {max(busy)}, {sum(busy) / len(busy):.0f}"


def of_class(one: ClassFigures) -> Line:
    counts = ", ".join(f"{n} {reason}" for reason, n in sorted(one.refused.items())) or "none"
    return (
        f"{one.priority}: streams taken; refusals; words wrong",
        f"{one.opened}; {counts}; {one.words.rate:.1%}",
        NO_BAR,
    )


def changes(run: Run) -> Iterator[tuple[float, int, list[str]]]:
    """When the steps in force changed."""
    before: object = []
    for one in run.samples:
        if one.load["in_force"] != before:
            before = one.load["in_force"]
            yield one.at_s, one.load["rung"], one.load["in_force"]
