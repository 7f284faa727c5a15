"""Real servers and real speech over a network that cuts: the transcript is that of a stream that was never cut."""

import asyncio
import json
import re
import signal
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from client.cutting import Cut, Relay
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from served import served

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.client import AsyncClient, Client
from weir_runtime.client.events import Cleared, Configured, Final, Finalized, Ready, SpeechStarted

WEIR = str(Path(sys.executable).with_name("weir"))
SMALL = {"model": {"variants": [{"name": "small", "source": "embedded://small"}]}, "degradation": {"ladder": []}}
MOCHA = Path(__file__).parents[3] / "runtime" / "weir_runtime" / "samples" / "mocha.flac"
PER_S = 32_000
STEREO_WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 16000, 64000, 4, 16)
STEREO_WAV += b"data\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def small():
    with served(StreamingPipeline.model_validate({"spec": SMALL})) as running:
        yield running


@pytest.fixture(scope="module")
def speech(clips):
    """Words, seven seconds of silence, words."""
    first, second = (clip.pcm for clip in clips("coffee")[3:5])
    return first + bytes(7 * PER_S) + second


def address(url):
    return urlsplit(url).hostname, urlsplit(url).port


def essence(found):
    return [(e.seg, e.lead, e.text, e.start_ms, e.end_ms, e.reason) for e in found if isinstance(e, Final)]


async def raw(stream, pcm):
    await stream.send(pcm)


async def wav(stream, pcm):
    """The same samples on both channels, behind a header."""
    await stream.send(STEREO_WAV + b"".join(pcm[at : at + 2] * 2 for at in range(0, len(pcm), 2)))


async def told(stream, pcm):
    """With words of the client's in between."""
    at = [0, 2 * PER_S, 3 * PER_S + 1, 5 * PER_S, 9 * PER_S, len(pcm)]
    parts = [pcm[begin:end] for begin, end in pairwise(at)]
    await stream.send(parts[0])
    await stream.finalize("f")
    await stream.send(parts[1])
    await stream.configure("c", endpointing={"silence_ms": 600}, max_interim_hz=2)
    await stream.send(parts[2])
    await stream.clear("x")
    await stream.finalize()
    await stream.send(parts[3])
    await stream.configure(endpointing={"mode": "manual"})
    await stream.send(parts[4])


async def hear(url, say, pcm, **options):
    async with AsyncClient(url).stream(**options) as stream:

        async def speak():
            await say(stream, pcm)
            await stream.close()

        speaking = asyncio.create_task(speak())
        found = [event async for event in stream]
        await speaking
    return found


class Scene:
    """`uncut` is what is heard without a relay. No dataclass: hypothesis would print it."""

    def __init__(self, url, speech):
        self.url, self.speech = url, speech
        self.uncut = {say: asyncio.run(hear(url, say, speech)) for say in (raw, wav, told)}

    def through(self, cuts, say, pcm=None, **options):
        """What is heard through a relay, and how many connections that took."""

        async def run():
            async with Relay(address(self.url), cuts) as relay:
                return await hear(relay.url, say, self.speech if pcm is None else pcm, **options), relay.n_connections

        return asyncio.run(run())


@pytest.fixture(scope="module")
def scene(small, speech):
    return Scene(small.url, speech)


UP, DOWN = (st.builds(Cut, st.just(way), st.integers(0, most)) for way, most in (("up", 500_000), ("down", 9000)))
CUTS = st.lists(UP | DOWN, min_size=1, max_size=5)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=CUTS, say=st.sampled_from([raw, wav, told]))
@example([Cut("down", 0), Cut("up", 0), Cut("down", 0), Cut("down", 100)], raw)  # before `ready`, within handshakes
@example([Cut("up", 3), Cut("up", 500)], wav)  # within the header
@example([Cut("down", 6000), Cut("up", 100_000), Cut("down", 2500)], told)
def test_a_cut_at_any_byte_gives_the_same_transcript(scene, cuts, say):
    found, n_connections = scene.through(cuts, say)
    uncut = scene.uncut[say]
    assert essence(found) == essence(uncut)
    assert found[-1].reason == "close"
    assert found[-1].segments == uncut[-1].segments
    answers = [[(type(e), e.id) for e in events if isinstance(e, Finalized | Configured | Cleared)]
               for events in (found, uncut)]  # fmt: skip
    assert answers[0] == answers[1]
    resumed = [event for event in found if isinstance(event, Ready)]
    assert len(resumed) <= n_connections
    assert len({event.session for event in resumed}) == 1


