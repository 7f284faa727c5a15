"""A revision: what a group of pods was started with, kept in a ConfigMap that those pods mount.

Rules: the restart part and the image of a revision never change, so an operator with another default image or more
fields rolls no pipeline; the live part follows the pipeline, so a container that starts again serves what holds today.
Fields at their default are not written: a runtime that does not know them yet reads the file all the same.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from weir_api.changes import Place, change_of, revision_of
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.observed import Observed, Revision, Site
from weir_operator.owned import metadata

ABSENT = object()


def kept(observed: Observed, wanted: Revision) -> tuple[Revision, ...]:
    """The revisions that must stay, by name: the `wanted` one, the last good one, and those that pods have."""
    needed = {observed.memory.good_revision, *(pod.revision for pod in observed.pods)} - {wanted.name}
    old = {name: live(was, wanted.spec) for name, was in observed.revisions.items() if name in needed}
    return tuple(revision for _, revision in sorted({**old, wanted.name: wanted}.items()))


def current(spec: StreamingPipelineSpec, observed: Observed, site: Site, now: float) -> Revision:
    """The revision that `spec` asks for: the one that is there, else a new one of `now`, Unix seconds."""
    name = revision_of(spec)
    if name in observed.revisions:
        return replace(observed.revisions[name], spec=spec)
    return Revision(name, spec, spec.runtime.image or site.default_image, now)


def live(revision: Revision, spec: StreamingPipelineSpec) -> Revision:
    """`revision` with the live part of `spec`. Where that does not fit, as a ladder that refuses a class which the
    revision has not, it keeps its own: its pods are on their way out.
    """
    running, wanted = (each.model_dump(mode="json", by_alias=True) for each in (revision.spec, spec))
    try:
        return replace(revision, spec=StreamingPipelineSpec.model_validate(_merged(running, wanted, ())))
    except ValidationError:
        return revision


def _merged(running: Any, wanted: Any, place: Place) -> Any:
    """What needs a restart from `running`, all else from `wanted`."""
    if isinstance(running, dict) and isinstance(wanted, dict):
        both = {
            key: _merged(running.get(key, ABSENT), wanted.get(key, ABSENT), (*place, key)) for key in running | wanted
        }
        return {key: value for key, value in both.items() if value is not ABSENT}
    if place == ("priorityClasses",):  # the one list whose entries have a part of each kind
        by_name = {entry["name"]: entry for entry in wanted}
        return [_merged(entry, by_name.get(entry["name"], entry), place) for entry in running]
    return running if change_of(place) == "restart" else wanted


def config_map(observed: Observed, revision: Revision, site: Site) -> dict[str, Any]:
    """What the pods of `revision` mount, and what read_revision reads."""
    marks = {names.IMAGE: revision.image, names.CREATED: repr(revision.created_at)}
    failed = {names.FAILED: revision.failed} if revision.failed else {}
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": observed.name},
        "spec": revision.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(
            observed,
            names.revision_config(observed.name, revision.name),
            {names.REVISION_LABEL: revision.name},
            marks | failed,
        ),
        "data": {
            names.PIPELINE_FILE: _text(manifest),
            names.KEY_FILE: site.public_key + "\n",
        },
    }


def _text(manifest: dict[str, Any]) -> str:
    """JSON that YAML reads as the same: YAML knows no pairs of surrogates, and takes few characters as they are."""
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return re.sub(r"[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def read_revision(found: Mapping[str, Any]) -> Revision:
    """The revision in a ConfigMap; raises ValueError where it holds none, or one of a newer operator's."""
    try:
        labels, marks = found["metadata"]["labels"], found["metadata"]["annotations"]
        spec = StreamingPipelineSpec.model_validate(json.loads(found["data"][names.PIPELINE_FILE])["spec"])
        name, image, created_at = labels[names.REVISION_LABEL], marks[names.IMAGE], float(marks[names.CREATED])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no ConfigMap of a revision: {error!r}") from error
    return Revision(name, spec, image, created_at, marks.get(names.FAILED, ""))
