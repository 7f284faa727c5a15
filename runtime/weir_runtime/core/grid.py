"""The exact arithmetic between samples, mel frames and encoder frames of a cache-aware FastConformer (decisions 27).

Mel frame k is centred on sample 160 k, encoder frame e needs the mel frames up to 8 e. A segment's first chunk
therefore has 1280 (T - 1) + 200 samples, each later one 1280 T, and after E frames 1280 E - 1080 samples are used,
whatever the chunk sizes were: T may change at every border.
"""

HOP = 160
FRAME = 1280  # samples per encoder frame, 80 ms
FIRST = 200  # samples that the first encoder frame needs


def chunk_samples(mode: int, first: bool) -> int:
    """Samples of a full chunk of `mode` encoder frames."""
    return FRAME * (mode - 1) + FIRST if first else FRAME * mode


def used_samples(frames: int) -> int:
    """Samples that `frames` encoder frames of a segment have used."""
    return FRAME * frames - FRAME + FIRST if frames else 0


def total_frames(n_samples: int) -> int:
    """Encoder frames of a whole segment, as NeMo's offline pass counts them at length n // 160."""
    mel = n_samples // HOP
    return -(-(mel - 1) // 8) + 1 if mel else 0
