"""Take silero-vad's 16 kHz weights out of the jit file of its pip package, which is a dev dependency.

The safetensors file beside it is another training. `python hack/extract_silero.py` rewrites models/silero/.
"""

import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

TARGET = Path("runtime/weir_runtime/models/silero/silero_vad_16k.npz")


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(str(files("silero_vad") / "data" / "silero_vad.jit"), map_location="cpu")
    ours = {
        key.removeprefix("_model."): value for key, value in model.state_dict().items() if key.startswith("_model.")
    }
    np.savez_compressed(TARGET, **{key: value.numpy() for key, value in ours.items()})


if __name__ == "__main__":
    main()
