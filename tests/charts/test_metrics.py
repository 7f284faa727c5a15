"""Alerts and dashboards: they ask for what operator and runtime really tell."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from weir_operator.metrics import new_metrics
from weir_runtime.core.values import Load
from weir_runtime.front.metrics import Metrics

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[2] / "charts" / "weir"
Manifest = dict[str, Any]


def samples(registry: CollectorRegistry) -> set[str]:
    """Names of all series that these metrics have, also of those that nothing has been counted in yet."""
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + ending for family in registry.collect() for ending in endings[family.type]}


def queries() -> dict[str, str]:
    """Every query of the alerts and the dashboards, by where it stands."""
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    for file in sorted((CHART / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                found[f"{file.name}: {panel['title']} {target['refId']}"] = target["expr"]
        for variable in dashboard["templating"]["list"]:
            found[f"{file.name}: {variable['name']}"] = variable["query"]
    return found


def test_alerts_and_dashboards_ask_for_metrics_that_exist():
    runtime = Metrics()
    runtime.watch(lambda: Load(
        0, {}, 0, 0, 0, 0.0, 0, 0.0, 0.0, 0, 0, 0, "full quality", (), "closed", {}, {}, 0.0, 0.0, 1.0, 0.0, 0.0
    ))  # fmt: skip
    known = samples(runtime.registry) | samples(new_metrics().registry)
    asked = {name: place for place, query in queries().items() for name in re.findall(r"\bweir_[a-z0-9_]+", query)}
    assert set(asked) - known == set(), {asked[name] for name in set(asked) - known}
    assert len(asked) > 30


def test_alerts_and_dashboards_reach_the_cluster_as_they_are_written(everything: list[Manifest]):
    (rule,) = [each for each in everything if each["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    (dashboards,) = [each for each in everything if each["kind"] == "ConfigMap"]
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    written = {file.name: json.loads(file.read_text()) for file in (CHART / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in dashboards["data"].items()} == written


def test_every_alert_says_what_is_wrong_and_what_to_do():
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("info", "warning", "critical")
            assert {"summary", "description"} == set(rule["annotations"])
