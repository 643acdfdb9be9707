r"""NYU Depth v2's 654 test images, the protocol that published single-image numbers follow. For eval.py only.

    smoothdino data prepare data/nyu-depth-v2.zip -o prepared
    python eval.py --config=configs/nyu_test.py --workdir=runs/X \
        --config.data.source.path=prepared/nyu_depth_v2_video/kaggle/1.0.0

Depth is judged at 480×640 in metres as stored (16-bit millimetres in Kaggle's archive), between 1 mm and 10 m, inside
Eigen's crop, every metric averaged per image. The images are no video: an adapter gets each as the first frame of a
stream, so this says what it does to single frames, not what smoothing is worth. `auto` finds FastDepth's folder out,
too, whose test images are the same. DINOv2-S with DPT is published with an RMSE of 0.356 m; not run here, for want of
the weights.

`--config.eval.checkpoints=small=checkpoints/dinov2-small-nyu` judges other models, with or without one in --workdir;
`--config.data.size="(420, 560)"` shrinks what the model sees, not what it is judged on.
"""

from smoothdino_jax.config import default_config
from smoothdino_jax.metrics import NYU


def get_config():
    """Single images at their own size."""
    config = default_config()
    config.data.source = {"name": "auto", "path": "", "scenes": (), "split": "test"}
    config.data.split = {"how": "everything"}
    config.data.clip_length = 1
    config.data.cache_bytes = 0
    config.eval.warmup = 0
    config.eval.min_depth, config.eval.max_depth, config.eval.crop = NYU.min_depth, NYU.max_depth, NYU.crop
    config.eval.native_truth = True
    config.eval.measures = ("frame", "scale", "sharpness")
    config.eval.folder = "eval_nyu_test"
    return config
