"""Every kind of video input as one: files, folders and patterns of images, cameras, addresses, and raw frames on stdin.

Frames come one by one and only a few are ever in memory. What can't be used is refused by the first frame, before
work starts; what breaks later raises after the frames before it were given.
"""

import glob
import itertools
import os
import re
import sys
import threading
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from smoothdino_jax.apps.live_sources import newest, open_camera
from smoothdino_jax.apps.video_decoding import Picture, Pictures, open_address, open_file, without_credentials
from smoothdino_jax.data.frames import DataError

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class VideoFrame(NamedTuple):
    """One frame of a video.

    Attributes:
        image: `(H, W, 3)` uint8, RGB.
        time: seconds since the first frame, by the video's own timestamps; a live source's by its arrival.
    """

    image: np.ndarray
    time: float


class Video(NamedTuple):
    """A video that is being read; a context manager that closes it.

    Attributes:
        frames: of one size, later ones at later times; raises `DataError` where the source breaks.
        fps: frames per second, the average where they vary; as the file states it.
        size: `(H, W)`, upright.
        length: number of frames that the source claims, those left out at the start included; None if it
            doesn't say.
        name: for people, without credentials.
        live: True if the source doesn't wait: of its frames, those are lost that nobody took in time.
    """

    frames: Iterator[VideoFrame]
    fps: Fraction
    size: tuple[int, int]
    length: int | None
    name: str
    live: bool

    def close(self) -> None:
        """Lets go of the file, the connection or the camera, from any thread, without waiting.

        Where another thread is about to read a frame, its read ends the frames and lets go when it returns.
        """
        self.frames.close()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def open_video(
    source: str | os.PathLike,
    *,
    raw_size: tuple[int, int] | None = None,
    raw_fps: float | Fraction = 30,
    start: int = 0,
) -> Video:
    """Opens a video and reads its first frame.

    A file's rotation by quarter turns and an image's by EXIF are applied. Transparency is dropped: the colours are
    taken as they are stored. Timestamps are kept, so a varying frame rate is too; where one is missing or no later
    than the one before, it is that plus `1 / fps`.

    Args:
        source: a file in any format that FFmpeg reads; a folder of images, or a pattern (`*`, `?`, `[…]`) of their
            names, in the order of the numbers in them; the number of a webcam, as in "0" (a folder of that name is
            "./0"); an address (rtsp, http, https, udp, …); or "-", raw RGB24 frames on stdin, one after the other.
            An object that is a path, no string, is always a file or a folder.
        raw_size: `(H, W)` of the frames on stdin, 2 to 16384 each.
        raw_fps: frames per second of stdin and of images, which don't say; 0.01 to 10000.
        start: number of frames to read and leave out.

    Raises:
        DataError: no such source, no pictures in it, frames under 2 pixels on a side, or `start` in a live source.
        ValueError: `raw_fps` out of its range, or `start` below 0.
    """
    if not 0.01 <= raw_fps <= 10_000 or start < 0:
        raise ValueError(f"raw_fps has to be 0.01 to 10000 and start not below 0, they are {raw_fps} and {start}")
    fps = Fraction(raw_fps).limit_denominator(10_000)
    name, pictures = _open(source, raw_size, fps)
    if start and pictures.live:
        pictures.pictures.close()
        raise DataError(f"{name} is live: what was there before can't be read again")
    frames = _Frames(pictures, name, start)
    return Video(frames, pictures.fps, frames.size, pictures.length, name, pictures.live)


def _open(source: str | os.PathLike, raw_size: tuple[int, int] | None, fps: Fraction) -> tuple[str, Pictures]:
    text = os.fspath(source)
    if isinstance(source, str):
        if text == "-":
            return "stdin", _raw(raw_size, fps)
        if re.fullmatch(r"[0-9]{1,2}", text):
            return f"camera {int(text)}", newest(open_camera(int(text)), f"camera {int(text)}")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
            name, opened = without_credentials(text), open_address(text)
            return name, newest(opened, name) if opened.live else opened
    path = Path(source)
    try:
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
            if not files:
                inside = next(
                    (f" Those in {path / name}?" for name in ("rgb", "image", "images") if (path / name).is_dir()), ""
                )
                raise DataError(f"{path} holds no images ({', '.join(sorted(IMAGES))}).{inside}")
            if any(".depth." in file.name for file in files) and any(".color." in file.name for file in files):
                raise DataError(f"{path} holds depth beside its pictures: name the pictures, '{path}/*.color.*'")
            return text, _images(files, fps)
        if path.exists():
            return text, open_file(path)
        if not isinstance(source, str) or not glob.has_magic(text):
            raise DataError(f"no such video: {path}")
        files = [file for file in map(Path, glob.glob(text, recursive=True)) if file.is_file()]
    except OSError as error:  # FFmpeg's own come as DataError
        raise DataError(f"{error.filename or path} can't be read: {error.strerror}") from None
    if not files:
        raise DataError(f"no file matches {text}")
    for file in files:
        if file.suffix.lower() not in IMAGES:
            raise DataError(f"{text} matches {file}, which is no image ({', '.join(sorted(IMAGES))})")
    return text, _images(files, fps)


