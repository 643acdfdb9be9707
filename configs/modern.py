"""What we would train on the official weights: clips of four, warm-up and cosine, clipping, split by blocks.

    smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/dinov2-small-nyu
    python train.py --config=configs/modern.py --workdir=runs/modern --config.data.source.path=PATH_TO_NYU

Not yet run on the official weights; demo.py and nyu_adapter.py have numbers of the same method on small
models.
"""

from smoothdino_jax.config import default_config


def get_config():
    """Hann window and response; bfloat16 by --config.model.dtype=bfloat16."""
    config = default_config()
    config.model.checkpoint = "checkpoints/dinov2-small-nyu"
    config.data.source = {"name": "auto", "path": "", "scenes": (), "missing": "error"}
    config.data.split = {"how": "by_blocks", "block": 60, "fraction": 0.2, "gap": 2, "seed": 0}
    config.data.clip_length = 4
    config.data.augment = True
    config.train.batch_size = 8
    config.train.epochs = 5.0
    config.train.learning_rate = 2e-4
    config.train.schedule = "cosine"
    config.train.warmup_steps = 500
    config.train.clip_norm = 1.0
    return config
