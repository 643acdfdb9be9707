"""Metrics of metric depth, frame by frame.

Every metric is computed per frame over the pixels with a reading, then averaged over frames, as the NYU toolbox
does. For frames without gaps the mean of MSE over frames is the paper's MSE over all pixels.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.masks import masked_mean, nan_where_broken

DEFINITIONS = {
    "mse": Definition(
        "MSE", "m²", "lower", "Mean squared error of a frame: the paper's metric, but per frame (see mse_pixels)."
    ),
    "rmse": Definition("RMSE", "m", "lower", "Root of the mean squared error of a frame (Eigen et al. 2014)."),
    "abs_rel": Definition("AbsRel", "", "lower", "Mean of |error| / truth (Eigen et al. 2014)."),
    "sq_rel": Definition("SqRel", "m", "lower", "Mean of error² / truth (Eigen et al. 2014)."),
    "log10": Definition("log10", "", "lower", "Mean difference of the decimal logarithms (Saxena et al. 2009)."),
    "silog": Definition(
        "SILog", "", "lower", "100 times the standard deviation of the log error of a frame (KITTI); blind to scale."
    ),
    "delta1": Definition(
        "δ1", "", "higher", "Share of pixels off by a factor below 1.25, either way (Ladický et al. 2014)."
    ),
    "delta2": Definition("δ2", "", "higher", "Share of pixels off by a factor below 1.25² = 1.5625."),
    "delta3": Definition("δ3", "", "higher", "Share of pixels off by a factor below 1.25³ = 1.953."),
}


_LEAST = 1e-3  # metres; what predictions count as in logarithms and ratios, at least


def frame_metrics(prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]) -> dict[str, Float[Array, "b"]]:
    """Metrics of each frame; NaN where a frame has no valid pixel, or a valid one whose prediction is not finite.

    With p the prediction, t the truth in metres, d = ln p - ln t, and means over the pixels with t > 0
    (Eigen et al., "Depth Map Prediction from a Single Image", 2014, but for the MSE, which is Jagnandan & Chaudhari's;
    SILog as the KITTI benchmark scales it):

    * `mse` = mean (p - t)², m²; `rmse` = its root, m
    * `abs_rel` = mean |p - t| / t; `sq_rel` = mean (p - t)² / t, m
    * `log10` = mean |log10 p - log10 t|
    * `silog` = 100 √(mean d² - (mean d)²)
    * `delta1` … `delta3` = share of pixels with max(p/t, t/p) < 1.25, 1.25², 1.25³

    Logarithms and ratios take predictions below 1 mm, zero and negative ones too, for 1 mm; the other metrics take
    them as they are.

    Args:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
    """
    valid = truth > 0
    target = jnp.where(valid, truth, 1.0)
    positive = jnp.maximum(prediction, _LEAST)
    error = prediction - target
    log = jnp.log(positive) - jnp.log(target)
    ratio = jnp.maximum(positive / target, target / positive)
    squared = masked_mean(jnp.square(error), valid)
    centred = log - masked_mean(log, valid)[:, None, None]
    metrics = {
        "mse": squared,
        "rmse": jnp.sqrt(squared),
        "abs_rel": masked_mean(jnp.abs(error) / target, valid),
        "sq_rel": masked_mean(jnp.square(error) / target, valid),
        "log10": masked_mean(jnp.abs(log), valid) / jnp.log(10.0),
        "silog": 100 * jnp.sqrt(masked_mean(jnp.square(centred), valid)),
        **{f"delta{k}": masked_mean((ratio < 1.25**k).astype(jnp.float32), valid) for k in (1, 2, 3)},
    }
    return nan_where_broken(metrics, prediction, truth)


def counts(prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]) -> dict[str, Int[Array, "b"]]:
    """What the metrics of each frame rest on, int32.

    * `pixels`: how many have a truth
    * `nonfinite`: how many pixels, with a truth or without, have a prediction that is NaN or infinite

    Args:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
    """
    broken = ~jnp.isfinite(prediction)
    return {"pixels": (truth > 0).sum((1, 2), dtype=jnp.int32), "nonfinite": broken.sum((1, 2), dtype=jnp.int32)}
