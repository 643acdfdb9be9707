"""Looking at RGB-D frames before training on them: what a source holds, and what looks wrong.

It stands beside training and evaluation, not under `data`, because motion is measured by the model's own phase
correlation.
"""

from smoothdino_jax.inspection.figures import DataWarning, Inspection
from smoothdino_jax.inspection.measuring import inspect_source
from smoothdino_jax.inspection.sampling import sample

__all__ = ["DataWarning", "Inspection", "inspect_source", "sample"]
