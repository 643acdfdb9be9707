"""Where frames come from: random-access sources, clips, splits and the Grain pipeline.

A source per file (`nyu`, `fastdepth`, `nyu_video`, `tum`, `seven_scenes`, `recordings`, `synthetic`), all of one
protocol (`frames`); `opening` chooses among them as a config says.
"""

from smoothdino_jax.data.clips import ClipSource, make_clips, resize_frame, runs
from smoothdino_jax.data.frames import DataError, Frame, FrameSource
from smoothdino_jax.data.nyu import NYUKaggle
from smoothdino_jax.data.opening import make_split, open_folder, open_source
from smoothdino_jax.data.pipeline import Augment, training_batches
from smoothdino_jax.data.split_files import from_lists, from_scene_files
from smoothdino_jax.data.splits import (
    Split,
    at_random,
    by_blocks,
    by_parts,
    by_scene,
    everything,
)

__all__ = [
    "Augment",
    "ClipSource",
    "DataError",
    "Frame",
    "FrameSource",
    "NYUKaggle",
    "Split",
    "at_random",
    "by_blocks",
    "by_parts",
    "by_scene",
    "everything",
    "from_lists",
    "from_scene_files",
    "make_clips",
    "make_split",
    "open_folder",
    "open_source",
    "resize_frame",
    "runs",
    "training_batches",
]
