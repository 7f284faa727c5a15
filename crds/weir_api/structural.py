"""Turns pydantic's JSON schema into one that Kubernetes takes ("structural"). Pure.

Rules: references are written out; X or null is X, since leaving a field out says the same; what a model's validators
know comes from the tables in rules.py, by the model's name. What Kubernetes has no word for is an error here, and no
schema that lets more through.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from weir_api.rules import LIST_KEYS, RULES, Rule, key_rule

Schema = dict[str, Any]
KEPT = ("type", "description", "default", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength",
        "minItems", "maxItems", "maxProperties", "required")  # fmt: skip
DROPPED = ("title",)
LARGEST_INT32 = 2**31 - 1


def structural(model: type[BaseModel]) -> Schema:
    """The schema of `model` in YAML's names. Raises ValueError for what Kubernetes has no word for."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    schema = _written_out(schema, defs)
    name = schema.get("title", "")
    out = {key: schema.pop(key) for key in KEPT if key in schema}
    if out.get("default", ()) is None:
        del out["default"]
    if out.get("type") == "integer":
        out["format"] = "int32" if _fits_int32(out) else "int64"
    rules: list[Rule] = []
    if "properties" in schema:
        rules += RULES.get(name, ())
        properties = schema.pop("properties")
        out["properties"] = {field: _property(name, field, part, defs) for field, part in properties.items()}
    if "patternProperties" in schema:
        ((pattern, values),) = schema.pop("patternProperties").items()
        rules.append(key_rule(schema.pop("propertyNames")["maxLength"], pattern))
        out["additionalProperties"] = _structural(values, defs)
    match schema.pop("additionalProperties", None):
        case True:
            out["x-kubernetes-preserve-unknown-fields"] = True
        case dict() as values:
            out["additionalProperties"] = _structural(values, defs)
    if "items" in schema:
        out["items"] = _structural(schema.pop("items"), defs)
    if rules:
        out["x-kubernetes-validations"] = [rule.as_schema() for rule in rules]
    if left := set(schema) - {*DROPPED, "$defs"}:
        raise ValueError(f"{name or out.get('description')}: no structural schema for {', '.join(sorted(left))}")
    return out


def _property(model: str, field: str, schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    out = _structural(schema, defs)
    if key := LIST_KEYS.get((model, field)):
        out |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return out


def _written_out(schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    """`schema` with what it refers to in it; what it says itself wins."""
    if "anyOf" in schema:
        chosen = [each for each in schema["anyOf"] if each != {"type": "null"}]
        if len(chosen) != 1:
            raise ValueError(f"{schema.get('title')}: Kubernetes has no unions")
        schema = chosen[0] | {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if "$ref" in schema:
        found = defs[schema["$ref"].rpartition("/")[2]]
        schema = found | {key: value for key, value in schema.items() if key not in ("$ref", "title")}
    if "const" in schema:
        schema = {key: value for key, value in schema.items() if key != "const"} | {"enum": [schema["const"]]}
    return dict(schema)


def _fits_int32(schema: Schema) -> bool:
    return bool(0 <= schema.get("maximum", LARGEST_INT32 + 1) <= LARGEST_INT32)
