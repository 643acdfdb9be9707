"""Compares the model in WORKDIR with the frozen one, and with other checkpoints, on the validation split.

    python eval.py --config=configs/demo.py --workdir=runs/mine
    python eval.py --config=configs/demo.py --workdir=runs/mine --config.ablations=True
    python eval.py --config=configs/demo.py --workdir=runs/mine --config.eval.checkpoints=other=runs/other/model

Prints a table and writes metrics.json, metrics.csv, table.md, frames.csv, run.json and, with eval.pictures, what
`smoothdino report WORKDIR` draws, into WORKDIR/eval. With ablations also rows that tell whether the adapter
uses the past. docs/evaluation.md says what everything means.
"""

from smoothdino_jax import interrupts

if __name__ == "__main__":
    with interrupts.ending("interrupted"):
        from smoothdino_jax.apps.entry import run  # imports JAX, which takes seconds
        from smoothdino_jax.apps.evaluate import evaluate_workdir

        run(evaluate_workdir, __doc__)
