"""Raw depth for download: a ZIP of 16-bit PNGs in millimetres, written as frames come."""

import csv
import io
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.phase_correlation import Shift

_README = """\
Metric depth, one 16-bit PNG per frame: millimetres, 0 to 65535, at the size of the video.
smoothed/  depth along the video; vanilla/  depth of each frame alone (one folder only where nothing smooths)
frames.csv time of each frame in seconds, how far the picture moved in pixels, the response of the phase correlation,
           and 1 where a scene cut was found
In Python: depth = cv2.imread("smoothed/000000.png", cv2.IMREAD_UNCHANGED) / 1000  # metres
"""


class DepthZip:
    """Writes the archive in constant memory; a thread encodes one frame while the model sees the next.

    Attributes:
        path: of the ZIP, whole once it is closed.
        frames: how many were written.
    """

    def __init__(self, path: Path):
        """Makes the file.

        Raises:
            DataError: it can't be written.
        """
        self.path, self.frames = path, 0
        self._rows = io.StringIO()
        self._table = csv.writer(self._rows, lineterminator="\n")
        self._table.writerow(["frame", "time", "dx", "dy", "response", "cut"])
        try:
            # PNGs are compressed already.
            self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        except OSError as error:
            raise DataError(f"the depth can't be written: {error.strerror}") from None
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future | None = None

    def write(self, depths: Mapping[str, np.ndarray], time: float, shift: Shift, cut: bool) -> None:
        """Appends a frame.

        Args:
            depths: `(H, W)` metres by the name of the folder.
            time: of the frame, seconds.
            shift: since the frame before, floats.
            cut: whether a scene cut was found.

        Raises:
            DataError: the frame before it could not be written.
        """
        self._wait()
        self._table.writerow([self.frames, f"{time:.4f}", *(f"{part:.3f}" for part in shift), int(cut)])
        self._pending = self._pool.submit(_store, self._zip, dict(depths), self.frames)
        self.frames += 1

    def close(self) -> None:
        """Finishes the ZIP. Without frames there is none.

        Raises:
            DataError: it could not be written.
        """
        if self._zip is None:
            return
        archive, self._zip = self._zip, None
        try:
            self._wait()
            if self.frames:
                archive.writestr("frames.csv", self._rows.getvalue())
                archive.writestr("README.txt", _README)
            archive.close()
        except OSError as error:
            raise DataError(f"the depth can't be written: {error.strerror}") from None
        finally:
            self._pool.shutdown()
            archive.close()
            if not self.frames:
                self.path.unlink(missing_ok=True)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except OSError as error:
                raise DataError(f"the depth can't be written: {error.strerror}") from None


def millimetres(depth: np.ndarray) -> np.ndarray:
    """`(H, W)` metres to uint16 millimetres, rounded; 65.535 m at most, NaN is 0."""
    return np.clip(np.nan_to_num(depth) * 1000 + 0.5, 0, 65535).astype(np.uint16)


def _store(archive: zipfile.ZipFile, depths: Mapping[str, np.ndarray], number: int) -> None:
    for name, depth in depths.items():
        _, data = cv2.imencode(".png", millimetres(depth), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        archive.writestr(f"{name}/{number:06d}.png", data.tobytes())
