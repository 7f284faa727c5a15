"""Sessions that are cut and resumed on real servers, by hand, over plain sockets."""

import random
import struct
from contextlib import ExitStack
from threading import Thread
from time import time
from urllib.parse import quote

import httpx
import pytest
from api_keys import KEY, OTHER, entry, write
from cryptography.fernet import Fernet
from served import served
from talk import events, of_type, send, transcript, until_event
from websockets.exceptions import InvalidStatus

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.front.options import Options
from weir_runtime.front.resume import WINDOW_S, Ticket, Tokens
from weir_runtime.front.station import Station
from weir_runtime.messages import BEGINNING

KEY_OF_TOKENS = Fernet.generate_key().decode()
SMALL = {"variants": [{"name": "small", "source": "embedded://small"}]}
FRAME = 3200
PER_MS = 32  # bytes


@pytest.fixture
def station(tmp_path):
    path = tmp_path / "resume.key"
    path.write_text(KEY_OF_TOKENS)
    return Station(resume_key=path)


@pytest.fixture(scope="module")
def speech(clips):
    """A minute would take long; 15 s: words, six seconds of silence, words."""
    first, second = (clip.pcm for clip in clips("coffee")[3:5])
    return first + bytes(6000 * PER_MS) + second


def say(socket, pcm, end=True):
    for at in range(0, len(pcm), FRAME):
        socket.send(pcm[at : at + FRAME])
    if end:
        send(socket, "close")
        return events(socket)
    return None


def whole(server, pcm, query=""):
    with server.connect(query) as socket:
        return say(socket, pcm)


def essence(found):
    return [(e["seg"], e["lead"], e["text"], e["start_ms"], e["end_ms"], e["reason"]) for e in of_type(found, "final")]


def resumed(server, told, pcm, query=""):
    with server.connect(query, additional_headers={"Weir-Resume": told["resume"]}) as socket:
        return say(socket, pcm[told["from_ms"] * PER_MS :])


def made(session="s_x", tenant="", model="small", wall=None, shed=False, key=KEY_OF_TOKENS):
    tokens = Tokens([key]) if wall is None else Tokens([key], wall)
    return Ticket(tokens, session, tenant, "standard", model).issue(BEGINNING, Options(), 5, shed)


def test_every_token_of_a_session_leads_to_its_end(server, speech):
    found = whole(server, speech)
    tokens = [event for event in found if "resume" in event]
    assert {event["type"] for event in tokens} == {"ready", "final", "checkpoint"}
    assert [event["from_ms"] for event in tokens] == sorted(event["from_ms"] for event in tokens)
    said = essence(found)
    for told in tokens:
        rest = resumed(server, told, speech)
        before = [final for final in of_type(found, "final") if final["seq"] <= told["seq"]]
        assert said[: len(before)] + essence(rest) == said
        assert (rest[0]["type"], rest[0]["resumed"], rest[0]["from_ms"]) == ("ready", True, told["from_ms"])
        assert (rest[0]["session"], rest[0]["audio_ms"]) == (found[0]["session"], told["from_ms"])
        assert [event["seq"] for event in rest] == list(range(told["seq"] + 1, told["seq"] + 1 + len(rest)))
        last = {"segments", "last_final_ms", "audio_ms", "reason"}
        assert {name: rest[-1][name] for name in last} == {name: found[-1][name] for name in last}


def test_a_session_whose_socket_breaks_anywhere_says_the_same(server, speech):
    uncut, chance = essence(whole(server, speech)), random.Random(5)
    for _ in range(4):
        finals, token, cuts = [], None, sorted(chance.sample(range(len(speech)), 2))
        for cut in [*cuts, None]:
            headers = {} if token is None else {"Weir-Resume": token["resume"]}
            with server.connect(additional_headers=headers) as socket:
                begin = 0 if token is None else token["from_ms"] * PER_MS
                if cut is None:
                    found = say(socket, speech[begin:])
                else:
                    say(socket, speech[begin:cut], end=False)
                    send(socket, "ping", id="all read")
                    found = until_event(socket, "pong")
                    socket.socket.close()  # no closing handshake
            finals += of_type(found, "final")
            token = ([event for event in found if "resume" in event] or [token])[-1]
        assert essence(finals) == uncut


def test_the_token_goes_by_header_query_or_subprotocol(server):
    with server.connect() as socket:
        ready = until_event(socket, "ready")[-1]
    assert (ready["resumed"], ready["from_ms"], ready["resume_window_s"]) == (False, 0, WINDOW_S)
    token = ready["resume"]
    for query, options in (
        ("", {"additional_headers": {"Weir-Resume": token}}),
        (f"resume={token}", {}),
        ("", {"subprotocols": ["weir.v1", f"resume.{token}"]}),
    ):
        with server.connect(query, **options) as socket:
            assert socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["weir.v1"]
            assert until_event(socket, "ready")[-1]["session"] == ready["session"]


def test_a_session_goes_on_on_another_server_with_the_same_key(serve, station, speech):
    one, two, stranger = serve(station), serve(station), serve()
    found = whole(one, speech)
    told = of_type(found, "final")[0]
    assert essence(found)[:1] + essence(resumed(two, told, speech)) == essence(found)
    with pytest.raises(InvalidStatus, match="400"):
        resumed(stranger, told, speech)
    text = two.metrics()
    assert 'weir_streams_resumed_total{class="standard"} 1.0' in text
    assert 'weir_streams_opened_total{class="standard"} 1.0' in text


