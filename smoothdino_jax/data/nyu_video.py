"""The prepared dataset `nyu_depth_v2_video`, read at random and without TensorFlow.

A frame is one record of an array_record file: a `tf.train.Example` with the encoded image and depth. TFDS
itself isn't needed to read it: scenes and segments come from `metadata.json`, records from array_record, and
taking an Example apart in place, below, spares copies of the 0.6 MB that a depth image has in memory.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.data.frames import DataError, Frame
from smoothdino_jax.data.images import check_same_size
from smoothdino_jax.data.listing import ListedFrames, Scene
from smoothdino_jax.data.nyu_record import listed_scenes, read_record
from smoothdino_jax.data.scene_names import some

_NAME = "nyu_depth_v2_video"
_MILLIMETRE = np.float32(0.001)


class NYUVideo(ListedFrames):
    """Frames of `nyu_depth_v2_video`, a `FrameSource`.

    There are no poses or intrinsics. Opening it reads no frames: all were decoded when the dataset was built.

    Args:
        path: the folder of a version (1.0.0), of its config (kaggle), of the dataset, or TFDS's data_dir. If
            there are several versions, the newest.
        scenes: the names of the scenes to read, in this order; empty for all.
        split: "train", or "test" for test images, each a segment of its own.

    Raises:
        DataError: no dataset, several configs of it, or a damaged one; or no such scene or split.
    """

    def __init__(self, path: str | os.PathLike, scenes: Sequence[str] = (), split: str = "train"):
        if split not in ("train", "test"):
            raise ValueError(f'split={split!r} must be "train" or "test"')
        self.folder = version_folder(Path(path).expanduser())
        record = read_record(self.folder)
        stored = record["splits"].get(split)
        if stored is None:
            raise DataError(f"{self.folder}: no split {split!r}, only {', '.join(record['splits'])}.")
        listed = {scene.name: (scene, start) for scene, start in _with_starts(listed_scenes(stored["scenes"]))}
        wanted = (scenes,) if isinstance(scenes, str) else tuple(dict.fromkeys(scenes or listed))
        for name in wanted:
            if name not in listed:
                raise DataError(f"{self.folder}: no scene {name!r}. There are {len(listed)}: {some(list(listed))}.")
        self._first_record = {name: listed[name][1] for name in wanted}
        self._records = Records([(self.folder / name, frames) for name, frames, _ in stored["shards"]])
        super().__init__([listed[name][0] for name in wanted], record["skipped"])

    def _read(self, scene: Scene, k: int) -> Frame:
        origin = self._origin(scene, k)
        try:
            features = parse_example(self._records[self._first_record[scene.name] + k])
        except (RuntimeError, ValueError, IndexError, OSError) as error:
            raise DataError(f"{origin}: can't be read ({error}). Copy the file again, or prepare it again.") from None
        image = _decode(features, "image", cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION, origin)
        stored = _decode(features, "depth", cv2.IMREAD_UNCHANGED, origin)
        if stored.dtype != np.uint16 or stored.ndim != 2:
            raise DataError(f"{origin}: its depth is {stored.dtype} {stored.shape}, not 16-bit grey. Prepare it again.")
        check_same_size(image, stored, origin, f"its depth in {origin}")
        depth = stored.astype(np.float32)
        depth *= _MILLIMETRE
        return Frame(image, depth, scene.name, int(scene.indices[k]))

    def _origin(self, scene: Scene, k: int) -> str:
        shard, position = self._records.place(self._first_record[scene.name] + k)
        return f"{shard}, record {position} ({scene.name}, frame {scene.indices[k]})"


def version_folder(path: Path) -> Path:
    """The folder of a version, with the shards; see `NYUVideo`."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give the data_dir that {_NAME} was prepared in.")
    if (path / "dataset_info.json").is_file():
        return path
    for pattern in ("*", "*/*", f"{_NAME}/*/*"):
        found = [info.parent for info in path.glob(f"{pattern}/dataset_info.json")]
        found = [folder for folder in found if _is_ours(folder)]
        configs = sorted({folder.parent.name for folder in found})
        if len(configs) > 1:
            raise DataError(f"{path}: there are several configs, {' and '.join(configs)}: give the folder of one.")
        if found:
            return max(found, key=lambda folder: [int(number) for number in folder.name.split(".")])
    raise DataError(f"{path}: no finished {_NAME} here. Make one with: smoothdino data prepare.")


class Records:
    """Random access to the records of several array_record files, opened one by one when needed.

    Safe in threads; a pickled copy opens its own files.

    Args:
        shards: path and number of records of each file.
    """

    def __init__(self, shards: Sequence[tuple[Path, int]]):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._paths = [path for path, _ in shards]
        self._starts = np.cumsum([0] + [count for _, count in shards])
        # With the range in the name it needn't open a file to count its records.
        self._source = ArrayRecordDataSource([f"{path}[0:{count}]" for path, count in shards])

    def __getitem__(self, i: int) -> bytes:
        return self._source[i]

    def place(self, i: int) -> tuple[Path, int]:
        """The file of the i-th record, and the record's number in it."""
        shard = int(np.searchsorted(self._starts, i, "right")) - 1
        return self._paths[shard], i - int(self._starts[shard])


def parse_example(record: bytes) -> dict[str, memoryview]:
    """Takes a serialized `tf.train.Example` apart, without copies.

    Args:
        record: the message.

    Returns:
        The first bytes value of each feature that has one; other features are left out.

    Raises:
        ValueError: no such message.
    """
    found = {}
    # Example { Features features = 1 { map<string, Feature> feature = 1 { key = 1, value = 2 } } }
    # Feature { BytesList bytes_list = 1 { repeated bytes value = 1 } }
    for features in _fields(memoryview(record), 1):
        for entry in _fields(features, 1):
            name = next(_fields(entry, 1), b"")
            for feature in _fields(entry, 2):
                for values in _fields(feature, 1):
                    value = next(_fields(values, 1), None)
                    if value is not None:
                        found[bytes(name).decode()] = value
    return found


def _fields(message: memoryview, wanted: int):
    """The contents of a protobuf message's fields of one number, as far as they have a length (wire type 2)."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        if tag & 7 != 2:
            raise ValueError(f"no tf.train.Example: wire type {tag & 7}")
        length, at = _varint(message, at)
        if at + length > end:
            raise ValueError("truncated tf.train.Example")
        if tag >> 3 == wanted:
            yield message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _decode(features: dict[str, memoryview], name: str, flags: int, origin: str) -> np.ndarray:
    # Decoded when it was built, and checked by array_record's checksum when read: no second look here.
    data = features.get(name)
    pixels = None
    if data:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            pixels = None
    if pixels is None:
        raise DataError(f"{origin}: its {name} can't be decoded. Prepare the dataset again.")
    return pixels


def _with_starts(scenes: Sequence[Scene]):
    start = 0
    for scene in scenes:
        yield scene, start
        start += len(scene.indices)


def _is_ours(folder: Path) -> bool:
    numbers = folder.name.split(".")
    return len(numbers) == 3 and all(map(str.isdecimal, numbers)) and (folder / "metadata.json").is_file()
