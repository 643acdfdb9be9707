"""Where frames come from: random-access sources, clips, splits and the Grain pipeline.

`open_source` and `make_split` read a config; what they choose from is in plain sight below.
"""

import numpy as np
from ml_collections import ConfigDict

from smoothdino_jax.data.clips import ClipSource, make_clips, resize_frame, runs
from smoothdino_jax.data.frames import DataError, Frame, FrameSource
from smoothdino_jax.data.nyu import NYUKaggle
from smoothdino_jax.data.pipeline import Augment, training_batches
from smoothdino_jax.data.splits import (
    Split,
    at_random,
    by_blocks,
    by_parts,
    by_scene,
    everything,
    from_lists,
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
    "make_clips",
    "make_split",
    "open_source",
    "resize_frame",
    "runs",
    "training_batches",
]


def open_source(config: ConfigDict) -> FrameSource:
    """Opens the frames that a config names.

    Args:
        config: `name` and the fields of that source. "synthetic": `scenes` (how many),
            `frames_per_scene`, `size`, `seed`, `first_scene`, `noise`. "nyu_kaggle": `path`,
            `scenes` (names; empty for all).

    Returns:
        The source.

    Raises:
        ValueError: an unknown name.
        DataError: no path, or the data can't be used.
    """
    try:
        return _open_source(config)
    except AttributeError as error:
        raise DataError(f"data.source {config.name!r} needs a field that is not set: {error}") from None


def _open_source(config: ConfigDict) -> FrameSource:
    match config.name:
        case "synthetic":
            from smoothdino_jax.data.synthetic import SyntheticRooms

            return SyntheticRooms(
                config.scenes,
                frames_per_scene=config.frames_per_scene,
                size=tuple(config.size),
                seed=config.seed,
                first_scene=config.first_scene,
                noise=config.noise,
            )
        case "nyu_kaggle":
            if not config.path:
                raise DataError(
                    "no path to NYU Depth v2: give --config.data.source.path=FOLDER, the folder that "
                    "holds data/nyu2_train/ of the Kaggle archive."
                )
            return NYUKaggle(config.path, tuple(config.scenes))
    raise ValueError(f"unknown data source {config.name!r}: use 'synthetic' or 'nyu_kaggle'")


def make_split(config: ConfigDict, source: FrameSource, clips: np.ndarray) -> Split:
    """Splits clips as a config says.

    Args:
        config: `how` and the fields of that split. "by_scene": `validation_scenes`. "by_blocks":
            `block`, `fraction`, `gap`, `seed`. "by_parts": `train`, `validation`, `shares`,
            `block`, `gap`, `seed`. "at_random": `fraction`, `seed`. "lists": `train_json`,
            `validation_json`. "everything": no fields.
        source: frames.
        clips: `(N, T)` positions.

    Returns:
        The split.

    Raises:
        ValueError: an unknown `how`.
        DataError: a side without clips, or unknown scenes or entries.
    """
    try:
        return _make_split(config, source, clips)
    except AttributeError as error:
        raise DataError(f"data.split {config.how!r} needs a field that is not set: {error}") from None


def _make_split(config: ConfigDict, source: FrameSource, clips: np.ndarray) -> Split:
    match config.how:
        case "by_scene":
            return by_scene(source, clips, config.validation_scenes)
        case "by_blocks":
            return by_blocks(source, clips, config.block, config.fraction, config.gap, config.seed)
        case "by_parts":
            parts = config.train, config.validation, config.shares
            return by_parts(source, clips, *parts, config.block, config.gap, config.seed)
        case "everything":
            return everything(source, clips)
        case "at_random":
            return at_random(source, clips, config.fraction, config.seed)
        case "lists":
            return from_lists(source, clips, config.train_json, config.validation_json)
    raise ValueError(
        f"unknown split {config.how!r}: use 'by_scene', 'by_blocks', 'by_parts', 'at_random', 'lists' or 'everything'"
    )
