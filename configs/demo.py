r"""The demo: adapters on the embedded depther, on synthetic rooms that it has not seen. No download.

    make demo

or one by one (about a minute each on two CPU cores):

    python train.py --config=configs/demo.py:biases --workdir=runs/demo/biases
    python train.py --config=configs/demo.py:current_only --workdir=runs/demo/current_only
    python train.py --config=configs/demo.py --workdir=runs/demo
    python eval.py --config=configs/demo.py --workdir=runs/demo \
        --config.eval.checkpoints=biases=runs/demo/biases/model,current_only=runs/demo/current_only/model

The variants differ in the adapter alone: `adapter` sees the current and the previous frame, the shift and its
response; `current_only` has no past; `biases` is the adapter as released, whose weights never train.
"""

from smoothdino_jax.config import default_config

_TRAIN, _VALIDATION = 200, 24  # rooms


def get_config(variant="adapter"):
    """One of "adapter", "current_only", "biases"."""
    config = default_config()
    match variant:
        case "adapter":
            pass
        case "current_only":
            config.model.adapter.inputs = ("current",)
        case "biases":
            config.model.adapter.inputs = ("previous", "shift")
            config.model.adapter.init = "released"
        case _:
            raise ValueError(f'configs/demo.py:{variant}: use "adapter", "current_only" or "biases"')
    config.model.checkpoint = "tiny-synthetic"
    config.data.source = {
        "name": "synthetic",
        "scenes": _TRAIN + _VALIDATION,
        "frames_per_scene": 12,
        "size": (112, 154),
        "seed": 0,
        "first_scene": 20_000,  # the depther was trained on the rooms below 10,000
        "noise": 1.0,
    }
    first = 20_000 + _TRAIN
    config.data.split = {
        "how": "by_scene",
        "validation_scenes": tuple(f"room_{scene:06d}" for scene in range(first, first + _VALIDATION)),
    }
    config.data.clip_length = 4
    config.train.batch_size = 8
    config.train.steps = 500
    config.train.validations_per_epoch = 3
    config.train.learning_rate = 1e-3
    config.train.schedule = "cosine"
    config.train.warmup_steps = 30
    config.train.clip_norm = 1.0
    config.eval.batch_size = 8
    return config
