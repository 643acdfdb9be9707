"""The model folder: what is written is what is read, whole or not at all, and errors say what to do."""

import dataclasses
import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights import WeightsError, architecture, embedded, folder, load, meta, read_config, save
from smoothdino_jax.weights.rules import apply, flat_params, target_shapes


@pytest.fixture
def saved(tiny_model, tmp_path):
    return save(tiny_model, tmp_path / "model", provenance={"source": "a test"})


def edit_config(path, change):
    fields = json.loads((path / "config.json").read_text())
    change(fields)
    (path / "config.json").write_text(json.dumps(fields))


def edit_weights(path, change):
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors")


def test_a_saved_model_comes_back_exactly(tiny_model, saved):
    loaded = load(saved)
    assert loaded.config == tiny_model.config
    before, after = flat_params(tiny_model), flat_params(loaded)
    assert before.keys() == after.keys()
    for key, array in before.items():
        assert after[key].dtype == array.dtype == jnp.float32
        np.testing.assert_array_equal(after[key], array)


def test_the_keys_of_the_file_are_dotted_paths_in_the_model(tiny_model, saved):
    weights = load_file(saved / "model.safetensors")
    kernel = tiny_model.encoder.blocks[2].attn.qkv.kernel[...]
    np.testing.assert_array_equal(weights["encoder.blocks.2.attn.qkv.kernel"], kernel)
    assert weights.keys() == target_shapes(tiny_model.config).keys()


def test_config_json_tells_the_version_the_architecture_and_the_provenance(tiny_model, saved):
    fields = json.loads((saved / "config.json").read_text())
    assert (fields["format"], fields["version"]) == ("smoothdino", 1)
    assert fields["model"] == json.loads(json.dumps(dataclasses.asdict(tiny_model.config)))
    assert read_config(saved) == (tiny_model.config, {"source": "a test"})


def test_others_may_read_the_weights_if_they_may_read_the_config(saved):
    assert (saved / "model.safetensors").stat().st_mode == (saved / "config.json").stat().st_mode


def test_float16_halves_the_file_and_keeps_three_digits(tiny_model, saved, tmp_path):
    half = save(tiny_model, tmp_path / "half", dtype="float16")
    size, full = ((path / "model.safetensors").stat().st_size for path in (half, saved))
    assert size < 0.6 * full
    loaded = load(half)
    for key, array in flat_params(tiny_model).items():
        back = flat_params(loaded)[key]
        assert back.dtype == jnp.float32
        np.testing.assert_allclose(back, array, rtol=1e-3, atol=1e-7)


def test_a_weight_beyond_float16_is_refused(tiny_model, tmp_path):
    tiny_model.decoder.head3.bias[...] = jnp.full(1, 1e6)
    with pytest.raises(WeightsError, match=r"decoder\.head3\.bias is beyond the range of float16"):
        save(tiny_model, tmp_path / "deep" / "half", dtype="float16")
    assert not list(tmp_path.iterdir())


def test_nan_is_refused(tiny_model, tmp_path):
    tiny_model.decoder.head3.bias[...] = jnp.full(1, jnp.nan)
    with pytest.raises(WeightsError, match=r"decoder\.head3\.bias holds NaN"):
        save(tiny_model, tmp_path / "model")


def test_the_parent_is_made(tiny_model, tmp_path):
    assert load(save(tiny_model, tmp_path / "a" / "b" / "model")).config == tiny_model.config


def test_an_existing_path_is_left_alone(tiny_model, saved):
    before = (saved / "model.safetensors").stat()
    with pytest.raises(WeightsError, match="exists already"):
        save(tiny_model, saved)
    assert (saved / "model.safetensors").stat() == before


def test_overwrite_replaces_a_model_folder_and_leaves_nothing_beside_it(tiny_model, saved):
    tiny_model.decoder.head3.bias[...] = jnp.full(1, 7.0)
    save(tiny_model, saved, overwrite=True)
    assert load(saved).decoder.head3.bias[...].item() == 7.0
    assert list(saved.parent.iterdir()) == [saved]


def test_overwrite_refuses_a_folder_that_holds_anything_else(tiny_model, saved):
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(WeightsError, match="move it away yourself"):
        save(tiny_model, saved, overwrite=True)
    assert (saved / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("existing", [False, True])
def test_a_write_that_fails_midway_leaves_no_trace(tiny_model, tmp_path, monkeypatch, existing):
    path = tmp_path / "model"
    if existing:
        save(tiny_model, path, provenance={"source": "the old one"})

    def full(weights, file, metadata):
        file.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "save_file", full)
    with pytest.raises(WeightsError, match=r"can't be written: .*No space left"):
        save(tiny_model, path, overwrite=True)
    assert list(tmp_path.iterdir()) == ([path] if existing else [])
    if existing:
        assert read_config(path)[1] == {"source": "the old one"}
        load(path)


