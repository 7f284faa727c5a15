"""Reads a NeMo checkpoint (`.nemo`: a tar of model_config.yaml, model_weights.ckpt and tokenizer files) without NeMo.

What the native engine cannot run exactly is refused here, with the field, its value and what to do about it.
Supported: cache-aware FastConformer (chunked_limited attention, causal convolutions) with a CTC head, alone or as the
auxiliary head of a hybrid. The vocabulary comes from the config, so no tokenizer library is needed.
"""

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

Weights = dict[str, Tensor]
UNREADABLE = OSError, EOFError, tarfile.TarError, zlib.error  # what a broken or compressed archive raises


class CheckpointError(ValueError):
    """The file cannot be read as a NeMo checkpoint."""


class UnsupportedCheckpoint(CheckpointError):
    """A readable checkpoint that the native engine cannot run exactly."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The numbers of a FastConformer encoder."""

    features: int
    layers: int
    width: int
    heads: int
    kernel: int
    channels: int  # of the subsampling convolutions
    norm: str  # layer_norm or batch_norm, inside the convolution module
    xscaling: bool
    left: int  # frames of attention context to the left
    modes: tuple[int, ...]  # T = look-ahead + 1, ascending


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    name: str
    architecture: Architecture
    vocabulary: tuple[str, ...]
    weights: Weights  # float32, named as in NeMo; the CTC head as `head.weight` [V + 1, D] and `head.bias`
    config: dict[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, weights in float32. Raises CheckpointError or UnsupportedCheckpoint."""
    config, weights = read_archive(path)
    architecture = check_architecture(config)
    head, vocabulary = _head(config, weights)
    missing = [name for name in _needed(architecture) if name not in weights]
    if missing:
        raise CheckpointError(f"{path}: model_weights.ckpt has no {missing[0]} ({len(missing)} are missing)")
    kept = {key: value.float() for key, value in weights.items() if key.startswith(("encoder.", "preprocessor."))}
    kept |= {"head.weight": weights[f"{head}.weight"].float().squeeze(-1), "head.bias": weights[f"{head}.bias"].float()}
    return Checkpoint(path.stem, architecture, vocabulary, kept, config)


def read_config(path: Path) -> dict[str, Any]:
    """model_config.yaml alone, which is quick."""
    try:
        with tarfile.open(path) as archive:
            config = yaml.safe_load(_member(archive, "model_config.yaml", path).read())
    except (*UNREADABLE, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: not a .nemo archive: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: model_config.yaml is not a mapping")
    return config


def read_archive(path: Path) -> tuple[dict[str, Any], Weights]:
    """Config and raw weights. Weights are unpickled with torch's restricted loader: no code of the file runs."""
    config = read_config(path)
    try:
        with tarfile.open(path) as archive:
            content = io.BytesIO(_member(archive, "model_weights.ckpt", path).read())  # whole: torch seeks about in it
        weights = torch.load(content, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except (*UNREADABLE, RuntimeError, pickle.UnpicklingError, ValueError) as error:
        raise CheckpointError(f"{path}: model_weights.ckpt cannot be read: {error}") from error
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path}: model_weights.ckpt holds no weights by name")
    return config, {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}


def _needed(architecture: Architecture) -> list[str]:
    """Some weights of every part: a file that has these is no half of a model."""
    parts = ("self_attn.linear_q", "feed_forward1.linear1", "conv.depthwise_conv", "norm_out")
    layers = [f"encoder.layers.{n}.{part}.weight" for n in range(architecture.layers) for part in parts]
    return ["preprocessor.featurizer.fb", "preprocessor.featurizer.window", "encoder.pre_encode.out.weight", *layers]


def _member(archive: tarfile.TarFile, name: str, path: Path) -> Any:
    for member in archive:
        if member.isfile() and member.name.removeprefix("./") == name:
            return archive.extractfile(member)
    raise CheckpointError(f"{path}: not a .nemo archive: it has no {name}")


def check_architecture(config: dict[str, Any]) -> Architecture:
    """What the encoder is; raises UnsupportedCheckpoint with the first field that the native engine cannot run."""
    front, encoder = config.get("preprocessor") or {}, config.get("encoder") or {}
    for section, field, given, wanted in (
        ("preprocessor", "sample_rate", front.get("sample_rate", 16000), (16000,)),
        ("preprocessor", "window_size", front.get("window_size", 0.02), (0.025,)),
        ("preprocessor", "window_stride", front.get("window_stride", 0.01), (0.01,)),
        ("preprocessor", "window", front.get("window", "hann"), ("hann",)),
        ("preprocessor", "n_fft", front.get("n_fft") or 512, (512,)),
        ("preprocessor", "normalize", front.get("normalize", "per_feature"), ("NA", None)),
        ("preprocessor", "log", front.get("log", True), (True,)),
        ("preprocessor", "frame_splicing", front.get("frame_splicing", 1), (1,)),
        ("encoder", "self_attention_model", encoder.get("self_attention_model", "rel_pos"), ("rel_pos",)),
        ("encoder", "att_context_style", encoder.get("att_context_style", "regular"), ("chunked_limited",)),
        ("encoder", "subsampling", encoder.get("subsampling", "striding"), ("dw_striding",)),
        ("encoder", "subsampling_factor", encoder.get("subsampling_factor", 4), (8,)),
        ("encoder", "causal_downsampling", encoder.get("causal_downsampling", False), (True,)),
        ("encoder", "conv_context_size", _convolution_context(encoder), ("causal",)),
        ("encoder", "conv_norm_type", encoder.get("conv_norm_type", "batch_norm"), ("layer_norm", "batch_norm")),
        ("encoder", "reduction", encoder.get("reduction"), (None,)),
    ):
        if given not in wanted:
            raise UnsupportedCheckpoint(
                f"{section}.{field} is {given!r}, the native engine needs {' or '.join(map(repr, wanted))}; "
                "set `engine: nemo` for this variant"
            )
    left, modes = _contexts(encoder.get("att_context_size"))
    return Architecture(
        features=int(front.get("features", 80)),
        layers=int(encoder["n_layers"]),
        width=int(encoder["d_model"]),
        heads=int(encoder["n_heads"]),
        kernel=int(encoder.get("conv_kernel_size", 31)),
        channels=int(encoder.get("subsampling_conv_channels", encoder["d_model"])),
        norm=str(encoder.get("conv_norm_type", "batch_norm")),
        xscaling=bool(encoder.get("xscaling", True)),
        left=left,
        modes=modes,
    )


def _convolution_context(encoder: dict[str, Any]) -> Any:
    given = encoder.get("conv_context_size")
    return "causal" if given == [int(encoder.get("conv_kernel_size", 31)) - 1, 0] else given


def _contexts(given: Any) -> tuple[int, tuple[int, ...]]:
    pairs = given if isinstance(given, list) and given and isinstance(given[0], list) else [given]
    try:
        lefts, modes = {int(left) for left, _ in pairs}, tuple(sorted({int(right) + 1 for _, right in pairs}))
    except (TypeError, ValueError):
        lefts, modes = set(), ()
    if len(lefts) != 1 or min(lefts) < 0 or not modes or modes[0] < 1 or any(max(lefts) % t for t in modes):
        raise UnsupportedCheckpoint(
            f"encoder.att_context_size is {given!r}, the native engine needs [left, right] pairs with one left that "
            "every right + 1 divides; set `engine: nemo` for this variant"
        )
    return lefts.pop(), modes


def _head(config: dict[str, Any], weights: Weights) -> tuple[str, tuple[str, ...]]:
    for head, section in (
        ("decoder", config.get("decoder")),
        ("ctc_decoder", (config.get("aux_ctc") or {}).get("decoder")),
    ):
        key = f"{head}.decoder_layers.0"
        if f"{key}.weight" in weights and section:
            vocabulary = tuple(str(piece) for piece in section.get("vocabulary") or ())
            if len(vocabulary) != weights[f"{key}.weight"].shape[0] - 1:
                raise UnsupportedCheckpoint(
                    f"{head}.vocabulary has {len(vocabulary)} pieces, the head {weights[f'{key}.weight'].shape[0]} rows"
                )
            return key, vocabulary
    raise UnsupportedCheckpoint(
        "no CTC head (decoder or aux_ctc) in this checkpoint; set `engine: nemo` for this variant"
    )
