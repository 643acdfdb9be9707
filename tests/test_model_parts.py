"""What the model is made of, by itself: configurations, published sizes, and the doubling within the decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.resize import upsample2_bilinear
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.vit import EncoderConfig


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_doubling_keeps_corners_and_straight_lines(size):
    y, x = np.meshgrid(*(np.linspace(0, 1, n) if n > 1 else np.zeros(1) for n in size), indexing="ij")
    plane = (3 * y - 2 * x + 1).astype(np.float32)
    doubled = np.asarray(upsample2_bilinear(jnp.asarray(plane[None, :, :, None])))[0, :, :, 0]
    ends = [np.linspace(0, 1, 2 * n) if n > 1 else np.zeros(2) for n in size]
    y, x = np.meshgrid(*ends, indexing="ij")
    assert np.allclose(doubled, 3 * y - 2 * x + 1, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderConfig(width=10, depth=4, heads=3, blocks=(0, 1, 2, 3)), "multiple of heads"),
        (lambda: EncoderConfig(width=12, depth=4, heads=3, blocks=(0, 1, 2, 4)), "below depth"),
        (lambda: EncoderConfig(width=12, depth=4, heads=3, blocks=(0, 2, 1, 3)), "increasing"),
        (lambda: DecoderConfig.nyu(16, min_depth=5.0, max_depth=1.0), "depth range"),
        (lambda: AdapterConfig(16, inputs=("shift", "current")), "in this order"),
        (lambda: AdapterConfig(16, inputs=()), "must be some of"),
        (lambda: AdapterConfig(16, init="zero"), "released"),
        (lambda: AdapterConfig(16, class_token="drop"), "pass"),
        (lambda: AdapterConfig(16, memory="all"), "adapted"),
    ],
)
def test_configurations_that_make_no_model_say_why(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_encoder_and_decoder_must_fit(tiny_config):
    with pytest.raises(ValueError, match="width"):
        SmoothDINO(SmoothDINOConfig(tiny_config.encoder, DecoderConfig.nyu(32)), nnx.Rngs(0))


@pytest.mark.parametrize(
    ("config", "millions"),
    [(EncoderConfig.small(), 21.9), (EncoderConfig.base(), 86.4), (EncoderConfig.large(), 304)],
)
def test_published_sizes(config, millions):
    model = nnx.eval_shape(lambda: SmoothDINO(SmoothDINOConfig(config, DecoderConfig.nyu(config.width)), nnx.Rngs(0)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model.encoder)))
    assert count / 1e6 == pytest.approx(millions, rel=0.01)
