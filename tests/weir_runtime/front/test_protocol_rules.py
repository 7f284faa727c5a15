"""The corners of docs/protocol.md, asked of the real server by a client that does what few clients do."""

import json
import struct

import numpy as np
import pytest
import soxr
from talk import events, of_type, send, until_event
from websockets.exceptions import ConnectionClosed

from weir_api.v1alpha1 import Model, StreamingPipelineSpec, Variant
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.values import CallCost, DeviceCosts, VariantInfo
from weir_runtime.front.adapters.native import close_code
from weir_runtime.front.options import Options
from weir_runtime.front.session import Session
from weir_runtime.messages import Closed, Open
from weir_runtime.pump import LocalLink

MANUAL = "endpointing.mode=manual"


@pytest.fixture(scope="module")
def clip(clips):
    return clips("coffee")[3]


def wav(pcm, rate):
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16,
                       b"data", len(pcm)) + pcm  # fmt: skip


def answered(found):
    return [(event["id"], event["type"], event.get("code")) for event in found if "id" in event]


# ---- every id is answered exactly once


def test_every_message_with_an_id_is_answered_once(server, clip):
    with server.connect(MANUAL) as socket:
        send(socket, "start", id="start", words=False)
        send(socket, "configure", id="bad", latency="warp")
        send(socket, "configure", id="odd", colour="red")
        send(socket, "keepalive", id="alive")
        send(socket, "ping", id="ping")
        send(socket, "sing", id="sing")
        socket.send(json.dumps({"id": "typeless"}))
        send(socket, "ping", id=7)
        send(socket, "finalize", id="nothing")
        socket.send(clip.pcm)
        send(socket, "start", id="late")
        send(socket, "finalize", id="final")
        send(socket, "clear", id="clear")
        found = until_event(socket, "cleared")
        send(socket, "close", id="end")
        found += events(socket)
    assert sorted(answered(found)) == [
        ("alive", "pong", None), ("bad", "error", "invalid_option"), ("clear", "cleared", None),
        ("end", "closed", None), ("final", "finalized", None), ("late", "error", "start_after_audio"),
        ("nothing", "finalized", None), ("odd", "configured", None), ("ping", "pong", None),
        ("sing", "error", "unknown_message"), ("start", "configured", None), ("typeless", "error", "bad_message"),
    ]  # fmt: skip


def test_what_comes_after_close_is_not_obeyed_and_says_so(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm * 8)
        send(socket, "close", id="end")
        for kind in ("finalize", "configure", "clear", "ping", "close", "sing"):
            send(socket, kind, id=kind)
        send(socket, "finalize")
        found = events(socket)
    (final,) = of_type(found, "final")
    assert final["reason"] == "close"
    assert found[-1]["id"] == "end"
    assert {event["id"] for event in of_type(found, "error")} == {
        "finalize", "configure", "clear", "ping", "close", "sing"
    }  # fmt: skip
    assert {event["code"] for event in of_type(found, "error")} == {"closing"}
    assert socket.close_code == 1000


def test_cancel_right_behind_close_still_ends_the_stream(server):
    with server.connect() as socket:
        send(socket, "close")
        send(socket, "cancel")
        found = events(socket)
    assert (found[-1]["type"], socket.close_code) == ("closed", 1000)


def test_close_may_be_thought_better_of(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm * 8)
        send(socket, "close", id="a")
        send(socket, "cancel", id="b")
        found = events(socket)
    assert (found[-1]["reason"], found[-1]["id"], socket.close_code) == ("cancel", "b", 1000)
    assert not of_type(found, "final")


# ---- segments and text


def test_finalize_and_clear_without_audio_are_answered(server):
    with server.connect() as socket:
        send(socket, "finalize", id="f")
        send(socket, "finalize", id="g")
        send(socket, "clear", id="c")
        send(socket, "close")
        found = events(socket)
    assert [event["type"] for event in found] == ["ready", "finalized", "finalized", "cleared", "closed"]
    assert found[1]["empty"] is found[2]["empty"] is True


def test_a_cleared_segment_gives_its_number_to_the_next_and_not_its_revisions(server, clip):
    with server.connect(f"{MANUAL}&revisions=delta&max_interim_hz=50") as socket:
        socket.send(clip.pcm)
        found = until_event(socket, "interim")
        send(socket, "clear")
        found += until_event(socket, "cleared")
        text = ""
        socket.send(clip.pcm)
        send(socket, "finalize")
        after = until_event(socket, "finalized")
        send(socket, "close")
        events(socket)
    for event in of_type(after, "interim"):
        text = text[: event["offset"]] + event["text"]
        assert clip.text.startswith(text)
    revs = [event["rev"] for event in found + after if "rev" in event]
    assert revs == sorted(set(revs))
    assert {event["seg"] for event in found + after if "seg" in event} == {0}
    assert len(of_type(found + after, "final")) == 1


def test_a_final_names_its_language(server, clip):
    with server.connect("language=auto") as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        (final,) = of_type(events(socket), "final")
    assert final["language"] == "en"


def test_the_form_of_events_changes_behind_configured_and_not_before(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm * 2)
        send(socket, "finalize")
        send(socket, "configure", words=False)
        socket.send(clip.pcm)
        send(socket, "close")
        found = events(socket)
    kinds = [event["type"] for event in found if event["type"] in ("final", "configured")]
    assert kinds == ["final", "configured", "final"]
    assert ["words" in final for final in of_type(found, "final")] == [True, False]


