"""People who speak to a pipeline in real time, in a thread of their own, and what each was given back."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Self

from box.waiting import wait_for

from weir_runtime.client import AsyncClient, ClientError, Transcript
from weir_runtime.client.events import Closed, Final, Interim, Ready
from weir_runtime.client.events import Warning as Notice
from weir_runtime.client.files import RATE, open_audio
from weir_runtime.client.stream import AsyncStream

SPEECH = Path(__file__).parents[2] / "speech"
BLOCK_S = 0.16
BLOCK = int(RATE * BLOCK_S) * 2
DIGITS = "digits/digits_lucas_00.flac"
SAID = "five eight four five eight nine three seven zero six"


@dataclass(slots=True)
class Heard:
    """By one speaker."""

    text: str = ""
    rounds: int = 0  # times that the recording was spoken
    first_at: float | None = None  # of the first words, on the monotonic clock
    limits: dict[str, int] | None = None  # as `ready` told; None: the stream is not open yet
    closed: str = ""
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    status: int = 0  # of a refusal


def blocks(clip: str) -> list[bytes]:
    """The recording, and at least a second of silence, in whole blocks: each round begins as the first did."""
    audio = b"".join(open_audio(str(SPEECH / clip)).blocks) + bytes(2 * RATE)
    return [audio[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(audio), BLOCK)]


class Speakers:
    """`n` of them, from `with` on: each says the recording again and again until `finish`, that round to its end."""

    def __init__(self, url: str, n: int = 1, clip: str = DIGITS, key: str | None = None) -> None:
        self.heard = [Heard() for _ in range(n)]
        self._client = AsyncClient(url, key)
        self._blocks = blocks(clip)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            wait_for("the streams to be open", lambda: all(one.limits or one.error for one in self.heard), 30)
        except TimeoutError:
            self.finish()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> list[Heard]:
        """Everybody says what he is at to the end, and hears the rest."""
        self._enough.set()
        self._thread.join()
        return self.heard

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(heard) for heard in self.heard))

    async def _one(self, heard: Heard) -> None:
        try:
            async with self._client.stream(sample_rate=RATE) as stream:
                speaking = asyncio.create_task(self._speak(stream, heard))
                try:
                    await listen(stream, heard)
                finally:
                    speaking.cancel()
                    await asyncio.gather(speaking, return_exceptions=True)
        except ClientError as error:
            heard.error, heard.status = str(error), getattr(error, "status", 0)

    async def _speak(self, stream: AsyncStream, heard: Heard) -> None:
        due = monotonic()
        while not self._enough.is_set():
            for block in self._blocks:
                await stream.send(block)
                due += BLOCK_S
                await asyncio.sleep(max(0.0, due - monotonic()))
            heard.rounds += 1
        await stream.close()


async def listen(stream: AsyncStream, heard: Heard) -> None:
    transcript = Transcript()
    async for event in stream:
        transcript.apply(event)
        match event:
            case Ready():
                heard.limits = event.limits
            case Interim() | Final() if heard.first_at is None and event.text:
                heard.first_at = monotonic()
            case Notice():
                heard.warnings.append(event.code)
            case Closed():
                heard.closed = event.reason
        heard.text = transcript.text


def hear(url: str, rounds: int, clip: str = DIGITS, **client: Any) -> Heard:
    """The same audio as fast as it is read."""

    async def stream() -> Heard:
        heard = Heard(rounds=rounds)
        async with AsyncClient(url, **client).stream(sample_rate=RATE) as stream:
            sending = asyncio.create_task(send(stream))
            await listen(stream, heard)
            await sending
        return heard

    async def send(stream: AsyncStream) -> None:
        await stream.send(b"".join(blocks(clip) * rounds))
        await stream.close()

    return asyncio.run(stream())


def are_whole(heard: Sequence[Heard], url: str) -> None:
    """Nobody was cut off, and everybody heard what a server that rests makes of the same audio, to the letter."""
    assert [one.error for one in heard] == [""] * len(heard)
    assert {one.closed for one in heard} == {"close"}
    texts = {rounds: hear(url, rounds).text for rounds in {one.rounds for one in heard}}
    assert [one.text for one in heard] == [texts[one.rounds] for one in heard]
