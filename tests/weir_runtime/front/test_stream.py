"""The rules of docs/protocol.md, kept by the real server."""

import json

import httpx
import numpy as np
import pytest
import soxr
from talk import events, of_type, send, transcript, until_event
from websockets.exceptions import InvalidStatus

FRAME = 3200  # bytes: 100 ms


@pytest.fixture(scope="module")
def clip(clips):
    return clips("coffee")[3]


def stream(server, pcm, query="", frame=FRAME, before=()):
    with server.connect(query) as socket:
        for kind, fields in before:
            send(socket, kind, **fields)
        for at in range(0, len(pcm), frame):
            socket.send(pcm[at : at + frame])
        send(socket, "close")
        found = events(socket)
    return found, socket.close_code


def refused(server, query="", **options):
    with pytest.raises(InvalidStatus) as caught, server.connect(query, **options):
        pass
    response = caught.value.response
    return response.status_code, json.loads(response.body)


def test_speech_becomes_a_final_with_words_and_then_closed(server, clip):
    found, code = stream(server, clip.pcm)
    assert [event["seq"] for event in found] == list(range(len(found)))
    assert found[0]["type"] == "ready"
    assert (found[-1]["type"], found[-1]["reason"], code) == ("closed", "close", 1000)
    assert transcript(found) == clip.text
    (final,) = of_type(found, "final")
    assert " ".join(word["w"] for word in final["words"]) == clip.text
    assert all(0 < word["c"] <= 1 for word in final["words"])
    assert [w["s"] for w in final["words"]] == sorted(w["s"] for w in final["words"])
    assert final["reason"] == "endpoint"
    assert found[-1]["segments"] == 1
    assert found[-1]["last_final_ms"] == final["end_ms"]
    assert found[-1]["audio_ms"] == len(clip.pcm) // 32


def test_the_order_of_a_segment_is_started_interims_final(server, clip):
    found, _ = stream(server, clip.pcm, "max_interim_hz=50")
    kinds = [event["type"] for event in found if event.get("seg") == 0]
    assert kinds[0] == "speech_started"
    assert kinds[-1] == "final"
    assert kinds.count("final") == kinds.count("endpoint") == 1
    assert kinds.count("interim") >= 1
    revs = [event["rev"] for event in found if "rev" in event]
    assert revs == sorted(set(revs))
    audio = [event["audio_ms"] for event in found]
    assert audio == sorted(audio)


def test_stable_text_is_kept_and_deltas_rebuild_the_text(server, clip):
    full, _ = stream(server, clip.pcm, "max_interim_hz=50")
    known = stable = ""
    found, _ = stream(server, clip.pcm, "max_interim_hz=50&revisions=delta")
    for event in found:
        if event["type"] == "interim":
            known = known[: event["offset"]] + event["text"]
            assert known.startswith(stable)
            assert event["stable"] >= len(stable)
            stable = known[: event["stable"]]
        if event["type"] == "final":
            assert event["text"].startswith(stable)
    assert transcript(found) == transcript(full)


def test_no_interims_where_none_are_wanted(server, clip):
    found, _ = stream(server, clip.pcm, "interim=false&words=false")
    assert not of_type(found, "interim")
    assert "words" not in of_type(found, "final")[0]


def test_manual_endpointing_gives_one_final_where_it_is_asked_for(server, clip):
    with server.connect("endpointing.mode=manual") as socket:
        socket.send(clip.pcm)
        send(socket, "finalize", id="f1")
        first = until_event(socket, "finalized")
        socket.send(clip.pcm)
        send(socket, "finalize", id="f2")
        second = until_event(socket, "finalized")
        send(socket, "finalize", id="f3")
        third = until_event(socket, "finalized")
        send(socket, "close")
        rest = events(socket)
    assert (first[-1]["id"], first[-1]["empty"]) == ("f1", False)
    assert transcript(first) == clip.text
    (final,) = of_type(second, "final")
    assert (final["seg"], final["lead"], final["text"], final["reason"]) == (1, " ", clip.text, "finalize")
    assert (third[-1]["id"], third[-1]["empty"]) == ("f3", True)
    assert rest[-1]["segments"] == 2
    assert not of_type(first + second + third + rest, "endpoint")


