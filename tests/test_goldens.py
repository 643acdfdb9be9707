"""Parity with Meta's own code, without it: stored weights, inputs and outputs of a tiny depther.

Random weights in Meta's layout (48 channels, 3 heads, 4 blocks, native grid 5×5), at three sizes of which one
is not a multiple of 14.
"""

import numpy as np
import pytest
from flax import nnx

from smoothdino_jax.models.smoothdino import SmoothDINOConfig
from smoothdino_jax.weights import load, meta
from smoothdino_jax.weights.folder import write
from smoothdino_jax.weights.rules import apply, target_shapes

SIZES = {"native_70x70": (70, 70), "wide_98x126": (98, 126), "odd_100x131": (100, 131)}
_MEAN, _STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


@pytest.fixture(scope="module")
def model(golden_tensors, tmp_path_factory):
    backbone, head = golden_tensors
    configs = meta.configs(backbone, head, heads=3, depth_range=(0.001, 10.0), names=("backbone", "head"))
    config = SmoothDINOConfig(*configs)
    table = meta.encoder_rules(config.encoder) + meta.decoder_rules()
    weights = apply(
        table,
        backbone | head,
        target_shapes(config),
        ignored=meta.ignored(config.encoder),
        where="goldens",
    )
    return load(write(tmp_path_factory.mktemp("goldens") / "tiny", config, weights))


@pytest.fixture(scope="module")
def computed(model, goldens):
    """Everything that the model computes from a golden's images, once per size."""

    @nnx.jit
    def run(model, images):
        features = model.encode(images)
        return features, model.decoder(features), model(images)

    # The stored images are normalised already: undone here, so that this is tested too.
    return {name: run(model, goldens[f"{name}/image"] * _STD + _MEAN) for name in SIZES}


def error(ours, reference):
    assert ours.shape == reference.shape
    assert ours.dtype == reference.dtype == np.float32
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("level", range(4))
def test_features_agree_with_the_reference(computed, goldens, name, level):
    features, _, _ = computed[name]
    assert error(features[level].patches, goldens[f"{name}/patches{level}"]) < 1e-5
    assert error(features[level].cls, goldens[f"{name}/cls{level}"]) < 1e-5


@pytest.mark.parametrize("name", SIZES)
def test_depth_agrees_with_the_reference(computed, goldens, name):
    _, raw, depth = computed[name]
    assert error(raw, goldens[f"{name}/raw_depth"]) < 1e-5
    assert error(depth, goldens[f"{name}/depth"]) < 1e-5


@pytest.mark.parametrize("name", SIZES)
def test_the_reference_is_no_constant_that_anything_could_match(goldens, name):
    depth = goldens[f"{name}/depth"]
    assert depth.std() / depth.mean() > 0.05
    assert 0.001 < depth.min() < depth.max() < 10
