"""Compares the model in WORKDIR with the frozen one, and with other checkpoints, on the validation split.

    python eval.py --config=configs/demo.py --workdir=runs/mine
    python eval.py --config=configs/demo.py --workdir=runs/mine --config.eval.checkpoints=other=runs/other/model

Prints a table; writes WORKDIR/eval/metrics.json, and with eval.pictures comparison.png and comparison.mp4.
"""

from smoothdino_jax.apps.entry import run
from smoothdino_jax.apps.evaluate import evaluate_workdir

if __name__ == "__main__":
    run(evaluate_workdir, __doc__)
