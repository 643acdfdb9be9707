"""What is minimised. Pixels without a reading (depth 0) count nowhere."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from smoothdino_jax.models.vit import Features


def masked_mean(values: Float[Array, "..."], truth: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of `values` over the pixels where `truth` has a reading; 0 where none has."""
    valid = truth > 0
    return jnp.where(valid, values, 0.0).sum() / jnp.maximum(valid.sum(), 1)


def mse(prediction: Float[Array, "*b h w"], truth: Float[Array, "*b h w"]) -> Float[Array, ""]:
    """Mean squared error in m², the paper's loss, over all valid pixels of the batch."""
    # Masked before the difference too: an infinity behind a mask still makes NaN of the gradient.
    target = jnp.where(truth > 0, truth, 0.0)
    return masked_mean(jnp.square(prediction - target), truth)


def log_l1(prediction: Float[Array, "*b h w"], truth: Float[Array, "*b h w"]) -> Float[Array, ""]:
    """Mean absolute difference of log depth: relative error, so that near and far count alike."""
    target = jnp.where(truth > 0, truth, 1.0)
    return masked_mean(jnp.abs(jnp.log(jnp.maximum(prediction, 1e-3)) - jnp.log(target)), truth)


def feature_change(before: tuple[Features, ...], after: tuple[Features, ...]) -> Float[Array, ""]:
    """The paper's regulariser: mean squared change that the adapter makes to the features.

    The mean over levels of the mean over patch tokens and channels (class tokens left out, as they are one
    among hundreds).
    """
    changes = [
        jnp.square(new.patches.astype(jnp.float32) - old.patches.astype(jnp.float32)).mean()
        for old, new in zip(before, after, strict=True)
    ]
    return sum(changes) / len(changes)


LOSSES = {"mse": mse, "log_l1": log_l1}
