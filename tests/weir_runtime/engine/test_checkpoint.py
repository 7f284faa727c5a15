"""What the checkpoint reader takes and what it refuses, in words that help."""

import os

import pytest
import torch
from engine.checkpoints import make_config, make_weights, pickled, write_nemo

from weir_runtime.engine.checkpoint import (
    CheckpointError,
    UnsupportedCheckpoint,
    check_architecture,
    read_checkpoint,
    read_config,
)


def test_a_checkpoint_is_read(tmp_path):
    config = make_config()
    weights = make_weights(config)
    checkpoint = read_checkpoint(write_nemo(tmp_path / "x.nemo", config, {k: v.half() for k, v in weights.items()}))
    assert checkpoint.name == "x"
    assert checkpoint.vocabulary == tuple(config["decoder"]["vocabulary"])
    assert checkpoint.architecture.modes == (1, 2, 7, 14)
    assert checkpoint.weights["head.weight"].shape == (13, 16)
    assert {weight.dtype for weight in checkpoint.weights.values()} == {torch.float32}


def test_a_compressed_archive_is_read_too(tmp_path):
    config = make_config()
    path = write_nemo(tmp_path / "x.nemo", config, make_weights(config), "w:gz")
    assert read_checkpoint(path).architecture.layers == 2


def test_the_ctc_head_beside_a_transducer_is_found(tmp_path):
    config = make_config()
    config["aux_ctc"] = {"decoder": config["decoder"]}
    config["decoder"] = {"prednet": {"pred_hidden": 8}}
    weights = make_weights(config, head="ctc_decoder") | {"decoder.prediction.embed.weight": torch.zeros(13, 8)}
    checkpoint = read_checkpoint(write_nemo(tmp_path / "x.nemo", config, weights))
    assert torch.equal(checkpoint.weights["head.bias"], weights["ctc_decoder.decoder_layers.0.bias"])
    assert len(checkpoint.vocabulary) == 12
    assert not [name for name in checkpoint.weights if name.startswith("decoder")]


@pytest.mark.parametrize("aux_ctc", [{}, {"aux_ctc": None}])
def test_a_transducer_alone_is_refused(tmp_path, aux_ctc):
    config = make_config() | {"decoder": {"prednet": {}}} | aux_ctc
    path = write_nemo(tmp_path / "x.nemo", config, make_weights(config, head="joint"))
    with pytest.raises(UnsupportedCheckpoint, match=r"no CTC head .* set `engine: nemo`"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("section", "field", "given"),
    [
        ("preprocessor", "sample_rate", 8000),
        ("preprocessor", "window_size", 0.02),
        ("preprocessor", "window_stride", 0.02),
        ("preprocessor", "window", "hamming"),
        ("preprocessor", "n_fft", 1024),
        ("preprocessor", "normalize", "per_feature"),
        ("preprocessor", "log", False),
        ("preprocessor", "frame_splicing", 2),
        ("encoder", "self_attention_model", "rel_pos_local_attn"),
        ("encoder", "att_context_style", "regular"),
        ("encoder", "subsampling", "striding"),
        ("encoder", "subsampling_factor", 4),
        ("encoder", "causal_downsampling", False),
        ("encoder", "conv_context_size", None),
        ("encoder", "conv_context_size", [2, 2]),
        ("encoder", "conv_norm_type", "group_norm"),
        ("encoder", "reduction", "pooling"),
        ("encoder", "att_context_size", [-1, -1]),
        ("encoder", "att_context_size", [[70, 13], [35, 6]]),
        ("encoder", "att_context_size", [[70, 3]]),
        ("encoder", "att_context_size", [[70, -1]]),
        ("encoder", "att_context_size", [[70, 13, 13]]),
        ("encoder", "att_context_size", None),
    ],
)
def test_what_cannot_be_run_exactly_is_named_with_its_value_and_its_fix(section, field, given):
    with pytest.raises(UnsupportedCheckpoint) as refused:
        check_architecture(make_config(**{section: {field: given}}))
    said = str(refused.value)
    assert f"{section}.{field} is {given!r}" in said
    assert "set `engine: nemo`" in said


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("preprocessor", "normalize"),
        ("encoder", "att_context_style"),
        ("encoder", "subsampling"),
        ("encoder", "subsampling_factor"),
        ("encoder", "causal_downsampling"),
        ("encoder", "conv_context_size"),
        ("encoder", "att_context_size"),
    ],
)
def test_a_missing_field_means_nemos_default_and_that_is_not_supported(section, field):
    config = make_config()
    del config[section][field]
    with pytest.raises(UnsupportedCheckpoint, match=f"{section}.{field}"):
        check_architecture(config)


