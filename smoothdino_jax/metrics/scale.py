"""How much of a frame's error one factor would remove.

A model of metric depth errs in two ways: the whole frame is too far or too near, or its shape is wrong. The factor that
fits a frame best tells the first, and the error that is left after multiplying by it the second. `mse - mse_ls_scaled`
is the part of the MSE that is scale: it is 0 or more, since the factor 1 is among those that the fit may choose. The
same difference with the median's factor can be negative, as the ratio of medians minimises no squared error; but the
median doesn't follow a few far pixels, and is what self-supervised depth is evaluated with.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.masks import masked_mean, nan_where_broken
from smoothdino_jax.metrics.medians import median

DEFINITIONS = {
    "scale_median": Definition(
        "scale (median)", "", "", "Median of the truth over median of the prediction (Zhou et al. 2017); 1 is right."
    ),
    "scale_ls": Definition(
        "scale (LS)", "", "", "Factor on the prediction that makes a frame's MSE smallest; 1 is right."
    ),
    "mse_median_scaled": Definition(
        "MSE, median-scaled", "m²", "lower", "MSE after the prediction of each frame is multiplied by scale (median)."
    ),
    "mse_ls_scaled": Definition(
        "MSE, LS-scaled", "m²", "lower", "MSE after the prediction of each frame is multiplied by scale (LS)."
    ),
}


def scale_metrics(prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]) -> dict[str, Float[Array, "b"]]:
    """Scale of each frame and the MSE without it.

    With p the prediction and t the truth in metres, over the pixels with t > 0:

    * `scale_median` = median t / median p, the ratio of medians and not the median of ratios (Zhou et al.,
      "Unsupervised Learning of Depth and Ego-Motion from Video", 2017); NaN where the median of p is not positive
    * `scale_ls` = Σ p t / Σ p², which minimises Σ (s p - t)² over s; NaN where p is 0 everywhere
    * `mse_median_scaled`, `mse_ls_scaled` = mean (s p - t)² with either, m²

    All are NaN where a frame has no valid pixel, or a valid one whose prediction is not finite.

    `scale_std` is made of `scale_median` when frames are averaged (`evaluation/records.py`), and is ours: with s_k the
    scales of the n frames of a scene that have one, and m their mean, √(Σ (s_k - m)² / n), and of that the mean over
    the scenes with n ≥ 2. It is 0 for a prediction that is wrong by one and the same factor throughout a scene.

    Args:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
    """
    valid = truth > 0
    middle = median(prediction, valid)
    by_median = jnp.where(middle > 0, median(truth, valid) / middle, jnp.nan)
    least_squares = masked_mean(prediction * truth, valid) / masked_mean(jnp.square(prediction), valid)

    def scaled(factor):
        return masked_mean(jnp.square(factor[:, None, None] * prediction - truth), valid)

    metrics = {
        "scale_median": by_median,
        "scale_ls": least_squares,
        "mse_median_scaled": scaled(by_median),
        "mse_ls_scaled": scaled(least_squares),
    }
    return nan_where_broken(metrics, prediction, truth)
