r"""Your own RGB-D frames: trains an adapter on a folder in any layout that the project reads.

    python train.py --config=configs/own_video.py --config.data.source.path=FOLDER --workdir=runs/own
    python eval.py --config=configs/own_video.py --config.data.source.path=FOLDER --workdir=runs/own
    smoothdino video VIDEO.mp4 -o depth.mp4 --checkpoint runs/own/model --compare

FOLDER is a recording or a folder of recordings (docs/recordings.md), or TUM RGB-D, 7-Scenes or NYUv2 as they come;
which of them is found out. A fifth of the frames, in blocks of 30, is held out, so a single recording needs 60 frames
to train on.

What to change:

- `--config.model.checkpoint=FOLDER`, the frozen model, from `smoothdino convert`. The embedded one has seen rendered
  rooms only: on real frames an adapter mostly mends its errors, whether it sees the past or not. With converted weights
  take larger frames too, such as --config.data.size="(420, 560)" (not run here, for want of the weights).
- `--config.data.size`: (168, 224) is 4:3 and whole patches of 14, so nothing is stretched or padded. For 16:9 take
  "(168, 294)". Any size works; (0, 0) leaves the frames as they are.
- `--config.data.split.how=by_scene --config.data.split.validation_scenes="('NAME',)"` to hold out whole recordings, the
  harder and the honest test once there are several; or name them in a text file, one per line:
  `--config.data.split.how=scene_files --config.data.split.validation_file=FILE`. With fewer than 60 frames,
  `--config.data.split.block=10`.
- `--config.data.feature_cache=FOLDER --config.data.augment=False` keeps the frozen encoder's features on disk: faster
  steps for want of augmentation.
- `--config.train.steps`: in proportion to the frames; 200 steps of 8 pairs see 100 frames some 16 times.

On 150 frames of a hand-held kitchen and office (the 7-Scenes layout, 640×480) with the embedded model: about a minute
on two cores, 3 to 5 steps/s. MSE on 29 held-out frames: frozen 1.072 m², adapter 0.092, and 0.099 for an adapter
without a past (--config.model.adapter.inputs="('current',)", another workdir). So nearly all of the gain is the
mending. One seed, one block: the difference between the two adapters may be chance.
"""

from smoothdino_jax.config import default_config


def get_config():
    """Pairs of frames, augmented; layout found out, split by blocks."""
    config = default_config()
    config.model.checkpoint = "tiny-synthetic"
    config.data.source = {"name": "auto", "path": "", "scenes": (), "missing": "error"}
    config.data.split = {
        "how": "by_blocks",
        "block": 30,
        "fraction": 0.2,
        "gap": 1,
        "seed": 0,
        "validation_scenes": (),  # for how="by_scene"
        "validation_file": "",  # for how="scene_files"; a scene per line
        "train_file": "",  # likewise; "" for all other scenes
    }
    config.data.size = (168, 224)
    config.data.augment = True
    config.train.batch_size = 8
    config.train.steps = 200
    config.train.validation_steps = 100
    config.train.validation_frames = 100
    config.train.learning_rate = 1e-4
    config.train.schedule = "cosine"
    config.train.warmup_steps = 30
    config.train.clip_norm = 1.0
    return config
