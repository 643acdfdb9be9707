"""What `nyu_depth_v2_video` is built from: the Kaggle or the FastDepth files, as encoded frames in order.

Both list their frames by split and scene and give the k-th as encoded images, decoded once on the way: what is
truncated, can't be decoded or fails its checksum comes up here. Zip, gzip and PNG have checksums; a changed byte in
a bare JPEG mostly gives other pixels. Names are relative to the input: what is stored holds nobody's paths.

An image is kept as the input has it where it can be: the JPEG of a Kaggle frame is passed on byte for byte.
FastDepth's are arrays: video frames become JPEG of quality 95 without chroma subsampling, a fifth of a PNG to store
and quicker to decode; test images become PNG, since scores depend on them.

Depth becomes a 16-bit PNG of millimetres, rounded to the nearest; what is beyond 65.535 m is clipped to it.
0 stays "no reading", and a reading under 0.5 mm becomes 1 mm, so that it stays a reading.
"""

import contextlib
import hashlib
import re
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from smoothdino_jax.data import fastdepth
from smoothdino_jax.data.archives import FolderFiles, ZipFiles, sha256_of
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.images import check_median, check_same_size, decode_grey, decode_image, file_bytes
from smoothdino_jax.data.listing import Scene, subfolders
from smoothdino_jax.data.unpacking import unpack_tar

KAGGLE = "data/nyu2_train/<scene>/1.jpg, 1.png, ... (and data/nyu2_test/00000_colors.png, 00000_depth.png, ...)"
FASTDEPTH = "nyudepthv2/train/<scene>/00001.h5, ... (and nyudepthv2/val/official/*.h5)"
_TRAIN_FILE = re.compile(r"((?:.*/)?nyu2_train)/([^/]+)/(0|[1-9]\d*)\.(jpg|png)")
_TEST_FILE = re.compile(r"((?:.*/)?nyu2_test)/(\d{5})_(colors|depth)\.png")
_EIGHT_BITS = np.rint(np.arange(256) * (10_000 / 255)).astype(np.uint16)  # 8-bit depth, 255 = 10 m -> mm

# Neither deflated nor filtered: array_record's zstd makes it smaller than the PNG would be (119 KB for 135 KB per
# frame of the Kaggle files), and it decodes in 0.4 ms (and 0.5 ms of zstd) instead of 3.2 ms.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 0]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # older versions of OpenCV filter always, for 1.9 ms instead of 0.4
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class Encoded(NamedTuple):
    """One frame, ready to be stored.

    Attributes:
        image: JPEG or PNG.
        depth: 16-bit PNG, millimetres.
        sha256: of the files it comes from, in bytes, one after the other.
    """

    image: bytes
    depth: bytes
    sha256: bytes


class Input(Protocol):
    """Frames to build from.

    Attributes:
        root: the folder or archive, for messages.
        source: the name, without folders, of what the user gave.
        config: "kaggle" or "fastdepth".
        splits: split -> its scenes, in the order to store them. In "test" each frame stands alone.
        missing: split -> scene -> the names of the files that its numbering lacks.
        expected_bytes: a generous guess of what the dataset will take.
    """

    root: Path
    source: str
    config: str
    splits: dict[str, list[Scene]]
    missing: dict[str, dict[str, list[str]]]
    expected_bytes: float

    def name(self, split: str, scene: Scene, k: int) -> str:
        """The name of a frame's image file."""
        ...

    def read(self, split: str, scene: Scene, k: int) -> Encoded:
        """Reads and decodes a frame; DataError if it can't be used, starting with a file's name."""
        ...

    def archive_sha256(self) -> str | None:
        """The archive's SHA-256; None for a folder."""
        ...


def open_input(path: Path, config: str, work_folder: Path, progress: bool) -> Input:
    """Opens what a user points at.

    Args:
        path: an archive, the folder it was unpacked to, or a folder that holds the archive.
        config: "kaggle", "fastdepth", or "auto" for what it is.
        work_folder: where to unpack a tar to.
        progress: show a bar while unpacking.

    Returns:
        The input.

    Raises:
        DataError: neither, both, or not what `config` says; or it can't be read.
    """
    path, found = find_input(path, config)
    if found == "kaggle":
        return KaggleInput(ZipFiles(path) if path.is_file() else FolderFiles(path))
    if path.is_file():
        fastdepth.import_h5py()  # or it would be missed only after an hour of unpacking
        folder = work_folder / re.sub(r"\.(tar(\.\w+)?|tgz)$", "", path.name)
        return FastDepthInput(folder, path.name, unpack_tar(path, folder, progress))
    return FastDepthInput(path)


