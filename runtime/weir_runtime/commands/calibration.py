"""`weir bench --calibrate`: measures with care what calls of the device cost, tells it, and writes it into the manifest
of the pods that run on this hardware. They then need not measure at each start, and admit the same everywhere.
"""

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
import torch
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import CommentToken
from ruamel.yaml.util import load_yaml_guess_indent

from weir_api.manifest import ManifestError, parse_manifest, read_manifest
from weir_api.v1alpha1 import ChunkMs, Model, StreamingPipeline
from weir_runtime.commands.serve import default_threads
from weir_runtime.core.batcher import most_rows
from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.values import CallCost, DeviceCosts
from weir_runtime.engine.calibrate import FRAME_MS, MOST_ROWS, measure_detector, measure_engine
from weir_runtime.engine.checkpoint import CheckpointError
from weir_runtime.engine.silero import BatchedSilero
from weir_runtime.engine.sources import SourceError
from weir_runtime.messages import SAMPLE_RATE
from weir_runtime.wiring import load_engine

WIDTH = 120  # columns, where no terminal says
ENGINE_S, DETECTOR_S = 4.0, 1.0  # for each variant, and for the detector
SPEECH = (1.0, 0.6)  # shares of audio that is speech: the worst, and what a conversation has


def calibrate(file: Path | None, threads: int | None = None, seconds: float = ENGINE_S) -> None:
    """Measure the pipeline in `file`, or the default one, and write what was found into `file`. What goes wrong is one
    line on stderr and exit code 1; the file is then as it was."""
    torch.set_num_threads(threads or default_threads())
    try:
        pipeline = StreamingPipeline() if file is None else read_manifest(file)
        text = "" if file is None else file.read_text(encoding="utf-8")
        costs = _measure(pipeline, seconds)
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH).print(
            _table(costs, pipeline.spec.model.max_step_ms)
        )
        if file is not None:
            file.write_text(with_costs(text, str(file), costs), encoding="utf-8")
            click.echo(f"weir: written to {file}")
    except (ManifestError, SourceError, CheckpointError, OSError) as error:
        click.echo(f"weir: {error}", err=True)
        sys.exit(1)


