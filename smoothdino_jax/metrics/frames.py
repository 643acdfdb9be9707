"""Metrics of metric depth: sums and counts on the device, fetched once.

Every metric is computed per frame over the pixels with a reading, then averaged over frames, as the NYU toolbox
does. For frames without gaps the mean of MSE over frames is the paper's MSE over all pixels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NAMES = ("mse", "rmse", "abs_rel", "log10", "delta1", "delta2", "delta3", "silog")


def frame_metrics(prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]) -> dict[str, Float[Array, "b"]]:
    """Metrics of each frame; NaN where a frame has no valid pixel.

    With p the prediction, t the truth in metres, d = ln p - ln t, and means over the pixels with t > 0
    (Eigen et al., "Depth Map Prediction from a Single Image", 2014; SILog as the KITTI benchmark scales it):

    * `mse` = mean (p - t)², m²; `rmse` = its root, m
    * `abs_rel` = mean |p - t| / t
    * `log10` = mean |log10 p - log10 t|
    * `delta1` … `delta3` = share of pixels with max(p/t, t/p) < 1.25, 1.25², 1.25³
    * `silog` = 100 √(mean d² - (mean d)²)

    Args:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
    """
    valid = truth > 0
    count = valid.sum((1, 2))

    def mean(values):
        # 0 / 0 gives the NaN that marks a frame without any reading.
        return jnp.where(valid, values, 0.0).sum((1, 2)) / count

    target = jnp.where(valid, truth, 1.0)
    positive = jnp.maximum(prediction, 1e-3)  # the logarithms need it; the depth head never goes below
    error = prediction - target
    log = jnp.log(positive) - jnp.log(target)
    ratio = jnp.maximum(positive / target, target / positive)
    squared = mean(jnp.square(error))
    centred = log - mean(log)[:, None, None]
    return {
        "mse": squared,
        "rmse": jnp.sqrt(squared),
        "abs_rel": mean(jnp.abs(error) / target),
        "log10": mean(jnp.abs(log)) / jnp.log(10.0),
        "delta1": mean((ratio < 1.25).astype(jnp.float32)),
        "delta2": mean((ratio < 1.25**2).astype(jnp.float32)),
        "delta3": mean((ratio < 1.25**3).astype(jnp.float32)),
        "silog": 100 * jnp.sqrt(mean(jnp.square(centred))),
    }


class Sums(NamedTuple):
    """Running sums over frames.

    Attributes:
        totals: metric name -> sum over the counted frames.
        frames: number of frames counted.
        empty: number of frames left out because no pixel of the truth has a reading.
    """

    totals: dict[str, Array]
    frames: Array
    empty: Array

    @classmethod
    def zero(cls) -> "Sums":
        """Nothing counted yet."""
        return cls({name: jnp.zeros(()) for name in NAMES}, jnp.zeros((), int), jnp.zeros((), int))

    def add(self, prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"], counted: Bool[Array, "b"]) -> "Sums":
        """Adds the frames where `counted` is True. NaN in a prediction stays NaN in the sums."""
        readings = (truth > 0).any((1, 2))
        use = counted & readings
        values = frame_metrics(prediction, truth)
        totals = {name: self.totals[name] + jnp.where(use, values[name], 0.0).sum() for name in NAMES}
        return Sums(totals, self.frames + use.sum(), self.empty + (counted & ~readings).sum())

    def means(self) -> dict[str, float | int]:
        """Means over frames with `frames` and `empty`, on the host."""
        totals, frames, empty = jax.device_get(self)
        if frames == 0:
            raise ValueError("no frame with a depth reading was evaluated")
        return {name: float(totals[name] / frames) for name in NAMES} | {
            "frames": int(frames),
            "empty": int(empty),
        }
