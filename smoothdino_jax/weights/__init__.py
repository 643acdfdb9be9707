"""Weights: the model folder, and the conversion of published PyTorch weights into it."""

from smoothdino_jax.weights.convert import convert
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.folder import embedded, load, read_config, save

__all__ = ["WeightsError", "convert", "embedded", "load", "read_config", "save"]
