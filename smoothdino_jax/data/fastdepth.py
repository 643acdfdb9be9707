"""NYU Depth v2 as MIT preprocessed it for FastDepth and sparse-to-dense: one HDF5 file per frame.

    nyudepthv2/train/<scene>/00001.h5, 00006.h5, ...
    nyudepthv2/val/official/00001.h5, ...

Unpacked from http://datasets.lids.mit.edu/fastdepth/data/nyudepthv2.tar.gz (32 GB). Each file has
`rgb`, `(3, H, W)` uint8, and `depth`, `(H, W)` float32 metres with 0 for no reading; nothing is filled in.

The training frames are video frames, thinned: the authors count 47584 of them
(in the tracker of github.com/fangchangma/sparse-to-dense.pytorch), and the file names that others published for
their training (data_json/nyu.json of github.com/zzangjinsun/NLSPN_ECCV20) are all numbered 5k + 1. So
neighbours are 5 frames of the recording apart. No number is built in here: a scene's usual step is
its step, and another step is a gap. The 654 validation images, the official test set, are no video.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import size_text
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
    number_gaps,
    subfolders,
    warn_of,
)

_LAYOUT = "train/<scene>/00001.h5, 00006.h5, ... and val/official/*.h5"
_FOLDERS = {"train": "train", "test": "val", "val": "val"}  # of each split
_FRAME_FILE = re.compile(r"(\d{5})\.h5")


class FastDepth(ListedFrames):
    """Frames of the FastDepth layout, a `FrameSource`.

    Frames are numbered as their files are. There are no poses or intrinsics.

    Args:
        path: the folder `nyudepthv2`, one that holds it, or for "train" the folder of scenes.
        scenes: the names of the scenes to read, in this order; empty for all, by name.
        split: "train", or "test" (also "val", as the folder is called) for the unordered test images: one scene,
            "official", each frame a segment of its own.
        missing: what to do about a jump in a training scene's numbers: "error", or "skip" to go on with a
            warning (`problems` lists the frames); no segment reaches over the gap. A scene that can't be used is
            left out likewise.
        check: False to open without reading each scene's first frame.

    Raises:
        DataError: a folder or scene is missing; (with "error") a training scene has one frame or a gap; no scene is
            left; the first frame of a scene can't be read; or h5py isn't installed.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        scenes: Sequence[str] = (),
        split: str = "train",
        missing: str = "error",
        check: bool = True,
    ):
        check_missing(missing)
        import_h5py()
        self.folder = part_folder(Path(path).expanduser(), split)
        names = choose_scenes(subfolders(self.folder), scenes, self.folder)
        problems: list[str] = []

        def list_one(name: str, found: list[str]) -> Scene | None:
            scene, lost = list_scene(self.folder, name, split)
            if not len(scene.indices):
                return self._without_frames(name, bool(scenes), found)
            if lost and missing == "error":
                raise DataError(
                    f"{self.folder / lost[0]} is missing ({len(lost)} such in this scene), judged by the step of the "
                    f"others: unpack the archive again. {LEAVE_OUT}"
                )
            found += [f"{self.folder / file} is missing" for file in lost]
            if split == "train":
                check_count(len(scene.indices), self.folder / name, file_of(scene, 0))
            return scene

        listed = list_usable(names, list_one, missing, problems)
        if not listed:
            raise DataError(f"{self.folder}: no scenes found. Expected {_LAYOUT}.")
        warn_of(problems, "problem(s)", self.folder)
        super().__init__(listed, problems)
        if check:
            self.check_first_frames()

    def _without_frames(self, name: str, required: bool, problems: list[str]) -> None:
        """A folder without frames: an error if `required`, a problem if it should have some."""
        image = image_inside(self.folder / name)
        what = f"no frames{f', but {image}' if image else ''}. Expected {_LAYOUT}."
        if required:
            raise DataError(f"{self.folder / name}: {what}")
        # train/ and val/ hold nothing but scenes. Another folder of scenes may hold anything.
        if image or self.folder.name in _FOLDERS.values():
            problems.append(f"{self.folder / name} is left out: {what}")

    def _read(self, scene: Scene, k: int) -> Frame:
        image, depth = read_h5(self.folder / file_of(scene, k))
        return Frame(image, depth, scene.name, int(scene.indices[k]))

    def _origin(self, scene: Scene, k: int) -> str:
        return str(self.folder / file_of(scene, k))


