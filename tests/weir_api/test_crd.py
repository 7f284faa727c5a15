"""The schema that comes of the models, and the files that hold it. What an API server makes of it: tests/cluster."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml
from click.testing import CliRunner
from pydantic import Field

from weir_api.base import ApiModel
from weir_api.changes import LIVE, RESTART
from weir_api.cli import main
from weir_api.crd import changes_of, definition, facts, spec_schema
from weir_api.rules import LIST_KEYS, RULES
from weir_api.structural import structural

ROOT = Path(__file__).parents[2]
OPENAPI = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def parts_of(schema, place=()):
    """Every schema in `schema`, with its place; list entries are at their list's place."""
    yield place, schema
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from parts_of(schema[inner], place)
    for name, part in schema.get("properties", {}).items():
        yield from parts_of(part, (*place, name))


def at(*place):
    schema = OPENAPI
    for step in place:
        schema = schema.get("items", schema)["properties"][step]
    return schema


def test_the_files_are_what_the_models_say():
    done = subprocess.run([sys.executable, ROOT / "hack" / "crds.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_weir_crd_print_prints_the_file():
    printed = CliRunner().invoke(main, ["crd", "print"])
    assert printed.exit_code == 0
    assert yaml.safe_load(printed.output) == yaml.safe_load(
        (ROOT / "crds/streamingpipelines.weir.dev.yaml").read_text()
    )


def test_everything_is_bounded_so_that_rules_are_affordable():
    spec = list(parts_of(OPENAPI["properties"]["spec"]))
    assert len(spec) > 100
    for place, schema in spec:
        match schema["type"]:
            case "array":
                assert schema["maxItems"] <= 64, place
            case "string":
                assert "enum" in schema or schema["maxLength"] <= 4096, place
            case "integer":
                assert "enum" in schema or schema["minimum"] < schema["maximum"] <= 2**31 - 1, place
            case "object":
                assert "additionalProperties" not in schema or schema["maxProperties"] <= 32, place


def test_every_field_has_a_description():
    kubernetes_own = {("apiVersion",), ("kind",), ("metadata",), ("metadata", "name")}
    for place, schema in parts_of(OPENAPI):
        for name, field in schema.get("properties", {}).items():
            assert "description" in field or (*place, name) in kubernetes_own, (*place, name)


def test_what_explain_shows_of_a_field():
    assert at("spec", "degradation", "dwellSeconds")["description"].endswith("steep. (default 5; 1 to 600; live)")
    assert at("spec", "runtime", "accelerator")["description"].endswith("instead. (default cpu; restart)")
    assert at("spec", "rollout", "paused")["description"].endswith("as it is. (default false; live)")
    assert at("spec", "runtime")["description"] == "The pods that serve the pipeline. (restart)"
    assert at("spec", "admission")["description"] == "How many streams a pod takes and how long each may stay."


def test_single_values_have_defaults_and_objects_have_none():
    for place, schema in parts_of(at("spec")):
        if place:
            assert not isinstance(schema.get("default"), dict | list), place
    assert at("spec")["default"] == {}
    assert at("spec", "replicas")["default"] == 1
    assert all("default" not in schema for _, schema in parts_of(at("status")))


def test_lists_of_named_things_are_merged_by_name():
    keys = {
        place: part["x-kubernetes-list-map-keys"]
        for place, part in parts_of(OPENAPI)
        if "x-kubernetes-list-type" in part
    }
    assert sorted(key for (key,) in keys.values()) == sorted(LIST_KEYS.values())
    assert keys["spec", "model", "variants"] == ["name"]
    assert keys["status", "conditions"] == ["type"]


def test_every_rule_and_list_key_is_of_a_model_that_is_in_the_schema():
    written = str(OPENAPI)
    for rules in RULES.values():
        for rule in rules:
            assert str(rule.as_schema()) in written
            assert rule.field.startswith(".")
    assert len([part for _, part in parts_of(OPENAPI) if "x-kubernetes-list-type" in part]) == len(LIST_KEYS)


def test_every_place_in_the_table_of_changes_is_a_field():
    for place in (*RESTART, *LIVE):
        assert changes_of(at("spec", *place), place), place


def test_facts_of_a_number_name_default_and_range():
    schema = spec_schema()["properties"]["replicas"]
    assert facts(schema, ("replicas",)) == "default 1; 0 to 1000; live"


class Inner(ApiModel):
    """Inside."""

    one: Literal["only"] = "only"


class Outer(ApiModel):
    """Outside."""

    number: int | None = Field(None, ge=1, le=2**40, description="Of something.")
    inner: Inner = Inner()
    named: Inner = Field(Inner(), description="Another.")
    anything: dict[str, object] = Field({}, max_length=2)


class Union(ApiModel):
    either: int | str = 1


class Pair(ApiModel):
    pair: tuple[int, str] = (1, "")


def test_pydantics_schema_becomes_a_structural_one():
    inner = {"type": "object", "properties": {"one": {"type": "string", "enum": ["only"], "default": "only"}}}
    whole = structural(Outer)
    assert whole["description"] == "Outside."
    fields = whole["properties"]
    assert fields["number"] == {
        "type": "integer", "format": "int64", "minimum": 1, "maximum": 2**40, "description": "Of something.",
    }  # fmt: skip
    assert fields["inner"] == inner | {"description": "Inside.", "default": {"one": "only"}}
    assert fields["named"] == inner | {"description": "Another.", "default": {"one": "only"}}
    assert fields["anything"] == {
        "type": "object", "maxProperties": 2, "default": {}, "x-kubernetes-preserve-unknown-fields": True,
    }  # fmt: skip


@pytest.mark.parametrize("model", [Union, Pair])
def test_what_kubernetes_has_no_word_for_is_an_error(model):
    with pytest.raises(ValueError, match=r"no unions|no structural schema for .*prefixItems"):
        structural(model)
