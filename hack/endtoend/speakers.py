"""People who speak to a pipeline in real time, in a thread of their own, and what each was given back."""

import asyncio
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Self

from box.waiting import wait_for
from endtoend.heard import BLOCK_MS, BLOCK_S, DIGITS, Heard, Voice, note
from endtoend.words import Reference, reference

from weir_runtime.client import AsyncClient, ClientError, Transcript
from weir_runtime.client.files import RATE, open_audio
from weir_runtime.client.stream import AsyncStream

SPEECH = Path(__file__).parents[2] / "tests" / "speech"
BLOCK = int(RATE * BLOCK_S) * 2
REFERENCE_ROUNDS = 3
SAID = "five eight four five eight nine three seven zero six"
OPEN_S, END_S = 60.0, 120.0
Loop = Callable[[], asyncio.AbstractEventLoop]


@functools.cache
def blocks(clip: str) -> tuple[bytes, ...]:
    """One round: the recording between half a second of silence and at least as much again, in whole blocks. Every
    round begins as the first one does."""
    pause = bytes(RATE)
    audio = pause + b"".join(open_audio(str(SPEECH / clip)).blocks) + pause
    return tuple(audio[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(audio), BLOCK))


def round_ms(clip: str) -> int:
    return len(blocks(clip)) * BLOCK_MS


class Speakers:
    """From `with` on each says its recording again and again until `finish`, that round to its end."""

    def __init__(
        self,
        url: str,
        voices: Sequence[Voice] = (Voice(),),
        key: str | None = None,
        loop: Loop = asyncio.new_event_loop,
    ) -> None:
        self.heard = [Heard(voice) for voice in voices]
        self._url, self._key, self._loop = url, key, loop
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            wait_for("the streams to be open", lambda: all(one.limits or one.error for one in self.heard), OPEN_S)
        except TimeoutError:
            self.finish()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> list[Heard]:
        """Everybody says what he is at to the end, and hears the rest. Raises TimeoutError if one never ends."""
        self._enough.set()
        self._thread.join(END_S)
        if self._thread.is_alive():
            raise TimeoutError(f"a stream did not end within {END_S:.0f} s")
        return self.heard

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._loop) as runner:
            runner.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(heard) for heard in self.heard))

    async def _one(self, heard: Heard) -> None:
        client = AsyncClient(self._url, self._key, resume_s=heard.voice.resume_s)
        try:
            async with client.stream(**{"sample_rate": RATE, "class": heard.voice.priority}) as stream:
                speaking = asyncio.create_task(self._speak(stream, heard))
                try:
                    await listen(stream, heard)
                finally:
                    speaking.cancel()
                    await asyncio.gather(speaking, return_exceptions=True)
        except ClientError as error:
            heard.error, heard.status = str(error), getattr(error, "status", 0)

    async def _speak(self, stream: AsyncStream, heard: Heard) -> None:
        due = heard.began = monotonic()
        while not self._enough.is_set():
            for block in blocks(heard.voice.clip):
                await stream.send(block)
                heard.sent_ms += BLOCK_MS
                due += BLOCK_S
                await asyncio.sleep(max(0.0, due - monotonic()))
            heard.rounds += 1
        await stream.close()


async def listen(stream: AsyncStream, heard: Heard) -> None:
    transcript = Transcript()
    async for event in stream:
        transcript.apply(event)
        heard.alive_ms = heard.sent_ms
        note(event, heard)
        heard.text = transcript.text


def references(url: str, clips: Iterable[str], loop: Loop = asyncio.new_event_loop) -> dict[str, Reference]:
    """What a server that rests makes of them, by clip."""
    found = {}
    for clip in clips:
        heard = hear(url, REFERENCE_ROUNDS, clip, loop=loop)
        found[clip] = reference(heard.finals, round_ms(clip), REFERENCE_ROUNDS)
    return found


def hear(
    url: str, rounds: int, clip: str = DIGITS, key: str | None = None, loop: Loop = asyncio.new_event_loop
) -> Heard:
    """The same audio as fast as it is read."""

    async def stream() -> Heard:
        heard = Heard(Voice(clip), rounds=rounds)
        async with AsyncClient(url, key).stream(sample_rate=RATE) as stream:
            sending = asyncio.create_task(send(stream))
            await listen(stream, heard)
            await sending
        return heard

    async def send(stream: AsyncStream) -> None:
        await stream.send(b"".join(blocks(clip) * rounds))
        await stream.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(stream())


def are_whole(heard: Sequence[Heard], url: str) -> None:
    """Nobody was cut off, and everybody heard what a server that rests makes of the same audio, to the letter."""
    assert [one.error for one in heard] == [""] * len(heard)
    assert {one.closed for one in heard} == {"close"}
    texts = {rounds: hear(url, rounds).text for rounds in {one.rounds for one in heard}}
    assert [one.text for one in heard] == [texts[one.rounds] for one in heard]
