r"""The demo: adapters on the embedded depther, on synthetic rooms that it has not seen. No download.

    make demo

or one by one (about a minute each on two CPU cores):

    python train.py --config=configs/demo.py:biases --workdir=runs/demo/biases
    python train.py --config=configs/demo.py:current_only --workdir=runs/demo/current_only
    python train.py --config=configs/demo.py --workdir=runs/demo
    python eval.py --config=configs/demo.py --workdir=runs/demo \
        --config.eval.checkpoints=biases=runs/demo/biases/model,current_only=runs/demo/current_only/model

The variants differ in the adapter alone. `adapter` sees the current frame, its own previous output, the shift and its
response; `current_only` has no past; `biases` is the adapter as released, whose weights never train; `paper` (not in
`make demo`, to save a minute) sees the current and the previous frame and the shift.

The video is twice as noisy as what the depther was trained on: a camera in bad light. A frame alone then says
less than it should, and the past has something to add. At `--config.data.source.noise=1.0` the gain is smaller.
"""

from smoothdino_jax.config import default_config

# Rooms. Many for training, each seen a few times at most: on few rooms an adapter learns these rooms by heart.
_TRAIN, _VALIDATION = 4000, 16


def get_config(variant="adapter"):
    """One of "adapter", "current_only", "biases", "paper"."""
    config = default_config()
    match variant:
        case "adapter":
            config.model.adapter.memory = "adapted"
        case "paper":
            config.model.adapter.inputs = ("current", "previous", "shift")
            config.model.window = False
        case "current_only":
            config.model.adapter.inputs = ("current",)
        case "biases":
            config.model.adapter.inputs = ("previous", "shift")
            config.model.adapter.init = "released"
        case _:
            raise ValueError(f'configs/demo.py:{variant}: use "adapter", "current_only", "biases" or "paper"')
    config.model.checkpoint = "tiny-synthetic"
    config.data.source = {
        "name": "synthetic",
        "scenes": _TRAIN + _VALIDATION,
        "frames_per_scene": 24,
        "size": (112, 154),
        "seed": 0,
        "first_scene": 20_000,  # the depther was trained on the rooms below 10,000
        "noise": 2.0,  # the depther's own training had 1.0
    }
    first = 20_000 + _TRAIN
    config.data.split = {
        "how": "by_scene",
        "validation_scenes": tuple(f"room_{scene:06d}" for scene in range(first, first + _VALIDATION)),
    }
    config.data.clip_length = 4
    config.train.batch_size = 8
    config.train.steps = 170
    config.train.validation_steps = 85
    config.train.validation_frames = 128
    config.train.learning_rate = 5e-4
    config.train.schedule = "cosine"
    config.train.warmup_steps = 30
    config.train.clip_norm = 1.0
    config.eval.batch_size = 8
    config.eval.picture_stream = 7  # a room in which one can tell the furniture
    return config