def test_a_telephone_that_is_cut_is_heard_to_its_end(scene):
    """Other rates are resampled anew after a cut: the words are the same, if not every millisecond."""
    samples = np.frombuffer(scene.speech, "<i2")[::2]
    form = {"pcm": (samples / 32768).astype("<f4").tobytes(), "encoding": "pcm_f32le", "sample_rate": 8000}
    whole, _ = scene.through([], raw, **form)
    cut, n_connections = scene.through([Cut("up", 100_000), Cut("up", 150_000)], raw, **form)
    assert n_connections == 3
    assert [final.text for final in cut if isinstance(final, Final)] == [
        final.text for final in whole if isinstance(final, Final)]  # fmt: skip
    assert abs(cut[-1].audio_ms - whole[-1].audio_ms) <= 1


async def test_transcribe_says_in_one_line_that_it_went_on(small):
    async with Relay(address(small.url), [Cut("up", 60_000)]) as relay:
        process = await asyncio.create_subprocess_exec(
            WEIR, "transcribe", str(MOCHA), "--realtime", "--url", relay.url,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "make me a medium roast mocha\n")
    assert re.fullmatch(rf"weir: {MOCHA}: the connection was replaced at [0-9.]+ s; nothing is lost\n", err.decode())


# ---- servers that end


@pytest.fixture
def start(tmp_path):
    """`weir serve` on a port, all with the same key; gives the process and its address."""
    key, manifest, running = tmp_path / "resume.key", tmp_path / "pipeline.yaml", []
    key.write_text(Fernet.generate_key().decode())
    manifest.write_text(json.dumps({"spec": SMALL}))

    def run(port=0):
        process = subprocess.Popen(
            [WEIR, "serve", "-f", str(manifest), "--port", str(port), "--resume-key", str(key)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        running.append(process)
        line = process.stdout.readline()
        assert line.startswith("weir: listening on http://"), line
        return process, line.split()[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_is_killed_is_followed_by_another_on_its_port(start, speech, scene):
    process, url = start()
    with Client(url).stream() as stream:
        stream.send(speech[: 2 * PER_S])
        events, found = iter(stream), []
        while not isinstance(found[-1] if found else None, SpeechStarted):
            found.append(next(events))
        process.kill()
        process.wait()
        stream.send(speech[2 * PER_S : 6 * PER_S])
        start(urlsplit(url).port)
        stream.send(speech[6 * PER_S :])
        stream.close()
        found += events
    assert [event.resumed for event in found if isinstance(event, Ready)] == [False, True]
    assert essence(found) == essence(scene.uncut[raw])


async def test_a_stream_leaves_a_server_that_is_told_to_end_and_that_server_then_does(start, speech, scene):
    (one, url), (_, other) = start(), start()
    async with Relay(address(url)) as relay, AsyncClient(relay.url).stream() as stream:
        found = []
        await stream.send(speech[: 2 * PER_S])
        while not isinstance(found[-1] if found else None, SpeechStarted):
            found.append(await anext(stream))
        relay.to = address(other)
        one.send_signal(signal.SIGTERM)
        for at in range(2 * PER_S, 8 * PER_S, 3200):
            await stream.send(speech[at : at + 3200])
        while not isinstance(found[-1], Ready):
            found.append(await anext(stream))
        assert await asyncio.to_thread(one.wait, 30) == 0  # nobody keeps it
        await stream.send(speech[8 * PER_S :])
        await stream.close()
        found += [event async for event in stream]
    assert relay.n_connections == 2
    assert essence(found) == essence(scene.uncut[raw])
