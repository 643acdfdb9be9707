"""What this package raises for weights that are no use."""

from smoothdino_jax.data.frames import DataError


class WeightsError(DataError):
    """Weights that can't be read, converted or written. The message says which, and what to do."""
