"""What a video's depth is written as, chosen by the output's name; written as frames come.

`X.mp4` shows the depth in colours. Everything else keeps metres, of the last of a frame's depth maps (the smoothed
one, where vanilla is compared with it), and has a frame on the disk when its turn is over. A video that is killed
can be some seventy frames behind: its key frames are up to sixty apart, and the encoder looks ahead.

Until the first frame arrives, nothing is made, removed or overwritten. `open_output` refuses beforehand whatever it
can: of several outputs opened one after the other, all are accepted before any is changed.
"""

import os
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from smoothdino_jax.apps.depth_archive import DepthArchive, whole_depths
from smoothdino_jax.apps.depth_files import SUFFIXES, DepthFiles, number_in, numbered, parts, whole_files
from smoothdino_jax.apps.figures import SideBySide
from smoothdino_jax.apps.output_places import check_place, unwritable
from smoothdino_jax.apps.video_sources import VideoFrame
from smoothdino_jax.apps.video_writer import VideoWriter
from smoothdino_jax.apps.written_videos import video_size, whole_frames
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.phase_correlation import Shift

LAYOUTS = ("side_by_side", "depth")
OUTPUTS = {
    "X.mp4": "video in colours of a fixed range",
    "X.npz": "one archive, float32 metres",
    "FOLDER/%06d.png": "16-bit millimetres, 0 where there is no depth, 65.535 m at most",
    "FOLDER/%06d.npy": "float32 metres",
    "FOLDER/%06d.exr": "float32 metres, channel Z",
    "FOLDER/%06d.ply": "coloured point clouds, metres",
}
_WHOLE = {".mp4": whole_frames, ".npz": whole_depths} | dict.fromkeys(SUFFIXES, whole_files)
_AGAIN = 128  # frames that may be done once more: how far a killed video can be behind the other outputs


class Output(Protocol):
    """Where the frames of one video go; a context manager that closes at its end.

    Frames may be written from another thread than the one that opened it, one at a time.
    """

    @property
    def whole(self) -> int:
        """How many frames from the start are safe, whatever happens; after `close`, how many there are."""
        ...

    def write(
        self,
        frame: VideoFrame,
        depths: Sequence[np.ndarray],
        number: int,
        *,
        shift: Shift | None = None,
        cut: bool = False,
    ) -> None:
        """Appends a frame.

        Args:
            frame: of the size that was announced.
            depths: each `(H, W)` float32 metres, one for each title; 0 or NaN where there is none.
            number: of the frame, one more than the last; the first is 0, or where a former run is gone on with.
            shift: to this frame from the one before, in pixels of the frame; files have no use for it.
            cut: whether a scene cut was found before this frame; likewise.

        Raises:
            DataError: it can't be written. The frames before it stay whole.
            ValueError: another size, number, or number of depth maps.
        """
        ...

    def close(self) -> None:
        """Finishes the file; without frames there is none. Raises `DataError` where that can't be written."""
        ...

    def __enter__(self) -> "Output": ...

    def __exit__(self, *exception) -> None: ...


def open_output(
    path: str | os.PathLike,
    *,
    size: tuple[int, int],
    fps: float | Fraction,
    titles: Sequence[str],
    depth_range: tuple[float, float],
    layout: str = "side_by_side",
    intrinsics: np.ndarray | None = None,
    stride: int = 1,
    overwrite: bool = False,
    resume: bool = False,
    start: int | None = None,
) -> Output:
    """Prepares to write, and refuses what can be seen to fail; changes nothing on the disk.

    Args:
        path: one of `OUTPUTS`; folders are made where they are missing.
        size: `(H, W)` of the frames and their depth.
        fps: frames per second, on average.
        titles: of the depth maps, left to right.
        depth_range: metres at the two ends of the video's colours.
        layout: of a video, the frame beside its depth ("side_by_side"), or depth alone ("depth").
        intrinsics: `(3, 3)` of pictures of `size`, for point clouds.
        stride: of point clouds, every how many pixels there is a point.
        overwrite: replace what is there: the file, or those files in the folder that the name fits.
        resume: go on with what a former run left there, if anything.
        start: number of the first frame that will come, with `resume`; what is there from it on is removed. By default
            as many as there are.

    Raises:
        DataError: an unknown name, something in its place, a place that can't be written, a package that is missing;
            with `resume`, what some other program wrote or with other options, or more than 128 frames, or all there
            are, from `start` on.
        ValueError: an unknown layout, or fewer whole frames there than `start`.
    """
    path = Path(path)
    kind = _kind(path)
    check_place(path)
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r}: it is one of {', '.join(LAYOUTS)}")
    keep = _kept(path, start) if resume else 0
    there = numbered(path) if kind in SUFFIXES else os.path.lexists(path)
    if there and not (overwrite or resume):
        raise DataError(f"{path} exists already: choose another name, add --overwrite, or --resume to go on with it")
    if kind == ".mp4":
        picture = SideBySide(size, titles, depth_range, frame=layout == "side_by_side")
        if keep and video_size(path) != picture.size:
            raise DataError(f"{path} was written with other options, it can't be gone on with: use --overwrite")
        video = VideoWriter(path, fps, keep=keep)
        video.check_kept(picture.size)
        return _Output(
            path, size, video, lambda frame, depths: video.write(picture.draw(frame.image, *depths), frame.time)
        )
    if kind == ".npz":
        archive = DepthArchive(path, keep=keep)
        return _Output(path, size, archive, lambda frame, depths: archive.write(depths[-1], frame.time))
    files = DepthFiles(path, keep=keep, replace=overwrite or resume, intrinsics=intrinsics, stride=stride)
    return _Output(path, size, files, lambda frame, depths: files.write(frame.image, depths[-1]))


