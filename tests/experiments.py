"""Small models and configurations that several tests share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from smoothdino_jax.config import default_config


def randomise(module, seed=0, scale=0.3):
    """Random numbers in every weight, so that nothing is zero by design."""
    rng = np.random.default_rng(seed)
    for leaf in jax.tree.leaves(nnx.state(module), is_leaf=lambda x: isinstance(x, nnx.Variable)):
        leaf[...] = jnp.asarray(rng.normal(0, scale, leaf[...].shape), jnp.float32)


def tiny_experiment(checkpoint, **train):
    config = default_config()
    config.model.checkpoint = str(checkpoint)
    config.data.source = {
        "name": "synthetic",
        "scenes": 4,
        "frames_per_scene": 6,
        "size": (28, 42),
        "seed": 0,
        "first_scene": 0,
        "noise": 1.0,
    }
    config.data.split = {"how": "by_scene", "validation_scenes": ("room_000003",)}
    config.train.batch_size = 2
    config.train.steps = 6
    config.train.learning_rate = 1e-2
    for name, value in train.items():
        setattr(config.train, name, value)
    return config


def leaves(module):
    return {path: np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(module))}
