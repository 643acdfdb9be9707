"""The layout of 7-Scenes, which many RGB-D recordings with poses share: three numbered files a frame.

    <sequence>/frame-000000.color.png (or .jpg), frame-000000.depth.png, frame-000000.pose.txt, ...

A scene of 7-Scenes has sequences seq-01, seq-02, ... Depth is 16-bit millimetres; poses are camera-to-world. The
original's depth (https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/) is not registered
to the colour images: each is as its own camera saw it, with focal lengths of 585 and about 525 pixels, so that
towards the border a thing is some tens of pixels apart in the two. Register it before training on it.
"""

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.listing import (
    DO_WITHOUT,
    LEAVE_OUT,
    Scene,
    check_count,
    entry_names,
    named_errors,
    number_gaps,
    subfolders,
)
from smoothdino_jax.data.posed_sequences import PosedSequence, PosedSequences
from smoothdino_jax.data.trajectories import intrinsics_matrix, read_intrinsics, read_pose

_LAYOUT = "frame-000000.color.png (or .jpg), frame-000000.depth.png, frame-000000.pose.txt"
_FRAME_FILE = re.compile(r"frame-(\d+)\.(?:(color)\.(?:png|jpg)|(depth)\.png|(pose)\.txt)")
_INTRINSICS = "camera-intrinsics.txt"
# The scenes of the original, and what its readme gives for them: fx, fy, cx, cy of the depth camera, 640×480.
_ORIGINAL = frozenset(("chess", "fire", "heads", "office", "pumpkin", "redkitchen", "stairs"))
_ORIGINAL_CAMERA = (585.0, 585.0, 320.0, 240.0)


class SevenScenes(PosedSequences):
    """Frames in the layout of 7-Scenes, a `FrameSource`.

    `Frame.index` is the N of `frame-N.color.png`. Depth is stored units / 1000 in metres; 0 and 65535 are no
    reading. Poses are camera-to-world (of the depth camera, in the original); a pose file with NaN or
    infinities says that tracking was lost: then the pose is None, and `problems` lists the frame. A sequence
    without any pose files has no poses.

    Intrinsics are those of camera-intrinsics.txt (a 3×3 matrix) in the sequence's folder, or in its parent. Without
    the file there are none, except for 640×480 in the original's seven scenes, known by their names: its
    readme gives (585, 585, 320, 240) for the depth camera, to which its poses and depth belong.

    Args:
        path: a sequence's folder; a scene's folder, which holds sequences; or a folder that holds scenes. Each
            sequence is a scene here, named by its folder's last two names, "heads/seq-01"; if `path`
            is the sequence itself, by the last.
        scenes: the names of the scenes to read, in this order; empty for all, by name.
        missing: what to do with a frame whose image or depth is missing: "error", or "skip" to leave it
            out with a warning (`problems` lists them all); no segment reaches over the gap. A sequence that
            can't be used is left out likewise. With "skip" a frame whose pose file alone is missing has pose None.
        poses: False to leave pose files unread, as if there were none.
        check: False to open without reading each scene's first frame.

    Raises:
        DataError: a folder or scene is missing; (with "error") a sequence has one frame, a gap in its
            numbering, an image without depth or the reverse, pose files for some frames only, or a pose that is
            no rigid transform; no scene is left; or a scene's first frame can't be read.
    """

    units_per_metre = 1000
    invalid = (0, 65535)
    depth_layout = "16-bit grey (millimetres)"

    def __init__(
        self,
        path: str | os.PathLike,
        scenes: Sequence[str] = (),
        missing: str = "error",
        poses: bool = True,
        check: bool = True,
    ):
        path = Path(path).expanduser()
        folders = _find(path)

        def list_one(name: str, found: list[str]) -> PosedSequence:
            return _list_sequence(name, folders[name], missing == "skip", poses, found)

        problems = [] if scenes else _still_zipped(path, folders)
        super().__init__(path, folders, scenes, list_one, missing, problems, check)


def _find(path: Path) -> dict[str, Path]:
    """Scene name -> folder, of all there are."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give a sequence's folder, or one that holds sequences or scenes.")
    if _has_frames(path):
        return {path.absolute().name: path}
    found = {}
    for folder in (path / name for name in subfolders(path)):
        if _has_frames(folder):
            found[f"{path.absolute().name}/{folder.name}"] = folder
        else:
            inner = (folder / name for name in subfolders(folder))
            found |= {f"{folder.name}/{sequence.name}": sequence for sequence in inner if _has_frames(sequence)}
    if not found:
        hint = " Unpack its seq-*.zip first." if any(path.glob("*.zip")) or any(path.glob("*/*.zip")) else ""
        raise DataError(f"{path}: no frames found, here or in the two levels below. Expected {_LAYOUT}.{hint}")
    return found


def _still_zipped(path: Path, folders: dict[str, Path]) -> list[str]:
    """A line for each zip of a sequence, beside sequences that are unpacked, that isn't unpacked itself."""
    unpacked = {folder for folder in folders.values() if folder != path}
    zips = [
        parent / name
        for parent in sorted({folder.parent for folder in unpacked})
        for name in entry_names(parent)
        if re.fullmatch(r"seq-\d+\.zip", name)
    ]
    return [f"{file} is left out: unpack it" for file in zips if file.with_suffix("") not in unpacked]