def test_clear_throws_the_open_segment_away(server, clip):
    with server.connect("endpointing.mode=manual") as socket:
        socket.send(clip.pcm)
        send(socket, "clear", id="x")
        found = until_event(socket, "cleared")
        socket.send(clip.pcm)
        send(socket, "close")
        found += events(socket)
    (final,) = of_type(found, "final")
    assert final["seg"] == 0
    assert transcript(found) == clip.text


def test_start_names_the_form_of_the_audio(server, clip):
    found, _ = stream(server, clip.pcm, "encoding=mulaw&sample_rate=8000",
                      before=[("start", {"id": "s", "encoding": "pcm_s16le", "sample_rate": 16000})])  # fmt: skip
    assert transcript(found) == clip.text
    (configured,) = of_type(found, "configured")
    assert (configured["id"], configured["from_ms"], configured["ignored"]) == ("s", 0, [])


def test_start_after_audio_is_an_error_and_the_stream_goes_on(server, clip):
    with server.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "start", id="late", channels=2)
        send(socket, "close")
        found = events(socket)
    (error,) = of_type(found, "error")
    assert (error["code"], error["id"], error["fatal"]) == ("start_after_audio", "late", False)
    assert transcript(found) == clip.text


def test_configure_in_mid_stream_holds_from_the_audio_time_it_names(server, clip):
    with server.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "configure", id="c1", interim=False, endpointing={"mode": "manual"}, nonsense=1)
        found = until_event(socket, "configured")
        socket.send(clip.pcm)
        send(socket, "close")
        found += events(socket)
    (configured,) = of_type(found, "configured")
    assert (configured["id"], configured["ignored"]) == ("c1", ["nonsense"])
    assert 0 <= len(clip.pcm) // 32 - configured["from_ms"] <= 32
    assert [event["code"] for event in of_type(found, "error")] == ["unknown_option"]
    assert of_type(found, "final")[-1]["text"] == clip.text
    assert len(of_type(found, "endpoint")) == 1


def test_configure_is_all_or_nothing(server):
    with server.connect() as socket:
        send(socket, "configure", id="c", interim=False, latency="warp")
        send(socket, "configure", id="e", encoding="alaw")
        send(socket, "close")
        found = events(socket)
    assert [(e["id"], e["code"]) for e in of_type(found, "error")] == [("c", "invalid_option"), ("e", "invalid_option")]
    assert not of_type(found, "configured")


