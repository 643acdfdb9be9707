"""What people upload, checked before anything is decoded from it."""

import dataclasses
from pathlib import Path

import av

from smoothdino_jax.apps.video_sources import Video, open_video
from smoothdino_jax.data.frames import DataError

# By FFmpeg's names, and how the names of such files end. Playlists (HLS, DASH, concat) are left out on purpose: they
# name other files and addresses, and would have the server read those.
KINDS = {
    "mov": (".mp4", ".m4v", ".mov", ".3gp", ".3g2"),
    "matroska": (".mkv",),
    "webm": (".webm",),
    "avi": (".avi",),
    "mpeg": (".mpg", ".mpeg", ".vob"),
    "mpegts": (".ts", ".mts", ".m2ts"),
    "ogg": (".ogv", ".ogg"),
    "flv": (".flv",),
    "asf": (".wmv", ".asf"),
    "gif": (".gif",),
    "yuv4mpegpipe": (".y4m",),
    "ivf": (".ivf",),
    "h264": (".h264", ".264"),
    "hevc": (".hevc", ".h265", ".265"),
}
ENDINGS = tuple(ending for endings in KINDS.values() for ending in endings)
_SOUND = ("wav", "mp3", "flac", "aac")  # read, so that it can be called by its name


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much one user may ask for.

    Attributes:
        megabytes: of an uploaded file.
        seconds: of a video, and of one turn of a webcam.
    """

    megabytes: float = 200
    seconds: float = 120


def open_upload(path: Path, name: str, limits: Limits) -> Video:
    """Opens an uploaded video, if it is one and within the limits.

    Args:
        path: where it lies.
        name: what its owner calls it.
        limits: of the page.

    Raises:
        DataError: too large, too long, audio only, not a video, or of a kind that isn't taken.
    """
    megabytes = path.stat().st_size / 2**20
    if megabytes > limits.megabytes:
        raise DataError(f"{name} has {megabytes:.0f} MB, this page takes up to {limits.megabytes:g} MB")
    try:
        with av.open(str(path), options={"format_whitelist": ",".join((*KINDS, *_SOUND))}) as container:
            kinds = {stream.type for stream in container.streams}
            seconds = container.duration / av.time_base if container.duration else 0
    except (av.error.FFmpegError, OSError):
        raise DataError(f"{name} can't be read as a video: MP4, MOV, MKV, WebM and AVI files can") from None
    if "video" not in kinds:
        raise DataError(f"{name} is not a video: there is only {' and '.join(sorted(kinds)) or 'nothing'} in it")
    if seconds > limits.seconds + 0.5:
        raise DataError(f"{name} is {seconds:.0f} s long, this page takes up to {limits.seconds:g} s: cut it to a part")
    return open_video(path)
