"""Sequences in the layout of 7-Scenes, made up."""

from pathlib import Path

import cv2
import numpy as np
from posed_frames import tilted_poses
from refusals import assert_refused

from smoothdino_jax.data.seven_scenes import SevenScenes


def write_frame(folder: Path, n: int, pose=None, size=(6, 8), depth=None, kind="png") -> None:
    """A frame of one colour whose depth is 1000 + n mm everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(folder / f"frame-{n:06d}")
    cv2.imwrite(f"{stem}.color.{kind}", np.full((*size, 3), (30, 100, 200), np.uint8))  # BGR
    cv2.imwrite(f"{stem}.depth.png", np.full(size, 1000 + n, np.uint16) if depth is None else depth)
    if pose is not None:
        np.savetxt(f"{stem}.pose.txt", pose)


def write_sequence(folder: Path, numbers=range(4), **more) -> Path:
    for n, pose in zip(numbers, tilted_poses(len(numbers)), strict=True):
        write_frame(folder, n, pose, **more)
    return folder


def write_scenes(folder: Path) -> Path:
    """Two of the original's scenes, three sequences."""
    for name, numbers in (("heads/seq-02", range(3)), ("heads/seq-01", range(4)), ("fire/seq-01", range(2))):
        write_sequence(folder / name, numbers)
    return folder


def assert_refuses(path, *words, **arguments) -> None:
    assert_refused(lambda: SevenScenes(path, **arguments), *words)
