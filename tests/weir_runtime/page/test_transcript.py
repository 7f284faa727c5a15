"""The pure part of the page, run where it runs: in the browser."""

from base64 import b64encode
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def call(browser: Any) -> Iterator[Any]:
    source = (files("weir_runtime") / "front" / "page" / "captions.js").read_bytes()
    address = f"data:text/javascript;base64,{b64encode(source).decode()}"
    page = browser.new_page()
    yield lambda body, arg=None: page.evaluate(f"async (x) => {{ const c = await import('{address}'); {body} }}", arg)
    page.close()


FINAL = {"type": "final", "seg": 0, "text": "one two", "lead": "", "start_ms": 500, "end_ms": 1400}


def test_offsets_count_code_points_and_not_utf16_units(call: Any) -> None:
    assert call("return c.revise('a🙂b🙂c', 3, 'X')") == "a🙂bX"
    assert call("return c.split('🙂🙂x', 2)") == ["🙂🙂", "x"]


def test_an_interim_continues_its_segment_and_not_the_one_before(call: Any) -> None:
    events = [
        {"type": "interim", "seg": 0, "offset": 0, "text": "one", "stable": 0, "start_ms": 0},
        {"type": "interim", "seg": 0, "offset": 3, "text": " too", "stable": 3, "start_ms": 0},
        {"type": "interim", "seg": 0, "offset": 5, "text": "wo", "stable": 3, "start_ms": 0},
        FINAL,
        {"type": "interim", "seg": 1, "offset": 0, "text": "th", "stable": 0, "start_ms": 1600},
    ]
    texts = call("let s = c.empty(); return x.map((e) => (s = c.apply(s, e)).interim?.text ?? null)", events)
    assert texts == ["one", "one too", "one two", None, "th"]


def test_a_new_session_drops_the_interim_and_keeps_the_finals(call: Any) -> None:
    events = [
        {"type": "ready"},
        FINAL,
        {"type": "interim", "seg": 1, "offset": 0, "text": "th", "stable": 0, "start_ms": 1600},
        {"type": "ready"},
        FINAL | {"text": "three", "start_ms": 1600, "end_ms": 2000},
    ]
    state = call("return x.reduce(c.apply, c.empty())", events)
    assert state["interim"] is None
    assert [(f["text"], f["opens"]) for f in state["finals"]] == [("one two", True), ("three", True)]


@pytest.mark.parametrize(("start", "opens"), [(1500, False), (3400, False), (3401, True)])
def test_a_pause_of_two_seconds_opens_a_paragraph(call: Any, start: int, opens: bool) -> None:
    events = [FINAL, FINAL | {"seg": 1, "start_ms": start, "end_ms": start + 100}]
    assert call("return x.reduce(c.apply, c.empty()).finals[1].opens", events) is opens


def test_subtitles_carry_times_and_are_cut_where_they_grow_long(call: Any) -> None:
    words = [{"w": f"word{i:02}", "s": i * 500, "e": i * 500 + 400} for i in range(20)]
    long = FINAL | {"seg": 1, "text": " ".join(w["w"] for w in words), "words": words, "start_ms": 0, "end_ms": 9900}
    finals = "const finals = x.reduce(c.apply, c.empty()).finals;"
    srt = call(f"{finals} return c.formats.srt(finals)", [FINAL | {"end_ms": 3_601_400}, long])
    cues = srt.strip().split("\n\n")
    assert cues[0] == "1\n00:00:00,500 --> 01:00:01,400\none two"
    assert [cue.split("\n")[1] for cue in cues[1:]] == [
        "00:00:00,000 --> 00:00:05,400",
        "00:00:05,500 --> 00:00:09,900",
    ]
    assert " ".join(cue.split("\n")[2] for cue in cues[1:]) == long["text"]


def test_text_from_outside_cannot_break_a_subtitle_file(call: Any) -> None:
    nasty = FINAL | {"text": "a <b>\n\n2\n--> & c"}
    finals = "const finals = x.reduce(c.apply, c.empty()).finals;"
    vtt = call(f"{finals} return c.formats.vtt(finals)", [nasty])
    assert vtt == "WEBVTT\n\n00:00:00.500 --> 00:00:01.400\na &lt;b&gt; 2 --&gt; &amp; c\n"


def test_plain_text_has_one_line_per_paragraph(call: Any) -> None:
    events = [FINAL, FINAL | {"seg": 1, "lead": " ", "start_ms": 1500, "end_ms": 1900},
              FINAL | {"seg": 2, "lead": " ", "start_ms": 9000, "end_ms": 9900}]  # fmt: skip
    assert call("return c.formats.txt(x.reduce(c.apply, c.empty()).finals)", events) == "one two one two\none two\n"
