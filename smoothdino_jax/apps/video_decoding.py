"""Video files and streams decoded by PyAV (FFmpeg), picture by picture, and where they break.

FFmpeg ends a file that was cut short as if it were whole, and its frame threads swallow what goes wrong in the last
few frames. So what arrives is held against what the file says of itself, its index and its duration. Not all damage
shows: decoders patch smaller wounds and say nothing of it, and formats that are streams by nature (MPEG-TS and -PS,
raw H.264, GIF) don't know their end.
"""

import re
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import av
import numpy as np

from smoothdino_jax.data.frames import DataError

# Seconds that an address may stay silent, when it is opened and between two frames.
PATIENCE = 10.0
DEFAULT_FPS = Fraction(30)
_LIVE = {"rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"}
# Their headers give the duration, as far as it is known, and it can be relied on.
_STATES_DURATION = {"avi", "matroska,webm"}

_SILENT = "no data for {:g} s"
_NO_VIDEO = (av.error.InvalidDataError, av.error.EOFError)


class Picture(NamedTuple):
    """A frame before it costs anything.

    Attributes:
        time: seconds on the source's own clock, None if it has none.
        load: makes the `(H, W, 3)` uint8 RGB array; raises `DataError` if it can't be made.
    """

    time: float | None
    load: Callable[[], np.ndarray]


class Pictures(NamedTuple):
    """What a source gives, not yet checked.

    Attributes:
        pictures: holds the source open until it ends or is closed; raises `DataError` where it breaks.
        fps: frames per second, on average.
        length: number of frames that the source claims, None if it doesn't say.
        live: True if the source doesn't wait for its reader.
    """

    pictures: Generator[Picture, None, None]
    fps: Fraction
    length: int | None
    live: bool


def open_file(path: Path) -> Pictures:
    """Opens a video file in any format that FFmpeg reads.

    Raises:
        DataError: it can't be read, or has no pictures.
    """
    # Without the protocol a name like "12:30.mp4" is taken for an address.
    return _pictures(f"file:{path}", str(path), {}, live=False)


