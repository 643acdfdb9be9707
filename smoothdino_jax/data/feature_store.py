"""Features of frames on disk, for training: a frozen encoder says the same of a frame each time.

A folder of three files. `header.json` says what the features are of and how they lie; `tokens.bin` holds one
record per frame, in the order they were computed; `positions.bin` the position of each record's frame. A frame
counts once its position is written, which happens after its record is safely on disk: what an interrupted
filling leaves is whole, and the next one goes on there. Records are added for whatever frames a training needs,
so another split or another length of clip uses the same folder.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from absl import logging

from smoothdino_jax.data.clips import ClipSource
from smoothdino_jax.data.frames import DataError

DTYPES = {name: np.dtype(kind) for name, kind in
          [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("float32", np.float32)]}  # fmt: skip
VERSION = 1
SIZE = "working size (height, width)"  # a field of `describe_frames`
_HEADER, _TOKENS, _POSITIONS, _LOCK = "header.json", "tokens.bin", "positions.bin", "lock"
_SAMPLED = 16  # frames whose pixels are compared


def describe_frames(clips: ClipSource) -> dict[str, Any]:
    """What tells the frames of one source, at one working size, from those of another.

    The pixels of up to 16 frames count and the path does not: data may move. A change to other frames is not seen.

    Args:
        clips: the source and the working size; which clips does not matter.

    Returns:
        JSON-able fields.

    Raises:
        DataError: a frame can't be read.
    """
    source = clips.source
    numbering = hashlib.sha256()
    for name in source.scenes:
        numbering.update(json.dumps([name, np.asarray(source.indices(name)).tolist()]).encode())
    pixels = hashlib.sha256()
    for position in np.linspace(0, len(source) - 1, min(_SAMPLED, len(source))).round().astype(int):
        pixels.update(np.ascontiguousarray(clips.frame(position).image))
    return {
        "number of frames": len(source),
        "scenes and frame numbers": numbering.hexdigest(),
        SIZE: list(clips.frame(0).image.shape[:2]),
        "pixels": pixels.hexdigest(),
    }


class FeatureStore:
    """Random access to the stored features of frames; may be read from several threads, and pickled.

    Args:
        folder: where they are, or will be: nothing is written before `filling`.
        identity: JSON-able nested dict, what the features are of: of which frames, by which encoder.
        shape: of one frame's record, `(levels, tokens, channels)`.
        dtype: one of `DTYPES`, what a number is stored as.
        frames: how many frames the source has.

    Raises:
        ValueError: an unknown dtype.
        DataError: the folder holds features of something else (what differs is named), something other
            than features, or is damaged.
    """

    def __init__(
        self, folder: str | os.PathLike, identity: Mapping, shape: tuple[int, int, int], dtype: str, frames: int
    ):
        if dtype not in DTYPES:
            raise ValueError(f"features are stored as one of {', '.join(DTYPES)}, not {dtype!r}")
        self.folder = Path(folder)
        self.shape, self.dtype = tuple(shape), DTYPES[dtype]
        record = {"dtype": dtype, "record (levels, tokens, channels)": list(shape)}
        self._header = {"format": "smoothdino features", "version": VERSION, **record, **identity}
        self._rows = np.full(frames, -1, np.int64)
        self._tokens = None
        self._read_folder()

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame's record."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        """Frames stored."""
        return int((self._rows >= 0).sum())

    def missing(self, positions: np.ndarray) -> np.ndarray:
        """Those of these positions (any shape) that are not stored, ascending, each once."""
        positions = np.unique(positions)
        return positions[self._rows[positions] < 0]

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Features of frames.

        Args:
            positions: `(N,)` positions in the source.

        Returns:
            `(N, levels, tokens, channels)` of the store's dtype; the caller's own.

        Raises:
            DataError: a frame is not stored.
        """
        rows = self._rows[positions]
        if (rows < 0).any():
            absent = np.asarray(positions)[rows < 0][0]
            raise DataError(f"{self.folder}: the features of position {absent} are not stored. Fill the store first.")
        tokens = self._tokens
        if tokens is None:
            shape = (int(self._rows.max()) + 1, *self.shape)
            tokens = self._tokens = np.memmap(self.folder / _TOKENS, self.dtype, "r", shape=shape)
        return np.array(tokens[rows])

    def __getstate__(self):
        return self.__dict__ | {"_tokens": None}

    @contextlib.contextmanager
    def filling(self) -> Iterator["Filling"]:
        """Opens the store for more frames; only one process at a time can, others wait for it.

        Makes the folder if it does not exist. Within, ask `missing` anew: another process may have been first.

        Raises:
            DataError: as the constructor, or the folder can't be written.
        """
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / _LOCK, "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    logging.warning("%s: another process is filling it; waiting", self.folder)
                    fcntl.flock(lock, fcntl.LOCK_EX)
                self._read_folder()
                if not (self.folder / _HEADER).exists():
                    partial = self.folder / f"{_HEADER}.partial"
                    with open(partial, "w") as file:
                        file.write(json.dumps(self._header, indent=2) + "\n")
                        file.flush()
                        os.fsync(file.fileno())
                    partial.replace(self.folder / _HEADER)
                with open(self.folder / _TOKENS, "ab") as tokens, open(self.folder / _POSITIONS, "ab") as positions:
                    # What was written of the frame that an interruption hit.
                    count = int(self._rows.max(initial=-1)) + 1
                    tokens.truncate(count * self.frame_bytes)
                    positions.truncate(count * 8)
                    yield Filling(self, tokens, positions)
        except OSError as error:
            raise DataError(
                f"{self.folder}: features can't be written: {error}. What is stored so far stays, and will be used."
            ) from error
        finally:
            self._tokens = None

    def _read_folder(self) -> None:
        """Compares the header, and reads which frames are there."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if not names - {_LOCK, f"{_HEADER}.partial"} and (self.folder.is_dir() or not self.folder.exists()):
            return
        file = self.folder / _HEADER
        try:
            found = json.loads(file.read_text())
            if found["format"] != self._header["format"]:
                raise KeyError("format")
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{self.folder} is no folder of features. Give a new one as data.feature_cache.") from None
        self._compare(found)
        stored = np.empty(0, np.int64)
        if (self.folder / _POSITIONS).exists():
            stored = np.fromfile(self.folder / _POSITIONS, "<i8", (self.folder / _POSITIONS).stat().st_size // 8)
        size = (self.folder / _TOKENS).stat().st_size if len(stored) else 0
        whole = size >= len(stored) * self.frame_bytes and len(np.unique(stored)) == len(stored)
        if not whole or (len(stored) and not 0 <= stored.min() <= stored.max() < len(self._rows)):
            raise DataError(f"{self.folder}: damaged, its files do not fit each other. Delete it, or give another.")
        self._rows[stored] = np.arange(len(stored))

    def _compare(self, found: Mapping) -> None:
        there, here = _flat(found), _flat(json.loads(json.dumps(self._header)))
        differing = [
            f"  {name}: {_short(there.get(name))} there, {_short(here.get(name))} here"
            for name in sorted(there.keys() | here.keys())
            if there.get(name) != here.get(name)
        ]
        if differing:
            raise DataError(
                f"{self.folder} holds features of something else, so it is neither used nor overwritten: give another "
                "folder as data.feature_cache, or delete this one. What differs:\n" + "\n".join(differing)
            )


class Filling:
    """What `FeatureStore.filling` gives: `add` frames to it."""

    def __init__(self, store: FeatureStore, tokens, positions):
        self._store, self._tokens, self._positions = store, tokens, positions

    def add(self, positions: np.ndarray, tokens: np.ndarray) -> None:
        """Stores frames, on disk when this returns.

        Args:
            positions: `(N,)`, none of them stored yet.
            tokens: `(N, levels, tokens, channels)`, any float dtype.

        Raises:
            DataError: a number is not finite, or beyond the range of the store's dtype.
        """
        store = self._store
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(tokens, store.dtype)
        if not np.isfinite(stored).all():
            reason = (
                f'beyond the range of {store.dtype.name}: use data.feature_dtype="bfloat16" or "float32"'
                if np.isfinite(tokens).all()
                else "not finite: the encoder's weights are unusable"
            )
            raise DataError(f"{store.folder}: features of frames {positions.min()} to {positions.max()} are {reason}.")
        # The order makes an interrupted write harmless: a record without its position does not count.
        for file, array in ((self._tokens, stored), (self._positions, np.ascontiguousarray(positions, "<i8"))):
            file.write(array.view(np.uint8))
            file.flush()
            os.fsync(file.fileno())
        first = int(store._rows.max(initial=-1)) + 1
        store._rows[positions] = first + np.arange(len(positions))


def _flat(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}: ") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _short(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)
