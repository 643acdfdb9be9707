"""NYU Depth v2 in the Kaggle (DenseDepth) layout, the one the paper trained on.

    data/nyu2_train/<scene>/1.jpg, 1.png, 2.jpg, 2.png, ...

A scene's frames are consecutive video frames. The JPEG is the colour image; the PNG of the same
number is its depth, 8 bits with 255 = 10 m, holes filled in. The colour images have a white border.
"""

import bisect
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.data.frames import DataError, Frame

_LAYOUT = "<scene>/1.jpg, 1.png, 2.jpg, 2.png, ..."
_FRAME_FILE = re.compile(r"(0|[1-9]\d*)\.(jpg|png)")
_METRES = (10.0 * np.arange(256) / 255.0).astype(np.float32)  # 8-bit depth -> metres, 0 = no reading


class NYUKaggle:
    """Frames of the Kaggle layout, a `FrameSource`.

    Frames are numbered as their files are: `Frame.index` is the N of `N.jpg`. Depth is metres =
    10·v/255; 0 is no reading. There are no poses or intrinsics.

    Args:
        path: the folder of scenes (`nyu2_train`), or a folder that holds it as `nyu2_train/` or
            `data/nyu2_train/`.
        scenes: the names of the scenes to read, in this order; None or empty for all, by name.

    Raises:
        DataError: a folder or scene is missing; a scene has one frame, a gap in its numbering, or
            an image without depth or the reverse; or its first frame can't be read. Every scene is
            checked here, so that nothing of the kind comes up in the middle of a training.
    """

    def __init__(self, path: str | os.PathLike, scenes: Sequence[str] | None = None):
        self._folder = _scenes_folder(Path(path).expanduser())
        if isinstance(scenes, str):
            scenes = (scenes,)
        self._scenes: dict[str, range] = {}
        self._first: dict[str, int] = {}
        position = 0
        for name in dict.fromkeys(scenes) if scenes else _subfolders(self._folder):
            numbers = _frame_numbers(self._folder / name, required=bool(scenes))
            if numbers is None:
                continue
            self._scenes[name] = range(position, position + len(numbers))
            self._first[name] = numbers.start
            position += len(numbers)
        if not self._scenes:
            raise DataError(
                f"{self._folder}: no scenes found. Expected {_LAYOUT}; "
                "give the folder that holds the scenes (or data/nyu2_train/)."
            )
        self._names = list(self._scenes)
        self._starts = [positions.start for positions in self._scenes.values()]
        self._len = position
        self.check_first_frames()

    @property
    def scenes(self) -> Mapping[str, range]:
        """Scene name -> its positions."""
        return self._scenes

    def first_index(self, scene: str) -> int:
        """The number of the scene's first file, 1 in the Kaggle archive."""
        return self._first[scene]

    def __len__(self) -> int:
        return self._len

    def __getitem__(self, position: int) -> Frame:
        """Reads one frame.

        Args:
            position: 0..len-1.

        Returns:
            A `Frame` with image `(H, W, 3)` uint8 RGB and depth `(H, W)` float32 metres.

        Raises:
            DataError: a file can't be decoded, the depth isn't 8-bit grey, or the sizes differ.
        """
        if not 0 <= position < self._len:
            raise IndexError(f"position {position} of a source with {self._len} frames")
        scene = self._names[bisect.bisect_right(self._starts, position) - 1]
        index = self._first[scene] + int(position) - self._scenes[scene].start
        stem = self._folder / scene / str(index)
        image, depth = read_image(f"{stem}.jpg"), _read_depth(f"{stem}.png")
        if image.shape[:2] != depth.shape:
            raise DataError(
                f"{stem}.jpg is {_size(image)} but {stem}.png is {_size(depth)}: "
                "an image and its depth must have the same size."
            )
        return Frame(image, depth, scene, index)

    def check_first_frames(self) -> None:
        """Reads the first frame of every scene.

        Raises:
            DataError: the first one that can't be read.
        """
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(self.__getitem__, self._starts):
                pass


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a colour image.

    Args:
        path: a JPEG (or another format that OpenCV knows).

    Returns:
        `(H, W, 3)` uint8, RGB.

    Raises:
        DataError: the file is missing, damaged or under 2 pixels on a side.
    """
    data = _bytes(path)
    # Some OpenCV versions return a truncated JPEG with its lower part grey instead of refusing it.
    truncated = data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-1024:]
    image = None if truncated else _decode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: not a readable image ({len(data)} bytes). Copy or unpack it again.")
    _check_sides(path, image)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _read_depth(path: str) -> np.ndarray:
    data = _bytes(path)
    depth = _decode(data, cv2.IMREAD_UNCHANGED)
    if depth is None:
        raise DataError(f"{path}: not a readable PNG ({len(data)} bytes). Copy or unpack it again.")
    if depth.dtype != np.uint8 or depth.ndim != 2:
        channels = 1 if depth.ndim == 2 else depth.shape[2]
        raise DataError(
            f"{path}: {8 * depth.itemsize}-bit PNG with {channels} channel(s), but the depth of "
            "this layout is 8-bit grey (255 = 10 m). The 16-bit test set (millimetres) is no video."
        )
    _check_sides(path, depth)
    return cv2.LUT(depth, _METRES)


def _bytes(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from None


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # an empty file, or a header that promises an absurd size
        return None


def _check_sides(path: str | os.PathLike, image: np.ndarray) -> None:
    if min(image.shape[:2]) < 2:
        raise DataError(f"{path}: {_size(image)}, smaller than 2 pixels on a side.")


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]} (width × height)"


def _scenes_folder(path: Path) -> Path:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give the folder that holds data/nyu2_train/.")
    for inner in ("data/nyu2_train", "nyu2_train"):
        if (path / inner).is_dir():
            return path / inner
    if (path / "1.jpg").is_file():
        raise DataError(f"{path}: this is one scene. Give its parent, and name the scene in `scenes`.")
    return path


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _frame_numbers(folder: Path, required: bool) -> range | None:
    """The numbers of a scene's frames; None for a folder without frames, if not `required`."""
    if not folder.is_dir():
        known = _subfolders(folder.parent)
        shown = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
        raise DataError(f"{folder}: no such scene. There are {len(known)}: {shown or 'none'}.")
    numbers = {"jpg": set(), "png": set()}
    for match in map(_FRAME_FILE.fullmatch, os.listdir(folder)):
        if match:
            numbers[match[2]].add(int(match[1]))
    images, depths = numbers["jpg"], numbers["png"]
    if not images and not depths:
        if required:
            raise DataError(f"{folder}: no frames. Expected {_LAYOUT}.")
        return None
    if images != depths:
        n = min(images ^ depths)
        has, lacks = ("jpg", "png") if n in images else ("png", "jpg")
        raise DataError(
            f"{folder / f'{n}.{has}'} has no {n}.{lacks} beside it "
            f"({len(images ^ depths)} such in this scene): every image needs its depth."
        )
    present = range(min(images), max(images) + 1)
    if len(present) != len(images):
        n = min(set(present) - images)
        raise DataError(
            f"{folder / f'{n}.jpg'} is missing ({len(present) - len(images)} missing between "
            f"{present[0]} and {present[-1]}): a scene's frames must be numbered without gaps, "
            "or frames that aren't neighbours would pass for neighbours."
        )
    if len(present) < 2:
        raise DataError(
            f"{folder}: a single frame, {present[0]}.jpg. A video needs at least two: "
            "leave this scene out with `scenes`, or complete it."
        )
    return present
