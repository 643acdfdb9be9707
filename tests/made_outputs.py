"""Frames, their depth and outputs of them, for the tests of what a video's depth is written as."""

import av
import cv2
import numpy as np

from smoothdino_jax.apps.point_clouds import intrinsics_from
from smoothdino_jax.apps.video_outputs import open_output
from smoothdino_jax.apps.video_sources import VideoFrame

SIZE = (42, 56)
CAMERA = intrinsics_from(70, SIZE)
NAMES = ["a.mp4", "a.npz", "a/%06d.png", "a/%06d.npy", "a/%06d.exr", "a/%06d.ply"]
FILES = NAMES[2:]


def made(count=5):
    """Frames at uneven times and their depth: vanilla, and smoothed with pixels that have none."""
    times = np.r_[0, np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, 200))]
    for number, time in enumerate(times[:count]):
        rng = np.random.default_rng(number)
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), SIZE[::-1])
        vanilla, smoothed = rng.uniform(0.5, 9, (2, *SIZE)).astype(np.float32)
        smoothed[0, :4] = 0, np.nan, np.inf, -1
        yield VideoFrame(image, float(time)), [vanilla, smoothed]


def output(path, **options):
    usual = {"size": SIZE, "fps": 10, "titles": ["vanilla", "smoothed"], "depth_range": (0, 10), "intrinsics": CAMERA}
    return open_output(path, **usual | options)


def write(path, count=5, first=0, **options):
    with output(path, **options) as opened:
        for number, (frame, depths) in enumerate(made(count)):
            if number >= first:
                opened.write(frame, depths, number)
    assert opened.whole == count
    return path


def smoothed(count=5):
    return np.stack([depths[-1] for _, depths in made(count)])


def times(count=5):
    return np.array([frame.time for frame, _ in made(count)])


def video(path):
    """The frames of an MP4, `(H, W, 3)` uint8, and their times in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [
        float(frame.pts * frame.time_base) for frame in frames
    ]


def contents(folder):
    """All files below a folder: name -> bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
