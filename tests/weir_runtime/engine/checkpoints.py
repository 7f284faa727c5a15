"""Small checkpoints with random weights under NeMo's names, in memory or as a `.nemo` file, made without NeMo."""

import copy
import io
import tarfile

import torch
import yaml

from weir_runtime.engine.checkpoint import Checkpoint, check_architecture

CONFIG = {
    "preprocessor": {
        "sample_rate": 16000,
        "normalize": "NA",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": 16,
        "n_fft": 512,
    },
    "encoder": {
        "n_layers": 2,
        "d_model": 16,
        "n_heads": 2,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": 8,
        "causal_downsampling": True,
        "att_context_size": [[14, 13], [14, 6], [14, 1], [14, 0]],
        "att_context_style": "chunked_limited",
        "conv_kernel_size": 5,
        "conv_norm_type": "layer_norm",
        "conv_context_size": "causal",
    },
    "decoder": {"vocabulary": [f"▁{i}" for i in range(12)]},
}


def make_config(**fields):
    """CONFIG with fields changed: `encoder={"reduction": "pooling"}`."""
    config = copy.deepcopy(CONFIG)
    for section, changed in fields.items():
        config[section] |= changed
    return config


def make_weights(config, head="decoder"):
    """As NeMo names and shapes them, in single precision."""
    encoder, draw = config["encoder"], torch.Generator().manual_seed(1)
    d, c, k, features = encoder["d_model"], encoder["subsampling_conv_channels"], encoder["conv_kernel_size"], 16

    def normal(*shape):
        return torch.randn(*shape, generator=draw) / (shape[-1] ** 0.5 if len(shape) == 2 else 3.0)

    weights = {
        "preprocessor.featurizer.window": torch.hann_window(400, periodic=False),
        "preprocessor.featurizer.fb": torch.rand(1, features, 257, generator=draw) * 0.1,
        "encoder.pre_encode.out.weight": normal(d, c * (features // 8 + 1)),
        "encoder.pre_encode.out.bias": normal(d),
        f"{head}.decoder_layers.0.weight": normal(len(CONFIG["decoder"]["vocabulary"]) + 1, d)[:, :, None] * 5,
        f"{head}.decoder_layers.0.bias": normal(len(CONFIG["decoder"]["vocabulary"]) + 1),
    }
    for i, shape in ((0, (c, 1, 3, 3)), (2, (c, 1, 3, 3)), (3, (c, c, 1, 1)), (5, (c, 1, 3, 3)), (6, (c, c, 1, 1))):
        weights |= {
            f"encoder.pre_encode.conv.{i}.weight": normal(*shape),
            f"encoder.pre_encode.conv.{i}.bias": normal(c),
        }
    for layer in range(encoder["n_layers"]):
        for name, shape in {
            **{f"feed_forward{n}.linear1": (4 * d, d) for n in (1, 2)},
            **{f"feed_forward{n}.linear2": (d, 4 * d) for n in (1, 2)},
            **{f"self_attn.linear_{x}": (d, d) for x in ("q", "k", "v", "out", "pos")},
            "conv.pointwise_conv1": (2 * d, d, 1),
            "conv.depthwise_conv": (d, 1, k),
            "conv.pointwise_conv2": (d, d, 1),
        }.items():
            weights[f"encoder.layers.{layer}.{name}.weight"] = normal(*shape)
            if name != "self_attn.linear_pos":
                weights[f"encoder.layers.{layer}.{name}.bias"] = normal(shape[0])
        for name in ("feed_forward1", "self_att", "conv", "feed_forward2", "out"):
            weights[f"encoder.layers.{layer}.norm_{name}.weight"] = 1 + normal(d)
            weights[f"encoder.layers.{layer}.norm_{name}.bias"] = normal(d)
        weights[f"encoder.layers.{layer}.conv.batch_norm.weight"] = 1 + normal(d)
        weights[f"encoder.layers.{layer}.conv.batch_norm.bias"] = normal(d)
        for name in ("u", "v"):
            weights[f"encoder.layers.{layer}.self_attn.pos_bias_{name}"] = normal(encoder["n_heads"], d // 2)
    return weights


def make_checkpoint():
    config = make_config()
    weights = make_weights(config)
    for part in ("weight", "bias"):
        weights[f"head.{part}"] = weights.pop(f"decoder.decoder_layers.0.{part}").squeeze(-1)
    return Checkpoint("random", check_architecture(config), tuple(config["decoder"]["vocabulary"]), weights, config)


def pickled(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def write_nemo(path, config, weights, mode="w", leave_out=()):
    """The archive that NeMo's save_to would write. `weights` may be bytes."""
    members = {
        "./model_config.yaml": config if isinstance(config, bytes) else yaml.safe_dump(config).encode(),
        "./model_weights.ckpt": weights if isinstance(weights, bytes) else pickled(weights),
    }
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if name not in leave_out:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path
