"""The one exception of this package."""

from smoothdino_jax.data.frames import DataError


class WeightsError(DataError):
    """Weights that can't be read, converted or written. The message says which, and what to do."""
