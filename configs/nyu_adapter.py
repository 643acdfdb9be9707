r"""Adapters on the stand-in depther of nyu_depther.py, on NYU frames that the depther was not trained on.

    python train.py --config=configs/nyu_depther.py --workdir=runs/nyu/depther \
        --config.data.source.path=PATH_TO_NYU
    for v in biases current_only paper regularised adapter; do
      python train.py --config=configs/nyu_adapter.py:$v --workdir=runs/nyu/$v \
        --config.data.source.path=PATH_TO_NYU
    done

A minute each on two cores. Evaluation on held-out blocks of the two scenes, and on a third scene that nothing was
trained on (numbers: README.md, Real NYU frames):

    rows=biases=runs/nyu/biases/model,current_only=runs/nyu/current_only/model
    rows=$rows,paper=runs/nyu/paper/model,regularised=runs/nyu/regularised/model
    python eval.py --config=configs/nyu_adapter.py --workdir=runs/nyu/adapter \
        --config.data.source.path=PATH_TO_NYU --config.eval.checkpoints=$rows --config.ablations=True
    python eval.py --config=configs/nyu_adapter.py --workdir=runs/nyu/adapter \
        --config.data.source.path=PATH_TO_NYU --config.eval.checkpoints=$rows \
        --config.data.source.scenes="('bathroom_0028_out',)" --config.data.split.how=everything \
        --config.eval.folder=eval_bathroom --config.ablations=True
"""

from smoothdino_jax.config import default_config

SCENES = ("basement_0001a_out", "office_0011_out")
# As in nyu_depther.py, or the adapter would train on the depther's own frames.
PARTS = {"how": "by_parts", "shares": (0.5, 0.3, 0.2), "block": 10, "gap": 1, "seed": 0, "validation": 2}


def get_config(variant="adapter"):
    """One of "adapter", "paper", "regularised", "current_only", "biases"."""
    config = default_config()
    adapter = config.model.adapter
    match variant:
        case "adapter":  # Hann window, response as a third map
            pass
        case "paper" | "regularised":
            adapter.inputs = ("current", "previous", "shift")
            config.model.window = False
            config.train.regulariser_weight = 0.1 if variant == "regularised" else 0.0
        case "current_only":
            adapter.inputs = ("current",)
        case "biases":
            adapter.inputs = ("previous", "shift")
            adapter.init = "released"
        case _:
            raise ValueError(f"configs/nyu_adapter.py:{variant}: no such variant")
    config.model.checkpoint = "runs/nyu/depther/model"
    config.data.source = {"name": "nyu_kaggle", "path": "", "scenes": SCENES, "missing": "error"}
    config.data.split = PARTS | {"train": 1}
    config.data.size = (126, 168)
    config.data.clip_length = 2
    config.data.augment = True
    config.train.batch_size = 16
    config.train.steps = 200
    config.train.validation_steps = 100
    config.train.validation_frames = 60
    config.train.learning_rate = 2e-5
    config.train.schedule = "cosine"
    config.train.warmup_steps = 30
    config.train.clip_norm = 1.0
    config.eval.batch_size = 8
    return config
