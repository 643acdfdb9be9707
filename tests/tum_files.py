"""Sequences in the TUM RGB-D layout, made up."""

from pathlib import Path

import cv2
import numpy as np
from refusals import assert_refused

from smoothdino_jax.data.tum import TUM

# Real timestamps are this large: a double keeps them to 2e-7 s.
START = 1305031229.5
AT_30_HZ = START + np.arange(4) / 30


def write_sequence(folder: Path, rgb=AT_30_HZ, depth=None, size=(6, 8), stored=5000, comment="# made up") -> Path:
    """Images of one colour at the times `rgb`, depth maps of `stored` plus their number at the times `depth`."""
    for kind, times in (("rgb", rgb), ("depth", rgb if depth is None else depth)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        lines = [comment, "# timestamp filename"]
        for k, time in enumerate(times):
            picture = np.full((*size, 3), (30, 100, 200), np.uint8) if kind == "rgb" else stored + np.uint16(k)
            picture = np.broadcast_to(picture, (*size, 3) if kind == "rgb" else size)
            cv2.imwrite(str(folder / kind / f"{time:.6f}.png"), np.ascontiguousarray(picture))
            lines.append(f"{time:.6f} {kind}/{time:.6f}.png")
        (folder / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_poses(folder: Path, times, rotations, positions, digits=4) -> None:
    """groundtruth.txt from rotation vectors (axis times angle) and positions."""
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for time, rotation, position in zip(times, rotations, positions, strict=True):
        angle = np.linalg.norm(rotation)
        quaternion = [*(np.asarray(rotation) / (angle or 1) * np.sin(angle / 2)), np.cos(angle / 2)]
        lines.append(" ".join([f"{time:.4f}", *(f"{x:.{digits}f}" for x in (*position, *quaternion))]))
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")


def write_still(folder: Path, times) -> None:
    """A trajectory that stays at the identity, but for x, which counts the lines."""
    write_poses(folder, times, np.zeros((len(times), 3)), [(k, 0, 0) for k in range(len(times))])


def write_desk(folder: Path) -> Path:
    """The sequence `desk` of four frames at 30 Hz, its depth 4 ms later, poses at 100 Hz."""
    desk = write_sequence(folder / "desk", depth=AT_30_HZ + 0.004)
    write_still(desk, START - 0.05 + np.arange(25) / 100)
    return desk


def replace_line(path: Path, number: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines))


def assert_refuses(path, *words, **arguments) -> None:
    assert_refused(lambda: TUM(path, **arguments), *words)
