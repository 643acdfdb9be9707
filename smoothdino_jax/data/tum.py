"""The TUM RGB-D benchmark's layout: lists of timestamped images, and a trajectory from motion capture.

    <sequence>/rgb.txt, depth.txt, groundtruth.txt, rgb/*.png, depth/*.png

Colour and depth are recorded independently, so images are paired by their timestamps. Format and calibration:
https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.listing import (
    LEAVE_OUT,
    Scene,
    check_count,
    entry_names,
    named_errors,
    number_gaps,
    subfolders,
)
from smoothdino_jax.data.posed_sequences import PosedSequence, PosedSequences
from smoothdino_jax.data.trajectories import Rows, associate, intrinsics_matrix, nearest, read_rows, read_trajectory

# The benchmark's calibrations of the colour camera, for 640×480: fx, fy, cx, cy.
_CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
    "": (525.0, 525.0, 319.5, 239.5),  # ROS's default for a Kinect
}
_CAMERA_NAME = re.compile(r"(?<![a-z])(?:freiburg|fr)([123])(?!\d)")
# A pause this many times the usual interval is a gap. A single lost frame doubles the interval.
_PAUSE = 2.5


class TUM(PosedSequences):
    """Frames in the TUM RGB-D layout, a `FrameSource`.

    An image and a depth map are a frame if their timestamps differ by less than `tolerance`, each used once,
    the closest first, as the benchmark pairs them. Images without a partner are left out and listed in
    `problems`; depth without a partner isn't. `Frame.index` is the number of the image in rgb.txt, from 0. Frames
    don't follow each other (`segments`) where that number jumps (by other than the usual step, which is more than 1
    if depth is recorded less often), or where more than 2.5 times the sequence's median interval passes. Depth is
    stored units / 5000 in metres; 0 is no reading.

    A pose is that of the colour camera's optical frame, camera-to-world, nearest in time to the image. Images with
    none within `tolerance` (motion capture loses the camera now and then) have pose None and are listed in `problems`.

    Intrinsics are those given, or for 640×480 the benchmark's calibration of the camera that the folder's name or the
    comments of rgb.txt tell ("freiburg1", "fr1"), or else ROS's default (525, 525, 319.5, 239.5); for other sizes
    None. Pixel centres are whole numbers. Lens distortion, which freiburg1 and 2 have, is ignored.

    Args:
        path: a sequence's folder, or a folder of such. A scene is a sequence, by its folder's name.
        scenes: the names of the scenes to read, in this order; empty for all, by name.
        tolerance: seconds, for pairing and poses.
        intrinsics: (fx, fy, cx, cy) in pixels, for all sequences.
        missing: what to do with a listed image or depth map whose file is missing: "error", or "skip" to leave it out
            with a warning (`problems` lists them all). A sequence that can't be used is left out likewise. Images
            without a partner are left out in any case.
        check: False to open without reading each scene's first frame.

    Raises:
        DataError: (with "error") a list is missing, damaged or out of order, names a file that isn't there, or
            leaves under two frames, or a line of groundtruth.txt is no pose; no scene is left; or a scene's first
            frame can't be read.
    """

    units_per_metre = 5000
    depth_layout = "16-bit grey (5000 = 1 m)"

    def __init__(
        self,
        path: str | os.PathLike,
        scenes: Sequence[str] = (),
        tolerance: float = 0.02,
        intrinsics: Sequence[float] | None = None,
        missing: str = "error",
        check: bool = True,
    ):
        if not tolerance > 0:
            raise ValueError(f"tolerance={tolerance} must be over 0 seconds")
        given = None if intrinsics is None else intrinsics_matrix(intrinsics)
        path = Path(path).expanduser()
        folders = _find(path)

        def list_one(name: str, found: list[str]) -> PosedSequence:
            return _list_sequence(name, folders[name], tolerance, given, missing == "skip", found)

        super().__init__(path, folders, scenes, list_one, missing, [], check)


@named_errors()
def _find(path: Path) -> dict[str, Path]:
    """Scene name -> folder, of all there are."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give a sequence's folder, or a folder of sequences.")
    if _is_sequence(path):
        found = {path.absolute().name: path}
    else:
        found = {name: path / name for name in subfolders(path) if _is_sequence(path / name)}
    if not found:
        raise DataError(f"{path}: no sequences found. Expected rgb.txt, depth.txt, rgb/ and depth/, here or one below.")
    return found


