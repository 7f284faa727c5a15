import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.front.adapters.native import NativeAdapter, close_code, common_words
from weir_runtime.front.events import (
    Abort,
    Applied,
    Bad,
    Change,
    DropSegment,
    EndSegment,
    Finish,
    Heartbeat,
    KeepAlive,
    Notice,
    Ping,
    Pong,
    Problem,
    Sound,
)
from weir_runtime.front.options import Options
from weir_runtime.messages import (
    Checkpoint,
    Cleared,
    Closed,
    Configured,
    Failed,
    Final,
    Finalized,
    Interim,
    ResumePoint,
    Word,
)


def issue(point, seq, shed):
    return f"{point.segment} {seq} {shed}"


def said(*events, **options):
    adapter = NativeAdapter(Options(**options), "en", issue)
    return [json.loads(adapter.encode(event)) for event in events]


def interim(text, rev=1, seg=0):
    return Interim("s", 16000, seg, rev, text, 0, 0.5, 3200, 16000, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        (b"\x00\x01", Sound(b"\x00\x01")),
        ('{"type":"start","id":"a","encoding":"mulaw"}', Change("a", {"encoding": "mulaw"}, start=True)),
        ('{"type":"configure","endpointing":{"mode":"manual"}}',
         Change(None, {"endpointing.mode": "manual"}, start=False)),
        ('{"type":"finalize","id":"f"}', EndSegment("f")),
        ('{"type":"clear"}', DropSegment(None)),
        ('{"type":"keepalive"}', KeepAlive(None)),
        ('{"type":"ping","id":"p","t":[1]}', Ping("p", [1])),
        ('{"type":"close","id":"c"}', Finish("c")),
        ('{"type":"cancel"}', Abort(None)),
    ],
)  # fmt: skip
def test_frames_become_commands(frame, command):
    assert NativeAdapter(Options(), "en", issue).on_frame(frame) == command


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("hello", "bad_message"),
        ("", "bad_message"),
        ("[1]", "bad_message"),
        ('{"no":"type"}', "bad_message"),
        ('{"type":5}', "bad_message"),
        ('{"type":"ping","id":5}', "bad_message"),
        ('{"type":"ping","id":"' + "x" * 129 + '"}', "bad_message"),
        ("[" * 60_000, "bad_message"),
        ('{"a":' * 12_000, "bad_message"),
        (" " * 70_000, "bad_message"),
        ("\ud800", "bad_message"),
        ('{"type":"dance","id":"d"}', "unknown_message"),
    ],
)
def test_what_cannot_be_understood_is_a_typed_error(frame, code):
    command = NativeAdapter(Options(), "en", issue).on_frame(frame)
    assert isinstance(command, Bad)
    assert command.code == code


@given(st.text())
def test_no_text_breaks_the_adapter(text):
    NativeAdapter(Options(), "en", issue).on_frame(text)


def test_events_are_numbered_and_timed():
    first, second = said(Heartbeat(8000), Pong(16000, "p", 3))
    assert first == {"type": "heartbeat", "seq": 0, "audio_ms": 500}
    assert second == {"type": "pong", "seq": 1, "audio_ms": 1000, "id": "p", "t": 3}


def test_full_revisions_always_replace():
    first, second = said(interim("one two"), interim("one two three", 2))
    assert (first["offset"], second["offset"]) == (0, 0)
    assert second["text"] == "one two three"


@given(st.lists(st.text(alphabet="ab é👍🏽\u0301 ", max_size=12), min_size=1, max_size=6))
def test_delta_revisions_rebuild_every_text(texts):
    known = ""
    for event in said(*(interim(text, rev) for rev, text in enumerate(texts)), revisions="delta"):
        known = known[: event["offset"]] + event["text"]
        assert known == texts[event["rev"]]


