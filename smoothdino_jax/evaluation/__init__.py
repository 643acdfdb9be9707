"""Evaluation: scenes streamed in order through one compiled step, all models side by side."""

from smoothdino_jax.evaluation.capture import capture
from smoothdino_jax.evaluation.evaluator import evaluate, measure, other_frozen, share_frozen
from smoothdino_jax.evaluation.lanes import Lanes, streams
from smoothdino_jax.evaluation.records import Records
from smoothdino_jax.evaluation.rows import add_costs, make_rows, plain

__all__ = [
    "Lanes",
    "Records",
    "add_costs",
    "capture",
    "evaluate",
    "make_rows",
    "measure",
    "other_frozen",
    "plain",
    "share_frozen",
    "streams",
]