def _is_sequence(folder: Path) -> bool:
    return (folder / "rgb.txt").is_file() or (folder / "depth.txt").is_file()


def _list_sequence(
    name: str,
    folder: Path,
    tolerance: float,
    camera: np.ndarray | None,
    skip: bool,
    problems: list[str],
) -> PosedSequence:
    """One sequence, what is left out added to `problems`."""
    for kind in ("rgb", "depth"):
        if not (folder / f"{kind}.txt").is_file():
            raise DataError(f"{folder / f'{kind}.txt'} is missing. It must list the {kind} images with timestamps.")
    images, depths = (read_rows(folder / f"{kind}.txt", "timestamp filename") for kind in ("rgb", "depth"))
    images, numbers = _with_files(folder, images, skip, problems)
    depths, _ = _with_files(folder, depths, skip, problems)

    pairs = associate(images.times, depths.times, tolerance)
    _, apart = nearest(images.times, depths.times)
    if not len(pairs):
        raise DataError(
            f"{folder}: no image of rgb.txt has a depth map within {tolerance:g} s; the closest two are "
            f"{apart.min():.3g} s apart. Are the lists of one recording? Else raise `tolerance`."
        )
    check_count(len(pairs), folder, images.fields[pairs[0, 0]][0])
    for k in np.setdiff1d(np.arange(len(images.times)), pairs[:, 0]):
        reason = (
            f"the nearest is {apart[k]:.3g} s away" if apart[k] >= tolerance else "its nearest belongs to another image"
        )
        problems.append(f"{folder / images.fields[k][0]} is left out: no depth map within {tolerance:g} s ({reason})")

    files = [images.fields[k][0] for k in pairs[:, 0]]
    times = images.times[pairs[:, 0]]
    poses: list[np.ndarray | None] = [None] * len(pairs)
    lost = []
    if (folder / "groundtruth.txt").is_file():
        trajectory = read_trajectory(folder / "groundtruth.txt")
        for k, (row, distance) in enumerate(zip(*nearest(times, trajectory.times), strict=True)):
            if distance < tolerance:
                poses[k] = trajectory.poses[row]
            else:
                lost.append(
                    f"{folder / files[k]}: no pose within {tolerance:g} s (the nearest is {distance:.3g} s away)"
                )
    size = None
    if camera is None:
        camera, size = intrinsics_matrix(_CAMERAS[_camera_name(name) or _camera_name(images.comments)]), (480, 640)
    steps = np.diff(times)
    pauses = np.flatnonzero(steps > _PAUSE * np.median(steps)) + 1
    indices = numbers[pairs[:, 0]]
    gaps = sorted({*number_gaps(indices), *pauses.tolist()})
    paired = [depths.fields[k][0] for k in pairs[:, 1]]
    return PosedSequence(Scene(name, indices, gaps), folder, files, paired, poses, camera, size, lost)


def _camera_name(text: str) -> str:
    """Which of the benchmark's three Kinects a name tells; "" if none."""
    match = _CAMERA_NAME.search(text.lower())
    return match[1] if match else ""


def _with_files(folder: Path, rows: Rows, skip: bool, problems: list[str]) -> tuple[Rows, np.ndarray]:
    """The rows whose file is there, and their `(N,)` numbers in the list; the others are added to `problems`.

    DataError if one isn't there, with `skip` if none is. Folders are listed once: asking for every file is slow on a
    network.
    """
    present: dict[str, set[str]] = {}
    absent = []
    for k, (name,) in enumerate(rows.fields):
        parent, file = os.path.split(name)
        if parent not in present:
            present[parent] = set(entry_names(folder / parent)) if (folder / parent).is_dir() else set()
        if file not in present[parent]:
            absent.append(k)
    missing = [
        f"{folder / rows.fields[k][0]} is missing, but {rows.path} lists it in line {rows.lines[k]}" for k in absent
    ]
    kept = np.setdiff1d(np.arange(len(rows.lines)), absent)
    if absent and not (skip and len(kept)):
        raise DataError(
            f"{missing[0]} ({len(absent)} such). Unpack the sequence again, or take the lines out. {LEAVE_OUT}"
        )
    problems += missing
    lines, fields = ([column[k] for k in kept] for column in (rows.lines, rows.fields))
    return rows._replace(lines=lines, times=rows.times[kept], fields=fields), kept
