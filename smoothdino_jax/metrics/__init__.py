"""Metrics of metric depth: pure functions of arrays, one value per frame, NaN where a frame has none."""

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.frames import NAMES, Sums, frame_metrics
from smoothdino_jax.metrics.views import Pair, View

__all__ = ["NAMES", "Definition", "Pair", "Sums", "View", "frame_metrics"]
