"""The CustomResourceDefinition of StreamingPipeline, made of the models. Pure; `make crds` writes it to files.

Rules: single values have their defaults in the schema, objects and lists do not (a CEL rule could not read them, and
server-side apply would own them); each description says default, range and whether a change restarts pods, since
`kubectl explain` shows nothing else.
"""

import json
from typing import Any

import yaml

from weir_api.changes import Change, change_of
from weir_api.rules import NAME
from weir_api.status import StreamingPipelineStatus
from weir_api.structural import Schema, structural
from weir_api.v1alpha1 import StreamingPipeline, StreamingPipelineSpec

GROUP, VERSION, PLURAL, KIND = "weir.dev", "v1alpha1", "streamingpipelines", "StreamingPipeline"
READY = '.status.conditions[?(@.type=="Ready")]'
# Name, type, path and priority (1: only with -o wide) of what `kubectl get` prints.
COLUMNS = (
    ("Ready", "string", f"{READY}.status", 0),
    ("Reason", "string", f"{READY}.reason", 0),
    ("Variant", "string", ".status.policy.variant", 0),
    ("Rung", "integer", ".status.policy.rung", 0),
    ("Streams", "integer", ".status.load.streams", 0),
    ("Capacity", "integer", ".status.capacity.streams", 0),
    ("Replicas", "integer", ".status.readyReplicas", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("p95", "integer", ".status.load.latencyP95Ms", 1),
    ("Queue", "integer", ".status.load.queueDepth", 1),
    ("Revision", "string", ".status.revision", 1),
    ("Message", "string", f"{READY}.message", 1),
)


def definition() -> dict[str, Any]:
    """The whole object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": PLURAL,
                "singular": KIND.lower(),
                "kind": KIND,
                "shortNames": ["spl"],
                "categories": ["streaming"],
            },
            "versions": [_version()],
        },
    }


def as_yaml(definition: dict[str, Any]) -> str:
    """As it stands in files."""
    return yaml.dump(definition, Dumper=_NoAliases, sort_keys=False, width=120, allow_unicode=True)


def spec_schema() -> Schema:
    """Of `spec`, with all defaults: what the reference page is made of."""
    return structural(StreamingPipelineSpec)


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
            for name, kind, path, priority in COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Schema:
    return {
        "type": "object",
        "description": StreamingPipeline.__doc__,
        "x-kubernetes-validations": [NAME.as_schema()],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": _explained(spec_schema(), ()) | {"default": {}},
            "status": _without_defaults(structural(StreamingPipelineStatus)),
        },
    }


def _explained(schema: Schema, place: tuple[str, ...]) -> Schema:
    """As Kubernetes stores it, with whole descriptions."""
    out = dict(schema)
    if isinstance(schema.get("default"), dict | list):
        del out["default"]
    if said := facts(schema, place):
        out["description"] = f"{schema['description']} ({said})"
    if "properties" in schema:
        out["properties"] = {name: _explained(part, (*place, name)) for name, part in schema["properties"].items()}
    if "properties" in schema.get("items", {}):
        properties = schema["items"]["properties"].items()
        out["items"] = schema["items"] | {
            "properties": {name: _explained(part, (*place, name)) for name, part in properties}
        }
    return out


def facts(schema: Schema, place: tuple[str, ...]) -> str:
    """Default, range and what a change does, such as `default 5; 1 to 600; live`."""
    default = schema.get("default")
    said = [f"default {default if isinstance(default, str) else json.dumps(default)}"] if _single(default) else []
    changes = changes_of(schema, place)
    return "; ".join(filter(None, [*said, range_of(schema), *(changes if len(changes) == 1 else [])]))


def range_of(schema: Schema) -> str:
    """Of a number."""
    return f"{schema['minimum']} to {schema['maximum']}" if schema["type"] == "integer" and "enum" not in schema else ""


def _single(default: Any) -> bool:
    return isinstance(default, str | int) and default != ""


def changes_of(schema: Schema, place: tuple[str, ...]) -> set[Change]:
    """What changes of the field at `place`, or of what is below it, do."""
    below = schema.get("properties", {}) | schema.get("items", {}).get("properties", {})
    return {change for name, part in below.items() for change in changes_of(part, (*place, name))} or {change_of(place)}


def _without_defaults(schema: Schema) -> Schema:
    """What the operator leaves out of the status is not there, and no zero."""
    out = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        out["properties"] = {name: _without_defaults(part) for name, part in schema["properties"].items()}
    if "items" in schema:
        out["items"] = _without_defaults(schema["items"])
    return out


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True
