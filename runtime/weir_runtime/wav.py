"""Reads a WAV header that comes in pieces (RIFF, Microsoft's "Multimedia Programming Interface" and WAVEFORMATEX).

Server and client both do: a client that resumes must know what its bytes are. Sizes in headers are often wrong in
streams: a data size of 0 or all ones means "until the end".
"""

import struct
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
WIDTH: dict[Encoding, int] = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}  # bytes per sample
LONGEST = 1 << 16  # bytes before the data chunk
ENDLESS = (0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFF - 36, 0xFFFFFFFF - 36)
EXTENSIBLE = 0xFFFE
FORMATS: dict[tuple[int, int], Encoding] = {
    (1, 16): "pcm_s16le",
    (3, 32): "pcm_f32le",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}


class Undecodable(ValueError):
    """These bytes are not audio that this server can read."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    encoding: Encoding
    sample_rate: int
    channels: int
    data_at: int  # bytes of header
    data_bytes: int | None  # None: until the end


def read_header(head: bytes) -> WavFormat | None:
    """What the header at the start of `head` says; None where it is not complete yet. Raises Undecodable."""
    if len(head) < 12:
        return None
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise Undecodable("RIFF data that is not WAVE")
    at, form = 12, None
    while len(head) >= at + 8:
        name, size = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"data":
            if form is None:
                raise Undecodable("WAV header without a fmt chunk before the data")
            return WavFormat(*form, data_at=at, data_bytes=None if size in ENDLESS else size)
        if at + size > LONGEST:
            raise Undecodable(f"WAV header without a data chunk in its first {LONGEST} bytes")
        if name == b"fmt " and len(head) >= at + size:
            form = _read_format(head[at : at + size])
        at += size + size % 2
    return None


def _read_format(chunk: bytes) -> tuple[Encoding, int, int]:
    if len(chunk) < 16:
        raise Undecodable("WAV header with a fmt chunk that is too short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    encoding = FORMATS.get((tag, bits))
    if encoding is None:
        raise Undecodable(f"WAV format {tag} with {bits} bits; 16-bit PCM, 32-bit float, A-law and µ-law are read")
    if not 1 <= channels <= 8 or not 4000 <= rate <= 192_000:
        raise Undecodable(f"WAV header with {channels} channels at {rate} Hz")
    return encoding, rate, channels
