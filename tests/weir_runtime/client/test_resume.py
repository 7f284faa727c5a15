"""A client whose connection or server goes away, against scripted servers: what each connection is sent, and what the
caller is told."""

import asyncio
import struct

import pytest
from client.lost import (
    FULL,
    LOSSES,
    SPEECH,
    S,
    close_with,
    cut,
    fall_silent,
    goes_on,
    hear,
    kinds,
    lost_by,
    whole,
)
from client.scripted import CLOSED, READY, scripted

from weir_runtime.client import AsyncClient, Client, ConnectionLost, StreamClosed
from weir_runtime.client.events import Closed, Error, Pong, Ready
from weir_runtime.client.request import reach


@pytest.mark.parametrize("breaks", LOSSES.values(), ids=LOSSES.keys())
async def test_a_stream_that_is_lost_goes_on_from_its_newest_token(breaks, monkeypatch):
    if breaks is fall_silent:
        monkeypatch.setattr("weir_runtime.client.request.DEAD_S", 0.3)
    async with scripted(lost_by(breaks), goes_on()) as (url, taken):
        found = await hear(url, key="k", latency="low")
    assert kinds(found) == ["Ready", "Final", "Ready", "Closed"]
    assert (found[2].resumed, found[2].from_ms) == (True, 250)
    first, second = taken
    assert (first.token, first.query) == (None, {"latency": "low"})
    assert (second.token, second.query) == ("t1", {"encoding": "pcm_s16le", "channels": "1", "sample_rate": "16000"})
    assert first.socket.request.headers["Authorization"] == second.socket.request.headers["Authorization"] == "Bearer k"
    assert second.heard == [SPEECH[S // 4 : S], {"type": "close"}]


@pytest.mark.parametrize("code", [1000, 1008, 1009, 4008, 4009, 4010])
async def test_a_server_that_ends_a_stream_on_purpose_has_ended_it(code):
    async with scripted(lost_by(close_with(code))) as (url, _):
        with pytest.raises(StreamClosed, match="because") as caught:
            await hear(url)
    assert caught.value.code == code


@pytest.mark.parametrize(("form", "first"), [
    ({"encoding": "mulaw", "sample_rate": 8000}, 2000), ({"encoding": "alaw", "sample_rate": "8000"}, 2000),
    ({"encoding": "pcm_f32le", "channels": 2}, 32_000), ({"channels": 3, "sample_rate": 44100}, 66_150),
])  # fmt: skip
async def test_positions_are_those_of_the_callers_own_samples(form, first):
    audio = SPEECH[: 3 * S]
    async with scripted(lost_by(cut), goes_on()) as (url, taken):
        await hear(url, audio, **form)
    named = {"encoding": "pcm_s16le", "channels": 1, "sample_rate": 16000} | form
    assert taken[1].query == {name: str(value) for name, value in named.items()}
    assert taken[1].heard[0] == audio[first:]


async def test_a_wav_goes_on_as_raw_samples_of_its_form():
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 7, 2, 8000, 16000, 2, 8)
    head += b"data" + struct.pack("<I", 2 * S)
    async with scripted(lost_by(cut), goes_on()) as (url, taken):
        await hear(url, head + SPEECH[: 3 * S])
    assert taken[1].query == {"encoding": "mulaw", "channels": "2", "sample_rate": "8000"}
    assert taken[1].heard[0] == SPEECH[4000 : 2 * S]


async def test_a_lower_rate_that_was_obeyed_begins_anew():
    async def ask(taken):
        await taken.ready()
        await taken.say("warning", code="degraded", send_rate=8000)
        await taken.say("pong", id="x")
        await taken.until_bytes(S // 2)
        await taken.final(0, "t1", 250)
        taken.cut()

    async with scripted(ask, goes_on()) as (url, taken), AsyncClient(url).stream() as stream:
        while not isinstance(await anext(stream), Pong):
            pass
        await stream.send(SPEECH[:S])
        await stream.close()
        assert kinds([event async for event in stream]) == ["Final", "Ready", "Closed"]
    assert taken[0].heard[0] == {"type": "configure", "sample_rate": 8000}
    assert taken[1].query["sample_rate"] == "16000"
    assert taken[1].heard == [SPEECH[S // 4 : S], {"type": "close"}]


async def test_before_there_is_a_token_the_stream_is_opened_anew():
    async with scripted(cut, whole) as (url, taken):
        assert kinds(await hear(url, words=False)) == ["Ready", "Closed"]
    assert [one.query for one in taken] == [{"words": "false"}] * 2
    assert taken[1].token is None
    assert taken[1].heard == [SPEECH[:S], {"type": "close"}]


async def test_a_stream_that_was_shed_waits_until_it_is_let_in():
    async def shed(taken):
        await taken.ready()
        await taken.until_bytes(S)
        await taken.closed(reason="shed", resume="t1", from_ms=500)
        await taken.socket.close(1013, "shed: too much load")

    async with scripted(shed, FULL, FULL, goes_on(500)) as (url, taken):
        found = await hear(url)
    assert kinds(found) == ["Ready", "Ready", "Closed"]
    assert found[-1].reason == "close"
    assert (taken[1].token, taken[1].heard[0]) == ("t1", SPEECH[S // 2 : S])


async def test_a_quota_is_waited_for_and_one_that_lasts_until_midnight_is_not():
    quota = (429, [("Retry-After", "0")], {"error": "quota", "reason": "streams"})
    async with scripted(lost_by(cut), quota, goes_on()) as (url, _):
        assert kinds(await hear(url))[-1] == "Closed"
    midnight = (429, [("Retry-After", "40000")], {"error": "quota", "message": "used up"})
    async with scripted(lost_by(cut), midnight) as (url, _):
        with pytest.raises(ConnectionLost, match=r"broke; not resumed within 60 s: used up"):
            await hear(url)


@pytest.mark.parametrize(
    ("status", "word"), [(410, "resume_expired"), (400, "resume_invalid"), (403, "resume_foreign")]
)
async def test_a_token_that_is_refused_is_given_up(status, word):
    async with scripted(lost_by(cut), (status, [], {"error": word, "message": "no"})) as (url, _):
        with pytest.raises(ConnectionLost, match=f"the connection broke; not resumed: .*{word}"):
            await hear(url)


async def test_what_it_was_lost_by_is_told_with_what_became_of_it():
    async with scripted(lost_by(close_with(1001)), (410, [], {"error": "resume_expired"})) as (url, _):
        with pytest.raises(ConnectionLost, match=r"1001.*resume_expired"):
            await hear(url)


async def test_a_stream_that_shall_not_come_back_ends_as_it_always_did():
    async def drain(taken):
        await taken.ready()
        await taken.closed(reason="drain", resume="t1", from_ms=0)
        await taken.socket.close(1001)

    async with scripted(lost_by(cut)) as (url, _):
        with pytest.raises(ConnectionLost, match=r"broke$"):
            await hear(url, resume_s=0)
    async with scripted(drain) as (url, _):
        assert kinds(await hear(url, resume_s=0)) == ["Ready", "Closed"]


async def test_an_older_server_is_served_as_before():
    async def old(taken):
        await taken.socket.send('{"type":"ready","seq":0,"session":"s","model":"m","language":"en","sample_rate":16000,'
                                '"limits":{},"features":["words"]}')  # fmt: skip
        await taken.until_bytes(S)
        taken.cut()

    async with scripted(old) as (url, _):
        with pytest.raises(ConnectionLost, match=r"broke$"):
            await hear(url)


async def test_a_server_that_would_begin_anew_is_not_believed():
    async with scripted(lost_by(cut), lambda taken: taken.ready(resumed=False), goes_on()) as (url, taken):
        assert kinds(await hear(url)) == ["Ready", "Final", "Ready", "Closed"]
    assert [one.token for one in taken] == [None, "t1", "t1"]


async def test_a_fatal_error_that_another_server_makes_up_for_is_not_told():
    def fails(code):
        async def script(taken):
            await taken.say("error", code="engine_stalled", message="stuck", fatal=True, retryable=True,
                            retry_after_ms=1)  # fmt: skip
            await taken.closed(reason="error")
            await taken.socket.close(code, "engine_stalled: stuck")

        return script

    async with scripted(lost_by(fails(1011)), goes_on()) as (url, _):
        assert kinds(await hear(url)) == ["Ready", "Final", "Ready", "Closed"]
    async with scripted(lost_by(fails(4010))) as (url, _):
        found = await hear(url)
    assert kinds(found) == ["Ready", "Final", "Error", "Closed"]
    assert isinstance(found[2], Error)


async def test_a_stream_that_breaks_at_the_same_place_again_and_again_ends():
    async def again(taken):
        await taken.ready("t2", 250)
        await taken.until_bytes(100)
        taken.cut()

    async with scripted(lost_by(cut), *[again] * 3, (503, [("Retry-After", "2")], {})) as (url, _):
        with pytest.raises(ConnectionLost, match="not resumed within 1 s"):
            await hear(url, resume_s=1.0)


async def test_the_threaded_client_comes_back_too():
    def talk(url):
        with Client(url).stream() as stream:
            stream.send(SPEECH[:S])
            stream.close()
            return list(stream)

    async with scripted(lost_by(cut), goes_on()) as (url, taken):
        assert kinds(await asyncio.to_thread(talk, url)) == ["Ready", "Final", "Ready", "Closed"]
    assert taken[1].heard[0] == SPEECH[S // 4 : S]


async def test_headers_go_with_each_request_and_a_host_is_asked_for_where_the_address_says():
    headers = {"host": "captions.example", "X-Way": "2"}
    async with scripted(lost_by(cut), goes_on()) as (url, taken), AsyncClient(url, headers=headers).stream() as stream:
        await stream.send(SPEECH[:S])
        await stream.close()
        found = [event async for event in stream]
    assert isinstance(found[-1], Closed)
    assert [one.host for one in taken] == [["captions.example"]] * 2
    assert [one.socket.request.headers["X-Way"] for one in taken] == ["2", "2"]


def test_a_host_is_reached_at_the_port_of_the_address():
    assert reach("wss://10.0.0.1/v1/stream?a=b", {"Host": "h:1"}) == (
        "wss://h:1/v1/stream?a=b", {}, {"host": "10.0.0.1", "port": 443})  # fmt: skip
    assert reach("ws://10.0.0.1/x", {"Host": "h"})[2] == {"host": "10.0.0.1", "port": 80}
    assert reach("ws://h:8/x", {"A": "b"}) == ("ws://h:8/x", {"A": "b"}, {})


def test_the_scripts_are_of_this_protocol():
    assert {READY["type"], CLOSED["type"]} == {"ready", "closed"}
    assert Ready(seq=0, session="s", model="m", language="en", sample_rate=1, limits={}).resumed is False
