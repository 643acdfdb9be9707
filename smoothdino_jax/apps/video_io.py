"""Video in and out, by PyAV: frames as RGB arrays, H.264 in MP4, and GIF for a README."""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image

from smoothdino_jax.data.frames import DataError

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_IMAGES_FPS = 30


class Video(NamedTuple):
    """A video that is being read.

    Attributes:
        frames: iterator of `(H, W, 3)` uint8, RGB, all of one size; raises `DataError` where a frame can't
            be read.
        fps: frames per second, the average where they vary.
        size: `(H, W)`.
        length: number of frames that the file claims; None if it doesn't say.
    """

    frames: Iterator[np.ndarray]
    fps: Fraction
    size: tuple[int, int]
    length: int | None


def read_video(path: str | os.PathLike) -> Video:
    """Opens a video file, or a folder of images as one.

    The first frame is decoded at once, so what can't be read is refused here. A file's rotation by quarter
    turns is applied, as players do. Images are taken in the order of the numbers in their names, at 30
    frames per second.

    Args:
        path: a file in any format that FFmpeg reads, or a folder.

    Raises:
        DataError: no such file, not a video, no picture in it, or no frames.
    """
    path = Path(path)
    if path.is_dir():
        files = _images(path)
        fps, length, frames = Fraction(_IMAGES_FPS), len(files), map(_read_image, files)
    elif not path.exists():
        raise DataError(f"no such video: {path}")
    else:
        fps, length, frames = _open(path)
    first = next(frames, None)
    if first is None:
        raise DataError(f"{path} holds no frames that can be decoded: check that it plays")
    size = first.shape[:2]
    return Video(_of_one_size(itertools.chain([first], frames), size, path), fps, size, length)


