"""Parity with `transformers` under PyTorch, on randomly initialised models: nothing is downloaded.

Every tensor is moved away from its trivial start (LayerScale of 1, biases of 0), and the head's last layer is
scaled so that the depth lies within the clamp: else much of the comparison would compare nothing.
"""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

torch = pytest.importorskip("torch", reason="parity tests need the parity extra: torch and transformers")
transformers = pytest.importorskip("transformers", reason="parity tests need the parity extra")

from safetensors.torch import save_file as save_torch  # noqa: E402

from smoothdino_jax.apps import cli  # noqa: E402
from smoothdino_jax.weights import WeightsError, convert, load, read_config  # noqa: E402
from smoothdino_jax.weights.rules import flat_params  # noqa: E402

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).parents[1].parent / "shared"))
_MEAN, _STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])

SMALL = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2, "image_size": 70}
VIT_S = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 518}


def depther(stages, **backbone):
    """A randomly initialised reference, as facebook/dpt-dinov2-small-nyu is configured but for its sizes."""
    torch.manual_seed(0)
    width = backbone["hidden_size"]
    config = transformers.DPTConfig(
        backbone_config=transformers.Dinov2Config(
            out_indices=stages, apply_layernorm=False, reshape_hidden_states=False, **backbone
        ),
        neck_hidden_sizes=[width // 8, width // 4, width // 2, width],
        use_bias_in_fusion_residual=False,
        add_projection=True,
    )
    model = transformers.DPTForDepthEstimation(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 and "embeddings" not in name else 0.2
            parameter.add_(scale * torch.randn_like(parameter))
        last = model.head.head[4]
        seen = []
        handle = last.register_forward_hook(lambda module, inputs, output: seen.append(output))
        model(torch.from_numpy(pixels(frames(70, 84))))
        handle.remove()
        low, high = seen[0].min(), seen[0].max()
        # Spread over 3..7 m of the clamp's 0.001..10.
        last.bias.copy_((last.bias - low) * 4 / (high - low) + 3)
        last.weight.mul_(4 / (high - low))
    return model


def frames(height, width):
    """`(1, H, W, 3)` uint8: smooth structure and noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    wave = np.sin(y[..., None] / [9, 13, 17] + x[..., None] / [21, 11, 15]) * 80 + 128
    return (wave + rng.normal(0, 20, wave.shape)).clip(0, 255).astype(np.uint8)[None]


def pixels(images):
    """The reference's preprocessing: ImageNet normalisation, then centred zero padding to multiples of 14."""
    images = ((images - _MEAN) / _STD).astype(np.float32)
    missing = [-size % 14 for size in images.shape[1:3]]
    widths = [(0, 0), *((size // 2, size - size // 2) for size in missing), (0, 0)]
    return np.ascontiguousarray(np.pad(images, widths).transpose(0, 3, 1, 2))


def error(ours, reference):
    reference = reference.numpy()
    assert ours.shape == reference.shape
    assert ours.dtype == reference.dtype == np.float32
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


def compare(reference, model, height, width):
    """Asserts that features and raw depth agree on a frame of this size."""
    images = frames(height, width)
    with torch.no_grad():
        inputs = torch.from_numpy(pixels(images))
        maps = reference.backbone(inputs).feature_maps
        expected = reference(inputs).predicted_depth
    assert 0.001 < expected.min() < expected.max() < 10
    assert expected.std() > 0.2

    @nnx.jit
    def run(model, images):
        features = model.encode(images)
        return features, model.decoder(features)

    features, depth = run(model, jnp.asarray(images))
    for level, tokens in zip(features, maps, strict=True):
        assert error(level.cls, tokens[:, 0]) < 1e-5
        assert error(level.patches.reshape(1, -1, tokens.shape[-1]), tokens[:, 1:]) < 1e-5
    assert error(depth, expected) < 1e-5


@pytest.fixture(scope="module")
def small():
    return depther([1, 2, 3, 4], **SMALL)


@pytest.fixture(scope="module")
def small_folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "dpt-dinov2-small-nyu"
    small.save_pretrained(folder)
    return folder


def test_a_small_depther_agrees(small, small_folder, tmp_path):
    model = load(convert(small_folder, tmp_path / "dst"))
    assert model.config.encoder.blocks == (0, 1, 2, 3)
    assert model.config.encoder.depth == 5
    compare(small, model, 60, 97)


def test_swiglu_agrees_and_so_do_uneven_stages(tmp_path):
    reference = depther([1, 2, 4, 5], use_swiglu_ffn=True, **SMALL)
    reference.save_pretrained(tmp_path / "src")
    model = load(convert(tmp_path / "src", tmp_path / "dst"))
    assert model.config.encoder.swiglu
    assert model.config.encoder.blocks == (0, 1, 3, 4)
    compare(reference, model, 70, 70)


def test_vit_s_agrees_at_the_published_sizes(tmp_path):
    reference = depther([3, 6, 9, 12], **VIT_S)
    reference.save_pretrained(tmp_path / "src")
    model = load(convert(tmp_path / "src", tmp_path / "dst"))
    encoder, decoder = model.config.encoder, model.config.decoder
    assert (encoder.blocks, encoder.heads, encoder.native_grid) == ((2, 5, 8, 11), 6, 37)
    assert (decoder.levels, decoder.features, decoder.last) == ((48, 96, 192, 384), 256, 32)
    compare(reference, model, 224, 224)
    compare(reference, model, 480, 640)


@pytest.mark.parametrize("swiglu", [False, True])
def test_names_in_memory_and_on_disk_convert_alike(tmp_path, swiglu):
    reference = depther([1, 2, 3, 4], use_swiglu_ffn=swiglu, **SMALL)
    reference.save_pretrained(tmp_path / "disk")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "config.json").write_text((tmp_path / "disk" / "config.json").read_text())
    save_torch(reference.state_dict(), tmp_path / "memory" / "model.safetensors")
    disk, memory = (load_file(tmp_path / name / "model.safetensors") for name in ("disk", "memory"))
    assert disk.keys() != memory.keys()
    assert_same(*(convert(tmp_path / name, tmp_path / f"{name}-out") for name in ("disk", "memory")))


def test_shards_convert_as_one_file_does(small, small_folder, tmp_path):
    small.save_pretrained(tmp_path / "shards", max_shard_size="2MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert_same(convert(tmp_path / "shards", tmp_path / "a"), convert(small_folder, tmp_path / "b"))


def assert_same(one, other):
    one, other = flat_params(load(one)), flat_params(load(other))
    assert one.keys() == other.keys()
    for key, array in one.items():
        np.testing.assert_array_equal(array, other[key])


@pytest.fixture
def meta_files(golden_tensors, tmp_path):
    """The golden depther as Meta publishes such: a bare state dict, and one wrapped by mmsegmentation."""
    backbone, head = ({k: torch.from_numpy(v) for k, v in part.items()} for part in golden_tensors)
    torch.save(backbone, tmp_path / "vit_pretrain.pth")
    torch.save({"meta": {"epoch": 1}, "state_dict": head}, tmp_path / "vit_nyu_dpt_head.pth")
    return tmp_path / "vit_pretrain.pth", tmp_path / "vit_nyu_dpt_head.pth"


def test_metas_files_convert_and_compute_what_metas_code_does(meta_files, goldens, tmp_path, capsys):
    backbone, head = meta_files
    arguments = ["convert", backbone, tmp_path / "dst", "--head", head, "--heads", "3"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    assert "48 channels, 3 heads" in capsys.readouterr().out
    model = load(tmp_path / "dst")
    assert (model.config.encoder.position_offset, model.config.decoder.depth_offset) == (0.1, 0.001)
    images = goldens["odd_100x131/image"] * _STD + _MEAN
    assert error(model(images), torch.from_numpy(goldens["odd_100x131/depth"])) < 1e-5


def test_metas_files_are_held_to_their_names(meta_files, golden_tensors, tmp_path):
    backbone, head = meta_files
    tensors = {k: torch.from_numpy(v) for k, v in golden_tensors[1].items()}
    del tensors["decode_head.project.conv.bias"]
    tensors["decode_head.conv_seg.weight"] = torch.zeros(1)
    tensors["decode_head.fusion_blocks.2.project.conv.bias"] = torch.zeros(5)
    torch.save({"state_dict": tensors}, head)
    with pytest.raises(WeightsError) as caught:
        convert(backbone, tmp_path / "dst", head=head, heads=3)
    assert "1 missing: decode_head.project.conv.bias" in str(caught.value)
    assert "1 extra: decode_head.conv_seg.weight" in str(caught.value)
    assert "decode_head.fusion_blocks.2.project.conv.bias is (5,), expected (32,)" in str(caught.value)
    assert not (tmp_path / "dst").exists()


def test_files_that_are_no_tensors_are_refused(meta_files, tmp_path):
    backbone, head = meta_files
    with pytest.raises(WeightsError, match=r"number of attention heads.*--heads"):
        convert(backbone, tmp_path / "dst", head=head)
    with pytest.raises(WeightsError, match="not a DPT depth head"):
        convert(backbone, tmp_path / "dst", head=backbone, heads=3)
    head.write_bytes(b"not a pickle")
    with pytest.raises(WeightsError, match="can't be read as a PyTorch file of tensors alone"):
        convert(backbone, tmp_path / "dst", head=head, heads=3)
    torch.save({"a": {"b": Path("x")}}, head)
    with pytest.raises(WeightsError, match="tensors alone"):
        convert(backbone, tmp_path / "dst", head=head, heads=3)
    torch.save({"epoch": 3, "a": torch.zeros(1)}, head)
    with pytest.raises(WeightsError, match="holds more than tensors: epoch"):
        convert(backbone, tmp_path / "dst", head=head, heads=3)


def released_adapter(width, layers):
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for level in range(4):
        for layer in layers:
            kernel = (3, 3) if layer == "conv_out" else ()
            tensors[f"{layer}.{level}.weight"] = torch.zeros(width, width + 2, *kernel)
            tensors[f"{layer}.{level}.bias"] = torch.randn(width, generator=generator)
    return tensors


@pytest.mark.parametrize("layers", [("conv_out", "fc_out"), ("fc_out",), ("conv_out",)])
def test_a_released_adapter_adds_its_biases(meta_files, tmp_path, capsys, layers):
    backbone, head = meta_files
    tensors = released_adapter(48, layers)
    torch.save(tensors, tmp_path / "adapter.pth")
    options = ["--head", head, "--heads", "3", "--adapter", tmp_path / "adapter.pth"]
    assert cli.main([str(x) for x in ("convert", backbone, tmp_path / "dst", *options)]) == 0
    out = capsys.readouterr().out
    for layer in ("conv_out", "fc_out"):
        assert (f"the file holds no {layer}.*" in out) == (layer not in layers)
        assert (f"every weight of {layer} is 0" in out) == (layer in layers)
    weights = load_file(tmp_path / "dst" / "model.safetensors")
    for key in (key for key in weights if key.startswith("adapter.")):
        _, _, level, layer, kind = key.split(".")
        expected = tensors.get(f"{layer}.{level}.bias") if kind == "bias" else None
        np.testing.assert_array_equal(weights[key], 0 if expected is None else expected.numpy())
    assert read_config(tmp_path / "dst")[0].adapter.init == "released"
    assert load(tmp_path / "dst").adapter is not None


def test_an_adapter_for_another_backbone_is_refused(meta_files, tmp_path):
    backbone, head = meta_files
    torch.save(released_adapter(64, ["fc_out"]), tmp_path / "adapter.pth")
    options = {"head": head, "heads": 3, "adapter": tmp_path / "adapter.pth"}
    with pytest.raises(WeightsError, match="for a backbone of 64 channels, and this one has 48"):
        convert(backbone, tmp_path / "dst", **options)
    torch.save({"other": torch.zeros(1)}, tmp_path / "adapter.pth")
    with pytest.raises(WeightsError, match=r"neither conv_out\.\* nor fc_out"):
        convert(backbone, tmp_path / "dst", **options)
    incomplete = released_adapter(48, ["fc_out"])
    del incomplete["fc_out.2.bias"]
    torch.save(incomplete, tmp_path / "adapter.pth")
    with pytest.raises(WeightsError, match=r"1 missing: fc_out\.2\.bias"):
        convert(backbone, tmp_path / "dst", **options)


def test_the_published_adapter_converts_with_a_vit_s(tmp_path, capsys):
    adapter = SHARED / "goldens" / "released_transformer_adapter_epoch_9.pth"
    if not adapter.is_file():
        pytest.skip(f"no {adapter.name}: SMOOTHDINO_SHARED names the folder that holds goldens/")
    depther([1, 2, 3, 4], **VIT_S | {"num_hidden_layers": 4, "image_size": 70}).save_pretrained(tmp_path / "src")
    code = cli.main(["convert", str(tmp_path / "src"), str(tmp_path / "dst"), "--adapter", str(adapter)])
    assert code == 0
    assert "every weight of fc_out is 0, so it adds a constant" in capsys.readouterr().out
    biases = torch.load(adapter, map_location="cpu", weights_only=True)
    weights = load_file(tmp_path / "dst" / "model.safetensors")
    for level in range(4):
        expected = biases[f"fc_out.{level}.bias"].numpy()
        assert np.any(expected)
        np.testing.assert_array_equal(weights[f"adapter.levels.{level}.fc_out.bias"], expected)
