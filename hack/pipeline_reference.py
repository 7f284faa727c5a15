"""docs/pipeline.md: every field of a pipeline with its default, its range, and what a change of it does."""

import json
from collections.abc import Iterator
from typing import Any

from weir_api.crd import changes_of, range_of, spec_schema

Schema = dict[str, Any]
Place = tuple[str, ...]
KUBERNETES = "x-kubernetes-preserve-unknown-fields"
LONGEST_DEFAULT = 60  # characters

HEAD = """\
# StreamingPipeline: every field

<!-- Generated from crds/weir_api by `make crds`: change it there. -->

One manifest for one machine (`weir serve -f pipeline.yaml`) and for Kubernetes (`kubectl apply --server-side -f
pipeline.yaml`). Every field has a default, so `spec: {}` is a whole pipeline: the embedded models on CPU, one pod.

- **live**: a change takes effect in running pods, within seconds. Nothing restarts.
- **restart**: a change replaces the pods one after another, and open streams move or end as `rollout` says.

`kubectl explain streamingpipeline.spec.degradation` says the same in a terminal. Use `kubectl apply --server-side`: it
names a misspelt field, where plain `kubectl apply` prints all of an object that is there already.

`weir validate pipeline.yaml` answers as `kubectl apply` would, without a cluster, by `file:line: field: message`. It
reads several documents, passes other kinds by, and `-` is standard input. It is stricter in one thing: an empty value
(`replicas:`) is refused even where the API server would take the default. `weir validate --for serve` answers as
`weir serve -f` would: there `auth.keysFile` is right, and apiVersion, kind and metadata may be left out.

`metadata.name` has at most 45 lower-case letters, digits and dashes, a letter first: the Service and the pods are named
after it. `runtime.accelerator` cannot be changed: make a new pipeline and move the clients.
"""


def page() -> str:
    """The whole page."""
    spec = spec_schema()
    plain = {name: part for name, part in spec["properties"].items() if not _fields(part)}
    sections = [HEAD, "## spec\n\n" + _table({"properties": plain}, ())]
    for name, part in spec["properties"].items():
        if _fields(part):
            title = f"## spec.{name}" + ("[]" if part["type"] == "array" else "")
            sections.append(f"{title}\n\n{_words(part)}\n\n{_table(part, (name,))}")
    return "\n".join(sections)


def _fields(schema: Schema) -> dict[str, Schema]:
    """Of an object, or of a list's entries; an object of Kubernetes' own is one value."""
    inner = schema.get("items", schema)
    fields: dict[str, Schema] = {} if KUBERNETES in inner else inner.get("properties", {})
    return fields


def _table(schema: Schema, place: Place) -> str:
    return (
        "\n".join(
            ["| field | type | default | range | change | |", "|---|---|---|---|---|---|", *_rows(schema, place, "")]
        )
        + "\n"
    )


def _rows(schema: Schema, place: Place, above: str) -> Iterator[str]:
    """One for each field, and behind it those of the fields in it."""
    required = schema.get("items", schema).get("required", [])
    for name, part in _fields(schema).items():
        changes = changes_of(part, (*place, name))
        cells = [
            f"`{above}{name}`",
            _type(part),
            "required" if name in required else _default(part),
            _range(part),
            changes.pop() if len(changes) == 1 else "",
            _words(part),
        ]
        yield f"| {' | '.join(cells)} |"
        yield from _rows(part, (*place, name), f"{above}{name}{'[]' if part['type'] == 'array' else ''}.")


def _words(schema: Schema) -> str:
    return " ".join(schema.get("description", "").split()).replace("|", "\\|")


def _type(schema: Schema) -> str:
    match schema:
        case {"type": "array", "items": {"type": kind}}:
            return f"list of {kind}s"
        case {"type": "object", "additionalProperties": values}:
            return f"map of {values['type']}s"
        case {"x-kubernetes-preserve-unknown-fields": True}:
            return "as in Kubernetes"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": kind}:
            return str(kind)
    raise ValueError(f"no type: {schema}")


def _default(schema: Schema) -> str:
    """Short ones; the description tells those of lists of objects."""
    default = schema.get("default", "")
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"`{shown}`" if shown not in ("", "[]", "{}") and len(shown) < LONGEST_DEFAULT else ""


def _range(schema: Schema) -> str:
    if "maxItems" in schema or "maxProperties" in schema:
        low, high = schema.get("minItems", 0), schema.get("maxItems", schema.get("maxProperties"))
        return f"{low} to {high} entries"
    if "maxLength" in schema and "enum" not in schema:
        return f"at most {schema['maxLength']} characters"
    return range_of(schema)
