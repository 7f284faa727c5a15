"""`weir transcribe`: any audio file through a server, its text on stdout."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.text import Text

from weir_runtime.client import AsyncClient, AsyncStream, StreamClosed, Transcript
from weir_runtime.client.events import Closed, Error, Final, Ready, ServerEvent
from weir_runtime.client.files import BLOCK_S, AudioFile, UndecodableFile, open_audio
from weir_runtime.commands.console import run, server_at


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|-...")
@click.option("--url", help="A running server; without it the engine runs in this process.")
@click.option("--key", envvar="WEIR_KEY", help="API key of that server; also $WEIR_KEY.")
@click.option("--realtime", is_flag=True, help="Send as fast as a microphone would and show the text as it comes.")
@click.option("--json", "as_json", is_flag=True, help="Print every event as one line of JSON.")
@click.option("--model", help="Variant to use; the server's first by default.")
@click.option("--class", "priority", help="Priority class: interactive, standard or batch.")
@click.option("--latency", type=click.Choice(["low", "balanced", "accurate"]), help="Chunk of 160, 560 or 1120 ms.")
@click.option("--manual", is_flag=True, help="One segment for the whole file instead of one per utterance.")
@click.option("--words", is_flag=True, help="Print each word with its times and confidence.")
def transcribe(
    files: tuple[str, ...], url: str | None, key: str | None, realtime: bool, as_json: bool, **wanted: Any
) -> None:
    """Print the text of audio files (any format that PyAV reads; - is standard input)."""
    words, manual = wanted["words"], wanted["manual"]
    options: dict[str, Any] = {"model": wanted["model"], "class": wanted["priority"], "latency": wanted["latency"]}
    options["words"] = words or as_json
    if manual:
        options |= {"endpointing": {"mode": "manual", "max_segment_s": 600}}
    run(_transcribe(files, url, key, realtime, _show(as_json, words, realtime), options))


class Show(Protocol):
    """How events appear."""

    def file(self, audio: AudioFile) -> Any:
        """A context for one file."""

    def event(self, name: str, event: ServerEvent) -> None: ...

    def sent(self, seconds: float) -> None: ...


async def _transcribe(
    files: tuple[str, ...], url: str | None, key: str | None, realtime: bool, show: Show, options: dict[str, Any]
) -> int:
    opened = [open_audio(name) for name in files]  # a missing file is told before a model is loaded
    failed = 0
    async with server_at(url) as address:
        client = AsyncClient(address, key, patience_s=60.0)
        for audio in opened:
            with show.file(audio):
                async with client.stream(**options) as stream:
                    async for event in _events(stream, audio, realtime, show):
                        show.event(audio.name, event)
                        failed |= _complain(audio.name, event)
    return failed


async def _events(stream: AsyncStream, audio: AudioFile, realtime: bool, show: Show) -> AsyncIterator[ServerEvent]:
    """All events, while the file is being sent; raises what sending raised."""
    sending = asyncio.create_task(_send(stream, audio, realtime, show))
    try:
        async for event in stream:
            yield event
        await sending
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(stream: AsyncStream, audio: AudioFile, realtime: bool, show: Show) -> None:
    began, n = monotonic(), 0
    try:
        while (block := await asyncio.to_thread(next, audio.blocks, None)) is not None:
            n += 1
            if realtime:  # a block can be sent when its last sample has been spoken
                await asyncio.sleep(began + n * BLOCK_S - monotonic())
            await stream.send(block)
            show.sent(n * BLOCK_S)
        await stream.close()
    except UndecodableFile:
        await stream.cancel()
        raise


def _complain(name: str, event: ServerEvent) -> int:
    """Tell what is no text; 1 for what makes the transcript incomplete."""
    match event:
        case Ready(resumed=True, from_ms=from_ms):
            click.echo(
                f"weir: {name}: the connection was replaced at {from_ms / 1000:.1f} s; nothing is lost", err=True
            )
        case Error(fatal=fatal, code=code, message=message):
            click.echo(f"weir: {name}: {code}: {message}", err=True)
            return int(fatal or code == "engine_failed")
        case Closed(reason=reason) if reason not in ("close", "error", "cancel"):
            raise StreamClosed(0, f"{reason}; the transcript of {name} is not complete")
    return 0


def _show(as_json: bool, words: bool, realtime: bool) -> Show:
    if as_json:
        return JsonLines()
    if realtime and sys.stdout.isatty():
        return LiveText(words)
    return Lines(words)


class JsonLines:
    """Every event for machines."""

    @contextmanager
    def file(self, _: AudioFile) -> Iterator[None]:
        yield

    def event(self, name: str, event: ServerEvent) -> None:
        fields = {"file": name} | msgspec.to_builtins(event)
        fields.pop("resume", None)  # who has it can go on with the stream
        click.echo(msgspec.json.encode(fields).decode())

    def sent(self, _: float) -> None:
        pass


class Lines:
    """Finals as lines, and a progress bar on stderr if somebody is looking."""

    def __init__(self, words: bool) -> None:
        self._words = words
        self._progress: Progress | None = None

    @contextmanager
    def file(self, audio: AudioFile) -> Iterator[None]:
        if not sys.stderr.isatty():
            yield
            return
        with Progress(console=Console(stderr=True), transient=True) as self._progress:
            self._progress.add_task(audio.name, total=audio.duration_s)
            yield
        self._progress = None

    def event(self, _: str, event: ServerEvent) -> None:
        if isinstance(event, Final) and event.text:
            for line in _lines(event, self._words):
                click.echo(line)

    def sent(self, seconds: float) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=seconds)


class LiveText:
    """The open segment in place, its tentative end dimmed; finals scroll away above it."""

    def __init__(self, words: bool) -> None:
        self._words = words
        self._console = Console(highlight=False)
        self._transcript = Transcript()
        self._live: Live | None = None

    @contextmanager
    def file(self, _: AudioFile) -> Iterator[None]:
        self._transcript = Transcript()
        with Live(console=self._console, transient=True, auto_refresh=False) as self._live:
            yield

    def event(self, _: str, event: ServerEvent) -> None:
        self._transcript.apply(event)
        assert self._live is not None
        if isinstance(event, Final) and event.text:
            for line in _lines(event, self._words):
                self._console.print(line, markup=False)
        tail, stable = self._transcript.tail, self._transcript.stable
        self._live.update(Text.assemble(tail[:stable], (tail[stable:], "dim")), refresh=True)

    def sent(self, _: float) -> None:
        pass


def _lines(final: Final, words: bool) -> Iterator[str]:
    if not words:
        yield final.text
        return
    for word in final.words:
        yield f"{word.s / 1000:9.3f} {word.e / 1000:9.3f}  {word.c:.2f}  {word.w}"