def _has_frames(folder: Path) -> bool:
    with named_errors(), os.scandir(folder) as entries:
        return any(_FRAME_FILE.fullmatch(entry.name) for entry in entries)


def _list_sequence(name: str, folder: Path, skip: bool, poses: bool, problems: list[str]) -> PosedSequence:
    """One sequence, what it lacks added to `problems`."""
    lost: list[str] = []
    numbers, gaps, files = _list_files(folder, skip, problems)
    images, depths = ([files[kind][n] for n in numbers] for kind in ("color", "depth"))
    transforms = _read_poses(folder, numbers, files["pose"], skip, lost) if poses else [None] * len(numbers)
    scene = Scene(name, np.array(numbers, np.int64), gaps)
    return PosedSequence(scene, folder, images, depths, transforms, *_find_camera(folder), lost)


def _list_files(
    folder: Path, skip: bool, problems: list[str]
) -> tuple[list[int], list[int], dict[str, dict[int, str]]]:
    """A sequence's numbers, its gaps, and its files: kind -> number -> name. What is missing is added to `problems`."""
    files: dict[str, dict[int, str]] = {"color": {}, "depth": {}, "pose": {}}
    for name in entry_names(folder):
        if match := _FRAME_FILE.fullmatch(name):
            kind = match[2] or match[3] or match[4]
            other = files[kind].setdefault(int(match[1]), name)
            if other != name:
                raise DataError(f"{folder / name}: there is also {other}, the same frame. Keep one of them.")
    images, depths = files["color"].keys(), files["depth"].keys()
    alone = sorted(images ^ depths)
    if alone and not skip:
        has, lacks = ("color", "depth") if alone[0] in images else ("depth", "color")
        raise DataError(
            f"{folder / files[has][alone[0]]}: the frame's {lacks} file is missing ({len(alone)} such in this "
            f"sequence). Every image needs its depth. {LEAVE_OUT}"
        )
    problems += [
        f"{_frame(folder, n)} is left out: its {'depth' if n in images else 'color'} file is missing" for n in alone
    ]
    everywhere = sorted(images | depths)
    jumps = number_gaps(np.array(everywhere, np.int64))
    for k in jumps:
        before, after = everywhere[k - 1 : k + 1]
        if not skip:
            raise DataError(
                f"{_frame(folder, after)} follows {_frame(folder, before).name}: the frames between are missing. "
                f"Complete the sequence. {LEAVE_OUT}"
            )
        problems.append(f"{_frame(folder, after)}: the frames between {before} and {after} are missing")
    numbers = sorted(images & depths)
    check_count(len(numbers), folder, files["color"][numbers[0]] if numbers else "")
    places = np.searchsorted(everywhere, numbers)
    gaps = [k for k in range(1, len(numbers)) if places[k] - places[k - 1] != 1 or places[k] in jumps]
    return numbers, gaps, files


def _frame(folder: Path, number: int) -> Path:
    return folder / f"frame-{number:06d}"


def _read_poses(
    folder: Path, numbers: Iterable[int], files: dict[int, str], skip: bool, lost: list[str]
) -> list[np.ndarray | None]:
    """Every frame's pose; those that are not finite, and with `skip` those that are missing, are added to `lost`."""
    numbers = list(numbers)
    if not files:
        return [None] * len(numbers)
    absent = [n for n in numbers if n not in files]
    if absent and not skip:
        raise DataError(
            f"{_frame(folder, absent[0])}.pose.txt is missing ({len(absent)} of {len(numbers)} frames lack theirs). "
            f"Complete the poses. {DO_WITHOUT}"
        )
    with ThreadPoolExecutor(8) as pool:
        poses = list(pool.map(lambda n: read_pose(folder / files[n]) if n in files else None, numbers))
    lost += [
        f"{_frame(folder, n)}.pose.txt: {'not finite, tracking was lost' if n in files else 'missing'}"
        for n, pose in zip(numbers, poses, strict=True)
        if pose is None
    ]
    return poses


def _find_camera(folder: Path) -> tuple[np.ndarray | None, tuple[int, int] | None]:
    """A sequence's intrinsics and the (height, width) they are for; None for any."""
    folder = folder.absolute()
    for place in (folder, folder.parent):
        if (place / _INTRINSICS).is_file():
            return read_intrinsics(place / _INTRINSICS), None
    if folder.parent.name in _ORIGINAL and folder.name.startswith("seq-"):
        return intrinsics_matrix(_ORIGINAL_CAMERA), (480, 640)
    return None, None