def find_input(path: Path, config: str) -> tuple[Path, str]:
    """The folder or archive to read, and which config it is for; see `open_input`."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder. Give NYUv2 as {KAGGLE}, or as {FASTDEPTH}.")
    found = [(path, kind) for kind in [_kind(path)] if kind]
    if not found and path.is_dir():
        found = [(inner, kind) for inner in sorted(path.iterdir()) for kind in [_kind(inner)] if kind]
    if not found:
        raise DataError(
            f"{path}: no frames of NYUv2 here. Give the Kaggle zip or the folder that has {KAGGLE}, or "
            f"nyudepthv2.tar.gz or the folder that has {FASTDEPTH}."
        )
    suited = [(inner, kind) for inner, kind in found if config in (kind, "auto")]
    if not suited:
        raise DataError(f"{found[0][0]}: these are the files for the config {found[0][1]!r}, not {config!r}.")
    if len(suited) > 1:
        raise DataError(f"{path}: it has {' and '.join(inner.name for inner, _ in suited)}: name one of them.")
    return suited[0]


def _kind(path: Path) -> str | None:
    if path.is_file():
        if path.suffix.lower() == ".zip":
            return "kaggle"
        return "fastdepth" if re.search(r"\.(tar(\.\w+)?|tgz)$", path.name.lower()) else None
    if not path.is_dir():
        return None
    if any((path / inner / "nyu2_train").is_dir() for inner in ("", "data", "nyu_data/data")):
        return "kaggle"
    if path.name == "nyu2_train":
        return "kaggle"
    if any((path / inner / "train").is_dir() for inner in ("", "nyudepthv2")):
        return "fastdepth"
    return None


class KaggleInput:
    """The Kaggle (DenseDepth) files, in a zip or a folder; an `Input`."""

    config = "kaggle"

    def __init__(self, files: ZipFiles | FolderFiles):
        if files.root.name == "nyu2_train" and files.root.is_dir():
            files = FolderFiles(files.root.parent)
        self.root, self._files = files.root, files
        self.source = files.root.resolve().name
        train, test, folders, size = {}, {}, {}, 0
        for name, length in files.sizes().items():
            if match := _TRAIN_FILE.fullmatch(name):
                folder, scene, number, kind = match.groups()
                train.setdefault(scene, {}).setdefault(int(number), set()).add(kind)
            elif match := _TEST_FILE.fullmatch(name):
                folder, number, kind = match.groups()
                test.setdefault(int(number), set()).add(kind)
            else:
                continue
            folders.setdefault(folder.rpartition("/")[2], set()).add(folder)
            size += length
        if not train:
            raise DataError(f"{self.root}: no frames found. Expected {KAGGLE}.")
        for several in folders.values():
            if len(several) > 1:
                raise DataError(f"{self.root}: frames in {' and '.join(sorted(several))}: there must be one of them.")
        self._folders = {kind: next(iter(paths)) for kind, paths in folders.items()}
        self.expected_bytes = 2.0 * size
        self.splits, self.missing = {"train": []}, {"train": {}, "test": {}}
        for scene, numbers in sorted(train.items()):
            complete = np.array(sorted(n for n, kinds in numbers.items() if len(kinds) == 2), np.int64)
            every = range(min(numbers), max(numbers) + 1)
            self.missing["train"][scene] = [
                f"{self._folders['nyu2_train']}/{scene}/{n}.{kind}"
                for n in every
                for kind in ("jpg", "png")
                if kind not in numbers.get(n, ())
            ]
            self.splits["train"].append(Scene(scene, complete, [k + 1 for k in np.flatnonzero(np.diff(complete) != 1)]))
        if test:
            complete = np.array(sorted(n for n, kinds in test.items() if len(kinds) == 2), np.int64)
            self.missing["test"]["test"] = [
                f"{self._folders['nyu2_test']}/{n:05d}_{kind}.png"
                for n, kinds in sorted(test.items())
                for kind in {"colors", "depth"} - kinds
            ]
            self.splits["test"] = [Scene("test", complete, range(1, len(complete)))]

    def name(self, split: str, scene: Scene, k: int) -> str:
        """The name of a frame's image file."""
        return self._names(split, scene, k)[0]

    def read(self, split: str, scene: Scene, k: int) -> Encoded:
        """Reads and checks a frame; see `Input`."""
        image_name, depth_name = self._names(split, scene, k)
        image, depth = self._files.read(image_name), self._files.read(depth_name)
        pixels = decode_image(image, image_name)
        if split == "train":
            millimetres = _EIGHT_BITS[decode_grey(depth, depth_name, 8, "8-bit grey (255 = 10 m)")]
        else:
            millimetres = decode_grey(depth, depth_name, 16, "16-bit grey (millimetres)")
        check_same_size(pixels, millimetres, image_name, depth_name)
        return Encoded(image, _encode(".png", millimetres, _PNG), hashlib.sha256(image + depth).digest())

    def archive_sha256(self) -> str | None:
        """The zip's SHA-256; None for a folder."""
        return sha256_of(self.root) if self.root.is_file() else None

    def _names(self, split: str, scene: Scene, k: int) -> tuple[str, str]:
        n = scene.indices[k]
        if split == "test":
            return tuple(f"{self._folders['nyu2_test']}/{n:05d}_{kind}.png" for kind in ("colors", "depth"))
        return tuple(f"{self._folders['nyu2_train']}/{scene.name}/{n}.{kind}" for kind in ("jpg", "png"))