def test_a_delta_never_cuts_a_grapheme():
    assert common_words("one e", "one e\u0301") == 4
    assert common_words("a ", "a \u0301b") == 0
    assert common_words("a ", "a \u0903b") == 0
    assert common_words("a \U0001f44d", "a \u200d\U0001f44d") == 0
    assert common_words("one two", "one two") == 7


def test_a_new_segment_starts_from_nothing():
    _, second = said(interim("one two"), interim("one two", 1, seg=1), revisions="delta")
    assert (second["offset"], second["text"]) == (0, "one two")


def test_a_final_has_its_words_unless_they_are_not_wanted():
    word = Word("one", 1600, 3200, 0.91234)
    event = Final("s", 16000, 0, 2, "one", "one", "large", (), "", 1600, 3200, (word,), 0.9, "endpoint", 0.0, 0.0, 0.0)
    assert said(event)[0]["words"] == [{"w": "one", "s": 100, "e": 200, "c": 0.912}]
    assert "words" not in said(event, words=False)[0]


def test_a_final_names_the_model_that_heard_it_and_the_stages_left_out():
    event = Final(
        "s", 0, 0, 2, "16 ounce", "sixteen ounce", "small", ("numbers",), "", 0, 0, (), 0.9, "endpoint", 0.0, 0.0, 0.0
    )
    (final,) = said(event)
    assert (final["text"], final["raw"]) == ("16 ounce", "sixteen ounce")
    assert (final["model"], final["skipped"]) == ("small", ["numbers"])


def test_what_a_stream_can_be_resumed_from_says_from_when_and_counts_the_next_event():
    point = ResumePoint(from_=32_000, segment=3)
    final = Final("s", 0, 2, 1, "", "", "v", (), "", 0, 0, (), 0.0, "shed", 0.0, 0.0, 0.0, point)
    told = said(final, Checkpoint("s", 0, point), Closed("s", 0, "shed", 3, 7, point), Closed("s", 0, "close", 3, 7))
    assert [event.get("resume") for event in told] == ["3 1 True", "3 2 False", "3 3 True", None]
    assert [event.get("from_ms") for event in told] == [2000, 2000, 2000, None]


def test_answers_carry_the_id_of_what_they_answer():
    answers = said(
        Finalized("s", 0, "f", empty=True),
        Cleared("s", 0, None),
        Applied(Configured("s", 0, "c", 1600), Options(), ("foo",)),
    )
    assert answers[0] == {"type": "finalized", "seq": 0, "audio_ms": 0, "id": "f", "empty": True}
    assert "id" not in answers[1]
    assert answers[2] == {
        "type": "configured", "seq": 2, "audio_ms": 0, "id": "c", "from_ms": 100, "ignored": ["foo"]
    }  # fmt: skip


def test_warnings_and_errors():
    warning, error, lost = said(
        Notice(0, "lagging", "slow", {"lag_ms": 7}),
        Problem(0, "bad_message", "what", "x"),
        Failed("s", 0, "engine_failed", "boom", False, 1600, 3200),
    )
    assert (warning["type"], warning["code"], warning["lag_ms"]) == ("warning", "lagging", 7)
    assert (error["type"], error["id"], error["fatal"]) == ("error", "x", False)
    assert (lost["start_ms"], lost["end_ms"], lost["retryable"]) == (100, 200, True)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("close", 1000), ("cancel", 1000), ("drain", 1001), ("shed", 1013), ("idle", 4008), ("session_limit", 4009)],
)
def test_every_reason_has_its_close_code(reason, code):
    assert close_code(Closed("s", 0, reason, 0, None), None)[0] == code


@pytest.mark.parametrize(("problem", "code"), [("undecodable", 4010), ("internal", 1011), ("engine_stalled", 1011)])
def test_a_fatal_error_decides_the_close_code(problem, code):
    got = close_code(Closed("s", 0, "error", 0, None), Problem(0, problem, "x" * 300, fatal=True))
    assert got[0] == code
    assert got[1].startswith(f"{problem}: x")
    assert len(got[1].encode()) <= 123
