"""`smoothdino convert`: what it prints, what it writes, and how it refuses."""

import json
import sys

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
from safetensors.numpy import load_file

from smoothdino_jax.apps import cli
from smoothdino_jax.weights import convert, load, read_config


@pytest.fixture
def command(capsys):
    """Runs the command; returns its exit code, stdout and stderr."""

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command, tmp_path):
    """Runs `convert SRC DST ...`, which has to fail with one line and write nothing; returns that line."""

    def run(src, *options):
        before = sorted(tmp_path.rglob("*"))
        code, out, err = command("convert", src, tmp_path / "dst", *options)
        assert (code, out) == (2, "")
        assert err.startswith("smoothdino convert: ")
        assert err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


def test_a_folder_of_hugging_face_becomes_a_model_folder(command, huggingface_folder, tmp_path, tiny_config):
    source = huggingface_folder()
    code, out, err = command("convert", source, tmp_path / "models" / "dst")
    assert (code, err) == (0, "")
    model = load(tmp_path / "models" / "dst")
    assert model.config.adapter is None
    assert model.config.encoder.position_offset == model.config.decoder.depth_offset == 0
    # Blocks past the last one read are neither in the model nor told.
    assert model.config.encoder.blocks == tiny_config.encoder.blocks
    weights = load_file(source / "model.safetensors")
    np.testing.assert_array_equal(
        model.encoder.blocks[1].attn.qkv.kernel[...][:, 16:32],
        weights["backbone.encoder.layer.1.attention.attention.key.weight"].T,
    )
    total = sum(part.size for part in load_file(tmp_path / "models" / "dst" / "model.safetensors").values())
    assert f"{total:,} parameters" in out
    assert "2 heads, outputs of blocks 0, 1, 2, 3 of 5" in out
    assert "depth 0.001 to 10 m (nyu, guessed from the name; --range sets it)" in out
    assert f'smoothdino_jax.load("{tmp_path / "models" / "dst"}")' in out


def test_provenance_tells_the_source_but_no_path_of_this_machine(huggingface_folder, tmp_path):
    path = convert(huggingface_folder(), tmp_path / "dst")
    _, provenance = read_config(path)
    assert provenance["source"] == "dpt-dinov2-tiny"
    assert provenance["converter"].startswith("smoothdino-jax ")
    assert "Apache-2.0" in provenance["licence"]
    assert str(tmp_path) not in (path / "config.json").read_text()


def test_kitti_in_the_name_means_80_metres_unless_told_otherwise(command, huggingface_folder, tmp_path):
    source = huggingface_folder("dpt-dinov2-tiny-kitti")
    assert "0.001 to 80 m (kitti, guessed" in command("convert", source, tmp_path / "a")[1]
    assert "0.5 to 20 m (as given)" in command("convert", source, tmp_path / "b", "--range", "0.5,20")[1]
    assert read_config(tmp_path / "a")[0].decoder.max_depth == 80
    assert read_config(tmp_path / "b")[0].decoder.min_depth == 0.5


def test_overwrite_and_float16(command, huggingface_folder, tmp_path):
    source, path = huggingface_folder(), tmp_path / "dst"
    assert command("convert", source, path)[0] == 0
    size = (path / "model.safetensors").stat().st_size
    code, _, err = command("convert", source, path)
    assert code == 2
    assert "exists already" in err
    assert "--overwrite" in err
    assert command("convert", source, path, "--overwrite", "--float16")[0] == 0
    assert (path / "model.safetensors").stat().st_size < 0.6 * size


def test_one_line_names_every_tensor_that_does_not_fit(refused, huggingface_folder):
    def spoil(tensors):
        del tensors["head.head.4.bias"], tensors["backbone.encoder.layer.0.attention.attention.key.bias"]
        tensors["head.stray"] = np.zeros(1, np.float32)
        tensors["head.projection.bias"] = np.zeros(3, np.float32)
        tensors["backbone.embeddings.position_embeddings"] = np.zeros((1, 12, 16), np.float32)

    line = refused(huggingface_folder(change=spoil))
    assert "2 missing: backbone.encoder.layer.0.attention.attention.key.bias, head.head.4.bias" in line
    assert "1 extra: head.stray" in line
    assert "head.projection.bias is (3,), expected (8,)" in line
    assert "backbone.embeddings.position_embeddings is (1, 12, 16), expected (1, 10, 16)" in line


