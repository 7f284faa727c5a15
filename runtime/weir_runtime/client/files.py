"""Any audio file as blocks of 16-bit 16 kHz mono samples, decoded by PyAV as they are asked for."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

RATE = 16_000
BLOCK_S = 0.1


class UndecodableFile(ValueError):
    """Not a file that can be read as audio; the message names it."""


@dataclass(frozen=True)
class AudioFile:
    name: str
    duration_s: float | None  # None: not known before the end
    blocks: Iterator[bytes]  # 100 ms each, the last one shorter


def open_audio(name: str) -> AudioFile:
    """The file `name`, or standard input for "-". Raises UndecodableFile, also later from `blocks`."""
    try:
        container: Any = av.open(sys.stdin.buffer if name == "-" else name, metadata_errors="replace")
        stream = container.streams.audio[0]
    except IndexError:
        raise UndecodableFile(f"{name}: there is no sound in this file") from None
    except (av.FFmpegError, OSError) as error:
        raise UndecodableFile(f"{name}: cannot be read as audio: {_reason(error)}") from error
    duration_s = None if container.duration is None or name == "-" else container.duration / 1_000_000
    return AudioFile(name, duration_s, _blocks(name, container, stream))


def _blocks(name: str, container: Any, stream: Any) -> Iterator[bytes]:
    size, held = int(RATE * BLOCK_S) * 2, b""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with container:
        try:
            for frame in _frames(container, stream):
                for part in resampler.resample(frame):
                    held += bytes(part.planes[0])[: part.samples * 2]
                while len(held) >= size:
                    yield held[:size]
                    held = held[size:]
        except av.FFmpegError as error:
            raise UndecodableFile(f"{name}: broken in the middle: {_reason(error)}") from error
    if held:
        yield held


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    yield from container.decode(stream)
    yield None  # empties the resampler


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
