"""The client library: against a scripted server for what may go wrong, against the real one for speech."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import serve as listen
from websockets.datastructures import Headers
from websockets.http11 import Response

from weir_runtime.client import AsyncClient, Client, ConnectionLost, Refused, StreamClosed, Transcript
from weir_runtime.client.events import Closed, Final, Interim, Unknown, decode
from weir_runtime.client.request import stream_url

CLOSED = {"type": "closed", "seq": 9, "audio_ms": 0, "reason": "close", "segments": 0, "last_final_ms": None}


@asynccontextmanager
async def scripted(script, refuse=()):
    """A server that refuses with each of `refuse` and then runs `script(socket)`."""
    refusals = list(refuse)

    def answer(connection, request):
        if refusals:
            status, headers, body = refusals.pop(0)
            return Response(status, "No", Headers(headers), json.dumps(body).encode())
        return None

    async with listen(script, "127.0.0.1", 0, process_request=answer, subprotocols=["weir.v1"]) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def close_politely(socket):
    await socket.send(json.dumps(CLOSED))


async def read(url, **kwargs):
    async with AsyncClient(url, **kwargs).stream() as stream:
        return [event async for event in stream]


def test_addresses_and_options():
    options = {"class": "batch", "interim": False, "model": None, "endpointing": {"mode": "manual"}}
    query = "?class=batch&interim=false&endpointing.mode=manual"
    assert stream_url("http://h:1", options) == f"ws://h:1/v1/stream{query}"
    assert stream_url("h:1", {"stages": ["a", "b"]}) == "ws://h:1/v1/stream?stages=a%2Cb"
    assert stream_url("h:1", {"stages": []}) == "ws://h:1/v1/stream?stages="
    assert stream_url("https://h/weir/", {}) == "wss://h/weir/v1/stream"
    assert stream_url("ws://h/v1/stream", {}) == "ws://h/v1/stream"
    assert stream_url("h:8000", {}) == "ws://h:8000/v1/stream"


async def test_events_end_with_closed():
    async with scripted(close_politely) as url:
        assert await read(url) == [Closed(seq=9, reason="close", segments=0, last_final_ms=None)]


async def test_an_event_of_a_newer_protocol_is_kept_apart():
    async def script(socket):
        await socket.send('{"type":"mood","seq":0,"happy":true}')
        await close_politely(socket)

    async with scripted(script) as url:
        events = await read(url)
    assert isinstance(events[0], Unknown)
    assert events[0].fields["happy"] is True


@pytest.mark.parametrize("said", ["no json", "[1]"])
async def test_garbage_is_another_protocol(said):
    async with scripted(lambda socket: socket.send(said)) as url:
        with pytest.raises(ConnectionLost, match="another protocol"):
            await read(url)


async def test_a_close_code_without_closed_is_told():
    async with scripted(lambda socket: socket.close(1013, "overloaded")) as url:
        with pytest.raises(StreamClosed, match="overloaded") as caught:
            await read(url, resume_s=0)
    assert caught.value.code == 1013


async def test_a_broken_connection_is_lost():
    async def script(socket):
        socket.transport.abort()

    async with scripted(script) as url:
        with pytest.raises(ConnectionLost, match="broke"):
            await read(url, resume_s=0)


async def test_a_silent_server_is_dead(monkeypatch):
    monkeypatch.setattr("weir_runtime.client.request.DEAD_S", 0.1)
    async with scripted(lambda socket: socket.wait_closed()) as url:
        with pytest.raises(ConnectionLost, match="nothing heard"):
            await read(url, resume_s=0)


async def test_nobody_there():
    with pytest.raises(ConnectionLost, match="cannot connect"):
        await read("http://127.0.0.1:9")


FULL = (503, [("Retry-After", "0")], {"error": "overloaded", "message": "no slot", "fix": "try again"})
WRONG = (400, [], {"error": "invalid_option", "message": "encoding: 'x' is unknown", "fix": "one of a, b"})


async def test_a_refusal_is_told_in_the_servers_words():
    async with scripted(close_politely, [WRONG]) as url:
        with pytest.raises(Refused, match="'x' is unknown; one of a, b") as caught:
            await read(url, patience_s=60)
    assert (caught.value.status, caught.value.retry_after_s) == (400, None)


async def test_retry_after_is_obeyed_as_long_as_patience_lasts():
    async with scripted(close_politely, [FULL, FULL]) as url:
        assert len(await read(url, patience_s=60)) == 1
    late = (503, [("Retry-After", "120")], {})
    async with scripted(close_politely, [late]) as url:
        with pytest.raises(Refused) as caught:
            await read(url, patience_s=60)
    assert caught.value.retry_after_s == 120


async def test_a_quota_of_streams_is_waited_for_as_a_full_server_is():
    quota = (429, [("Retry-After", "0")], {"error": "quota", "reason": "streams", "message": "all 2 streams are open"})
    async with scripted(close_politely, [quota]) as url:
        assert len(await read(url, patience_s=60)) == 1
    midnight = (429, [("Retry-After", "40000")], {"error": "quota", "reason": "audio_seconds"})
    async with scripted(close_politely, [midnight]) as url:
        with pytest.raises(Refused) as caught:
            await read(url, patience_s=60)
    assert (caught.value.retry_after_s, caught.value.reason) == (40_000, "audio_seconds")


async def test_what_is_sent_is_the_protocol():
    heard = []

    async def script(socket):
        async for frame in socket:
            heard.append(frame if isinstance(frame, bytes) else json.loads(frame))
            if heard[-1] == {"type": "cancel"}:
                await close_politely(socket)

    async with scripted(script) as url, AsyncClient(url, key="k", resume_s=0).stream() as stream:
        await stream.send(bytes(70_000))
        await stream.configure(tag="c", endpointing={"mode": "manual"})
        await stream.finalize("f")
        await stream.clear()
        await stream.ping("p", 5)
        await stream.keepalive()
        await stream.close()
        await stream.cancel()
        assert [type(event) async for event in stream] == [Closed]
    assert [len(frame) for frame in heard[:3]] == [32768, 32768, 4464]
    assert heard[3:] == [
        {"type": "configure", "id": "c", "endpointing": {"mode": "manual"}},
        {"type": "finalize", "id": "f"},
        {"type": "clear"},
        {"type": "ping", "id": "p", "t": 5},
        {"type": "keepalive"},
        {"type": "close"},
        {"type": "cancel"},
    ]


@given(st.lists(st.tuples(st.text(max_size=8), st.integers(0, 8)), min_size=1, max_size=8))
def test_the_revision_rule(revisions):
    transcript, expected = Transcript(), ""
    for rev, (text, offset) in enumerate(revisions):
        expected = expected[:offset] + text
        transcript.apply(Interim(seq=rev, seg=0, rev=rev, offset=offset, text=text, stable=0, stability=1.0,
                                 start_ms=0, end_ms=0))  # fmt: skip
        assert transcript.tail == expected


def test_finals_are_joined_by_their_leads():
    transcript = Transcript()
    for seg, (lead, text) in enumerate([("", "one"), ("", ""), (" ", "two")]):
        transcript.apply(Final(seq=seg, seg=seg, rev=1, text=text, raw=text, lead=lead, start_ms=0, end_ms=0,
                               confidence=1.0, reason="endpoint"))  # fmt: skip
    assert transcript.text == "one two"
    assert transcript.tail == ""


def test_a_known_event_with_a_new_field_is_still_known():
    assert isinstance(decode(json.dumps(CLOSED | {"new": 1})), Closed)


async def test_real_speech_through_the_asyncio_client(server, clips):
    clip = clips("coffee")[3]
    transcript = Transcript()
    async with AsyncClient(server.url).stream(revisions="delta") as stream:
        sending = asyncio.create_task(stream.send(clip.pcm))
        await sending
        await stream.close()
        async for event in stream:
            transcript.apply(event)
    assert transcript.text == clip.text
    assert " ".join(word.w for word in transcript.words) == clip.text


def test_real_speech_through_the_threaded_client(server, clips):
    clip = clips("coffee")[3]
    transcript = Transcript()
    with Client(server.url).stream(latency="low") as stream:
        stream.send(clip.pcm)
        stream.finalize("f")
        stream.close()
        for event in stream:
            transcript.apply(event)
    assert transcript.text == clip.text


def test_the_threaded_client_is_refused_in_the_same_words(server):
    with pytest.raises(Refused, match="not served here"), Client(server.url).stream(model="nothing"):
        pass
