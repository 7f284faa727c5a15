"""docs/operations.md says of every alert of the chart what it means and what to do, with the chart's severity."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ALERTS = re.compile(r"^\| \*\*(\w+)\*\* \| (\w+) \| (.+?) \| (.+?) \|$", re.M)


def test_the_page_explains_every_alert():
    rules = yaml.safe_load((ROOT / "charts/weir/files/rules.yaml").read_text())
    shipped = {rule["alert"]: rule["labels"]["severity"] for group in rules["groups"] for rule in group["rules"]}
    page = (ROOT / "docs/operations.md").read_text()
    told = {name: severity for name, severity, _, _ in ALERTS.findall(page)}
    assert told == shipped
    assert len(told) > 8
