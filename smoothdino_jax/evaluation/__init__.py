"""Evaluation: scenes streamed in order through one jitted step, all models side by side."""

from smoothdino_jax.evaluation.evaluator import Lanes, evaluate, milliseconds_per_frame, share_frozen, streams

__all__ = ["Lanes", "evaluate", "milliseconds_per_frame", "share_frozen", "streams"]