class VideoWriter:
    """Writes H.264 in MP4, frame by frame; a context manager.

    The file is written in its place as a *fragmented* MP4 and turned into an ordinary one at the end
    (FFmpeg's `hybrid_fragmented`): whatever stops a long run, even a kill, leaves a video that plays to
    within two seconds or so of where it stopped. A temporary file renamed at the end would leave none. The
    file is made by the first frame, so a run that fails before it leaves what was there alone.

    >>> with VideoWriter("depth.mp4", fps=30) as writer:  # doctest: +SKIP
    ...     writer.write(frame)

    Attributes:
        frames: how many were written.
    """

    def __init__(self, path: str | os.PathLike, fps: float | Fraction):
        """Prepares to write.

        Args:
            path: ends in ".mp4"; a file that is there is overwritten.
            fps: frames per second.

        Raises:
            DataError: another ending.
            ValueError: fps not above 0.
        """
        self._path = Path(path)
        if self._path.suffix.lower() != ".mp4":
            raise DataError(f"{path}: videos are written as MP4, the name has to end in .mp4")
        if not fps > 0:
            raise ValueError(f"{fps} frames per second: it needs a number above 0")
        self._fps = Fraction(fps).limit_denominator(10_000)
        self._container = self._stream = None
        self.frames = 0

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame.

        Args:
            frame: `(H, W, 3)` uint8, RGB, of one size; an odd side is padded by its last row or column, as
                the 4:2:0 colours of H.264 need.

        Raises:
            DataError: the file can't be written.
            ValueError: wrong shape or type, or a size that changed midway.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8 RGB, got {frame.dtype} of shape {frame.shape}")
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        if self._container is None:
            self._open(frame.shape)
        elif frame.shape[:2] != (self._stream.height, self._stream.width):
            raise ValueError(f"frame {self.frames} is {height}×{width}, another size than those before")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
        # Players take untagged HD for BT.709, FFmpeg converts to BT.601 unless told: say and do the same.
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        picture.pts, picture.duration = self.frames, 1
        self._mux(picture)
        self.frames += 1

    def close(self) -> None:
        """Writes what the encoder still holds. Without frames there is no file."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            with container:
                container.mux(self._stream.encode(None))
        except av.error.FFmpegError as error:
            raise DataError(f"{self._path}: writing its end failed: {error.strerror}") from None

    def _open(self, shape) -> None:
        options = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
        h264 = "libx264" in av.codecs_available
        quality = {"crf": "18", "preset": "veryfast", "rc-lookahead": "10"} if h264 else {}
        try:
            container = av.open(str(self._path), "w", format="mp4", options=options)
            stream = container.add_stream("libx264" if h264 else "mpeg4", self._fps, options=quality)
            stream.height, stream.width = shape[:2]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = 1 / self._fps
            context.gop_size = max(1, round(self._fps))  # a fragment ends at each key frame
            context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
            if not h264:
                stream.bit_rate = shape[0] * shape[1] * 8
            container.start_encoding()
        except av.error.FFmpegError as error:
            raise DataError(f"{self._path} can't be written: {error.strerror}") from None
        self._container, self._stream = container, stream

    def _mux(self, picture) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except av.error.FFmpegError as error:
            raise DataError(f"{self._path}: writing frame {self.frames} failed: {error.strerror}") from None


def write_gif(path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float, colours: int = 128) -> None:
    """Writes an endless GIF, for a README.

    All frames share one palette, so that colours neither flicker nor swell the file. They are held in
    memory: for seconds, not minutes.

    Args:
        path: where; a file that is there is replaced once the new one is whole.
        frames: `(H, W, 3)` uint8, RGB, of one size.
        fps: frames per second; GIF counts in hundredths of a second, so it is met roughly, 50 at most.
        colours: of the palette, 2 to 256.

    Raises:
        DataError: no frames.
    """
    path = Path(path)
    images = [Image.fromarray(frame) for frame in frames]
    if not images:
        raise DataError(f"{path}: no frames to write")
    some = images[:: -(-len(images) // 8)]
    mosaic = Image.new("RGB", (images[0].width, images[0].height * len(some)))
    for row, image in enumerate(some):
        mosaic.paste(image, (0, row * image.height))
    palette = mosaic.quantize(colours)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    partial = path.with_name(f".{path.name}.partial")
    try:
        images[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=max(2, round(100 / fps)) * 10,
            loop=0,
        )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _open(path: Path) -> tuple[Fraction, int | None, Iterator[np.ndarray]]:
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise DataError(f"{path} can't be read as a video: {error.strerror}") from None
    if not container.streams.video:
        others = ", ".join(sorted({stream.type for stream in container.streams}))
        container.close()
        raise DataError(f"{path} is not a video: it has no video stream" + (f", only {others}" if others else ""))
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rate = stream.average_rate or stream.guessed_rate or Fraction(_IMAGES_FPS)
    return Fraction(rate.numerator, rate.denominator), stream.frames or None, _decode(container, stream, path)


def _decode(container, stream, path: Path) -> Iterator[np.ndarray]:
    number = 0
    with container:
        try:
            for frame in container.decode(stream):
                pixels = frame.to_ndarray(format="rgb24")
                turns, rest = divmod(frame.rotation, 90)
                yield np.ascontiguousarray(np.rot90(pixels, turns)) if turns and not rest else pixels
                number += 1
        except av.error.FFmpegError as error:
            raise DataError(f"{path}: frame {number} can't be decoded: {error.strerror}") from None


def _images(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != "."]
    if not files:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(IMAGES))})")
    files.sort(key=lambda file: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)])
    for one, other in itertools.pairwise(sorted(files, key=lambda file: file.stem)):
        if one.stem == other.stem:
            raise DataError(f"{folder} holds {one.name} and {other.name}: move those that aren't frames elsewhere")
    return files


def _read_image(file: Path) -> np.ndarray:
    image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{file} can't be read as an image: it is damaged, or only named like one")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _of_one_size(frames: Iterable[np.ndarray], size: tuple[int, int], path: Path) -> Iterator[np.ndarray]:
    for number, frame in enumerate(frames):
        if frame.shape[:2] != size:
            raise DataError(
                f"{path}: frame {number} is {frame.shape[0]}×{frame.shape[1]}, the first is "
                f"{size[0]}×{size[1]}: all have to be of one size"
            )
        yield frame
