"""docs/protocol.md says all that the server can say, and nothing that it cannot: its tables against the code."""

import ast
import inspect
import json
import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import get_args

import httpx
import pytest
from protocol_page import PAGE, TABLES, first_names, names, table
from websockets.frames import CloseCode

import weir_runtime
from weir_api.v1alpha1 import Admission, Stages
from weir_runtime.front.adapters.native import (
    CLOSE_CODES,
    ERROR_CODES,
    FEATURES,
    INTERNAL_ERROR,
    LONGEST_ID,
    LONGEST_MESSAGE,
    NativeAdapter,
)
from weir_runtime.front.app import public_routes
from weir_runtime.front.control import control_routes, order_routes
from weir_runtime.front.events import Applied, Bad, Heartbeat, Notice, Pong, Problem, Ready, SessionEvent
from weir_runtime.front.ingest import WIDTH
from weir_runtime.front.options import (
    BEFORE_UPGRADE,
    RULES,
    START_ONLY,
    OptionError,
    Options,
    change,
    default_options,
)
from weir_runtime.messages import (
    BEGINNING,
    Checkpoint,
    Cleared,
    Closed,
    Configured,
    Endpoint,
    ErrorCode,
    Failed,
    Final,
    Finalized,
    FinalReason,
    Interim,
    SpeechStarted,
    WarningCode,
    Word,
)

PACKAGE = Path(weir_runtime.__file__).parent
COMMON = {"type", "seq", "audio_ms"}


