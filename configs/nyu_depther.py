r"""A small stand-in depther for NYU frames: the embedded one, trained on with real frames of two scenes.

    python train.py --config=configs/nyu_depther.py --workdir=runs/nyu/depther \
        --config.data.source.path=PATH_TO_NYU

PATH_TO_NYU holds data/nyu2_train/ of the Kaggle (DenseDepth) archive. It is no DINOv2: a ViT of 96 channels,
first trained on synthetic rooms and here on some 260 frames, so that the adapter has a frozen model to work with
where the official weights cannot be had. About 5 minutes on two cores; it ends at an MSE
of 1.04 m² on the first frames of the held-out blocks (training: 0.2): it has learnt its frames by heart.
"""

from smoothdino_jax.config import default_config

SCENES = ("basement_0001a_out", "office_0011_out")
# Blocks of 10 frames dealt to three parts: the depther's, the adapters', and the held-out ones.
PARTS = {"how": "by_parts", "shares": (0.5, 0.3, 0.2), "block": 10, "gap": 1, "seed": 0, "validation": 2}


def get_config():
    """Single frames at 126×168, augmented."""
    config = default_config()
    config.model.checkpoint = "tiny-synthetic"
    config.data.source = {"name": "nyu_kaggle", "path": "", "scenes": SCENES, "missing": "error"}
    config.data.split = PARTS | {"train": 0}
    config.data.size = (126, 168)
    config.data.clip_length = 1
    config.data.augment = True
    config.train.trainable = ("encoder", "decoder")
    config.train.batch_size = 16
    config.train.steps = 450
    config.train.validation_steps = 150
    config.train.validation_frames = 40
    config.train.optimizer = "adamw"
    config.train.learning_rate = 3e-4
    config.train.weight_decay = 0.02
    config.train.schedule = "cosine"
    config.train.warmup_steps = 50
    config.train.clip_norm = 1.0
    config.eval.batch_size = 8
    return config
