"""What the clients say: tapes, each a row of real recordings with silence between them, cut into frames of 100 ms.

A frame is made once and shared by all clients that send it. A stream plays its tape from the beginning, so what it
said is known to the word, but for the recording in which it ends.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, islice
from pathlib import Path

from weir_runtime.bench.plan import FRAME_S
from weir_runtime.bench.traffic import Traffic
from weir_runtime.client.files import RATE, UndecodableFile, open_audio

FRAME_BYTES = int(RATE * FRAME_S) * 2
SILENCE = bytes(FRAME_BYTES)
TAPES = 16
SUFFIXES = {".flac", ".wav", ".mp3", ".ogg", ".opus", ".m4a", ".webm"}


@dataclass(frozen=True, slots=True)
class Recording:
    frames: tuple[bytes, ...]
    text: str | None  # None: nobody wrote it down


@dataclass(frozen=True, slots=True)
class Said:
    begin: int  # frames of the tape
    end: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Tape:
    frames: tuple[bytes, ...]
    said: tuple[Said, ...]

    def play(self, n_frames: int) -> Iterator[bytes]:
        """The first `n_frames`; it may break off within a recording."""
        return islice(cycle(self.frames), n_frames)

    def whole(self, n_frames: int) -> int:
        """Where the recording begins that breaks off at `n_frames`; `n_frames` where none does."""
        return next((said.begin for said in self.said if said.begin < n_frames < said.end), n_frames)

    def text(self, n_frames: int) -> str | None:
        """What is wholly said within `n_frames`; None where some of it was never written down."""
        texts = [said.text for said in self.said if said.end <= n_frames]
        return None if None in texts else " ".join(text for text in texts if text is not None)


def read_recordings(folder: Path | None) -> list[Recording]:
    """The audio files of a folder, with the texts of its manifest.jsonl if there is one; None: the shipped samples.

    A manifest's lines have `path` and `text`; with one, only what it lists is read. Raises ValueError, also as
    UndecodableFile.
    """
    listed = _samples() if folder is None else _listed(folder)
    recordings = [recording for path, text in listed if (recording := _recording(path, text)).frames]
    if not recordings:
        raise ValueError(f"{folder}: no recordings here")
    return recordings


def make_tapes(recordings: list[Recording], traffic: Traffic) -> list[Tape]:
    """As long as the longest stream, in an order of their own each."""
    chance = random.Random(traffic.seed)
    n_frames = int(traffic.stream.seconds.to / FRAME_S) + 1
    return [_tape(recordings, n_frames, traffic.stream.speech_percent / 100, chance) for _ in range(TAPES)]


def _tape(recordings: list[Recording], n_frames: int, speech: float, chance: random.Random) -> Tape:
    """Behind each recording of n frames, silence that makes `speech` the recordings' share on the whole."""
    frames: list[bytes] = []
    said: list[Said] = []
    frames += [SILENCE] * chance.randint(0, 10 if speech < 1 else 0)
    while len(frames) < n_frames:
        for one in chance.sample(recordings, len(recordings)):
            said.append(Said(len(frames), len(frames) + len(one.frames), one.text))
            frames += one.frames
            frames += [SILENCE] * round(len(one.frames) * (1 / speech - 1) * chance.uniform(0.5, 1.5))
            if len(frames) >= n_frames:
                break
    return Tape(tuple(frames), tuple(said))


def _recording(path: Path, text: str | None) -> Recording:
    blocks = open_audio(str(path)).blocks
    return Recording(tuple(block.ljust(FRAME_BYTES, b"\0") for block in blocks), text)


def _samples() -> list[tuple[Path, str | None]]:
    folder = Path(str(files("weir_runtime"))) / "samples"
    entries = json.loads((folder / "samples.json").read_text())
    return [(folder / Path(entry["url"]).name, entry["text"]) for entry in entries]


def _listed(folder: Path) -> list[tuple[Path, str | None]]:
    manifest = folder / "manifest.jsonl"
    if not manifest.exists():
        return [(path, None) for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    try:
        rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [(folder / row["path"], row.get("text")) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise UndecodableFile(f"{manifest}: every line must be a JSON object with path and text: {error!r}") from error