def test_options_go_with_the_session_and_the_query_goes_before_them(server, speech):
    with server.connect("words=false&endpointing.mode=manual&class=batch") as socket:
        send(socket, "configure", max_interim_hz=1, endpointing={"silence_ms": 700})
        socket.send(speech[:FRAME])
        send(socket, "finalize", id="f")
        told = of_type(until_event(socket, "finalized"), "final")[0]
    rest = resumed(server, told, speech)
    assert [final["reason"] for final in of_type(rest, "final")] == ["close"], "manual as before"
    assert "words" not in of_type(rest, "final")[0]
    rest = resumed(server, told, speech, "endpointing.mode=server&words=true")
    assert of_type(rest, "final")[0]["reason"] == "endpoint"
    assert "words" in of_type(rest, "final")[0]


def test_a_session_that_began_with_a_container_goes_on_raw(server, clips):
    pcm = clips("coffee")[3].pcm
    stereo = b"".join(sample * 2 for sample in (pcm[at : at + 2] for at in range(0, len(pcm), 2)))
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 16000, 64000, 4, 16)
    with server.connect("encoding=mulaw&sample_rate=8000&endpointing.mode=manual") as socket:
        send(socket, "configure", id="c", words=False)
        socket.send(head + b"data\xff\xff\xff\xff" + stereo[:64_000])
        send(socket, "finalize")
        told = of_type(until_event(socket, "finalized"), "final")[0]
    with server.connect(additional_headers={"Weir-Resume": told["resume"]}) as socket:
        ready = until_event(socket, "ready")[-1]
        assert (ready["sample_rate"], ready["from_ms"]) == (16_000, 1000)
        found = say(socket, stereo[64_000:])
    assert found[-1]["audio_ms"] == len(pcm) // PER_MS
    assert set(transcript([told, *found]).split()) & set(clips("coffee")[3].text.split())


def test_who_is_sent_away_by_a_server_that_ends_takes_a_token_along(serve, station, speech):
    other = serve(station)
    pipeline = StreamingPipeline.model_validate({"spec": {"model": SMALL, "degradation": {"ladder": []}}})
    with ExitStack() as stack:
        one = stack.enter_context(served(pipeline, station=station))
        with one.connect() as socket:
            say(socket, speech[: 2000 * PER_MS], end=False)
            send(socket, "ping", id="all read")
            until_event(socket, "pong")
            leaving = Thread(target=stack.close)
            leaving.start()
            found = events(socket)
        leaving.join()
    assert (found[-1]["reason"], socket.close_code) == ("drain", 1001)
    rest = resumed(other, found[-1], speech)
    assert rest[0]["from_ms"] == found[-1]["from_ms"] == 2000
    assert rest[-1]["audio_ms"] == len(speech) // PER_MS


def test_a_model_that_is_not_served_here_is_replaced(serve, station):
    own = serve(station)
    with own.connect(f"resume={made(model='gone')}") as socket:
        ready = until_event(socket, "ready")[-1]
    assert (ready["model"], ready["session"], ready["seq"]) == ("small", "s_x", 5)
    with pytest.raises(InvalidStatus, match="404"):
        own.connect(f"resume={made()}&model=gone")


def test_tokens_that_are_old_or_of_somebody_else_are_refused(serve, station, tmp_path):
    keys = tmp_path / "keys.yaml"
    write(keys, entry(KEY), entry(OTHER, "rival"))
    own = serve(station, auth={"keysFile": str(keys)})
    with own.connect(additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        token = until_event(socket, "ready")[-1]["resume"]
    said = {}
    for name, key, resume in (
        ("stranger", None, token),
        ("rival", OTHER, token),
        ("old", KEY, made(tenant="acme", wall=lambda: time() - WINDOW_S - 2)),
        ("other server's", KEY, made(tenant="acme", key=Fernet.generate_key().decode())),
        ("cut", KEY, token[:-5]),
        ("empty", KEY, ""),
        ("own", KEY, token),
    ):
        headers = {"Weir-Resume": resume} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        answer = httpx.get(f"{own.url}/v1/admission", headers=headers)
        said[name] = (answer.status_code, answer.json().get("error"))
        assert not resume or resume not in answer.text
    assert said == {
        "stranger": (401, "unauthenticated"),
        "rival": (403, "resume_foreign"),
        "old": (410, "resume_expired"),
        "other server's": (400, "resume_invalid"),
        "cut": (400, "resume_invalid"),
        "empty": (400, "resume_invalid"),
        "own": (200, None),
    }


@pytest.mark.parametrize("token", [b"\xff\xfe", b"a" * 9000, b"=", b"gAAAAAB", b"%00", b"-_-_"])
def test_no_bytes_as_a_token_are_more_than_a_refusal(server, token):
    for answer in (
        httpx.get(f"{server.url}/v1/admission", headers={b"weir-resume": token}),
        httpx.get(f"{server.url}/v1/admission?resume={quote(token)}"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "resume_invalid")


def test_a_token_is_in_no_log(server, speech, caplog):
    with caplog.at_level("INFO"):
        found = whole(server, speech[:64_000])
        resumed(server, found[0], speech[:64_000])
    assert "stream opened" in caplog.text
    assert not any(event["resume"][:60] in caplog.text for event in found if "resume" in event)
