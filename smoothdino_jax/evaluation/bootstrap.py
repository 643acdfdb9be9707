"""Confidence intervals by the bootstrap, over scenes.

Frames of one scene resemble each other, so that a thousand of them may tell little more than one. What is drawn
with replacement are therefore whole scenes (Cameron, Gelbach & Miller 2008, "Bootstrap-based improvements for
inference with clustered errors", the pairs cluster bootstrap), and an interval says how far the number might be
off on other scenes of the same kind. With few scenes a percentile interval is too narrow: of nominal 95 %
intervals (scenes normally distributed or skewed) about 92 % hold the truth with twenty scenes, 88 % with ten, 81 %
with five and 74 % with three.
"""

import numpy as np
from jaxtyping import Float, Shaped

FEW = 20
"""Scenes below which an interval deserves a warning."""


def bootstrap_mean(
    values: Float[np.ndarray, "n"],
    scenes: Shaped[np.ndarray, "n"],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of the mean over frames.

    Args:
        values: `(N,)`, one number per frame, all finite: whether an undefined one is left out or spoils the mean
            is for the caller to say.
        scenes: `(N,)`, the scene of each frame, by name or number.
        resamples: how often as many scenes as there are are drawn.
        level: share of the resampled means that the interval holds.
        seed: of the draws. The same values give the same interval, whatever the order of the frames.

    Returns:
        Lower and upper end, in the unit of `values`; None with fewer than two scenes.

    Raises:
        ValueError: NaN or infinite values.
    """
    return _interval_of_ratio(values, np.ones(len(values)), scenes, resamples, level, seed)


def bootstrap_change(
    values: Float[np.ndarray, "n"],
    reference: Float[np.ndarray, "n"],
    scenes: Shaped[np.ndarray, "n"],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of `mean(values) / mean(reference) - 1`, -0.17 where values are 17 % lower.

    Paired: both means are of the same drawn scenes, so that hard scenes, which are hard for both, cancel out.

    Args:
        values: `(N,)`, one finite number per frame.
        reference: `(N,)`, of the same frames, finite, with a positive mean in every scene.
        scenes: `(N,)`, the scene of each frame, by name or number.
        resamples: how often as many scenes as there are are drawn.
        level: share of the resampled changes that the interval holds.
        seed: of the draws.

    Returns:
        Lower and upper end; None with fewer than two scenes, or where the reference's mean is not positive in
        one of them (a draw of nothing but that scene has no change).

    Raises:
        ValueError: NaN or infinite values.
    """
    interval = _interval_of_ratio(values, reference, scenes, resamples, level, seed)
    return None if interval is None else (interval[0] - 1, interval[1] - 1)


def _interval_of_ratio(above, below, scenes, resamples, level, seed):
    """Interval of `sum(above) / sum(below)`: a mean is that over ones, a change that over the reference."""
    for values in (above, below):
        if bad := np.count_nonzero(~np.isfinite(values)):
            raise ValueError(f"{bad} of {len(values)} values are NaN or infinite: leave out these frames first")
    names, scene = np.unique(scenes, return_inverse=True)
    sums = np.stack([np.bincount(scene, values, len(names)) for values in (above, below)], 1)
    if len(names) < 2 or sums[:, 1].min() <= 0:
        return None
    # How often each resample drew each scene, (R, S).
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    totals = drawn @ sums
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
