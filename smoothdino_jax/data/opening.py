"""From the fields of a config to a source and a split; what there is to choose from is in plain sight below."""

import os
from collections.abc import Sequence

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from smoothdino_jax.data.frames import DataError, FrameSource
from smoothdino_jax.data.split_files import from_lists, from_scene_files
from smoothdino_jax.data.splits import Split, at_random, by_blocks, by_parts, by_scene, everything

LAYOUTS = ("nyu_kaggle", "fastdepth", "nyu_video", "tum", "seven_scenes", "recordings")
_HAVE_TEST_IMAGES = ("fastdepth", "nyu_video")
_SYNTHETIC = ("scenes", "frames_per_scene", "size", "seed", "first_scene", "noise")  # fields of that source
# How -> the function that splits, and its fields.
_SPLITS = {
    "by_scene": (by_scene, ("validation_scenes",)),
    "by_blocks": (by_blocks, ("block", "fraction", "gap", "seed")),
    "by_parts": (by_parts, ("train", "validation", "shares", "block", "gap", "seed")),
    "at_random": (at_random, ("fraction", "seed")),
    "lists": (from_lists, ("train_json", "validation_json")),
    "scene_files": (from_scene_files, ("validation_file", "train_file")),
    "everything": (everything, ()),
}
# Fields of splits that say nothing when empty, and what to give.
_NOT_EMPTY = {
    "train_json": "FILE",
    "validation_json": "FILE",
    "validation_file": "FILE",
    "validation_scenes": "\"('NAME',)\"",
}


def open_source(config: ConfigDict) -> FrameSource:
    """Opens the frames that a config names.

    Args:
        config: `name` and the fields of that source. "synthetic": `scenes` (how many),
            `frames_per_scene`, `size`, `seed`, `first_scene`, `noise`. One of `LAYOUTS`, or "auto" to find out
            which it is: `path`, `scenes` (names; empty for all) and, if set, `missing` ("error" or "skip") and
            `split` ("train" or "test"); see `open_folder`.

    Returns:
        The source.

    Raises:
        ValueError: an unknown name.
        DataError: a field is not set, no path, or the data can't be used.
    """
    if config.name == "synthetic":
        from smoothdino_jax.data.synthetic import SyntheticRooms

        fields = _fields("source", config.name, config, _SYNTHETIC)
        return SyntheticRooms(**fields | {"size": tuple(fields["size"])})
    if config.name not in (*LAYOUTS, "auto"):
        raise ValueError(f"unknown data source {config.name!r}: use 'synthetic', 'auto' or one of {', '.join(LAYOUTS)}")
    _fields("source", config.name, config, ("path", "scenes"))
    if not config.path:
        raise DataError("no path to the data: give --config.data.source.path=FOLDER.")
    return open_folder(
        config.path,
        tuple(config.scenes),
        config.name,
        missing=config.get("missing", "error"),
        split=config.get("split", "train"),
    )


def open_folder(
    path: str | os.PathLike,
    scenes: Sequence[str] = (),
    layout: str = "auto",
    missing: str = "error",
    check: bool = True,
    split: str = "train",
) -> FrameSource:
    """Opens a folder of RGB-D frames.

    Args:
        path: folder.
        scenes: names of the scenes to read, in this order; empty for all.
        layout: one of `LAYOUTS`, or "auto" for what `detect.layout_of` finds, which is logged.
        missing: what to do with a frame whose image or depth is missing, and with a scene that can't be used: "error",
            or "skip" to leave it out. "nyu_video" was checked when it was built; "tum" leaves out images without
            depth in any case.
        check: False to open without reading each scene's first frame.
        split: "train", or "test" for the test images that "fastdepth" and "nyu_video" have, which are no video.

    Returns:
        The source.

    Raises:
        ValueError: an unknown layout or split.
        DataError: the folder is of no known layout or of several, has no such split, or can't be used.
    """
    if layout == "auto":
        from smoothdino_jax.data.detect import layout_of

        layout = layout_of(path)
        logging.info("%s: its layout is %s", path, layout)
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
    if layout != "nyu_video":  # whose frames were decoded when it was built
        options |= {"missing": missing, "check": check}
    if layout in _HAVE_TEST_IMAGES:
        options["split"] = split
    elif split != "train":
        raise DataError(
            f"{path}: split={split!r}, but the layout {layout} has no test images. Those that have: "
            f"{', '.join(_HAVE_TEST_IMAGES)}."
        )
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
        DataError: a field that the split needs is not set or empty, a side without clips, or unknown scenes or entries.
    """
    if config.how not in _SPLITS:
        raise ValueError(f"unknown split {config.how!r}: use one of {', '.join(map(repr, _SPLITS))}")
    split, names = _SPLITS[config.how]
    fields = _fields("split", config.how, config, names)
    for name, example in _NOT_EMPTY.items():
        if name in fields and not fields[name]:
            raise DataError(f"data.split {config.how!r}: {name} is empty: give --config.data.split.{name}={example}.")
    return split(source, clips, **fields)


def _fields(part: str, choice: str, config: ConfigDict, names: Sequence[str]) -> dict:
    """Name -> value of the fields that a choice of config.data.`part` needs; DataError names all that aren't there."""
    if absent := [name for name in names if name not in config]:
        flags = " ".join(f"--config.data.{part}.{name}=..." for name in absent)
        raise DataError(
            f"data.{part} {choice!r} needs a field that is not set, {', '.join(absent)}: give {flags}; a field that "
            "the config file does not have has to be added there."
        )
    return {name: config[name] for name in names}
