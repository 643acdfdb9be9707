"""The embedded depther: a small ViT and DPT trained from scratch on synthetic rooms, single frames.

    python train.py --config=configs/tiny_synthetic.py --workdir=runs/tiny

About 25 minutes on two cores. The weights in the package ended at a validation MSE of 0.368 m² (AbsRel 0.179, δ1 0.765;
12 unseen rooms); of their 1500 steps, the first 498 ran under the schedule of a run of 2500.
"""

from smoothdino_jax.config import default_config


def get_config():
    """Single frames of endless noisy rooms; numbers 0..9999 are for this depther, see demo.py for the others."""
    config = default_config()
    config.model.checkpoint = ""
    config.model.encoder = {"width": 96, "depth": 6, "heads": 3, "blocks": (1, 3, 4, 5), "native_grid": 11}
    config.model.decoder = {"features": 32, "last": 16}
    config.data.source = {
        "name": "synthetic",
        "scenes": 10_000,
        "frames_per_scene": 24,
        "size": (112, 154),
        "seed": 0,
        "first_scene": 0,
        "noise": 1.0,
    }
    config.data.split = {
        "how": "by_scene",
        "validation_scenes": tuple(f"room_{scene:06d}" for scene in range(9_900, 9_912)),
    }
    config.data.clip_length = 1
    config.data.cache_bytes = 0
    config.train.trainable = ("encoder", "decoder")
    config.train.batch_size = 32
    config.train.steps = 1500
    config.train.validations_per_epoch = 30
    config.train.optimizer = "adamw"
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 0.02
    config.train.schedule = "cosine"
    config.train.warmup_steps = 200
    config.train.clip_norm = 1.0
    config.eval.batch_size = 12
    return config
