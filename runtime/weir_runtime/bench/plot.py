"""Draws a chart: four panels over one time axis. matplotlib is loaded here and only when a picture is asked for."""

from pathlib import Path
from typing import Any

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.chart import FULL_QUALITY, WINDOW_S, Chart

COLOURS: dict[ClassName, str] = {"interactive": "#1f77b4", "standard": "#e8833a", "batch": "#7f8c8d"}
SIZE_INCHES, DPI = (9.0, 9.0), 110
LETTERS = 26  # of a rung's name beside the axis
MISSING = "a picture needs matplotlib, which is not installed: pip install 'weir[bench]'"


class NoMatplotlib(ValueError):
    """The extra `bench` is not installed."""


def require_matplotlib() -> Any:
    """The module; raises NoMatplotlib. Asked before a long run, not after it."""
    try:
        import matplotlib
    except ImportError as error:
        raise NoMatplotlib(MISSING) from error
    matplotlib.use("Agg")
    return matplotlib


def draw(chart: Chart, path: Path) -> None:
    """Writes the picture; its format is that of the file's suffix. Raises NoMatplotlib, OSError, ValueError."""
    require_matplotlib()
    from matplotlib.figure import Figure  # no pyplot: it would keep every figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 2, 2))
    for panel, draw_panel in zip(panels, (_streams, _delays, _rungs, _refusals), strict=True):
        draw_panel(panel, chart)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(chart.title, loc="left", fontsize=12)
    panels[-1].set_xlabel("seconds since the traffic began")
    panels[-1].set_xlim(0, max(1, len(chart.target) - 1))
    figure.align_ylabels(panels)
    figure.savefig(path)


def _streams(panel: Any, chart: Chart) -> None:
    seconds = range(len(chart.target))
    shown = [name for name in CLASSES if any(chart.streams[name])]
    if shown:
        rows = [chart.streams[name] for name in shown]
        panel.stackplot(seconds, *rows, labels=shown, colors=[COLOURS[name] for name in shown], alpha=0.75, step="post")
    panel.step(seconds, chart.target, where="post", color="black", linewidth=1.2, linestyle="--", label="clients")
    panel.set_ylabel("streams")
    panel.set_ylim(bottom=0)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _delays(panel: Any, chart: Chart) -> None:
    for name in CLASSES:
        if any(value is not None for value in chart.p95_ms[name]):
            values = [float("nan") if value is None else max(value, 1.0) for value in chart.p95_ms[name]]
            panel.plot(range(len(values)), values, color=COLOURS[name], linewidth=1.3, label=name)
            if name in chart.promise_ms:
                label = f"{name}: promised"
                panel.axhline(chart.promise_ms[name], color=COLOURS[name], linewidth=1, linestyle=":", label=label)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_ylabel(f"p95 over {WINDOW_S} s, ms")
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _rungs(panel: Any, chart: Chart) -> None:
    end_s = len(chart.target) - 1
    steps = [(at_s, rung) for at_s, rung, _ in chart.rungs] or [(0.0, 0)]
    times, rungs = [0.0, *(at_s for at_s, _ in steps), end_s], [steps[0][1], *(rung for _, rung in steps), steps[-1][1]]
    panel.step(times, rungs, where="post", color="#8e44ad", linewidth=1.6)
    panel.fill_between(times, rungs, step="post", color="#8e44ad", alpha=0.15)
    names = rung_names(chart)
    panel.yaxis.tick_right()  # their names have room there
    panel.set_yticks(sorted(names), [f"{rung}  {names[rung][:LETTERS]}" for rung in sorted(names)], fontsize=8)
    panel.set_ylim(0, max(1, max(names)) + 0.3)
    panel.set_ylabel("rung")


def rung_names(chart: Chart) -> dict[int, str]:
    """By rung; one that is entered class by class ("smaller model: batch") goes by what its names have in common."""
    names = {0: FULL_QUALITY}
    for _, rung, name in chart.rungs:
        known = names.get(rung, name)
        names[rung] = name if known == name else name.partition(":")[0]
    return names


def _refusals(panel: Any, chart: Chart) -> None:
    below = [0] * len(chart.target)
    for name in CLASSES:
        counts = chart.refused[name]
        if any(counts):
            panel.bar(range(len(counts)), counts, 1.0, below, align="edge", color=COLOURS[name], label=name)
            below = [a + b for a, b in zip(below, counts, strict=True)]
    panel.set_ylabel("refusals per s")
    panel.set_ylim(0, max(1, *below) * 1.05)
