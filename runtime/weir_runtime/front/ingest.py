"""From a client's bytes to float32 mono at 16 kHz: the first thing that happens to an audio byte.

Rules: a sample cut in two by a message border waits for its other half; 16 kHz passes through bit-exact, other rates
go through one streaming resampler (soxr), which is emptied where a segment is ended by hand, so that nothing said
before that point comes out behind it. Under load a cheap one takes its place for rates above 16 kHz. A WAV header wins
over what the client named; other containers are refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import soxr

from weir_runtime.front.options import Options
from weir_runtime.messages import SAMPLE_RATE, Samples, WarningCode
from weir_runtime.wav import WIDTH, Encoding, Undecodable, WavFormat, read_header

SNIFF = 12
CONTAINERS = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\x1a\x45\xdf\xa3": "WebM or Matroska"}
BEST = "HQ"  # soxr's names; its QQ lets tones above 8 kHz through, which costs fewer words than LQ's dull highs
CHEAP = "QQ"
LOUDEST = 1000.0  # a float sample beyond this is no audio: other bytes are taken for floats
EMPTY = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a client's bytes are to be read."""

    encoding: Encoding
    sample_rate: int
    channels: int

    @property
    def bytes(self) -> int:
        """Of one sample of all channels."""
        return WIDTH[self.encoding] * self.channels

    def __str__(self) -> str:
        return f"{self.encoding} at {self.sample_rate} Hz, {self.channels} channel{'s' * (self.channels > 1)}"