def calls():
    """Every call of front and core: (name of what is called, constants among its arguments, its keywords)."""
    for path in [*PACKAGE.glob("front/**/*.py"), *PACKAGE.glob("core/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                given = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                yield called, given, {word.arg for word in node.keywords}


CALLS = list(calls())


# ---- options


def test_every_option_is_on_the_page_and_no_other():
    assert sorted(first_names(table("option"))) == sorted([*RULES, *BEFORE_UPGRADE, "language"])


def test_the_defaults_are_those_of_the_page():
    options = default_options(Stages())
    flat = {name: getattr(options, name) for name in ("encoding", "channels", "sample_rate", "words", "revisions")}
    recognition = options.recognition
    flat |= {
        "interim": recognition.interim, "max_interim_hz": recognition.max_interim_hz,
        "endpointing.mode": recognition.endpointing, "endpointing.silence_ms": recognition.silence_ms,
        "endpointing.max_segment_s": recognition.max_segment_s,
    }  # fmt: skip
    told = {names(row[0])[0]: row[2].strip("`") for row in table("option")}
    for name, value in flat.items():
        assert told[name] == (f"{value:g}" if isinstance(value, float) else str(value).removesuffix(".0").replace(
            "True", "true")), name  # fmt: skip


@pytest.mark.parametrize("row", [row for row in table("option") if " to " in row[1]], ids=lambda row: row[0])
def test_the_ranges_are_those_of_the_page(row):
    name, (low, high) = names(row[0])[0], re.search(r"([\d.]+) to ([\d.]+)", row[1]).groups()
    for value in (low, high):
        change(Options(), {name: value}, language="en")
    for value in (float(low) * 0.99, float(high) * 1.01):
        with pytest.raises(OptionError, match=re.escape(name)):
            change(Options(), {name: value}, language="en")


@pytest.mark.parametrize("name", ["latency", "revisions", "endpointing.mode", "on_overload"])
def test_the_choices_are_those_of_the_page(name):
    (row,) = [row for row in table("option") if names(row[0]) == [name]]
    for value in names(row[1]):
        change(Options(), {name: value}, language="en")
    if name != "on_overload":
        with pytest.raises(OptionError) as caught:
            change(Options(), {name: "other"}, language="en")
        assert caught.value.fix == f"one of {', '.join(names(row[1]))}"


def test_where_an_option_may_be_named_is_what_the_page_says():
    where = {names(row[0])[0]: row[3].split(",")[0].split() for row in table("option")}
    assert {name for name, places in where.items() if places == ["Q"]} == set(BEFORE_UPGRADE)
    assert {name for name, places in where.items() if places == ["Q", "S"]} == set(START_ONLY)


def test_encodings():
    assert {names(row[0])[0]: int(row[1]) for row in table("encoding")} == WIDTH


# ---- messages and events


def test_every_message_is_on_the_page_and_no_other():
    source = inspect.getsource(NativeAdapter._command)
    taken = re.findall(r'"(\w+)"', " ".join(line for line in source.splitlines() if line.strip().startswith("case")))
    assert sorted(first_names(table("message"))) == sorted(taken)
    for kind in taken:
        assert not isinstance(NativeAdapter(Options(), "en", issue).on_frame(json.dumps({"type": kind})), Bad)


def issue(point, seq, shed):
    return "token"


EVENTS = [
    Ready(0, "s", "m", "en", 16000, {}, False, BEGINNING, False),
    Notice(0, "clipped", ""),
    Problem(0, "bad_message", "", "i"),
    Applied(Configured("s", 0, "i", 0), Options(), ()),
    Pong(0, "i", None),
    Heartbeat(0),
    SpeechStarted("s", 0, 0, 0),
    Interim("s", 0, 0, 1, "", 0, 1.0, 0, 0, 0.0, 0.0, 0.0),
    Endpoint("s", 0, 0, 0, 1.0),
    Final("s", 0, 0, 2, "", "", "v", (), "", 0, 0, (Word("a", 0, 0, 1.0),), 1.0, "close", 0.0, 0.0, 0.0),
    Checkpoint("s", 0, BEGINNING),
    Finalized("s", 0, "i", False),
    Cleared("s", 0, "i"),
    Failed("s", 0, "engine_failed", "", False, 0, 0),
    Closed("s", 0, "drain", 0, None, BEGINNING),
]


def emitted():
    """Every type of event with all the fields that it can have."""
    assert {type(event) for event in EVENTS} == set(get_args(SessionEvent))
    adapter, found = NativeAdapter(Options(), "en", issue), {}
    adapter.goodbye = "i"
    for event in EVENTS:
        fields = json.loads(adapter.encode(event))
        found.setdefault(fields["type"], set()).update(fields.keys() - COMMON)
    return found


def documented():
    found = {}
    for each in TABLES:
        if each.head[0] == "field" and (event := re.match(r"\*\*`(\w+)`\*\*", each.above)):
            found[event[1]] = set(first_names(each.rows))
        elif each.head[:2] == ["event", "fields"]:
            for row in each.rows:
                found[names(row[0])[0]] = set(names(row[1]))
    return found


def test_every_event_is_on_the_page_with_all_its_fields_and_no_others():
    assert documented() == emitted()
    (common,) = [each for each in TABLES if each.above.startswith("Every event has these")]
    assert set(first_names(common.rows)) == COMMON


def test_what_ready_promises_is_on_the_page():
    (ready,) = [each for each in TABLES if each.above.startswith("**`ready`**")]
    told = {names(row[0])[0]: names(row[2]) for row in ready.rows}
    assert told["features"] == list(FEATURES)
    assert told["limits"] == ["idle_s", "session_s", "max_frame_bytes", "max_lead_s"]


# ---- codes and reasons


def test_every_error_code_is_on_the_page_and_is_used():
    assert sorted(first_names(table("code", "fatal"))) == sorted(get_args(ErrorCode))
    used = {value for _, given, _ in CALLS for value in given}
    assert set(get_args(ErrorCode)) <= used


def test_what_is_fatal_is_what_ends_a_stream():
    fatal = {given[0] for called, given, _ in CALLS if called == "fail" and given}
    assert {names(row[0])[0] for row in table("code", "fatal") if row[1] == "yes"} == fatal


def test_every_warning_code_is_on_the_page_with_its_fields_and_is_used():
    used = {}
    for called, given, keywords in CALLS:
        if called in ("notice", "_on_notice") and given:
            used.setdefault(given[0], set()).update(keywords)
    assert {names(row[0])[0]: set(names(row[1])) for row in table("code", "more fields")} == used
    assert used.keys() == set(get_args(WarningCode))


def test_final_reasons():
    assert sorted(first_names(table("final reason"))) == sorted(get_args(FinalReason))


def test_closed_reasons_and_close_codes():
    told = [(names(row[0])[0], int(row[1])) for row in table("closed reason")]
    known = [(reason, code) for reason, (code, _) in CLOSE_CODES.items()]
    assert sorted(told) == sorted(known + [("error", code) for code in ERROR_CODES.values()])
    assert ("error", INTERNAL_ERROR) in told
    layer = {int(row[0]) for row in table("close code", "when")}
    assert layer == {CloseCode.MESSAGE_TOO_BIG, CloseCode.INVALID_DATA, CloseCode.PROTOCOL_ERROR}


def test_refusals_before_the_upgrade():
    told = {names(row[1])[0]: int(row[0]) for row in table("status")}
    plain = {given[1]: given[0] for called, given, _ in CALLS if called == "Rejection" and len(given) > 1}
    assert plain.keys() >= {"origin", "unknown_model", "overloaded"}
    assert told == plain | {"invalid_option": 400, "unsupported_option": 400, "upgrade_required": 426}


def test_reasons_to_refuse():
    given = {value for called, values, _ in CALLS if called == "Refused" for value in values}
    reasons = {value for value in given if isinstance(value, str) and re.fullmatch(r"\w+", value)}
    assert reasons == set(first_names(table("refused reason")))


# ---- limits and routes


def test_limits():
    limits, told = Admission(), {row[0]: row[1] for row in table("what")}
    assert told["text message"] == f"{LONGEST_MESSAGE} characters"
    assert told["`id`"] == f"{LONGEST_ID} characters"
    for what, value in (
        ("nothing heard", limits.idle_seconds),
        ("session", limits.max_session_seconds),
        ("audio ahead of recognition", limits.max_lead_seconds),
        ("streams", limits.max_streams),
    ):
        assert f"({value})" in told[what]
    assert (limits.max_frame_bytes, "1 MiB" in told["frame"]) == (1 << 20, True)
    assert f"`sendTimeoutSeconds` ({limits.send_timeout_seconds})" in PAGE.read_text()


def test_routes(server):
    routers = public_routes(None, Path()), control_routes(None, None, None), order_routes(None)
    paths = {route.path for router in routers for route in router.routes}
    assert set(first_names(table("route"))) == paths | {"/"}
    assert [name for row in table("in `/v1/load`") for name in names(row[0])] == [
        "state", "streams", "classes", "slots", "queue", "audio_s", "silence_s", "refused", "rung", "rung_name",
        "in_force", "breaker", "latency_ms", "device_s", "load", "variant", "variants", "detector_cost",
    ]  # fmt: skip
    assert set(first_names(table("in `/v1/load`"))) == server.load().keys()
    samples = httpx.get(f"{server.url}/v1/samples").json()
    (row,) = [row for row in table("route") if names(row[0]) == ["/v1/samples"]]
    assert {name for sample in samples for name in sample} == set(names(row[1]))


def test_the_client_on_the_page_prints_what_the_page_says(server, clips, tmp_path):
    (client,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (printed,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "client.py").write_text(client)
    with wave.open(str(tmp_path / "order.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(next(clip for clip in clips("coffee") if clip.text == "make me a medium roast mocha").pcm)
    command = [sys.executable, tmp_path / "client.py", f"{server.ws}?revisions=delta", tmp_path / "order.wav"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    *told, ending = printed.splitlines()
    assert said[-1] == ending
    for line in told:
        event = json.loads(line)
        if event["type"] in ("ready", "final", "closed"):
            (same,) = [other for other in map(json.loads, said[:-1]) if other["type"] == event["type"]]
            without = {"seq", "rev", "session", "audio_ms", "resume"} if event["type"] != "closed" else {"seq"}
            assert {k: v for k, v in same.items() if k not in without} == {
                k: v for k, v in event.items() if k not in without
            }
