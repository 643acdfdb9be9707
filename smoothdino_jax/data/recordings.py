"""People's own RGB-D recordings, in a layout that a few lines of any language can write.

    my_kitchen/
      meta.json
      image/000000.jpg ...   JPEG or PNG; the folder may also be called rgb, color or colour
      depth/000000.png ...   16-bit PNG in `depth_units_per_metre`, or .npy of floats in metres
      pose/000000.txt ...    optional: 4×4 camera-to-world, OpenCV axes, metres
      timestamps.txt         optional: a line "000000 SECONDS" per frame

An image and its depth have the same file stem. The keys of meta.json, and no others:

    depth_units_per_metre   1000 for millimetres; needed with PNG depth, refused with .npy
    invalid                 stored values that mean "no reading", by default [0]; PNG depth only
    intrinsics              {"fx", "fy", "cx", "cy"} in pixels of the image, the centre of the top left one at (0, 0)
    frames_per_second       a note for people; nothing computes with it
    description             another

docs/recordings.md has code that writes such a folder.
"""

import io
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import check_same_size, file_bytes, read_depth, read_image
from smoothdino_jax.data.listing import (
    DO_WITHOUT,
    LEAVE_OUT,
    ListedFrames,
    Scene,
    check_count,
    check_missing,
    choose_scenes,
    entry_names,
    image_inside,
    list_usable,
    named_errors,
    number_gaps,
    subfolders,
    warn_of,
)
from smoothdino_jax.data.recording_meta import Meta, check_centre, read_meta
from smoothdino_jax.data.recording_times import read_timestamps
from smoothdino_jax.data.scene_names import some
from smoothdino_jax.data.trajectories import read_pose

_IMAGE_FOLDERS = ("image", "rgb", "color", "colour")
_IMAGE_FILES = (".jpg", ".jpeg", ".png")
_DEPTH_FILES = (".png", ".npy")
_PAUSE = 2.5  # times the median interval: what is longer is a gap
_DEPTH = "16-bit grey PNG in depth_units_per_metre (meta.json), or .npy of floats in metres"


class _Files(NamedTuple):
    """One recording's files and poses, frame by frame."""

    images: list[str]
    depths: list[str]
    poses: list[np.ndarray | None]


class Recordings(ListedFrames):
    """Frames of one recording or several, a `FrameSource`.

    Stems that are all integers are the frames' numbers, and a gap is where the number jumps by another than
    the usual step. Other stems are taken in natural order (10 after 9) and numbered from 0. With timestamps.txt, a
    gap is a pause of more than 2.5 times the median interval instead.

    Args:
        path: a recording, or a folder of recordings. A scene is a recording, named as its folder.
        scenes: the names of the recordings to read, in this order; empty for all, by name.
        missing: what to do with a frame whose image or depth is missing: "error", or "skip" to leave it out with a
            warning (`problems` lists them all); no segment reaches over the gap. A recording that can't be used is left
            out likewise. With "skip" a frame whose pose file alone is missing has pose None.
        check: False to open without reading each scene's first frame.

    Attributes:
        meta: scene name -> its `Meta`.

    Raises:
        DataError: a folder is missing or has no recording; (with "error") a recording's file is missing, can't be
            used, or contradicts another, or it has one frame; no scene is left; or a first frame can't be read.
    """

    def __init__(self, path: str | os.PathLike, scenes: Sequence[str] = (), missing: str = "error", check: bool = True):
        check_missing(missing)
        path = Path(os.path.abspath(Path(path).expanduser()))
        folders = _recordings(path)
        names = choose_scenes(list(folders), scenes, path)
        problems = [] if scenes else _without_meta(path, folders)

        def list_one(name: str, found: list[str]) -> tuple[Meta, _Files, Scene]:
            return _list_recording(folders[name], missing == "skip", found)

        self.meta: dict[str, Meta] = {}
        self._files: dict[str, _Files] = {}
        listed = []
        for meta, files, scene in list_usable(names, list_one, missing, problems):
            self.meta[scene.name], self._files[scene.name] = meta, files
            listed.append(scene)
        warn_of(problems, "problem(s)", path)
        super().__init__(listed, problems)
        if check:
            self.check_first_frames()

    def _read(self, scene: Scene, k: int) -> Frame:
        files, meta = self._files[scene.name], self.meta[scene.name]
        image = read_image(files.images[k])
        if files.depths[k].lower().endswith(".npy"):
            depth = _read_metres(files.depths[k])
        else:
            depth = read_depth(files.depths[k], meta.units_per_metre, _DEPTH, meta.invalid)
        check_same_size(image, depth, files.images[k], files.depths[k])
        if meta.intrinsics is not None:
            check_centre(meta.intrinsics, image, files.images[k])
        return Frame(image, depth, scene.name, int(scene.indices[k]), files.poses[k], meta.intrinsics)

    def _origin(self, scene: Scene, k: int) -> str:
        return self._files[scene.name].images[k]