class Ingest:
    """One stream's decoder; `on_notice(code, detail)` hears of what the client should know."""

    def __init__(self, options: Options, on_notice: Callable[[WarningCode, str], None]) -> None:
        self.header: WavFormat | None = None  # one that was read; whoever takes note of it takes it away
        self._form = _Form(options.encoding, options.sample_rate, options.channels)
        self._on_notice = on_notice
        self._head: bytes | None = b""  # bytes not yet looked at for a header; None: looked at
        self._carry = b""
        self._left: int | None = None  # bytes of a WAV's data chunk still to come
        self._cheap = False
        self._resampler = self._new_resampler()
        self._clipped = False

    @property
    def begun(self) -> bool:
        """Whether a byte of audio has come."""
        return self._head != b""

    @property
    def rate(self) -> int:
        """Hz at which the client's bytes are read."""
        return self._form.sample_rate

    def use(self, options: Options, rate_named: bool) -> Samples:
        """New form of audio from the next byte on; what the resampler still held. Raises Undecodable.

        Where the client does not name a rate the present one stays, which may be that of a WAV header.
        """
        if not self.begun:
            self._form = _Form(options.encoding, options.sample_rate, options.channels)
            self._resampler = self._new_resampler()
        elif rate_named and options.sample_rate != self._form.sample_rate:
            rest = self.flush()
            self._form = replace(self._form, sample_rate=options.sample_rate)
            self._resampler = self._new_resampler()
            return rest
        return EMPTY

    def cheap(self, on: bool) -> Samples:
        """Whether rates above 16 kHz are brought down by the cheap resampler, from the next byte on; what the one
        before still held."""
        if on == self._cheap:
            return EMPTY
        self._cheap = on
        if self._resampler is None or self._form.sample_rate < SAMPLE_RATE:
            return EMPTY
        rest = EMPTY if self._head is not None else self._resampler.resample_chunk(EMPTY, last=True)
        self._resampler = self._new_resampler()
        return rest

    def push(self, data: bytes) -> Samples:
        """Samples [n] of these bytes; raises Undecodable."""
        if self._head is None:
            return self._decode(data)
        self._head += data
        if len(self._head) < SNIFF:
            return EMPTY
        return self._open(self._head)

    def flush(self) -> Samples:
        """What a resampler still holds; the next byte starts it anew. A cut sample stays for its other half. Raises
        Undecodable, as these may be the first bytes that are looked at."""
        samples = EMPTY
        if self._head and not self._head.startswith(b"RIFF"):
            samples = self._open(self._head)
        if self._resampler is None:
            return samples
        rest = self._resampler.resample_chunk(EMPTY, last=True)
        self._resampler = self._new_resampler()
        return np.concatenate([samples, rest])

    def finish(self) -> Samples:
        """The end of the audio; raises Undecodable where it ends within a header."""
        if self._head and self._head.startswith(b"RIFF"):
            raise Undecodable("the audio ends within its WAV header")
        return self.flush()

    def _open(self, head: bytes) -> Samples:
        """The first bytes are there: a header, or samples already."""
        for magic, name in CONTAINERS.items():
            if head.startswith(magic):
                raise Undecodable(f"{name} is not decoded by this server; send WAV or raw {self._form.encoding}")
        if head.startswith(b"RIFF"):
            found = read_header(head)
            if found is None:
                return EMPTY
            self._take_over(found)
            head = head[found.data_at :]
        self._head = None
        return self._decode(head)

    def _take_over(self, found: WavFormat) -> None:
        form = _Form(found.encoding, found.sample_rate, found.channels)
        if form != self._form:
            detail = f"the WAV header says {form}, the client said {self._form}: the header holds"
            self._on_notice("header_differs", detail)
        self._form, self._left, self.header = form, found.data_bytes, found
        self._resampler = self._new_resampler()

    def _new_resampler(self) -> soxr.ResampleStream | None:
        rate = self._form.sample_rate
        if rate == SAMPLE_RATE:
            return None
        quality = CHEAP if self._cheap and rate > SAMPLE_RATE else BEST
        return soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality=quality)

    def _decode(self, data: bytes) -> Samples:
        if self._left is not None:  # what follows a WAV's data chunk is not audio
            data = data[: self._left]
            self._left -= len(data)
        if self._carry:
            data = self._carry + data
        form = self._form
        whole = len(data) - len(data) % form.bytes
        self._carry = data[whole:]
        if not whole:
            return EMPTY
        samples = DECODERS[form.encoding](data[:whole])
        if form.encoding == "pcm_f32le":
            self._check(samples)
        if form.channels > 1:
            samples = samples.reshape(-1, form.channels).mean(1, dtype=np.float32)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return samples

    def _check(self, samples: Samples) -> None:
        if not np.isfinite(samples).all() or np.abs(samples).max() > LOUDEST:
            raise Undecodable("these bytes are no pcm_f32le samples; name the encoding that they have")
        if not self._clipped and np.abs(samples).max() > 1.0:
            self._clipped = True
            self._on_notice("clipped", "samples beyond -1 … 1 are cut off")
        np.clip(samples, -1.0, 1.0, out=samples)


def _mulaw_table() -> Samples:
    """ITU-T G.711 µ-law: all 256 codes as samples."""
    code = ~np.arange(256, dtype=np.int64) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return (np.where(code & 0x80, -size, size) / 32768).astype(np.float32)


def _alaw_table() -> Samples:
    """ITU-T G.711 A-law: all 256 codes as samples."""
    code = np.arange(256, dtype=np.int64) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, (code & 0x0F) << 4
    size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, size, -size) / 32768).astype(np.float32)


MULAW, ALAW = _mulaw_table(), _alaw_table()


def _from_pcm16(data: bytes) -> Samples:
    samples: Samples = np.frombuffer(data, "<i2").astype(np.float32)
    samples /= 32768
    return samples


def _from_codes(table: Samples) -> Callable[[bytes], Samples]:
    def decode(data: bytes) -> Samples:
        samples: Samples = table[np.frombuffer(data, np.uint8)]
        return samples

    return decode


DECODERS: dict[Encoding, Callable[[bytes], Samples]] = {
    "pcm_s16le": _from_pcm16,
    "pcm_f32le": lambda data: np.frombuffer(data, "<f4").astype(np.float32),
    "mulaw": _from_codes(MULAW),
    "alaw": _from_codes(ALAW),
}