def test_nothing_is_said_after_closed(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        until_event(socket, "closed")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
    assert (socket.close_code, socket.close_reason) == (1000, "close: as you asked")


def test_an_interim_comes_when_its_time_has_come_though_no_more_audio_does(server, clip):
    with server.connect(f"{MANUAL}&max_interim_hz=1") as socket:
        socket.send(clip.pcm)
        until_event(socket, "interim")
        assert until_event(socket, "interim", limit_s=3.0)[-1]["text"] != ""
        send(socket, "cancel")
        events(socket)


def test_configure_is_answered_while_a_segment_is_open(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm)
        until_event(socket, "interim")
        send(socket, "configure", id="c", interim=False)
        assert until_event(socket, "configured", limit_s=5.0)[-1]["from_ms"] == len(clip.pcm) // 32
        socket.send(clip.pcm)
        send(socket, "close")
        found = events(socket)
    assert not of_type(found, "interim")
    assert [final["text"] for final in of_type(found, "final")] == [f"{clip.text} {clip.text}"]


def test_cancel_tells_of_the_finals_that_were_given(server, clip):
    with server.connect(MANUAL) as socket:
        socket.send(clip.pcm)
        send(socket, "finalize")
        found = until_event(socket, "finalized")
        send(socket, "cancel")
        closed = events(socket)[-1]
    assert (closed["segments"], closed["last_final_ms"]) == (1, of_type(found, "final")[0]["end_ms"])


# ---- audio


def test_a_wav_keeps_its_rate_through_a_configure_that_names_none(server, clip):
    low = soxr.resample(np.frombuffer(clip.pcm, "<i2"), 16000, 8000).tobytes()
    file = wav(low, 8000)
    with server.connect(MANUAL) as socket:
        socket.send(file[:20_000])
        send(socket, "configure", interim=False)
        socket.send(file[20_000:])
        send(socket, "close")
        found = events(socket)
    assert of_type(found, "final")[0]["text"] == clip.text
    assert abs(found[-1]["audio_ms"] - len(clip.pcm) // 32) <= 1


@pytest.mark.parametrize("kind", ["finalize", "clear"])
def test_no_audio_found_by_a_message_answers_that_message(server, kind):
    with server.connect() as socket:
        socket.send(b"OggS")
        send(socket, kind, id="x")
        found = events(socket)
    assert answered(found) == [("x", "error", "undecodable")]
    assert (found[-1]["reason"], socket.close_code) == ("error", 4010)
    assert socket.close_reason.startswith("undecodable: ")


def test_start_may_be_sent_again_until_audio_comes(server, clip):
    with server.connect("sample_rate=8000") as socket:
        send(socket, "start", id="a", encoding="mulaw", endpointing={"mode": "manual"})
        socket.send(b"")
        send(socket, "start", id="b", **{"encoding": "pcm_s16le", "sample_rate": 16000, "endpointing.silence_ms": 500})
        socket.send(clip.pcm)
        send(socket, "close")
        found = events(socket)
    assert answered(found) == [("a", "configured", None), ("b", "configured", None)]
    assert [final["text"] for final in of_type(found, "final")] == [clip.text]
    assert of_type(found, "final")[0]["reason"] == "close"


def test_the_largest_frame_is_taken_and_one_byte_more_is_not(serve):
    own = serve(admission={"maxFrameBytes": 4096})
    with own.connect() as socket:
        socket.send(bytes(4096))
        send(socket, "close")
        assert events(socket)[-1]["audio_ms"] == 128
    for frame in (bytes(4097), "x" * 4097):
        with own.connect() as socket:
            socket.send(frame)
            assert [event["type"] for event in events(socket)] == ["ready"]
        assert socket.close_code == 1009


def test_text_that_is_not_utf8_ends_the_socket(server):
    with server.connect() as socket:
        socket.send(b'{"type":"ping\xff"}', text=True)
        assert [event["type"] for event in events(socket)] == ["ready"]
    assert socket.close_code == 1007


# ---- time


def test_keepalive_keeps_a_stream_and_ping_does_not(serve):
    with serve(admission={"idleSeconds": 6}).connect() as socket:  # two seconds from the warning to the end
        until_event(socket, "warning")
        send(socket, "keepalive")
        warning = until_event(socket, "warning")[-1]
        assert warning["code"] == "idle"
        assert warning["left_s"] <= 2
        send(socket, "ping", id="p")
        found = events(socket)
    assert answered(found) == [("p", "pong", None)]
    assert (found[-1]["reason"], socket.close_code) == ("idle", 4008)
    assert socket.close_reason.startswith("idle: ")


def test_an_engine_that_stands_still_is_an_error_also_for_a_stream_that_is_closing():
    """A core that nobody drives: what is sent to it is never recognised."""
    variant = VariantInfo("v", (2,), 2, ("▁a",))
    spec = StreamingPipelineSpec(model=Model(variants=[Variant(name="v", source="embedded://small")]))
    costs = DeviceCosts({"v": {2: CallCost(0.0, 0.001)}}, CallCost(0.0, 0.001))
    core = Pipeline(spec, [variant], costs)
    found = []
    link = LocalLink(core, {"v": variant})
    session = Session(link, "s", Options(), variant, found.append)
    link.open(Open("s", "standard", "", "v", Options().recognition), session.on_event)
    session.push(bytes(3200))
    session.finish()
    session.fail("engine_stalled", "recognition does not move", retry_after_ms=1000)
    session.abort()
    assert [type(event).__name__ for event in found] == ["Problem", "Closed"]
    assert isinstance(found[-1], Closed)
    assert found[-1].reason == "error"
    assert close_code(found[-1], session.problem)[0] == 1011
