"""`weir bench` as a person runs it, against real servers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from weir_api.cli import main

WEIR = str(Path(sys.executable).with_name("weir"))
SAMPLES = Path(__file__).parents[3] / "runtime" / "weir_runtime" / "samples"
TRAFFIC = """
phases:
  - {seconds: 3, fromStreams: 2, streams: 6}
  - {seconds: 3, streams: 6}
stream: {seconds: {from: 6, to: 8}, speechPercent: 90}
"""
SMALL = 'spec: {model: {variants: [{name: small, source: "embedded://small"}]}}\n'


def bench(*args):
    """In this process, which has loaded everything already."""
    done = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def short(tmp_path):
    """A folder with one recording of three seconds and its text."""
    folder = tmp_path / "speech"
    folder.mkdir()
    (folder / "one.flac").write_bytes((SAMPLES / "computer.flac").read_bytes())
    (folder / "manifest.jsonl").write_text('{"path": "one.flac", "text": "computer"}\n')
    return folder


def test_a_manifest_that_cannot_be_read_is_named(short):
    (short / "manifest.jsonl").write_text("{}\n")
    code, _, err = bench("--url", "http://127.0.0.1:9", "--speech", short)
    assert (code, err.startswith(f"weir: {short / 'manifest.jsonl'}: every line")) == (1, True)


def test_a_full_server_is_told_whole(serve, short, tmp_path):
    url = serve(admission={"maxStreams": 4}).url
    (tmp_path / "traffic.yaml").write_text(TRAFFIC)
    files = [part for name in ("json", "plot", "trace") for part in (f"--{name}", tmp_path / f"out.{name}.png")]
    arguments = ("--url", url, "--traffic", tmp_path / "traffic.yaml", "--reference", "--slo-ms", 5000,
                 "--speech", short, *files)  # fmt: skip
    done = subprocess.run(
        [WEIR, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    out = done.stdout
    assert done.returncode == 0, done.stderr
    assert "HELD: interactive p95 within 5000 ms" in out
    assert "measured by the server" in out
    report = json.loads((tmp_path / "out.json.png").read_text())
    assert report["heard"]
    assert report["most_open"] == 4
    assert sum(sum(one["refused"].values()) for one in report["classes"]) > 0
    assert sum(one["equal"] for one in report["classes"]) > 0
    assert sum(one["unequal"] for one in report["classes"]) == 0
    assert sum(one["words"]["words"] for one in report["classes"]) > 1
    assert all(one["server"]["n"] > 0 for one in report["classes"] if one["opened"])
    assert len(report["server_by_second"]) >= 5
    assert (tmp_path / "out.plot.png").read_bytes().startswith(b"\x89PNG")
    trace = json.loads((tmp_path / "out.trace.png").read_text())
    assert {stream["client"] for stream in trace["streams"]} == set(range(6))
    waiting = [stream for stream in trace["streams"] if stream["refusals"]]
    assert waiting
    assert all(one["reason"] == "slots" and one["retry_after_s"] >= 1 for s in waiting for one in s["refusals"])


def test_impatient_clients_give_a_refused_stream_up(serve, short, tmp_path):
    url, trace = serve(admission={"maxStreams": 1}).url, tmp_path / "trace.json"
    (tmp_path / "traffic.yaml").write_text(
        "phases: [{seconds: 4, streams: 3}]\nstream: {seconds: {from: 9, to: 9}, retry: false}"
    )
    bench("--url", url, "--traffic", tmp_path / "traffic.yaml", "--speech", short, "--trace", trace)
    streams = json.loads(trace.read_text())["streams"]
    taken = [one for one in streams if one["start_s"] is not None]
    given_up = [one for one in streams if one["start_s"] is None]
    assert [one["outcome"] for one in taken] == ["closed"]
    assert {one["client"] for one in given_up} == {0, 1, 2} - {taken[0]["client"]}
    assert all(len(one["refusals"]) == 1 and one["outcome"] == "refused" for one in given_up)
    waits = [one["end_s"] + one["refusals"][0]["retry_after_s"] for one in given_up]
    for one, asks_again_s in zip(given_up, waits, strict=True):
        assert not [
            two for two in streams if two["client"] == one["client"] and one["asked_s"] < two["asked_s"] < asks_again_s
        ]


def test_a_server_of_its_own_and_a_promise_that_cannot_be_kept(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(SMALL)
    code, out, err = bench("-f", tmp_path / "pipeline.yaml", "--streams", 2, "--seconds", 5, "--mix", "interactive=100",
                           "--slo-ms", 1, "--json", tmp_path / "out.json")  # fmt: skip
    assert code == 1, err
    assert "NOT HELD: interactive p95 within 1 ms" in out
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["most_rss"] > 100e6
    assert report["cores"] > 0
    assert [one["priority"] for one in report["classes"]] == ["interactive"]


def test_the_most_streams_are_searched_for(serve):
    url = serve(admission={"maxStreams": 1}).url
    code, out, err = bench("--url", url, "--find", "--streams", 1, "--seconds", 4, "--slo-ms", 5000)
    assert code == 0, (out, err)
    tried = [(int(n), "refusals" in rest) for n, rest in re.findall(r"(\d+) streams: (.*)", out)]
    assert tried[0] == (1, False)
    assert any(refused for _, refused in tried), "one place is not enough for all that were tried"
    (held,) = re.findall(r"(\d+) streams hold interactive p95 within 5000 ms", out)
    assert (int(held), False) in tried, "whether a second client meets the first is a matter of chance in a few seconds"


def test_recordings_whose_text_nobody_knows_have_no_error_rate(serve, short, tmp_path):
    (short / "manifest.jsonl").unlink()
    url, report = serve().url, tmp_path / "out.json"
    code, out, err = bench("--url", url, "--streams", 1, "--seconds", 5, "--slo-ms", 5000, "--mix", "interactive=100",
                           "--speech", short, "--json", report)  # fmt: skip
    assert (code, err) == (0, ""), out
    assert json.loads(report.read_text())["classes"][0]["words"]["words"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--mix", "interactive=40,batch=20"], 1, "--mix:1: mix: the percentages must add up to 100"),
        (["--mix", "vip=100"], 1, "--mix:1: mix.vip: Extra inputs are not permitted"),
        (["--traffic", "none.yaml"], 1, "none.yaml: cannot be read"),
        (["--traffic", "none.yaml", "--find"], 2, "--find varies --streams"),
        (["--speech", "none"], 1, "no recordings here"),
        (["--streams", "0"], 2, "--streams"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(arguments, code, problem):
    found, out, err = bench(*arguments, "--url", "http://127.0.0.1:9")
    assert (found, out) == (code, "")
    assert problem in err


def test_a_server_that_is_not_there_is_not_a_kept_promise():
    code, out, _ = bench("--url", "http://127.0.0.1:9", "--streams", 1, "--seconds", 2)
    assert code == 1
    assert "no result was heard" in out
    assert "cannot connect" in out


def test_a_server_that_does_not_start_is_told(tmp_path):
    (tmp_path / "pipeline.yaml").write_text('spec: {model: {variants: [{name: a, source: "file:///none.nemo"}]}}')
    code, _, err = bench("-f", tmp_path / "pipeline.yaml", "--seconds", 2)
    assert code == 1
    assert "the server did not start" in err