class FastDepthInput:
    """The FastDepth files, unpacked; an `Input`.

    Args:
        path: the folder `nyudepthv2`, or one that holds it.
        archive: the name of the archive it was unpacked from, and its SHA-256; None for a folder.
        sha256: see `archive`.
    """

    config = "fastdepth"

    def __init__(self, path: Path, archive: str | None = None, sha256: str | None = None):
        fastdepth.import_h5py()
        self._train = fastdepth.part_folder(path, "train")
        self._sha256 = sha256
        self.root = self._train.parent
        self.source = archive or self.root.resolve().name
        self.splits, self.missing = {"train": []}, {"train": {}, "test": {}}
        for scene in subfolders(self._train):
            listed, lost = fastdepth.list_scene(self._train, scene, "train")
            self.splits["train"].append(listed)
            self.missing["train"][scene] = [f"train/{name}" for name in lost]
        val = self.root / "val"
        if val.is_dir():
            scenes = [fastdepth.list_scene(val, scene, "val")[0] for scene in subfolders(val)]
            if any(len(scene.indices) for scene in scenes):
                self.splits["test"] = scenes
        frames = sum(len(scene.indices) for scenes in self.splits.values() for scene in scenes)
        if not any(len(scene.indices) for scene in self.splits["train"]):
            raise DataError(f"{path}: no frames found. Expected {FASTDEPTH}.")
        self.expected_bytes = 500e3 * frames
        first = next(scene for scene in self.splits["train"] if len(scene.indices))
        with contextlib.suppress(DataError):  # comes up again when its turn comes
            depth = fastdepth.read_h5(self._train / fastdepth.file_of(first, 0))[1]
            check_median(float(np.median(depth[depth > 0])) if depth.any() else np.nan, self.name("train", first, 0))

    def name(self, split: str, scene: Scene, k: int) -> str:
        """The name of a frame's file."""
        return f"{'train' if split == 'train' else 'val'}/{fastdepth.file_of(scene, k)}"

    def read(self, split: str, scene: Scene, k: int) -> Encoded:
        """Reads and checks a frame; see `Input`."""
        name = self.name(split, scene, k)
        image, depth = fastdepth.read_h5(self.root / name, name)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        image = _encode(".jpg", bgr, _JPEG) if split == "train" else _encode(".png", bgr, [])
        millimetres = to_millimetres(depth)
        sha256 = hashlib.sha256(file_bytes(self.root / name)).digest()
        return Encoded(image, _encode(".png", millimetres, _PNG), sha256)

    def archive_sha256(self) -> str | None:
        """The tar's SHA-256; None for a folder."""
        return self._sha256


def to_millimetres(depth: np.ndarray) -> np.ndarray:
    """Depth as it is stored.

    Args:
        depth: `(H, W)` float32 metres, 0 = no reading.

    Returns:
        `(H, W)` uint16, rounded to the nearest; readings are at least 1 and at most 65535, 0 stays 0.
    """
    millimetres = np.clip(np.rint(depth.astype(np.float64) * 1000), 1, 65535)
    return np.where(depth > 0, millimetres, 0).astype(np.uint16)


def _encode(kind: str, pixels: np.ndarray, options: list[int]) -> bytes:
    return cv2.imencode(kind, pixels, options)[1].tobytes()