def completed(path: str | os.PathLike) -> int:
    """How many frames from the first on a former run left whole in an output.

    Args:
        path: one of `OUTPUTS`.

    Returns:
        Files without gaps from 0 on; frames of a video that can be decoded, or of an archive, closed or not. 0 where
        there is nothing.

    Raises:
        DataError: an unknown name, or a file that no run of this program wrote.
    """
    path = Path(path)
    kind = _kind(path)
    try:
        return _WHOLE[kind](path) if kind in SUFFIXES or path.is_file() else 0
    except OSError as error:
        raise unwritable(path, error, "can't be read") from None


def identity(path: str | os.PathLike) -> Hashable:
    """The same for all names of one output, and for patterns whose files can meet, as those of %06d and %d do.

    Args:
        path: one of `OUTPUTS`, or another file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or "%" not in path.name:
        return os.path.realpath(path)
    before, _, after = parts(path)
    return os.path.realpath(path.parent), before, after


def same_output(a: str | os.PathLike, b: str | os.PathLike) -> bool:
    """Whether two outputs would write the same files."""
    return identity(a) == identity(b)


def writes_into(path: str | os.PathLike, file: str | os.PathLike) -> bool:
    """Whether an output would make, replace or remove a file, under this or another of the file's names.

    Args:
        path: one of `OUTPUTS`, or another file.
        file: need not exist.
    """
    path, file = Path(path), Path(file)
    if path.suffix.lower() not in SUFFIXES or "%" not in path.name:
        with suppress(OSError):
            return path.samefile(file)
        return identity(path) == identity(file)
    return any(
        os.path.realpath(path.parent) == os.path.realpath(name.parent) and number_in(path, name.name) is not None
        for name in (file, Path(os.path.realpath(file)))
    )


class _Output:
    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        writer: VideoWriter | DepthArchive | DepthFiles,
        write: Callable[[VideoFrame, Sequence[np.ndarray]], None],
    ):
        self._path, self._size = path, tuple(size)
        self._writer, self._write = writer, write
        self._first = self._next = writer.whole

    @property
    def whole(self) -> int:
        return self._writer.whole

    def write(self, frame, depths, number, *, shift=None, cut=False) -> None:
        if number != self._next:
            raise ValueError(f"{self._path}: frame {number} comes where {self._next} should")
        for pixels in [frame.image, *depths]:
            if pixels.shape[:2] != self._size:
                raise ValueError(f"{self._path}: frame {number} has shape {pixels.shape}, {self._size} was announced")
        if self._next == self._first:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self._path.parent, error) from None
        self._write(frame, depths)
        self._next += 1

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _WHOLE:
        raise DataError(f"{path}: an output is one of {', '.join(OUTPUTS)}")
    if suffix in SUFFIXES:
        numbered(path)  # its name has a number
    return suffix


def _kept(path: Path, start: int | None) -> int:
    """Checks with which frame an output may be gone on with; None: the first that isn't there."""
    done = completed(path)
    keep = done if start is None else start
    if not 0 <= keep <= done:
        raise ValueError(f"{path} holds {done} whole frames, it can't be gone on with at frame {keep}")
    held = set(numbered(path)) if path.suffix.lower() in SUFFIXES else range(done)
    if held and (not keep or len([number for number in held if number >= keep]) > _AGAIN):
        raise DataError(
            f"{path} holds {done} whole frames, and going on at frame {keep} would throw away what is there from it "
            "on: leave this output out, choose another name, or start anew with --overwrite"
        )
    return keep
