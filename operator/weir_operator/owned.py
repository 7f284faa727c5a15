"""What every object of a pipeline carries: its labels, and the pipeline as its owner, so that it goes with it."""

from collections.abc import Mapping
from typing import Any

from weir_operator import names
from weir_operator.observed import Observed


def metadata(
    observed: Observed,
    name: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Of the pipeline's object `name`; Weir's own labels come before `labels` of the same key."""
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": observed.name,
        "uid": observed.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return given(
        {
            "name": name,
            "namespace": observed.namespace,
            "labels": {**(labels or {}), **names.labels(observed.name)},
            "annotations": dict(annotations or {}),
            "ownerReferences": [owner],
        }
    )


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something: not None, no empty list, mapping or string."""
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
