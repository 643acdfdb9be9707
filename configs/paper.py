"""The paper's recipe on the official weights: Adam 1e-5, batch 10, 10 epochs, split at random by pair, λ = 0.1.

    smoothdino convert facebook/dpt-dinov2-small-nyu checkpoints/dinov2-small-nyu
    python train.py --config=configs/paper.py --workdir=runs/paper --config.data.source.path=PATH_TO_NYU

Variants: `paper.py:unregularised` (λ = 0), and `paper.py:released`, what the released code computes: previous
frame and shift in, every weight zero at the start, λ on depth. The paper reports MSE 0.1865 for the frozen model,
0.1421 unregularised and 0.1425 regularised, on 40,000 + 10,000 frames; not run here, for want of the weights.

The split leaks: nearly every validation frame has a neighbour in training, and the log says how many. modern.py
has an honest one. With the authors' lists of pairs: --config.data.split.how=lists, and
--config.data.split.train_json and --config.data.split.validation_json for the files.
"""

from smoothdino_jax.config import default_config


def get_config(variant="regularised"):
    """One of "regularised", "unregularised", "released"."""
    config = default_config()
    config.model.checkpoint = "checkpoints/dinov2-small-nyu"
    config.model.window = False
    config.model.adapter.inputs = ("current", "previous", "shift")
    match variant:
        case "regularised":
            config.train.regulariser_weight = 0.1
        case "unregularised":
            pass
        case "released":
            config.model.adapter.inputs = ("previous", "shift")
            config.model.adapter.init = "released"
            config.train.regulariser = "depth"
            config.train.regulariser_weight = 0.1
        case _:
            raise ValueError(f"configs/paper.py:{variant}: no such variant")
    config.data.source = {"name": "auto", "path": "", "scenes": (), "missing": "error"}
    config.data.split = {
        "how": "at_random",
        "fraction": 0.2,
        "seed": 0,
        "train_json": "",
        "validation_json": "",
    }
    config.train.batch_size = 10
    config.train.epochs = 10.0
    config.train.learning_rate = 1e-5
    config.train.validations_per_epoch = 4
    return config
