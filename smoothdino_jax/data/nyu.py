"""NYU Depth v2 in the Kaggle (DenseDepth) layout, the one the paper trained on.

    data/nyu2_train/<scene>/1.jpg, 1.png, 2.jpg, 2.png, ...

A scene's frames are consecutive video frames. The JPEG is the colour image; the PNG of the same
number is its depth, 8 bits with 255 = 10 m, holes filled in. The colour images have a white border.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import check_same_size, decode_grey, file_bytes, read_image
from smoothdino_jax.data.listing import (
    LEAVE_OUT,
    ListedFrames,
    Scene,
    check_count,
    check_missing,
    choose_scenes,
    entry_names,
    image_inside,
    list_usable,
    subfolders,
    warn_of,
)

_LAYOUT = "<scene>/1.jpg, 1.png, 2.jpg, 2.png, ..."
_DEPTH = "8-bit grey (255 = 10 m). The 16-bit test set (millimetres) is no video"
_FRAME_FILE = re.compile(r"(0|[1-9]\d*)\.(jpg|png)")
_METRES = (10.0 * np.arange(256) / 255.0).astype(np.float32)  # 8-bit depth -> metres, 0 = no reading


class NYUKaggle(ListedFrames):
    """Frames of the Kaggle layout, a `FrameSource`.

    Frames are numbered as their files are: `Frame.index` is the N of `N.jpg`. Depth is metres =
    10·v/255; 0 is no reading. There are no poses or intrinsics.

    Args:
        path: the folder of scenes (`nyu2_train`), or a folder that holds it as `nyu2_train/` or
            `data/nyu2_train/`.
        scenes: the names of the scenes to read, in this order; empty for all, by name.
        missing: what to do with a frame whose image or depth is missing: "error", or "skip" to leave it
            out with a warning (`problems` lists them all); no segment reaches over the gap. A scene that can't be
            used is left out likewise.
        check: False to open without reading each scene's first frame.

    Raises:
        DataError: a folder or scene is missing; (with "error") a scene has one frame, a gap in its
            numbering, or an image without depth or the reverse; no scene is left; or a scene's first frame
            can't be read. Every scene is listed here, so that no gap comes up in the middle of a training.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        scenes: Sequence[str] = (),
        missing: str = "error",
        check: bool = True,
    ):
        check_missing(missing)
        self.folder = _scenes_folder(Path(path).expanduser())
        names = choose_scenes(subfolders(self.folder), scenes, self.folder)
        problems: list[str] = []

        def list_one(name: str, found: list[str]) -> Scene | None:
            return _list_scene(self.folder / name, bool(scenes), missing == "skip", found)

        listed = list_usable(names, list_one, missing, problems)
        if not listed:
            raise DataError(
                f"{self.folder}: no scenes found. Expected {_LAYOUT}; "
                "give the folder that holds the scenes (or data/nyu2_train/)."
            )
        warn_of(problems, "problem(s)", self.folder)
        super().__init__(listed, problems)
        if check:
            self.check_first_frames()

    def _read(self, scene: Scene, k: int) -> Frame:
        index = int(scene.indices[k])
        stem = self.folder / scene.name / str(index)
        jpeg, png = f"{stem}.jpg", f"{stem}.png"
        image = read_image(jpeg)
        depth = cv2.LUT(decode_grey(file_bytes(png), png, 8, _DEPTH), _METRES)
        check_same_size(image, depth, jpeg, png)
        return Frame(image, depth, scene.name, index)

    def _origin(self, scene: Scene, k: int) -> str:
        return str(self.folder / scene.name / f"{scene.indices[k]}.jpg")


def _scenes_folder(path: Path) -> Path:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give the folder that holds data/nyu2_train/.")
    for inner in ("data/nyu2_train", "nyu2_train"):
        if (path / inner).is_dir():
            return path / inner
    if (path / "1.jpg").is_file():
        raise DataError(f"{path}: this is one scene. Give its parent, and name the scene in `scenes`.")
    return path


def _list_scene(folder: Path, required: bool, skip: bool, problems: list[str]) -> Scene | None:
    """One scene, what it lacks added to `problems`; None for a folder without frames, if not `required`."""
    numbers = {"jpg": set(), "png": set()}
    for match in map(_FRAME_FILE.fullmatch, entry_names(folder)):
        if match:
            numbers[match[2]].add(int(match[1]))
    images, depths = numbers["jpg"], numbers["png"]
    if not images and not depths:
        image = image_inside(folder)
        what = f"no frames{f', but {image}' if image else ''}; expected {_LAYOUT}"
        if required:
            raise DataError(f"{folder}: {what}")
        if image:
            problems.append(f"{folder} is left out: {what}")
        return None
    if images != depths and not skip:
        n = min(images ^ depths)
        has, lacks = ("jpg", "png") if n in images else ("png", "jpg")
        raise DataError(
            f"{folder / f'{n}.{has}'} has no {n}.{lacks} beside it "
            f"({len(images ^ depths)} such in this scene): every image needs its depth. {LEAVE_OUT}"
        )
    present = np.array(sorted(images & depths), np.int64)
    everywhere = images | depths
    lost = sorted(set(range(min(everywhere), max(everywhere) + 1)) - set(present.tolist()))
    if lost and not skip:
        raise DataError(
            f"{folder / f'{lost[0]}.jpg'} is missing ({len(lost)} missing between {min(everywhere)} and "
            f"{max(everywhere)}): a scene's frames must be numbered without gaps, "
            f"or frames that aren't neighbours would pass for neighbours. {LEAVE_OUT}"
        )
    for n in lost:
        problems += [f"{folder / f'{n}.{kind}'} is missing" for kind in ("jpg", "png") if n not in numbers[kind]]
    check_count(len(present), folder, f"{present[0]}.jpg" if len(present) else "")
    return Scene(folder.name, present, tuple(int(k) + 1 for k in np.flatnonzero(np.diff(present) != 1)))