def test_what_is_no_dinov2_depther_is_told_so(refused, huggingface_folder):
    line = refused(huggingface_folder("a", fields={"model_type": "depth_anything"}))
    assert "model_type is 'depth_anything'" in line
    line = refused(huggingface_folder("b", fields={"readout_type": "add"}, backbone={"apply_layernorm": True}))
    assert "readout_type is 'add', expected 'project'" in line
    assert "backbone_config.apply_layernorm is True, expected False" in line
    line = refused(huggingface_folder("c", change=lambda t: t.pop("neck.convs.0.weight")))
    assert "not a DPT depth head, it has no neck.convs.0.weight" in line


def test_a_biased_fusion_is_another_architecture(refused, huggingface_folder):
    key = "neck.fusion_stage.layers.1.residual_layer1.convolution1.bias"
    assert f"1 extra: {key}" in refused(huggingface_folder(change=lambda t: t.update({key: np.zeros(8)})))


def test_without_safetensors_it_says_what_to_do(refused, huggingface_folder):
    source = huggingface_folder()
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    line = refused(source)
    assert "holds no safetensors" in line
    assert "save_pretrained" in line


def test_a_damaged_file_and_a_lost_shard_are_named(refused, huggingface_folder):
    source = huggingface_folder()
    file = source / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "model.safetensors can't be read" in refused(source)
    file.unlink()
    index = {"weight_map": {"head.head.4.bias": "model-00001-of-00002.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks model-00001-of-00002.safetensors" in refused(source)


def test_a_model_folder_is_not_converted_twice(refused, huggingface_folder, tmp_path):
    path = convert(huggingface_folder(), tmp_path / "model")
    assert "is a model folder already" in refused(path)


def test_a_source_that_is_nowhere(refused, tmp_path):
    assert "no file or folder" in refused(tmp_path / "nowhere.pth")
    assert "no config.json" in refused(tmp_path)


def test_meta_files_need_a_head_and_the_others_have_one(refused, huggingface_folder, tmp_path):
    backbone = tmp_path / "dinov2_vits14_pretrain.pth"
    backbone.write_bytes(b"")
    assert "without a depth head: add one, as in --head" in refused(backbone)
    assert "no file" in refused(backbone, "--head", tmp_path / "nowhere.pth")
    assert "--head goes with Meta's backbone" in refused(huggingface_folder(), "--head", backbone)


def test_pth_without_torch_says_how_to_get_it(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    backbone = tmp_path / "dinov2_vits14_pretrain.pth"
    backbone.write_bytes(b"")
    assert "pip install 'smoothdino-jax[torch]'" in refused(backbone, "--head", backbone)


def test_hugging_face_needs_no_torch(command, huggingface_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command("convert", huggingface_folder(), tmp_path / "dst")[0] == 0


def test_offline_it_says_what_to_fetch(refused, monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    line = refused("facebook/dpt-dinov2-small-nyu")
    assert "huggingface.co can't be reached" in line
    assert "https://huggingface.co/facebook/dpt-dinov2-small-nyu" in line


def test_a_hub_id_is_downloaded_without_pickles(command, huggingface_folder, tmp_path, monkeypatch):
    source, asked = huggingface_folder(), {}

    def snapshot_download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(source)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    assert command("convert", "somebody/dpt-tiny-kitti", "dst")[0] == 0
    assert asked["name"] == "somebody/dpt-tiny-kitti"
    assert not any("bin" in pattern for pattern in asked["patterns"])
    config, provenance = read_config(tmp_path / "dst")
    assert config.decoder.max_depth == 80
    assert (provenance["source"], provenance["revision"]) == ("somebody/dpt-tiny-kitti", source.name)


@pytest.mark.parametrize("range_", ["mars", "5,1"])
def test_a_range_that_is_none_is_refused(refused, huggingface_folder, range_):
    assert "depth range" in refused(huggingface_folder(), "--range", range_)


def test_help_teaches_and_version_tells(capsys):
    for arguments, expected in {
        ("--help",): "convert published PyTorch weights",
        ("convert", "--help"): "smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/",
        ("--version",): "smoothdino-jax ",
    }.items():
        with pytest.raises(SystemExit) as caught:
            cli.main(list(arguments))
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
