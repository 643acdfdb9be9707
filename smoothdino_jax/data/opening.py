"""From the fields of a config to a source and a split; what there is to choose from is in plain sight below."""

import os
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from smoothdino_jax.data.frames import DataError, FrameSource
from smoothdino_jax.data.split_files import from_lists, from_scene_files
from smoothdino_jax.data.splits import Split, at_random, by_blocks, by_parts, by_scene, everything

LAYOUTS = ("nyu_kaggle", "fastdepth", "nyu_video", "tum", "seven_scenes", "recordings")
_CAN_SKIP = ("nyu_kaggle", "fastdepth", "seven_scenes", "recordings")  # layouts that tell a missing file


def open_source(config: ConfigDict) -> FrameSource:
    """Opens the frames that a config names.

    Args:
        config: `name` and the fields of that source. "synthetic": `scenes` (how many),
            `frames_per_scene`, `size`, `seed`, `first_scene`, `noise`. One of `LAYOUTS`, or "auto" to find out
            which it is: `path`, `scenes` (names; empty for all) and, if set, `missing` ("error" or "skip").

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
    if config.name == "synthetic":
        from smoothdino_jax.data.synthetic import SyntheticRooms

        return SyntheticRooms(
            config.scenes,
            frames_per_scene=config.frames_per_scene,
            size=tuple(config.size),
            seed=config.seed,
            first_scene=config.first_scene,
            noise=config.noise,
        )
    if config.name not in (*LAYOUTS, "auto"):
        raise ValueError(f"unknown data source {config.name!r}: use 'synthetic', 'auto' or one of {', '.join(LAYOUTS)}")
    if not config.path:
        raise DataError("no path to the data: give --config.data.source.path=FOLDER.")
    return open_folder(config.path, tuple(config.scenes), config.name, config.get("missing", "error"))


def open_folder(
    path: str | os.PathLike,
    scenes: Sequence[str] = (),
    layout: str = "auto",
    missing: str = "error",
    check: bool = True,
) -> FrameSource:
    """Opens a folder of RGB-D frames.

    Args:
        path: folder.
        scenes: names of the scenes to read, in this order; empty for all.
        layout: one of `LAYOUTS`, or "auto" for what `detect.layout_of` finds.
        missing: what to do with a frame whose image or depth is missing: "error", or "skip" to leave it out. The
            other layouts have no way to tell (TUM: unpaired images are always left out and listed).
        check: False to open without reading each scene's first frame.

    Returns:
        The source.

    Raises:
        ValueError: an unknown layout.
        DataError: the folder is of no known layout, or can't be used.
    """
    if layout == "auto":
        from smoothdino_jax.data.detect import layout_of

        layout = layout_of(path)
    match layout:
        case "nyu_kaggle":
            from smoothdino_jax.data.nyu import NYUKaggle as Source
        case "fastdepth":
            from smoothdino_jax.data.fastdepth import FastDepth as Source
        case "nyu_video":
            from smoothdino_jax.data.nyu_video import NYUVideo as Source
        case "tum":
            from smoothdino_jax.data.tum import TUM as Source
        case "seven_scenes":
            from smoothdino_jax.data.seven_scenes import SevenScenes as Source
        case "recordings":
            from smoothdino_jax.data.recordings import Recordings as Source
        case _:
            raise ValueError(f"unknown layout {layout!r}: use one of {', '.join(LAYOUTS)}")
    options = {}
    if layout in _CAN_SKIP:
        options["missing"] = missing
    if layout != "nyu_video":  # whose frames were checked when it was built
        options["check"] = check
    return Source(path, scenes, **options)


def make_split(config: ConfigDict, source: FrameSource, clips: np.ndarray) -> Split:
    """Splits clips as a config says.

    Args:
        config: `how` and the fields of that split. "by_scene": `validation_scenes`. "by_blocks":
            `block`, `fraction`, `gap`, `seed`. "by_parts": `train`, `validation`, `shares`,
            `block`, `gap`, `seed`. "at_random": `fraction`, `seed`. "lists": `train_json`,
            `validation_json`. "scene_files": `validation_file`, `train_file` ("" for all other scenes).
            "everything": no fields.
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
        case "scene_files":
            return from_scene_files(source, clips, config.validation_file, config.train_file)
    raise ValueError(
        f"unknown split {config.how!r}: use 'by_scene', 'by_blocks', 'by_parts', 'at_random', 'lists', "
        "'scene_files' or 'everything'"
    )
