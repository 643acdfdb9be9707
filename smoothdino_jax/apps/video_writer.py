"""Video out, by PyAV: H.264 in MP4 with the frames' own timestamps.

Frames refer only to earlier ones (no B-frames). That costs about an eighth of size, and makes everything about a
run that stopped simple and exact: frames lie in the file in their order, any first part of it can be decoded, and
`keep` copies as many frames as it is told without encoding them again.
"""

import io
import itertools
import os
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import Colorspace

from smoothdino_jax.apps.output_places import may_write, partial, unwritable
from smoothdino_jax.apps.written_videos import MARKER, packets, whole_frames
from smoothdino_jax.data.frames import DataError

_ERRORS = (av.error.FFmpegError, OSError)


class VideoWriter:
    """Writes H.264 in MP4, frame by frame; a context manager.

    The file is written in its place as a *fragmented* MP4 and turned into an ordinary one at the end
    (FFmpeg's `hybrid_fragmented`): whatever stops a long run, even a kill, leaves a video that plays to
    within two seconds or so of where it stopped. A temporary file renamed at the end would leave none. The
    file is made by the first frame, so a run that fails before it leaves what was there alone.

    With `keep`, the first frames of the file that is there are copied, and frames are appended behind them. The
    old file stays until the new one, beside it, holds as much; so it needs the old one's room twice for a while.

    >>> with VideoWriter("depth.mp4", fps=30) as writer:  # doctest: +SKIP
    ...     writer.write(frame, time)

    Attributes:
        frames: how many were written, those that were kept included.
        whole: how many of them are safe in the file whatever happens; all of them once it is closed.
    """

    def __init__(self, path: str | os.PathLike, fps: float | Fraction, *, keep: int = 0):
        """Prepares to write.

        Args:
            path: ends in ".mp4"; a file that is there is overwritten.
            fps: frames per second, on average where `write` is given times.
            keep: frames to keep of the file that is there, which an earlier `VideoWriter` wrote for frames of the
                same size.

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
        self._h264 = "libx264" in av.codecs_available
        # Close to the customary 1/90000 s, and such that a constant rate is met exactly. MPEG-4 counts in 16 bits.
        ticks = 90_000 if self._h264 else 60_000
        self._tick = 1 / Fraction(self._fps.numerator * max(1, ticks // self._fps.numerator))
        self._container = self._stream = None
        self._last = -1
        self._packets = 0
        self._keep = self.frames = self.whole = keep
        self._beside = partial(self._path) if keep else None
        self._failed = False

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def check_kept(self, size: tuple[int, int]) -> None:
        """Refuses what the first `write` would; changes nothing on the disk.

        Args:
            size: `(H, W)` of the frames that will come.

        Raises:
            DataError: the frames to keep don't fit what would be appended, or their file is not to be replaced.
        """
        if not self._keep:
            return
        if not may_write(self._path.parent):
            raise DataError(
                f"{self._path} can't be gone on with: no permission for {self._path.parent}, where a copy of it is made"
            )
        try:
            with av.open(io.BytesIO(), "w", format="mp4") as container:
                context = self._add_stream(container, (size[0] + size[0] % 2, size[1] + size[1] % 2)).codec_context
                context.open()
                self._check_same(context)
        except _ERRORS as error:
            raise unwritable(self._path, error, "can't be gone on with") from None

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Appends a frame.

        Args:
            frame: `(H, W, 3)` uint8, RGB, of one size; an odd side is padded by its last row or column, as
                the 4:2:0 colours of H.264 need.
            time: seconds from the start of the video at which it is shown; by default its number over `fps`. The
                first frame is shown from 0 on, and a time that isn't after the last frame's becomes the next tick
                (1/90000 s or so).

        Raises:
            DataError: the file can't be written, or what it should be appended to doesn't fit.
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
        seconds = self.frames / self._fps if time is None or not self.frames else Fraction(time)
        picture.pts = self._last = max(round(seconds / self._tick), self._last + 1)
        picture.duration = round(1 / self._fps / self._tick)
        try:
            for packet in self._stream.encode(picture):
                self._mux(packet)
        except _ERRORS as error:
            self._failed = True
            raise unwritable(self._path, error, f"writing frame {self.frames} failed") from None
        self.frames += 1

    def close(self) -> None:
        """Writes what the encoder still holds. Without frames there is no file, or the old one as it was."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            with container:
                for packet in self._stream.encode(None):
                    self._mux(packet, container)
            self._replace()
            failed = None
        except _ERRORS as error:
            failed = error
        if self._beside:
            self._beside.unlink(missing_ok=True)
        elif failed or self._failed:
            try:
                self.whole = whole_frames(self._path)
            except DataError:
                self.whole = 0
                _empty(self._path)
        else:
            self.whole = self.frames
        if failed and not self._failed:  # what write() has told needs no second error
            raise unwritable(self._path, failed, "writing its end failed")

    def _open(self, shape) -> None:
        # An empty moov first, for the marker to be there from the start.
        options = {"movflags": "hybrid_fragmented+empty_moov", "flush_packets": "1"}
        path, container = self._beside or self._path, None
        try:
            container = av.open(str(path), "w", format="mp4", options=options)
            container.metadata["comment"] = MARKER
            stream = self._add_stream(container, shape)
            if self._keep:
                stream.codec_context.open()
                self._check_same(stream.codec_context)
            container.start_encoding()
            if self._keep:
                self._copy(container, stream)
        except (*_ERRORS, DataError) as error:
            if container is not None:
                with suppress(*_ERRORS):
                    container.close()
            if self._beside:
                self._beside.unlink(missing_ok=True)
            elif container is not None:
                _empty(path)
            raise error if isinstance(error, DataError) else unwritable(self._path, error) from None
        self._container, self._stream = container, stream

    def _add_stream(self, container, shape) -> av.VideoStream:
        quality = {"crf": "18", "preset": "veryfast", "rc-lookahead": "10", "bf": "0"} if self._h264 else {}
        stream = container.add_stream("libx264" if self._h264 else "mpeg4", self._fps, options=quality)
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._tick
        # A fragment ends at each key frame.
        context.gop_size = int(np.clip(round(self._fps), 1, 60))
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
        if not self._h264:
            stream.bit_rate = shape[0] * shape[1] * 8
        return stream

    def _check_same(self, encoder) -> None:
        """One header serves the whole file: what it says has to be true of the frames that are kept, too."""
        with av.open(str(self._path)) as old:
            decoder = old.streams.video[0].codec_context
            frames = sum(1 for _ in itertools.islice(packets(old), self._keep))
            parameters = re.split(rb"\x00{2,3}\x01", encoder.extradata or b"")
            same = (decoder.codec.id, decoder.width, decoder.height) == (
                encoder.codec.id,
                encoder.width,
                encoder.height,
            )
            same = same and all(part in (decoder.extradata or b"") for part in parameters)
        if not same:
            raise DataError(
                f"{self._path} was written with other options, or by another version of FFmpeg: "
                "it can't be gone on with; start anew with --overwrite"
            )
        if frames < self._keep:
            raise DataError(f"{self._path} has only {frames} of {self._keep} frames; start anew with --overwrite")

    def _copy(self, container, stream) -> None:
        with av.open(str(self._path)) as old:
            source = old.streams.video[0]
            # The muxer takes what the encoder gives, start codes instead of lengths.
            converter = BitStreamFilterContext("h264_mp4toannexb", source) if self._h264 else None
            for packet in itertools.islice(packets(old), self._keep):
                self._last = round(packet.pts * source.time_base / self._tick)
                for part in converter.filter(packet) if converter else [packet]:
                    part.time_base, part.stream = source.time_base, stream
                    container.mux(part)
                self._packets += 1

    def _mux(self, packet, container=None) -> None:
        (container or self._container).mux(packet)
        if packet.is_keyframe:
            # It ends the fragment before it, and the first one that isn't copied ends what is kept.
            self.whole = max(self.whole, self._packets)
            self._replace()
        self._packets += 1

    def _replace(self) -> None:
        if self._beside and not self._failed:
            self._beside.replace(self._path)
            self._beside = None


def _empty(path: Path) -> None:
    """Empties a file that was begun here and holds no whole header: later, nobody could tell whose it is."""
    with suppress(OSError):
        os.truncate(path, 0)