def test_other_spellings_of_the_same_are_taken():
    changed = make_config(
        preprocessor={"normalize": None, "n_fft": None},
        encoder={"conv_context_size": [4, 0], "att_context_size": [14, 1]},
    )
    assert check_architecture(changed).modes == (2,)
    assert check_architecture(make_config(encoder={"conv_norm_type": "batch_norm"})).norm == "batch_norm"


@pytest.mark.parametrize("section", ["preprocessor", "encoder"])
@pytest.mark.parametrize("given", [None, {}])
def test_a_config_of_another_kind_is_refused(section, given):
    with pytest.raises(UnsupportedCheckpoint):
        check_architecture(make_config() | {section: given})


@pytest.mark.parametrize("pieces", [0, 11, 13])
def test_a_vocabulary_of_another_length_than_the_head_is_refused(tmp_path, pieces):
    config = make_config(decoder={"vocabulary": ["a"] * pieces})
    path = write_nemo(tmp_path / "x.nemo", config, make_weights(config))
    with pytest.raises(UnsupportedCheckpoint, match=f"vocabulary has {pieces} pieces, the head 13 rows"):
        read_checkpoint(path)


@pytest.mark.parametrize("member", ["model_config.yaml", "model_weights.ckpt"])
def test_a_missing_member_is_named(tmp_path, member):
    config = make_config()
    path = write_nemo(tmp_path / "x.nemo", config, make_weights(config), leave_out=[f"./{member}"])
    with pytest.raises(CheckpointError, match=rf"x\.nemo: not a \.nemo archive: it has no {member}"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(10_000), b"\x1f\x8b" + bytes(100)])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "x.nemo"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a \.nemo archive"):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "none.nemo")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path, mode):
    config = make_config()
    whole = write_nemo(tmp_path / "whole.nemo", config, make_weights(config), mode).read_bytes()
    path = tmp_path / "x.nemo"
    for part in range(1, 20):
        path.write_bytes(whole[: len(whole) * part // 21])
        with pytest.raises(CheckpointError, match=r"x\.nemo: "):
            read_checkpoint(path)


def test_a_compressed_archive_with_a_broken_middle_is_refused(tmp_path):
    config = make_config()
    path = write_nemo(tmp_path / "x.nemo", config, make_weights(config), "w:gz")
    whole = path.read_bytes()
    for part in range(1, 20):
        at = len(whole) * part // 20
        path.write_bytes(whole[:at] + b"\xff" * 200 + whole[at + 200 :])
        with pytest.raises(CheckpointError, match=r"x\.nemo: "):
            read_checkpoint(path)


@pytest.mark.parametrize("config", [b"- a\n- b\n", b"a: [\n", b"\xff\xfe\x00", b""])
def test_a_config_that_is_no_mapping_is_refused(tmp_path, config):
    with pytest.raises(CheckpointError, match=r"x\.nemo: "):
        read_config(write_nemo(tmp_path / "x.nemo", config, b""))


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


@pytest.mark.parametrize("wrapped", [lambda it: it, lambda it: {"encoder.weight": it}, lambda it: [it]])
def test_code_in_the_weights_does_not_run(tmp_path, wrapped):
    harmful = wrapped(Harmful(str(tmp_path / "harm")))
    path = write_nemo(tmp_path / "x.nemo", make_config(), pickled(harmful))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", pickled([1, 2, 3]), pickled(torch.ones(2)), pickled({"a": 1})])
def test_weights_that_are_none_are_refused(tmp_path, content):
    path = write_nemo(tmp_path / "x.nemo", make_config(), content)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["encoder.layers.1.self_attn.linear_q.weight", "preprocessor.featurizer.fb"])
def test_half_a_model_is_refused_with_the_weight_that_it_lacks(tmp_path, name):
    config = make_config()
    weights = make_weights(config)
    del weights[name]
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(write_nemo(tmp_path / "half.nemo", config, weights))
