"""A file per frame: `FOLDER/%06d` with .png (millimetres), .npy, .exr (metres) or .ply (points).

Each is written under another name and renamed: a file that is there is whole, whatever stopped the run.
"""

import errno
import importlib.util
import io
import os
import re
from pathlib import Path

import cv2
import numpy as np

from smoothdino_jax.apps.output_places import partial, unwritable
from smoothdino_jax.apps.point_clouds import ply, point_cloud
from smoothdino_jax.data.frames import DataError

SUFFIXES = (".png", ".npy", ".exr", ".ply")
_PACKAGES = {".exr": "OpenEXR", ".ply": "plyfile"}


class DepthFiles:
    """Writes a file per frame.

    Attributes:
        whole: files from number 0 on, those that were kept included.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        keep: int = 0,
        replace: bool = False,
        intrinsics: np.ndarray | None = None,
        stride: int = 1,
    ):
        """Prepares to write.

        Args:
            path: `FOLDER/%06d.png` or another of `SUFFIXES`; the number may have text around it, or fewer digits.
            keep: how many files there are already; the next gets this number.
            replace: remove files that the name fits, from number `keep` on, before the first is written.
            intrinsics: `(3, 3)`, for .ply.
            stride: for .ply, every how many pixels there is a point.

        Raises:
            DataError: no such name, a package is missing, or intrinsics.
        """
        self._path, self._suffix = Path(path), Path(path).suffix.lower()
        parts(self._path)
        package = _PACKAGES.get(self._suffix)
        if package and importlib.util.find_spec(package) is None:
            raise DataError(f"{path} needs the package {package}: pip install smoothdino-jax[formats]")
        if self._suffix == ".ply" and intrinsics is None:
            raise DataError(f"{path}: point clouds need the camera's field of view or its intrinsics")
        self._intrinsics, self._stride = intrinsics, stride
        self._replace = replace
        self.whole = keep

    def write(self, image: np.ndarray, depth: np.ndarray) -> None:
        """Writes the next file.

        Args:
            image: `(H, W, 3)` uint8, RGB; gives points their colour.
            depth: `(H, W)` float32 metres.

        Raises:
            DataError: it can't be written.
        """
        before, digits, after = parts(self._path)
        file = self._path.with_name(f"{before}{self.whole:0{digits}d}{after}")
        beside = partial(file)
        try:
            if self._replace:
                for number, old in numbered(self._path).items():
                    if number >= self.whole:
                        old.unlink()
                self._replace = False
            try:
                self._save(beside, image, np.ascontiguousarray(depth, np.float32))
                beside.replace(file)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(file, error) from None
        self.whole += 1

    def close(self) -> None:
        """Nothing is left to do: the files are there."""

    def _save(self, file: Path, image: np.ndarray, depth: np.ndarray) -> None:
        if self._suffix == ".exr":
            _save_exr(file, depth)
        elif self._suffix == ".npy":
            data = io.BytesIO()  # into a file, NumPy loses the reason of a failure
            np.save(data, depth)
            file.write_bytes(data.getbuffer())
        elif self._suffix == ".ply":
            file.write_bytes(ply(*point_cloud(image, depth, self._intrinsics, self._stride)))
        else:
            file.write_bytes(_png(depth))


def numbered(path: str | os.PathLike) -> dict[int, Path]:
    """The files that are there: number -> path. Raises `DataError` where the folder can't be read."""
    path, found = Path(path), {}
    try:
        for file in path.parent.iterdir() if path.parent.is_dir() else ():
            if (number := number_in(path, file.name)) is not None:
                found[number] = file
    except OSError as error:
        raise unwritable(path.parent, error, "can't be read") from None
    return found


def number_in(path: Path, name: str) -> int | None:
    """The number for which a pattern gives this file name, if there is one."""
    before, digits, after = parts(path)
    match = re.fullmatch(re.escape(before) + "([0-9]+)" + re.escape(after), name)
    if match and len(match[1]) == max(digits, len(str(int(match[1])))):
        return int(match[1])
    return None


def whole_files(path: str | os.PathLike) -> int:
    """How many files there are without a gap from number 0 on."""
    numbers = numbered(path)
    return next(number for number in range(len(numbers) + 1) if number not in numbers)


def parts(path: Path) -> tuple[str, int, str]:
    """Of a pattern's name: the text before its number, the number's digits at least, the text behind it.

    Raises:
        DataError: it isn't one.
    """
    match = re.fullmatch(r"([^%]*)%0?(\d*)d([^%]*)", path.name)
    if not match:
        raise DataError(f"{path}: a file per frame needs its number in the name, as in %06d{path.suffix}")
    return match[1], int(match[2] or 1), match[3]


def _png(depth: np.ndarray) -> bytes:
    known = np.isfinite(depth) & (depth > 0)
    millimetres = np.clip(np.where(known, depth, 0) * 1000 + 0.5, 0, 65535).astype(np.uint16)
    _, data = cv2.imencode(".png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def _save_exr(file: Path, depth: np.ndarray) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    try:
        OpenEXR.File(header, {"Z": depth}).write(str(file))
        # It doesn't notice where its last few kilobytes find no room; reading such a file, it finds no parts.
        with OpenEXR.File(str(file)) as written:
            if not written.parts:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except RuntimeError as error:
        reason = str(error).rpartition('". ')[2].rstrip(".")
        known = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES)}
        raise OSError(known.get(reason, errno.EIO), reason) from None
