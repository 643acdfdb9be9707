"""What is in an MP4 that `VideoWriter` wrote, closed or not; and whether it wrote it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av

from smoothdino_jax.apps.output_places import unwritable
from smoothdino_jax.data.frames import DataError

MARKER = "made by smoothdino"  # the comment in the file's metadata by which it is known again


def whole_frames(path: str | os.PathLike) -> int:
    """How many frames from the start an MP4 of `VideoWriter` holds; what a kill left of it too.

    Only the frames from the last key frame on are decoded.

    Returns:
        0 also where the file is empty, or the run was stopped before the first fragment.

    Raises:
        DataError: the file can't be read, or no `VideoWriter` wrote it.
    """
    path, frames, group = Path(path), 0, []
    try:
        if path.is_file() and not path.stat().st_size:  # it wasn't even begun
            return 0
        with av.open(str(path), format="mp4") as container:
            if not container.streams.video or container.metadata.get("comment") != MARKER:
                raise _not_ours(path)
            stream = container.streams.video[0]
            with suppress(av.error.FFmpegError):
                for packet in packets(container):
                    if packet.is_keyframe:
                        frames, group = frames + len(group), []
                    group.append(packet)
            with suppress(av.error.FFmpegError):
                for packet in [*group, None]:
                    frames += len(stream.codec_context.decode(packet))
    except OSError as error:
        raise unwritable(path, error, "can't be read") from None
    except av.error.FFmpegError:
        raise _not_ours(path) from None
    return frames


def _not_ours(path: Path) -> DataError:
    return DataError(
        f"{path} is no video that could be gone on with, this program did not write it: choose another name, "
        "or --overwrite"
    )


def video_size(path: str | os.PathLike) -> tuple[int, int]:
    """`(H, W)` of a video that `whole_frames` could read."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


def packets(container) -> Iterator[av.Packet]:
    """The packets that hold a frame each, up to one that was cut off."""
    for packet in container.demux(container.streams.video[0]):
        if packet.is_corrupt:
            return
        if packet.size:
            yield packet
