"""A part of docs/error-rates.md to the word: clip to text through the whole runtime (hack/error_rates.py)."""

import asyncio
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytestmark = pytest.mark.parity  # the table's numbers were NeMo's first

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def error_rates():
    spec = spec_from_file_location("error_rates", ROOT / "hack" / "error_rates.py")
    sys.modules["error_rates"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("model", "latency", "beginning", "errors", "words"),
    [
        ("large", "low", "digits/digits_theo", 6, 272),
        ("large", "low", "coffee/", 19, 568),
        ("large", "balanced", "coffee/", 20, 568),
        ("small", "balanced", "wake/", 4, 99),
        ("small", "low", "isolated/moondigit", 3, 60),
    ],
)
def test_whole_clips_have_the_errors_of_the_table(server, error_rates, model, latency, beginning, errors, words):
    (name,) = [name for name, beginnings in error_rates.SETS.items() if beginning in beginnings]
    clips = error_rates.clips_of(error_rates.SETS[name])
    found = asyncio.run(
        error_rates.count(server.url, clips, model=model, latency=latency, endpointing=error_rates.WHOLE)
    )
    assert (found.errors, found.words) == (errors, words)
    assert f"{errors} ({found.rate:.2%})" == published(model, name, error_rates.LATENCIES[latency])


def published(model, name, wait):
    """The cell of docs/error-rates.md for whole clips."""
    text = (ROOT / "docs" / "error-rates.md").read_text()
    table = text.split(f"## `embedded://{model}`")[1].split("\n## ")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if row[0] == name]
    return row[rows[0].index(f"{wait}, whole")]