class _Frames(Iterator[VideoFrame]):
    """Pictures as frames: of one size, at times that only go forward, the first `start` of them left out."""

    def __init__(self, source: Pictures, name: str, start: int):
        self._pictures, self._name, self._start = source.pictures, name, start
        self._step = float(1 / source.fps)
        self._number, self._time, self._offset = -1, -self._step, None
        self._closed, self._inside = False, threading.Lock()  # held while the source is read or let go
        self.size = None
        self._first = self._read(wanted=True)
        if self._first is None:
            advice = "nothing came through the pipe" if name == "stdin" else "check that it plays"
            raise DataError(f"{name} holds no frames that can be decoded: {advice}")

    def __next__(self) -> VideoFrame:
        first, self._first = self._first, None
        if first is not None and not self._start:
            return first
        while self._number + 1 < self._start:
            if self._read(wanted=False) is None:
                raise StopIteration
        frame = self._read(wanted=True)
        if frame is None:
            raise StopIteration
        return frame

    def close(self) -> None:
        self._closed = True  # first, so that who is inside now sees it on the way out
        if self._inside.acquire(blocking=False):
            try:
                self._pictures.close()
            finally:
                self._inside.release()

    def _read(self, wanted: bool) -> VideoFrame | None:
        try:
            with self._inside:
                picture = None if self._closed else next(self._pictures, None)
            if self._closed:
                self.close()
                return None
            if picture is None:
                return None
            self._number += 1
            self._time = self._stamp(picture.time)
            return VideoFrame(self._checked(picture) if wanted else None, self._time)
        except BaseException:
            self.close()
            raise

    def _stamp(self, time: float | None) -> float:
        expected = self._time + self._step
        if time is None:
            return expected
        if self._offset is None:
            self._offset = time - expected
        time -= self._offset
        return time if time > self._time else expected

    def _checked(self, picture: Picture) -> np.ndarray:
        image = picture.load()
        size = image.shape[:2]
        if self.size is None:
            self.size = size
        if min(size) < 2:
            raise DataError(f"{self._name}: frames of {size[0]}×{size[1]}, they need 2 pixels on each side")
        if size != self.size:
            raise DataError(
                f"{self._name}: frame {self._number} is {size[0]}×{size[1]}, the first is "
                f"{self.size[0]}×{self.size[1]}: all have to be of one size"
            )
        return image


def _images(files: list[Path], fps: Fraction) -> Pictures:
    files = sorted(files, key=_natural)
    for _, same in itertools.groupby(sorted(files), key=lambda file: file.with_suffix("")):
        one, *others = same
        if others:
            raise DataError(f"{one} and {others[0]} would be one frame: move those that aren't frames elsewhere")
    pictures = (Picture(float(number / fps), partial(_image, file)) for number, file in enumerate(files))
    return Pictures(pictures, fps, len(files), live=False)


def _natural(file: Path) -> list[str | int]:
    parts = re.split(r"([0-9]+)", str(file))
    return [int(part) if number % 2 else part for number, part in enumerate(parts)]


def _image(file: Path) -> np.ndarray:
    """Upright by EXIF, grey as RGB, 16 bits as 8, alpha dropped."""
    try:
        # Pillow, as OpenCV's decoders complain on the standard error by themselves.
        with Image.open(file) as opened:
            # Which of their values is white, only 16-bit files say; older Pillow gives a PNG's as "I".
            sixteen = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PNG")
            if opened.mode in ("I", "F") and not sixteen:
                raise DataError(f"{file} has numbers of 32 bits for pixels: save it with 8 or 16 bits a channel")
            upright = ImageOps.exif_transpose(opened)
            if sixteen:
                grey = np.asarray(upright).astype(np.uint16) >> 8
                return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)
            return np.array(upright.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's own errors are OSErrors too, without a number.
        reason = getattr(error, "strerror", None) or "it is damaged, or only named like one"
        raise DataError(f"{file} can't be read as an image: {reason}") from None


def _raw(size: tuple[int, int] | None, fps: Fraction) -> Pictures:
    if size is None:
        raise DataError("frames on stdin are raw RGB24: their height and width have to be given")
    if not all(2 <= side <= 16_384 for side in size):
        raise DataError(f"frames on stdin of {size[0]}×{size[1]}: they need 2 pixels on each side, and 16384 at most")
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("no frames on stdin: pipe raw RGB24 into it")
    try:
        # Unbuffered: a thread that waits in here at the exit would hold a lock that Python needs to close its stdin.
        stdin = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - not ours to close
    except OSError:  # an object in memory, put in its place
        stdin = sys.stdin.buffer
    return Pictures(_raw_pictures(stdin, size, fps), fps, None, live=False)


def _raw_pictures(stdin, size: tuple[int, int], fps: Fraction) -> Generator[Picture, None, None]:
    for number in itertools.count():
        image = np.empty((*size, 3), np.uint8)
        buffer, filled = memoryview(image).cast("B"), 0
        while filled < len(buffer) and (count := stdin.readinto(buffer[filled:])):
            filled += count
        if not filled:
            return
        if filled < len(buffer):
            raise DataError(
                f"stdin ended within frame {number}: {filled} of its {len(buffer)} bytes ({size[0]}×{size[1]} RGB24) "
                f"are left over; the {number} frames before it are whole"
            )
        yield Picture(float(number / fps), lambda image=image: image)