def test_loading_needs_no_torch(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert load(saved).encoder.cls_token[...].shape == (16,)


def test_the_compute_dtype_can_be_chosen_while_weights_stay_float32(saved):
    model = load(saved, dtype="bfloat16")
    parts = (model.config.encoder, model.config.decoder, model.config.adapter)
    assert [part.dtype for part in parts] == ["bfloat16"] * 3
    assert {str(leaf.dtype) for leaf in flat_params(model).values()} == {"float32"}
    assert model.encode(jnp.zeros((1, 14, 28, 3), jnp.uint8))[0].patches.dtype == jnp.bfloat16
    with pytest.raises(WeightsError, match="float16"):
        folder._computing_in(model.config, "float16")


def test_a_missing_folder_says_how_to_get_one(tmp_path):
    with pytest.raises(WeightsError, match=r"no model folder .*nowhere.*smoothdino convert SRC"):
        load(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_told_so(tmp_path):
    with pytest.raises(WeightsError, match=r"not a model folder: it holds no config\.json and no model"):
        load(tmp_path)


def test_a_folder_of_hugging_face_is_told_to_be_converted(huggingface_folder):
    with pytest.raises(WeightsError, match="is converted with `smoothdino convert"):
        load(huggingface_folder())


def test_a_config_that_is_no_json(saved):
    (saved / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json can't be read as JSON"):
        load(saved)


def test_an_unknown_field_is_named(saved):
    edit_config(saved, lambda fields: fields["model"]["encoder"].update(registers=4))
    with pytest.raises(WeightsError, match=r"config\.json.*registers"):
        load(saved)


def test_a_missing_part_is_named(saved):
    edit_config(saved, lambda fields: fields["model"].pop("decoder"))
    with pytest.raises(WeightsError, match=r"config\.json.*missing 'decoder'"):
        load(saved)


def test_a_newer_format_asks_for_an_update(saved):
    edit_config(saved, lambda fields: fields.update(version=2))
    with pytest.raises(WeightsError, match=r"format version 2.*reads up to 1: update"):
        load(saved)


def test_one_error_names_every_tensor_that_does_not_fit(saved):
    def spoil(weights):
        del weights["decoder.head1.bias"], weights["encoder.cls_token"]
        weights["decoder.stray"] = np.zeros(1, np.float32)
        weights["decoder.head3.bias"] = np.zeros(3, np.float32)

    edit_weights(saved, spoil)
    with pytest.raises(WeightsError) as caught:
        load(saved)
    message = str(caught.value)
    assert "2 missing: decoder.head1.bias, encoder.cls_token" in message
    assert "1 extra: decoder.stray" in message
    assert "1 misshapen: decoder.head3.bias is (3,), expected (1,)" in message


def test_many_tensors_that_do_not_fit_are_counted_and_the_first_named(saved):
    edit_config(saved, lambda fields: fields["model"]["adapter"].update(hidden=24))
    with pytest.raises(WeightsError) as caught:
        load(saved)
    message = str(caught.value)
    assert "24 misshapen: adapter.levels.0.conv_hidden.bias is (16,), expected (24,), adapter" in message
    assert ", and 21 more. config.json says otherwise in adapter.hidden (24, by the tensors 16)" in message
    assert message.count("expected") == 3
    assert len(message) < 600


@pytest.mark.parametrize("left", [0, 5, 3000, -1])
def test_a_truncated_file_is_told_so(saved, left):
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged or incomplete"):
        load(saved)


def test_the_embedded_model_has_a_name_that_a_folder_of_that_name_overrides(saved, tmp_path, monkeypatch):
    assert embedded("tiny-synthetic").name == "tiny"
    with pytest.raises(WeightsError, match="no model 'huge'"):
        embedded("huge")
    monkeypatch.setattr(folder, "embedded", lambda: saved)
    monkeypatch.chdir(tmp_path)
    assert load("tiny-synthetic").config.encoder.width == 16
    (tmp_path / "tiny-synthetic").mkdir()
    with pytest.raises(WeightsError, match="tiny-synthetic is not a model folder"):
        load("tiny-synthetic")


def test_published_architectures_are_known():
    variants = (EncoderConfig.small(), EncoderConfig.base(), EncoderConfig.large(), EncoderConfig.giant())
    for variant in variants:
        assert architecture.head_count(variant.width) == variant.heads
        assert architecture.default_blocks(variant.depth) == variant.blocks
    with pytest.raises(WeightsError, match=r"48 channels.*--heads N"):
        architecture.head_count(48)


@pytest.mark.parametrize(
    ("given", "names", "expected"),
    [
        (None, ["dpt-dinov2-small-KITTI"], (0.001, 80.0)),
        (None, ["vits14.pth", "vits14_kitti_dpt_head.pth"], (0.001, 80.0)),
        (None, ["vits14.pth"], (0.001, 10.0)),
        ("nyu", ["kitti"], (0.001, 10.0)),
        ("0.5, 20", [], (0.5, 20.0)),
        ((1.0, 2.0), [], (1.0, 2.0)),
    ],
)
def test_the_depth_range_is_given_or_guessed(given, names, expected):
    assert architecture.parse_range(given, *names)[0] == expected


@pytest.mark.parametrize("given", ["mars", "1", "1,2,3", "5,2", "-1,2", "0,inf", "nan,2"])
def test_a_depth_range_that_is_none_is_refused(given):
    with pytest.raises(WeightsError, match="depth range"):
        architecture.parse_range(given)


def test_metas_register_tokens_are_refused(golden_tensors):
    backbone, head = golden_tensors
    backbone = backbone | {"register_tokens": np.zeros((1, 4, 48), np.float32)}
    with pytest.raises(WeightsError, match=r"vits14_reg\.pth: a backbone with register tokens"):
        meta.configs(backbone, head, heads=3, depth_range=(0.001, 10.0), names=("vits14_reg.pth", "head.pth"))


def test_blocks_past_the_last_one_read_are_left_out(golden_tensors):
    backbone, head = golden_tensors
    config, _ = meta.configs(backbone, head, heads=3, depth_range=(0.001, 10.0), names=("a", "b"))
    shorter = dataclasses.replace(config, depth=6)
    assert "blocks.4.*" in meta.ignored(shorter)
    assert "blocks.5.*" in meta.ignored(shorter)
    assert "blocks.3.*" not in meta.ignored(shorter)


def test_a_table_that_does_not_cover_the_model_is_a_mistake_of_ours(golden_tensors):
    backbone, _ = golden_tensors
    with pytest.raises(AssertionError, match="the table and the model differ"):
        apply([], backbone, {"encoder.cls_token": (48,)}, where="here")