def with_costs(text: str, name: str, costs: DeviceCosts) -> str:
    """The manifest `text` with `costs` in it, its comments and order kept; raises ManifestError, calling it `name`."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # lines stay as long as they are
    try:
        _, indent, dash = load_yaml_guess_indent(text)
        listed = re.search(r"^\s*- ", text, re.MULTILINE)
        yaml.map_indent, yaml.sequence_indent, yaml.sequence_dash_offset = (2, indent, dash) if listed else (2, 4, 2)
        root = yaml.load(text)
    except DuplicateKeyError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise ManifestError(f"{name}:{line}: a key that was there already: which of the two is meant?") from None
    except YAMLError as error:
        raise ManifestError(f"{name}: cannot be rewritten: {type(error).__name__}") from error
    before = "" if root is not None else text
    root = CommentedMap() if root is None else root
    spec = _child(root, "spec")
    model, stages = _child(spec, "model"), _child(spec, "stages")
    if "variants" not in model:
        default = Model().variants
        model["variants"] = CommentedSeq(CommentedMap(name=v.name, source=v.source) for v in default)
    for variant in model["variants"]:
        _write_modes(variant, costs.engine[variant["name"]])
    _write_cost(_child(stages, "vad"), costs.detector)
    out = io.StringIO(before)
    out.seek(0, io.SEEK_END)
    yaml.dump(root, out)
    parse_manifest(out.getvalue(), name)
    return out.getvalue()


def _measure(pipeline: StreamingPipeline, seconds: float) -> DeviceCosts:
    engine: dict[str, Mapping[int, CallCost]] = {}
    with Console(stderr=True).status("") as status:
        for variant in pipeline.spec.model.variants:
            status.update(f"measuring {variant.name}")
            loaded = load_engine(variant, MOST_ROWS)
            engine[variant.name] = measure_engine(loaded, MOST_ROWS, seconds=seconds)
        return DeviceCosts(engine, measure_detector(BatchedSilero(MOST_ROWS), MOST_ROWS, min(seconds, DETECTOR_S)))


def _table(costs: DeviceCosts, max_step_ms: int) -> Table:
    head = ("variant", "chunk, ms", "step, µs", "row, µs", f"rows in {max_step_ms} ms",
            "streams, all speech", "streams, 60 % speech")  # fmt: skip
    table = Table(*head, box=None, caption="streams: as many as the device alone carries in full batches")
    for column in table.columns[1:]:
        column.justify = "right"
    for variant, modes in costs.engine.items():
        for mode, cost in modes.items():
            rows = most_rows(cost, max_step_ms / 1000, MOST_ROWS)
            streams = (f"{_streams(cost, mode, rows, costs.detector, share):.0f}" for share in SPEECH)
            table.add_row(variant, str(mode * FRAME_MS), *_microseconds(cost), str(rows), *streams)
    table.add_row("voice activity", f"{1000 * WINDOW // SAMPLE_RATE}", *_microseconds(costs.detector))
    return table


def _streams(cost: CallCost, mode: int, rows: int, detector: CallCost, speech: float) -> float:
    """How many a device carries if each sends audio all the time and this share of it is speech."""
    engine = cost.seconds(rows) / rows * 1000 / (FRAME_MS * mode)
    windows = 8 * MOST_ROWS
    listening = detector.seconds(windows) / windows * SAMPLE_RATE / WINDOW
    return 1 / (speech * engine + listening)


def _microseconds(cost: CallCost) -> tuple[str, str]:
    return f"{cost.step_s * 1e6:.0f}", f"{cost.row_s * 1e6:.0f}"


def _child(parent: CommentedMap, key: str) -> CommentedMap:
    if key not in parent:
        parent[key] = CommentedMap()
    child: CommentedMap = parent[key]
    return child


def _write_modes(variant: CommentedMap, modes: Mapping[int, CallCost]) -> None:
    """One line for each chunk size that a manifest can name; what is there already is changed where it stands."""
    found = {entry["chunkMs"]: entry for entry in variant.get("cost") or ()}
    entries = []
    for mode, cost in modes.items():
        size = mode * FRAME_MS
        if size in found:
            found[size].update(_fields(cost))
        elif size in get_args(ChunkMs):
            entries.append(_one_line(chunkMs=size, **_fields(cost)))
    if found:
        for entry in reversed(
            entries
        ):  # before those that are there: behind the last, comments follow that are not its
            variant["cost"].insert(0, entry)
    elif entries:
        _add(variant, "cost", CommentedSeq(entries))


def _write_cost(vad: CommentedMap, cost: CallCost) -> None:
    if vad.get("cost"):
        vad["cost"].update(_fields(cost))
    else:
        _add(vad, "cost", _one_line(**_fields(cost)))


def _fields(cost: CallCost) -> dict[str, int]:
    return {"stepUs": round(cost.step_s * 1e6), "rowUs": max(1, round(cost.row_s * 1e6))}


def _one_line(**fields: int) -> CommentedMap:
    entry = CommentedMap(fields)
    entry.fa.set_flow_style()
    return entry


def _add(mapping: CommentedMap, key: str, value: Any) -> None:
    """As the last key. ruamel keeps the lines of comment between two keys with the key before: they go on to `key`."""
    last = next(reversed(mapping), None)
    token = mapping.ca.items[last][2] if last in mapping.ca.items else None
    mapping[key] = value
    if token is None or "\n" not in token.value[:-1]:
        return
    own, _, rest = token.value.partition("\n")
    token.value = f"{own}\n" if own else ""
    if not own:
        del mapping.ca.items[last]
    after = CommentToken(f"\n{rest}", token.start_mark, None)
    if isinstance(value, CommentedSeq):
        value.ca.items[len(value) - 1] = [after, None, None, None]
    else:
        mapping.ca.items[key] = [None, None, after, None]
