"""A client that is asked for a lower sample rate: what the server hears is what was said."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import serve as listen

from weir_runtime.client import AsyncClient, Client, events
from weir_runtime.client.events import Configured, Final, Pong, SpeechStarted, decode
from weir_runtime.client.send_rate import SendRate
from weir_runtime.front.ingest import Ingest
from weir_runtime.front.options import Options

STARTED = {"type": "speech_started", "seq": 1, "seg": 0, "at_ms": 0}
ENDED = {"type": "final", "seq": 2, "seg": 0, "rev": 1, "text": "", "raw": "", "lead": "", "start_ms": 0, "end_ms": 0,
         "confidence": 0.0, "reason": "endpoint"}  # fmt: skip
WORSE = {"type": "warning", "seq": 3, "code": "degraded", "rung": 2, "rung_name": "lowerSampleRate", "send_rate": 16000,
         "in_force": ["lowerSampleRate"]}  # fmt: skip
WORST = WORSE | {"send_rate": 8000}
BETTER = {"type": "warning", "seq": 4, "code": "recovered", "rung": 0, "rung_name": "full quality"}
CLOSED = {"type": "closed", "seq": 9, "audio_ms": 0, "reason": "close", "segments": 0, "last_final_ms": None}


def sweep(rate, seconds, channels=1):
    """16-bit samples of a slow sweep below 3 kHz, the same in all channels."""
    t = np.arange(round(rate * seconds)) / rate
    tone = (np.sin(2 * np.pi * (200 * t + 500 * t * t)) * 12_000).astype("<i2")
    return np.repeat(tone, channels).tobytes()


def event(fields):
    return decode(json.dumps(fields))


class Ear:
    """The server's side: what it makes of the frames, at 16 kHz."""

    def __init__(self, rate, channels=1):
        self.options = Options(sample_rate=rate, channels=channels)
        self.ingest = Ingest(self.options, lambda code, detail: None)
        self.parts, self.rates, self.n_bytes = [], [], 0

    def hear(self, frame):
        if isinstance(frame, bytes):
            self.n_bytes += len(frame)
            self.parts.append(self.ingest.push(frame))
        elif (rate := json.loads(frame).get("sample_rate")) is not None:
            self.options = replace(self.options, sample_rate=rate)
            self.parts.append(self.ingest.use(self.options, rate_named=True))
            self.rates.append(rate)

    def heard(self):
        return np.concatenate([*self.parts, self.ingest.finish()])


def assert_same_sound(ear, seconds):
    """A border may shift what follows by half a sample on either side, and ring for a few; no more."""
    heard, borders = ear.heard(), len(ear.rates)
    t = np.arange(len(heard)) / 16000
    said = np.sin(2 * np.pi * (200 * t + 500 * t * t)) * 12_000 / 32768
    assert abs(len(heard) - 16000 * seconds) <= 1 + borders
    assert (np.abs(heard - said) > 0.01 + 0.1 * borders).sum() <= 10 * (1 + borders)


@given(
    cuts=st.lists(st.integers(0, 40_000), max_size=12),
    said=st.lists(st.sampled_from([STARTED, ENDED, WORSE, WORST, BETTER]), min_size=13, max_size=13),
    channels=st.sampled_from([1, 2]),
)
def test_whatever_is_asked_for_and_when_the_server_hears_what_was_said(cuts, said, channels):
    data = sweep(48000, 0.4, channels)
    rate, ear = SendRate({"sample_rate": 48000, "channels": channels}, obey=True), Ear(48000, channels)
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    for (start, end), fields in zip(pairwise(edges), said, strict=False):
        for frame in rate.audio(data[start:end]):
            ear.hear(frame)
        rate.on_event(event(fields))
    for frame in rate.rest():
        ear.hear(frame)
    assert_same_sound(ear, 0.4)


def rates_after(*said, **options):
    """The rates that are configured with the first audio behind these events."""
    rate = SendRate({"sample_rate": 48000} | options, obey=True)
    rate.audio(bytes(4800))
    for fields in said:
        rate.on_event(event(fields))
    return [json.loads(frame)["sample_rate"] for frame in rate.audio(bytes(4800)) if isinstance(frame, str)]


def test_the_rate_changes_between_segments():
    assert rates_after(WORSE) == [16000]
    assert rates_after(STARTED, WORSE) == []
    assert rates_after(STARTED, WORSE, ENDED) == [16000]
    assert rates_after(STARTED, WORSE, ENDED, STARTED) == [16000]
    assert rates_after(STARTED, WORSE, {"type": "cleared", "seq": 5}) == [16000]


def test_the_last_word_counts():
    assert rates_after(WORSE, WORST) == [8000]
    assert rates_after(WORSE, BETTER) == []
    assert rates_after(WORSE, sample_rate=16000) == []
    assert rates_after(WORST, sample_rate="16000") == [8000]


