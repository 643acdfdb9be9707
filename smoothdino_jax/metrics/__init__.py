"""Metrics of metric depth: pure functions of arrays, one value per frame, NaN where a frame has none."""

from smoothdino_jax.metrics import frames, scale, sharpness, temporal
from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.frames import counts as frame_counts
from smoothdino_jax.metrics.frames import frame_metrics
from smoothdino_jax.metrics.masks import NYU, Protocol
from smoothdino_jax.metrics.scale import scale_metrics
from smoothdino_jax.metrics.sharpness import sharpness_metrics
from smoothdino_jax.metrics.temporal import temporal_metrics
from smoothdino_jax.metrics.views import Pair, View

DEFINITIONS: dict[str, Definition] = {
    **frames.DEFINITIONS,
    "mse_pixels": Definition("MSE, pixels", "m²", "lower", "The paper's: one mean over the pixels of all frames."),
    **scale.DEFINITIONS,
    "scale_std": Definition(
        "Std of scale",
        "",
        "lower",
        "Standard deviation of the per-frame median scale over the frames of a scene, averaged over scenes (ours).",
    ),
    **temporal.DEFINITIONS,
    **sharpness.DEFINITIONS,
}
"""Metric name -> what it is called and what it means, in the order of tables."""

__all__ = [
    "DEFINITIONS",
    "NYU",
    "Definition",
    "Pair",
    "Protocol",
    "View",
    "frame_counts",
    "frame_metrics",
    "scale_metrics",
    "sharpness_metrics",
    "temporal_metrics",
]
