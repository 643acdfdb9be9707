"""Trains an adapter, or a depther, from a configuration file; run again, it goes on where it was.

    python train.py --config=configs/demo.py --workdir=runs/mine
    python train.py --config=configs/nyu_adapter.py --workdir=runs/nyu --config.data.source.path=/data/nyu

Every field of smoothdino_jax/config.py can be given as --config.field=value. WORKDIR gets checkpoints, logs
(log.jsonl, tensorboard) and model/, which `eval.py`, `smoothdino video` and `smoothdino_jax.load` read.
"""

from smoothdino_jax import interrupts

if __name__ == "__main__":
    with interrupts.ending("interrupted"):
        from smoothdino_jax.apps.entry import run  # imports JAX, which takes seconds
        from smoothdino_jax.training import train_and_evaluate

        run(train_and_evaluate, __doc__, resumes=True)