@pytest.mark.parametrize(("options", "head", "obey"), [
    ({"encoding": "mulaw"}, b"", True), ({"encoding": "pcm_f32le"}, b"", True), ({}, b"RIFF", True), ({}, b"", False),
])  # fmt: skip
def test_what_cannot_or_shall_not_be_brought_down_goes_as_it_is(options, head, obey):
    rate, data = SendRate({"sample_rate": 48000} | options, obey), head + bytes(999)
    rate.on_event(event(WORSE))
    frames = [*rate.audio(data[:3]), *rate.audio(data[3:]), *rate.rest()]
    assert b"".join(frames) == data


def test_a_rate_that_the_caller_changes_is_brought_down_again():
    rate = SendRate({"sample_rate": 48000}, obey=True)
    rate.on_event(event(WORSE))
    assert json.loads(rate.audio(bytes(4800))[0])["sample_rate"] == 16000
    rate.rest()
    rate.configured({"sample_rate": 32000})
    message, audio = rate.audio(bytes(6400 * 10))
    assert json.loads(message)["sample_rate"] == 16000
    assert 0.9 * 32000 < len(audio) <= 32000


# ---- on the socket


@asynccontextmanager
async def server_of(ear):
    """Says what it is asked for by `ping`, hears audio with `ear`, and answers `close`."""

    async def script(socket):
        async for frame in socket:
            ear.hear(frame)
            message = {} if isinstance(frame, bytes) else json.loads(frame)
            if message.get("type") == "ping":
                await socket.send(json.dumps(message["t"]))
                await socket.send(json.dumps({"type": "pong", "seq": 8}))
            elif message.get("type") == "configure":
                await socket.send(json.dumps({"type": "configured", "seq": 7, "from_ms": 0}))
            elif message.get("type") == "close":
                await socket.send(json.dumps(CLOSED))

    async with listen(script, "127.0.0.1", 0, subprotocols=["weir.v1"]) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


CUES = [STARTED, WORSE, ENDED, STARTED, BETTER, ENDED]  # one behind each seventh of the audio


async def talk(url, data, **kwargs):
    async with AsyncClient(url, **kwargs).stream(sample_rate=48000) as stream:
        heard = []
        size = len(data) // 7
        for n, cue in enumerate([*CUES, None]):
            await stream.send(data[n * size : (n + 1) * size if cue else None])
            if cue:
                await stream.ping(t=cue)
                while not isinstance(found := await anext(stream), Pong):
                    heard.append(found)
        await stream.close()
        return heard + [event async for event in stream]


async def test_a_client_obeys_at_its_next_segment_and_goes_back():
    ear = Ear(48000)
    async with server_of(ear) as url:
        heard = await talk(url, sweep(48000, 0.7))
    assert ear.rates == [16000, 48000]
    assert abs(ear.n_bytes - 2 * 48000 * (0.4 + 0.3 / 3)) <= 8
    assert_same_sound(ear, 0.7)
    kinds = [type(event) for event in heard if not isinstance(event, Configured)]
    assert kinds[:3] == [SpeechStarted, events.Warning, Final]
    assert heard[1].in_force == ["lowerSampleRate"]
    assert sum(isinstance(event, Configured) for event in heard) == 2


async def test_a_client_that_shall_not_obey_does_not():
    ear = Ear(48000)
    async with server_of(ear) as url:
        await talk(url, data := sweep(48000, 0.7), obey_send_rate=False)
    assert (ear.rates, ear.n_bytes) == ([], len(data))


async def test_what_is_said_before_finalize_is_heard_before_it():
    ear = Ear(48000)
    async with server_of(ear) as url, AsyncClient(url).stream(sample_rate=48000) as stream:
        await stream.ping(t=WORSE)
        assert isinstance(await anext(stream), events.Warning)
        await stream.send(sweep(48000, 0.4))
        await stream.finalize()
        await stream.ping(t=ENDED)
        while not isinstance(await anext(stream), Final):
            pass
        assert ear.n_bytes == 2 * 16000 * 0.4


async def test_the_threaded_client_obeys_too():
    ear = Ear(48000)

    def talk_and_wait(url):
        with Client(url).stream(sample_rate=48000) as stream:
            coming = iter(stream)
            stream.ping(t=WORSE)
            assert isinstance(next(coming), events.Warning)
            stream.send(sweep(48000, 0.4))
            stream.close()
            return list(coming)

    async with server_of(ear) as url:
        heard = await asyncio.to_thread(talk_and_wait, url)
    assert (ear.rates, heard[-1]) == ([16000], event(CLOSED))
    assert_same_sound(ear, 0.4)