def open_address(address: str) -> Pictures:
    """Opens an address. Cameras are asked for TCP, over which no packet is lost.

    Live is what can't wait: all but http(s), and of that what has no duration, as cameras and broadcasts.

    Raises:
        DataError: no answer, or no pictures there; names the address without user, password and query.
    """
    scheme = address.partition(":")[0].lower()
    options = {"rtsp_flags": "prefer_tcp"} if scheme.startswith("rtsp") else {}
    return _pictures(address, without_credentials(address), options, live=scheme in _LIVE)


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user, password, query and fragment."""
    return re.sub(r"[?#].*", "", re.sub(r"(?<=://)[^/?#]*@", "", address))


def _pictures(address: str, name: str, options: dict[str, str], live: bool) -> Pictures:
    timeout = None if address.startswith("file:") else PATIENCE
    began = monotonic()
    try:
        container = av.open(address, options=options, timeout=timeout)
    except av.error.FFmpegError as error:
        reason = "damaged, cut short, or no video" if isinstance(error, _NO_VIDEO) else _reason(error)
        if timeout and monotonic() - began >= timeout:  # some protocols hide that they were stopped
            reason = _SILENT.format(timeout)
        raise DataError(f"{name} can't be read as a video: {reason}") from None
    try:
        stream = _video_stream(container, name)
    except DataError:
        container.close()
        raise
    live = live or (address.lower().startswith("http") and container.duration is None)
    # Threads that take a frame each delay a live picture by their number.
    stream.thread_type = "SLICE" if live else "AUTO"
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_FPS
    fps = Fraction(rate.numerator, rate.denominator)
    decoded = _decode_live(container, stream, name) if live else _Decoding(container, stream, name, fps).pictures()
    # A fragmented MP4 claims the frames of its first part only.
    lasting = float((stream.duration or 0) * stream.time_base * fps)
    return Pictures(decoded, fps, stream.frames if stream.frames > 0.9 * lasting else None, live)


def _video_stream(container, name: str):
    # Music has its cover as a video stream of one picture.
    streams = [stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic]
    if not streams:
        others = ", ".join(sorted({stream.type for stream in container.streams} - {"video"}))
        raise DataError(f"{name} is not a video: it has no video stream" + (f", only {others}" if others else ""))
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise DataError(f"{name}: this FFmpeg has no decoder for its video; convert it, for example to H.264")
    return stream


class _Decoding:
    """A video on its way through the decoder: what came in, what came out."""

    def __init__(self, container, stream, name: str, fps: Fraction):
        self._container, self._stream, self._name, self._fps = container, stream, name, fps
        self._number = 0  # of frames that came out
        self._first = self._time = 0.0  # when the first and the last of them are to be seen, in seconds
        self._due = 0.0  # when the last frame that went in is to be seen
        self._end = 0.0  # of what was read, be it pictures or sound
        self._read = None  # the latest timestamp that went in, in the stream's unit
        self._broken = None  # why no more can be read

    def pictures(self) -> Generator[Picture, None, None]:
        with self._container:
            try:
                for packet in self._packets():
                    for frame in self._stream.codec_context.decode(packet):
                        if frame.is_corrupt:
                            raise DataError(self._breakage("the frame is damaged"))
                        stamp = _time(frame, self._stream)
                        time = self._time if stamp is None else stamp
                        if not self._number:
                            self._first = time
                        elif self._broken and time - self._time > 1.5 / self._fps:
                            break  # the decoder was ahead, for frames in between that never came
                        yield Picture(stamp, _Loader(frame, self._name, self._number))
                        self._number, self._time = self._number + 1, time
            except av.error.FFmpegError as error:
                raise DataError(self._breakage(_reason(error))) from None
            if self._broken:
                raise DataError(self._breakage(self._broken))
            # A frame of two fields comes as two packets.
            if self._due - self._time > 1.5 / self._fps:
                raise DataError(self._breakage("the frames after it are damaged"))

    def _packets(self) -> Iterator[av.Packet | None]:
        """The stream's packets, and at the end or at a break None, for which the decoder gives what it holds."""
        corrupt = None
        try:
            # Of all streams: any may be the one that lasts to the end of the file.
            for packet in self._container.demux():
                if not packet.size:
                    continue
                if corrupt is not None:
                    yield corrupt
                    corrupt = None
                if packet.pts is not None:
                    self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != self._stream.index:
                    continue
                stamps = [stamp for stamp in (packet.pts, packet.dts, self._read) if stamp is not None]
                self._read = max(stamps, default=None)
                if packet.pts is not None and not packet.is_discard:
                    due = float(packet.pts * packet.time_base)
                    # Frames are reordered by less; what goes back further is a recording that follows another.
                    self._due = due if due < self._due - 1 else max(self._due, due)
                # In the midst, it may be no more than a bit that a broadcast lost; at the end, half a frame.
                if packet.is_corrupt:
                    corrupt = packet
                else:
                    yield packet
        except av.error.FFmpegError as error:
            self._broken = _reason(error)
        if self._broken is None and (corrupt is not None or self._cut_short()):
            self._broken = "the file is cut short"
        yield None

    def _cut_short(self) -> bool:
        """Whether the file speaks of more than it held."""
        index = self._stream.index_entries
        if len(index) and self._read is not None and index[-1].timestamp > self._read:
            return True
        stated = self._container.duration
        if not stated or self._container.format.name not in _STATES_DURATION:
            return False
        # Some writers count the last frame and some don't.
        return (stated + (self._container.start_time or 0)) / av.time_base - self._end > 1

    def _breakage(self, why: str) -> str:
        if not self._number:
            return f"{self._name}: no frame can be decoded: {why}"
        return (
            f"{self._name} breaks off at frame {self._number}, after {self._time - self._first:.2f} s: {why}; the "
            f"{self._number} frames before it are whole"
        )


def _decode_live(container, stream, name: str) -> Generator[Picture, None, None]:
    """Frames of what is damaged now and then: those that can't be decoded are left out."""
    with container:
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    continue  # until the next key frame, as after a lost packet or at the start
                for number, frame in enumerate(frames):
                    if not frame.is_corrupt:
                        yield Picture(_time(frame, stream), _Loader(frame, name, number))
        except av.error.FFmpegError as error:
            raise DataError(f"{name} stopped: {_reason(error)}") from None


class _Loader(NamedTuple):
    """A decoded frame that becomes RGB, upright, when it is called.

    Alpha is dropped, more bits are rounded to eight, and YUV is converted by the matrix and range that the frame
    names. Pixels stay as they are stored where they aren't square.
    """

    frame: av.VideoFrame
    name: str
    number: int

    def __call__(self) -> np.ndarray:
        try:
            pixels = self.frame.to_ndarray(format="rgb24")
        except (av.error.FFmpegError, ValueError) as error:
            raise DataError(
                f"{self.name}: frame {self.number} ({self.frame.format.name}) can't be converted to RGB: {error}"
            ) from None
        turns, rest = divmod(self.frame.rotation, 90)
        # Rows come padded where their length asks for it.
        return np.ascontiguousarray(pixels if rest else np.rot90(pixels, turns))


def _time(frame, stream) -> float | None:
    stamp = frame.dts if frame.pts is None else frame.pts
    return None if stamp is None else float(stamp * stream.time_base)


def _reason(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):  # how PyAV's timeout shows
        return _SILENT.format(PATIENCE)
    if isinstance(error, av.error.InvalidDataError):
        return "the data are damaged or cut short"
    return error.strerror
