"""docs/control.md names all that the control port can say: its tables against the code."""

import re
from pathlib import Path

from weir_api.changes import change_of
from weir_api.control import SIGNATURE_HEADER
from weir_api.report import LoadReport, PolicyReport
from weir_runtime.front import control, orders

PAGE = (Path(__file__).parents[3] / "docs" / "control.md").read_text()


def rows(heading):
    """Cells of the table whose head begins with `heading`."""
    table = PAGE.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_error_is_in_the_table_with_its_status():
    code = "".join(Path(module.__file__).read_text() for module in (orders, control))
    given = {(status, error) for status, error in re.findall(r'Declined\(\s*(\d+), "(\w+)"', code)}
    given |= {("422", error) for error in re.findall(r'_invalid\("(\w+)"', code)}
    assert {(row[0], row[1].strip("`")) for row in rows("status")} == given
    assert f"`{SIGNATURE_HEADER}`" in PAGE


def test_every_field_of_the_report_is_in_the_table():
    named = {name for row in rows("in the report") for name in re.findall(r"`([a-z]\w+)`", row[0])}
    assert named == {field.alias for field in LoadReport.model_fields.values()}
    (policy,) = (row[1] for row in rows("in the report") if row[0] == "`policy`")
    assert set(re.findall(r"`(\w+)`", policy)) == {field.alias for field in PolicyReport.model_fields.values()} - {
        "epoch",
        "revision",
    }


def test_what_the_page_calls_live_is():
    live = PAGE.split("## What is live", 1)[1]
    for place in re.findall(r"`(\w+Seconds|\w+Megabytes)`|`admission\.(\w+)`", live):
        assert change_of(("admission", place[0] or place[1])) == "live"
    assert change_of(("model", "maxStepMs")) == change_of(("priorityClasses", "latencyMs")) == "live"
