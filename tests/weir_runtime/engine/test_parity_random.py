"""Random weights of the published architectures, scaled down, in files that NeMo itself wrote (decisions 28)."""

import random
import tarfile
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import yaml
from engine.exact import assert_exact, assert_frames_agree
from engine.feed import crowd

from weir_runtime.core.grid import FIRST, FRAME
from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.native import NativeEngine
from weir_runtime.engine.sources import resolve

pytestmark = pytest.mark.parity


@dataclass(frozen=True)
class Published:
    """What published checkpoints differ in."""

    features: int = 80
    left: int = 70
    modes: tuple[int, ...] = (1, 2, 7, 14)
    encoder: dict = field(default_factory=dict)
    hybrid: bool = False


ARCHITECTURES = {
    "layer norm": Published(encoder={"conv_norm_type": "layer_norm"}),
    "batch norm, 128 mels, left 56, T 4, no xscaling": Published(
        128, 56, (1, 2, 4, 7, 14), {"conv_norm_type": "batch_norm", "xscaling": False}
    ),
    "no bias, 128 mels, left 56": Published(
        128, 56, (1, 4, 14), {"conv_norm_type": "layer_norm", "use_bias": False, "xscaling": False}
    ),
    "batch norm, no bias, kernel 5": Published(
        modes=(2, 7), encoder={"conv_norm_type": "batch_norm", "use_bias": False, "conv_kernel_size": 5}
    ),
    "one context": Published(modes=(2,), encoder={"conv_norm_type": "layer_norm", "att_context_size": [70, 1]}),
    "hybrid": Published(encoder={"conv_norm_type": "layer_norm"}, hybrid=True),
}


def make_config(shape, tokenizer):
    with tarfile.open(resolve("embedded://small")) as archive:
        members = {member.name.split("_", 1)[-1]: member for member in archive if member.isfile()}
        for name in ("tokenizer.model", "tokenizer.vocab", "vocab.txt"):
            (tokenizer / name).write_bytes(archive.extractfile(members[name]).read())
    with tarfile.open(resolve("embedded://small")) as archive:
        config = yaml.safe_load(archive.extractfile("model_config.yaml").read())
    del config["target"], config["nemo_version"]
    contexts = [[shape.left, mode - 1] for mode in reversed(shape.modes)]
    config["tokenizer"] = {"dir": str(tokenizer), "type": "bpe"}
    config["preprocessor"]["features"] = config["encoder"]["feat_in"] = shape.features
    config["encoder"] |= {"n_layers": 3, "d_model": 64, "subsampling_conv_channels": 32, "att_context_size": contexts}
    config["encoder"] |= {"att_context_probs": None} | shape.encoder
    config["decoder"]["feat_in"] = 64
    return as_hybrid(config) if shape.hybrid else config


def as_hybrid(config):
    """A transducer whose auxiliary CTC head is the decoder of before."""
    ctc = config.pop("decoder")
    return config | {
        "model_defaults": {"enc_hidden": 64, "pred_hidden": 32, "joint_hidden": 32},
        "aux_ctc": {
            "ctc_loss_weight": 0.3,
            "ctc_reduction": "mean_batch",
            "decoder": ctc,
            "decoding": {"strategy": "greedy"},
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.RNNTDecoder",
            "blank_as_pad": True,
            "prednet": {"pred_hidden": 32, "pred_rnn_layers": 1, "t_max": None, "dropout": 0.0},
        },
        "joint": {
            "_target_": "nemo.collections.asr.modules.RNNTJoint",
            "jointnet": {"joint_hidden": 32, "activation": "relu", "dropout": 0.0},
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}},
        "loss": {"loss_name": "default"},
    }


@torch.no_grad()
def shake(model):
    """NeMo's initialisation leaves position biases and norms at 0 and 1, where a wrong fold would not show."""
    generator = torch.Generator().manual_seed(7)
    for name, weight in model.named_parameters():
        if "pos_bias" in name or ("norm" in name and "encoder" in name):
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    for name, weight in model.named_buffers():
        if name.endswith("running_mean"):
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
        elif name.endswith("running_var"):
            weight *= 0.5 + 1.5 * torch.rand(weight.shape, generator=generator)


@torch.no_grad()
def centre(oracle, speech, mode):
    """A random head says the same of every frame; centred on what `speech` makes of the encoder, it does not."""
    encoded = torch.from_numpy(oracle.encode(oracle.mel(speech), mode)[0])
    layer = oracle.head.decoder_layers[0]
    layer.bias.copy_(-layer.weight[:, :, 0] @ encoded.mean(0))


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda name: name.replace(" ", "_"))
def written(request, tmp_path_factory, clips):
    """(architecture, checkpoint read by us, oracle of the same file)."""
    from engine.offline import Offline, make, restore

    folder = tmp_path_factory.mktemp("nemo")
    torch.manual_seed(3)
    shape = ARCHITECTURES[request.param]
    model = make(make_config(shape, folder), hybrid=shape.hybrid)
    shake(model)
    centre(Offline(model), clips("coffee")[0].samples, shape.modes[0])
    model.save_to(str(folder / "random.nemo"))
    return shape, read_checkpoint(folder / "random.nemo"), Offline(restore(folder / "random.nemo"))


@pytest.fixture(scope="module")
def pieces(clips):
    """Speech of every length around the borders of chunks, and longer than the left context and the ring."""
    speech = np.concatenate([clip.samples for clip in clips("coffee")])
    chance = random.Random(3)
    lengths = [160, 161, 199, 200, 201, 239, 240, 319, 320, 359, 360, 361, FRAME, FRAME + FIRST - 1, FRAME + FIRST]
    lengths += [FRAME * e + FIRST + d for e in (1, 2, 7, 14) for d in (-160, -41, -40, -1, 1, 40, 119, 120, 160)]
    lengths += [chance.randrange(160, 40_000) for _ in range(20)] + [FRAME * 90, FRAME * 190 + 77]
    starts = [chance.randrange(len(speech) - n) for n in lengths]
    return [speech[begin : begin + n] for begin, n in zip(starts, lengths, strict=True)]


def test_the_file_is_read_as_it_was_written(written):
    shape, checkpoint, _ = written
    arch = checkpoint.architecture
    assert (arch.features, arch.left, arch.modes) == (shape.features, shape.left, shape.modes)
    assert (arch.layers, arch.width, arch.heads, arch.channels) == (3, 64, 4, 32)
    assert len(checkpoint.vocabulary) == 256


def test_double_precision_equals_nemo_at_every_length(written, pieces):
    shape, checkpoint, oracle = written
    for mode in shape.modes:
        assert_exact(checkpoint, oracle, pieces, random.Random(mode), mode)


def test_double_precision_equals_nemo_with_chunk_sizes_mixed(written, pieces):
    _, checkpoint, oracle = written
    assert_exact(checkpoint, oracle, pieces, random.Random(11))


def test_single_precision_stays_within_the_bars(written, pieces):
    shape, checkpoint, oracle = written
    engine = NativeEngine(checkpoint, 24)
    for mode in shape.modes:
        feeds = crowd(engine, pieces, lambda mode=mode: mode, random.Random(mode), encode=True)
        assert_frames_agree(feeds, [oracle.encode(oracle.mel(feed.pcm), mode) for feed in feeds])
