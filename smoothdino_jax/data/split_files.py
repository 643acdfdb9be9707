"""Splits that stand in files: the released code's JSON lists of pairs, or text files of scene names."""

import json
import os
from pathlib import Path

import numpy as np

from smoothdino_jax.data.clips import scene_numbers
from smoothdino_jax.data.frames import DataError, FrameSource
from smoothdino_jax.data.scene_names import SceneNames, some
from smoothdino_jax.data.splits import Split, make_sides


def from_lists(
    source: FrameSource,
    clips: np.ndarray,
    train_json: str | os.PathLike,
    validation_json: str | os.PathLike,
) -> Split:
    """A split from two lists on disk, in the format of the paper's released code.

    Each file is a JSON list of `[scene, index]`: the pair of frames index → index + 1, so the clip
    that starts at the frame whose `Frame.index` is `index` (the N of `N.jpg`). A scene is matched
    as `SceneNames` does.

    Args:
        source: frames.
        clips: `(N, T)` positions; those that start at no listed frame are left out.
        train_json: file.
        validation_json: file.

    Returns:
        The split, each side in the order of its list, repeats once.

    Raises:
        DataError: a file is missing or isn't such a list, or entries name no clip of `clips`.
    """
    names = SceneNames(source)
    row_at = {int(start): row for row, start in reversed(list(enumerate(clips[:, 0])))}
    positions = {
        scene: dict(zip(source.indices(scene).tolist(), where, strict=True)) for scene, where in source.scenes.items()
    }
    sides, unknown, total = [], [], 0
    for path in (train_json, validation_json):
        rows, entries = {}, _read_list(path)
        total += len(entries)
        for given, index in entries:
            scene = names.find(given)
            row = row_at.get(positions[scene].get(index)) if scene is not None else None
            if row is not None:
                rows[row] = None
                continue
            unknown.append(f"[{given!r}, {index}] in {path}")
        sides.append(clips[list(rows)])
    if unknown:
        raise DataError(
            f"{len(unknown)} of {total} listed pairs are not in the data: {some(unknown, 3)}. The "
            f"data has {some(list(source.scenes))}. Complete the data, or shorten the lists."
        )
    return make_sides(source, *sides, "a list is empty")


def from_scene_files(
    source: FrameSource,
    clips: np.ndarray,
    validation_file: str | os.PathLike,
    train_file: str | os.PathLike | None = None,
) -> Split:
    """Whole scenes for validation, named in a text file; as `splits.by_scene`.

    A file has one scene per line, matched as there; `#` starts a comment, and empty lines count
    for nothing.

    Args:
        source: frames.
        clips: `(N, T)` positions.
        validation_file: the scenes to validate on.
        train_file: the scenes to train on; None or "" for all the others.

    Returns:
        The split, each side in the order of `clips`.

    Raises:
        DataError: a file can't be read or names no scene, a scene is unknown or on both sides, or a side is
            without clips.
    """
    numbers = {scene: k for k, scene in enumerate(source.scenes)}
    where = scene_numbers(source)[clips[:, 0]]
    validation = _read_scenes(source, validation_file)
    held_out = np.isin(where, [numbers[scene] for scene in validation])
    train = ~held_out
    if train_file:
        named = _read_scenes(source, train_file)
        if both := [scene for scene in named if scene in validation]:
            raise DataError(f"{train_file} and {validation_file} both name {some(both)}: a scene is on one side only.")
        train = np.isin(where, [numbers[scene] for scene in named])
    return make_sides(source, clips[train], clips[held_out], "the scenes named have none")


def _read_scenes(source: FrameSource, path: str | os.PathLike) -> list[str]:
    """The scenes of the data that a file names."""
    try:
        lines = Path(path).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    names = SceneNames(source)
    found, unknown = {}, []
    for number, line in enumerate(lines, 1):
        if given := line.partition("#")[0].strip():
            scenes = names.find_all(given)
            if not scenes:
                unknown.append(f"{given!r} (line {number})")
            found |= dict.fromkeys(scenes)
    if unknown:
        raise DataError(f"{path}: no such scene: {some(unknown)}. The data has {some(list(source.scenes))}.")
    if not found:
        raise DataError(f"{path}: names no scene. Expected one per line.")
    return list(found)


def _read_list(path: str | os.PathLike) -> list[tuple[str, int]]:
    try:
        entries = json.loads(Path(path).read_text())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a JSON list of [scene, index].")
    for k, entry in enumerate(entries):
        match entry:
            case [str(), int()]:
                continue
        raise DataError(f"{path}: entry {k} is {entry!r}, expected [scene, index].")
    return [(scene, index) for scene, index in entries]
