"""The chart's values: explained, and refused by name where they are wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[2] / "charts" / "weir"
Helm = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"replicas": "two"}, "'/replicas': got string, want integer"),
        ({"replicas": 0}, "'/replicas': minimum"),
        ({"logLevel": "loud"}, "'/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"image": {"name": "x"}}, "'/image': additional properties 'name' not allowed"),
        ({"image": {"repository": ""}}, "'/image/repository': minLength"),
        ({"watchNamespaces": "shop"}, "'/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Shop"]}, "'/watchNamespaces/0': 'Shop' does not match pattern"),
        ({"metrics": {"podMonitor": {"interval": "often"}}}, "'/metrics/podMonitor/interval': 'often' does not match"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(helm: Helm, values: dict[str, Any], why: str):
    done = helm("template", "weir", str(CHART), values=values)
    assert done.returncode != 0
    assert why in done.stderr


def test_every_value_is_in_the_schema_and_every_one_of_the_schema_has_a_default():
    def compare(values: dict[str, Any], schema: dict[str, Any], place: str) -> None:
        assert set(values) == set(schema["properties"]) - {"global"}, place
        for name, value in values.items():
            if schema["properties"][name].get("properties"):
                compare(value, schema["properties"][name], f"{place}.{name}")

    compare(
        yaml.safe_load((CHART / "values.yaml").read_text()), json.loads((CHART / "values.schema.json").read_text()), ""
    )


def test_every_value_has_its_comment():
    """But for single amounts of resources and the labels that are an example."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    bare = [
        line.strip()
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r" *[a-zA-Z_]+:", line) and not before.strip().startswith("#")
    ]
    assert bare == ["cpu: 100m", "memory: 192Mi", "memory: 768Mi", 'grafana_dashboard: "1"']
