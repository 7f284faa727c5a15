"""Which fields take effect while pods run (live) and which only in new pods (restart).

The restart part is what a pod's revision is the hash of; the live part is pushed. Both are read off one table, so a
field is exactly one of the two. Fields at their default are left out of the hash: an operator that knows more fields
rolls no pipeline.
"""

import hashlib
import json
from typing import Any, Literal

from weir_api.v1alpha1 import StreamingPipelineSpec

Change = Literal["live", "restart"]
Place = tuple[str, ...]
# Places in YAML's names; what is below a place changes as it does, unless a longer one says otherwise.
RESTART: tuple[Place, ...] = (
    ("runtime",),
    ("model",),
    ("stages",),
    ("priorityClasses", "name"),
    ("admission", "maxStreams"),
    ("admission", "maxFrameBytes"),
    ("auth",),
    ("tracing",),
    ("serving",),
)
LIVE: tuple[Place, ...] = (("model", "maxStepMs"),)


def change_of(place: Place) -> Change:
    """How a change of the field at `place` (list indices left out) takes effect."""
    longest = max((p for p in (*RESTART, *LIVE) if place[: len(p)] == p), key=len, default=())
    return "restart" if longest in RESTART else "live"


def revision_of(spec: StreamingPipelineSpec) -> str:
    """Eight hex digits that are equal for two specs exactly if no pod has to be replaced between them."""
    usual = _restart(StreamingPipelineSpec().model_dump(mode="json", by_alias=True), ())
    parts = _restart(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True), ()) or {}
    kept = {key: part for key, part in parts.items() if part != usual.get(key)}  # default but for what is live in it
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:8]


def _restart(value: Any, place: Place) -> Any:
    """What is left of `value` without its live parts; None where nothing is."""
    if isinstance(value, dict) and (not value or change_of(place) == "live" or _mixed(place)):
        parts = {key: _restart(part, (*place, key)) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not None} or None
    if isinstance(value, list) and _mixed(place):
        return [_restart(entry, place) for entry in value]
    return value if change_of(place) == "restart" else None


def _mixed(place: Place) -> bool:
    """Whether something below `place` changes in another way than it does."""
    return any(len(p) > len(place) and p[: len(place)] == place for p in (*RESTART, *LIVE))


def with_live_part(running: StreamingPipelineSpec, wanted: StreamingPipelineSpec) -> StreamingPipelineSpec:
    """`running` with everything of `wanted` that takes effect at once.

    Raises ValueError where the two differ in what needs a restart: such a spec is for other pods.
    """
    if revision_of(running) != revision_of(wanted):
        raise ValueError(f"revision {revision_of(wanted)} is not the running one ({revision_of(running)})")
    return wanted