def looks_like_recording(folder: str | os.PathLike) -> bool:
    """Whether a folder has a meta.json, or a folder of images and one of depth."""
    folder = Path(folder)
    return (folder / "meta.json").is_file() or (
        (folder / "depth").is_dir() and any((folder / name).is_dir() for name in _IMAGE_FOLDERS)
    )


@named_errors()
def _recordings(path: Path) -> dict[str, Path]:
    """Scene name -> folder, of all recordings there are."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give a recording (with a meta.json), or a folder of recordings.")
    inner = [path] if looks_like_recording(path) else [path / name for name in subfolders(path)]
    known = {folder.name: folder for folder in inner if looks_like_recording(folder)}
    if not known:
        raise DataError(
            f"{path}: no recording found. Expected meta.json, image/ and depth/ in it or in folders of it; "
            "see docs/recordings.md."
        )
    return known


def _without_meta(path: Path, recordings: dict[str, Path]) -> list[str]:
    """A line for each folder beside the recordings that has images inside and is none of them."""
    others = [] if path in recordings.values() else [path / name for name in subfolders(path) if name not in recordings]
    found = [(folder, image) for folder in others if (image := image_inside(folder))]
    return [f"{folder} is left out: it has {image}, but no meta.json, image/ and depth/" for folder, image in found]


def _list_recording(folder: Path, skip: bool, problems: list[str]) -> tuple[Meta, _Files, Scene]:
    """One recording, what it lacks added to `problems`."""
    meta = read_meta(folder)
    found = [name for name in _IMAGE_FOLDERS if (folder / name).is_dir()]
    if len(found) != 1:
        what = f"has {' and '.join(found)}" if found else "has no folder of images"
        raise DataError(f"{folder} {what}: expected one folder of images, called {' or '.join(_IMAGE_FOLDERS)}.")
    images = _files_by_stem(folder / found[0], _IMAGE_FILES)
    if not (folder / "depth").is_dir():
        raise DataError(
            f"{folder / 'depth'}: no such folder. Evaluation and training need the depth of every image; "
            f"`smoothdino video {shlex.quote(str(folder / found[0]))}` takes images alone."
        )
    depths = _files_by_stem(folder / "depth", _DEPTH_FILES)
    _check_depth_files(folder, depths, meta)
    everywhere = sorted(images | depths, key=_natural)
    places = [place for place, stem in enumerate(everywhere) if stem in images and stem in depths]
    if len(places) < len(everywhere):
        messages = [f"{images[k]} has no depth beside it, depth/{k}.*" for k in images if k not in depths]
        messages += [f"{depths[k]} has no image beside it, {found[0]}/{k}.*" for k in depths if k not in images]
        if not skip:
            raise DataError(
                f"{messages[0]} ({len(messages)} such in this recording). Every image needs its depth. {LEAVE_OUT}"
            )
        problems += messages
    stems = [everywhere[place] for place in places]
    check_count(len(stems), folder, Path(images[stems[0]]).name if stems else "")
    numbered = all(re.fullmatch(r"[0-9]{1,18}", stem) for stem in stems)
    indices = np.array([int(stem) for stem in stems] if numbered else places, np.int64)
    for k in np.flatnonzero(np.diff(indices) == 0):
        raise DataError(f"{images[stems[k]]} and {images[stems[k + 1]]} have the same number: give each frame its own.")
    gaps = set(_gaps(folder, stems, indices))
    gaps |= {int(k) + 1 for k in np.flatnonzero(np.diff(places) > 1)}  # where a frame was left out
    poses = _read_poses(folder / "pose", stems, skip, problems)
    files = _Files([images[stem] for stem in stems], [depths[stem] for stem in stems], poses)
    return meta, files, Scene(folder.name, indices, sorted(gaps))


def _gaps(folder: Path, stems: Sequence[str], indices: np.ndarray) -> list[int]:
    """The k whose frame does not follow frame k-1, by time or by number."""
    times = read_timestamps(folder / "timestamps.txt", stems)
    if times is not None:
        steps = np.diff(times)
        return [int(k) + 1 for k in np.flatnonzero(steps > _PAUSE * np.median(steps))]
    gaps = number_gaps(indices)
    if len(gaps) > len(stems) // 2:
        logging.warning(
            "%s: few of its frames follow one another, their numbers jump: %s. If these are times, say so in "
            "timestamps.txt (docs/recordings.md).",
            folder,
            some(stems, 4),
        )
    return gaps


def _files_by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, str]:
    names = entry_names(folder)
    files = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes:
            if stem in files:
                raise DataError(f"{files[stem]} and {name}: two files for one frame. Remove one.")
            files[stem] = str(folder / name)
    if not files:
        raise DataError(f"{folder} has no file in {' or '.join(suffixes)}: it has {some(names, 3) or 'nothing'}.")
    return files


def _check_depth_files(folder: Path, depths: dict[str, str], meta: Meta) -> None:
    kinds = {os.path.splitext(file)[1].lower(): file for file in depths.values()}
    if len(kinds) > 1:
        raise DataError(f"{kinds['.png']} and {kinds['.npy']}: the depth of a recording is all PNG or all .npy.")
    if ".png" in kinds and meta.units_per_metre is None:
        raise DataError(
            f"{folder / 'meta.json'}: depth_units_per_metre is missing, which PNG depth needs: what 1 m is stored as, "
            "1000 for millimetres."
        )
    if ".npy" in kinds and (meta.units_per_metre is not None or meta.invalid != (0,)):
        raise DataError(
            f"{folder / 'meta.json'}: depth_units_per_metre and invalid are for PNG depth, but here it is .npy "
            f"({kinds['.npy']}), which is in metres, with NaN or 0 for no reading. Remove them, and check the unit."
        )


def _natural(stem: str) -> tuple:
    """A sorting key by which frame10 comes after frame9."""
    parts = re.split(r"([0-9]+)", stem)  # text and digits in turn
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], stem


def _read_poses(folder: Path, stems: Sequence[str], skip: bool, problems: list[str]) -> list[np.ndarray | None]:
    """Each frame's pose, None where tracking was lost or, with `skip`, one is missing (added to `problems`).

    None for all, and no problem, if there is no folder of poses.
    """
    if not folder.is_dir():
        return [None] * len(stems)
    present, poses = set(entry_names(folder)), []
    for name in (f"{stem}.txt" for stem in stems):
        if name not in present and not skip:
            raise DataError(
                f"{folder / name} is missing: every frame needs its pose (NaN where tracking was lost), or remove "
                f"{folder}. {DO_WITHOUT}"
            )
        poses.append(read_pose(folder / name) if name in present else None)
        if poses[-1] is None:
            why = "tracking was lost" if name in present else "the file is missing"
            problems.append(f"{folder / name}: no pose, {why}")
    return poses


def _read_metres(path: str) -> np.ndarray:
    """`(H, W)` float32 from a .npy, 0 where there is no reading."""
    try:
        depth = np.lib.format.read_array(io.BytesIO(file_bytes(path)), allow_pickle=False)
    except (ValueError, MemoryError) as error:
        raise DataError(f"{path}: not a readable .npy: {error}.") from None
    if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        raise DataError(f"{path}: {depth.dtype} {depth.shape}, but depth in .npy is floats (H, W) in metres.")
    depth = np.ascontiguousarray(depth, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