def test_the_rate_may_change_in_mid_stream(server, clip):
    half = soxr.resample(np.frombuffer(clip.pcm, "<i2"), 16000, 8000).tobytes()
    with server.connect("endpointing.mode=manual") as socket:
        socket.send(clip.pcm)
        send(socket, "finalize")
        send(socket, "configure", id="r", sample_rate=8000)
        socket.send(half)
        send(socket, "close")
        found = events(socket)
    finals = of_type(found, "final")
    assert finals[0]["text"] == clip.text
    assert finals[1]["text"] == clip.text
    assert abs(found[-1]["audio_ms"] - len(clip.pcm) // 16) <= 1


def test_every_latency_gives_the_text(server, clip):
    for latency in ("low", "balanced", "accurate"):
        found, _ = stream(server, clip.pcm, f"latency={latency}&endpointing.mode=manual")
        assert transcript(found) == clip.text


def test_ping_is_answered_in_its_place(server):
    with server.connect() as socket:
        send(socket, "ping", id="p", t={"a": 1})
        assert until_event(socket, "pong")[-1]["t"] == {"a": 1}


def test_cancel_ends_at_once_without_finals(server, clip):
    with server.connect("endpointing.mode=manual") as socket:
        socket.send(clip.pcm)
        send(socket, "cancel")
        found = events(socket)
    assert (found[-1]["type"], found[-1]["reason"]) == ("closed", "cancel")
    assert not of_type(found, "final")
    assert socket.close_code == 1000


def test_close_without_audio_is_a_whole_session(server):
    found, code = stream(server, b"")
    assert [event["type"] for event in found] == ["ready", "closed"]
    assert (found[-1]["segments"], found[-1]["last_final_ms"], code) == (0, None, 1000)


def test_ready_states_the_limits(server):
    found, _ = stream(server, b"", "model=small&class=batch")
    assert found[0]["model"] == "small"
    assert found[0]["protocol"] == "weir.v1"
    assert found[0]["limits"] == {"idle_s": 30, "session_s": 14400, "max_frame_bytes": 1 << 20, "max_lead_s": 30}


def test_both_models_know_the_clip(server, clip):
    for model in ("large", "small"):
        assert transcript(stream(server, clip.pcm, f"model={model}")[0]) == clip.text


def test_an_idle_stream_is_warned_and_closed(serve):
    with serve(admission={"idleSeconds": 4}).connect() as socket:
        found = events(socket)
    assert [event["code"] for event in of_type(found, "warning")] == ["idle"]
    assert (found[-1]["reason"], socket.close_code) == ("idle", 4008)


def test_the_longest_session_is_told_of_its_end_and_gets_its_final(serve, clip):
    with serve(admission={"maxSessionSeconds": 10}).connect("endpointing.mode=manual") as socket:
        socket.send(clip.pcm)
        found = events(socket)
    assert [event["code"] for event in of_type(found, "warning")] == ["session_expiring"]
    (final,) = of_type(found, "final")
    assert (final["text"], final["reason"]) == (clip.text, "session_limit")
    assert (found[-1]["reason"], socket.close_code) == ("session_limit", 4009)


def test_something_is_said_at_least_every_five_seconds(server):
    with server.connect() as socket:
        until_event(socket, "ready")
        assert until_event(socket, "heartbeat", limit_s=5.0)[-1]["audio_ms"] == 0


def test_what_cannot_be_is_refused_before_the_upgrade(server):
    assert refused(server, "encoding=opus")[1]["field"] == "encoding"
    for query, status, error in (
        ("encoding=opus", 400, "invalid_option"),
        ("class=vip", 400, "invalid_option"),
        ("punctuate=true", 400, "unsupported_option"),
        ("resume=abc", 400, "resume_invalid"),
        ("model=whisper", 404, "unknown_model"),
    ):
        got = refused(server, query)
        assert (got[0], got[1]["error"]) == (status, error)
        assert got[1]["fix"]
    assert refused(server, subprotocols=["other.v1"])[0] == 400


def test_a_foreign_origin_is_refused_and_the_own_one_is_not(server):
    assert refused(server, origin="https://evil.example")[0] == 403
    with server.connect(origin=server.url) as socket:
        until_event(socket, "ready")


def test_the_protocol_is_echoed_and_the_key_is_not(server):
    with server.connect(subprotocols=["weir.v1", "bearer.secret"]) as socket:
        assert socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["weir.v1"]
    with server.connect(subprotocols=None) as socket:
        assert "Sec-WebSocket-Protocol" not in socket.response.headers
        assert until_event(socket, "ready")


def test_a_full_server_answers_503_with_a_time(serve, clip):
    own = serve(admission={"maxStreams": 2})
    admission = f"{own.url}/v1/admission?class=interactive"
    with own.connect() as one, own.connect() as two:
        until_event(one, "ready"), until_event(two, "ready")
        status, body = refused(own)
        assert (status, body["error"], body["reason"]) == (503, "overloaded", "slots")
        full = httpx.get(admission)
        assert full.status_code == 503
        assert int(full.headers["retry-after"]) >= 1
        two.send(clip.pcm)
        send(two, "close")
        assert transcript(events(two)) == clip.text
        own.until(lambda load: load["streams"] == 1, 5)
        assert httpx.get(admission).json() == {"admitted": True, "class": "interactive"}
    assert httpx.get(f"{own.url}/v1/admission?class=vip").status_code == 400
    assert own.load()["refused"] == 1