def part_folder(path: Path, split: str) -> Path:
    """The folder whose subfolders are the scenes of `split`; DataError if there is none."""
    if split not in _FOLDERS:
        raise ValueError(f'split={split!r} must be "train" or "test"')
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give the folder nyudepthv2 ({_LAYOUT}).")
    name = _FOLDERS[split]
    for inner in (name, f"nyudepthv2/{name}"):
        if (path / inner).is_dir():
            return path / inner
    if any(map(_FRAME_FILE.fullmatch, entry_names(path))):
        raise DataError(f"{path}: this is one scene. Give its parent, and name the scene in `scenes`.")
    if name == "val" and path.name != "val":
        raise DataError(f"{path}: no folder val/ in it. Expected {_LAYOUT}.")
    return path


def list_scene(folder: Path, name: str, split: str) -> tuple[Scene, list[str]]:
    """Lists one scene.

    Args:
        folder: of scenes.
        name: of the scene.
        split: "train", or another for frames that are no video.

    Returns:
        The scene, which may be empty, and the files (`<scene>/NNNNN.h5`) that its numbering lacks.

    Raises:
        DataError: the scene's folder is missing or can't be read.
    """
    found = map(_FRAME_FILE.fullmatch, entry_names(folder / name))
    indices = np.array(sorted(int(match[1]) for match in found if match), np.int64)
    if split != "train":
        return Scene(name, indices, range(1, len(indices))), []
    gaps = number_gaps(indices)
    lost = []
    if gaps:
        steps = np.diff(indices)
        step = int(np.bincount(steps).argmax())
        # A shorter step than usual is a gap too, but nothing is missing there.
        lost = [f"{name}/{n:05d}.h5" for k in gaps for n in range(int(indices[k - 1]) + step, int(indices[k]), step)]
    return Scene(name, indices, gaps), lost


def file_of(scene: Scene, k: int) -> str:
    """The path of the scene's k-th frame in the folder of scenes."""
    return f"{scene.name}/{scene.indices[k]:05d}.h5"


def read_h5(path: str | os.PathLike, origin: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Reads one frame.

    Args:
        path: file.
        origin: what messages call it; `path` by default.

    Returns:
        `(H, W, 3)` uint8 RGB, and `(H, W)` float32 metres, 0 where there is no reading.

    Raises:
        DataError: the file is damaged, or its datasets aren't those of the layout.
    """
    h5py, origin = import_h5py(), path if origin is None else origin
    try:
        # Opened per frame: an open file can't be pickled, and 48000 of them would be too many.
        with h5py.File(path, "r") as file:
            for key in ("rgb", "depth"):
                if not isinstance(file.get(key), h5py.Dataset):
                    raise DataError(f"{origin}: no dataset {key!r} in it, only: {', '.join(file) or 'nothing'}.")
            rgb, depth = file["rgb"][()], file["depth"][()]
    except FileNotFoundError:
        raise DataError(f"{origin}: No such file or directory.") from None
    except (OSError, RuntimeError, KeyError) as error:  # h5py raises all three for damaged files
        first = (str(error).strip("'\"").splitlines() or [""])[0]
        raise DataError(f"{origin}: not a readable HDF5 file ({first}). Unpack it again.") from None
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or len(rgb) != 3:
        raise DataError(f"{origin}: 'rgb' is {rgb.dtype} {rgb.shape}, but this layout has uint8 (3, height, width).")
    if depth.dtype.kind != "f" or depth.ndim != 2:
        raise DataError(
            f"{origin}: 'depth' is {depth.dtype} {depth.shape}, but this layout has float32 (height, width), in metres."
        )
    image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    if image.shape[:2] != depth.shape:
        raise DataError(
            f"{origin}: 'rgb' is {size_text(image)} but 'depth' is {size_text(depth)}: they must be the same."
        )
    if min(depth.shape) < 2:
        raise DataError(f"{origin}: {size_text(depth)}, smaller than 2 pixels on a side.")
    depth = depth.astype(np.float32, copy=False)
    if not np.isfinite(depth).all() or depth.min() < 0:
        raise DataError(f"{origin}: 'depth' has values that are negative, infinite or not a number. Unpack it again.")
    return image, depth


def import_h5py():
    """The module h5py; DataError if it isn't installed."""
    try:
        import h5py
    except ImportError:
        raise DataError("reading .h5 frames needs h5py: pip install 'smoothdino-jax[data]'.") from None
    return h5py
