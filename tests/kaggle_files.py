"""Scenes in the Kaggle layout of NYU Depth v2, made up, and refusing them."""

from pathlib import Path

import cv2
import numpy as np
from refusals import assert_refused

from smoothdino_jax.data import NYUKaggle


def write_frame(scene: Path, n: int, size=(6, 8), depth=None) -> None:
    """A frame whose depth is `n` in 8-bit units everywhere, and whose image is a fixed colour."""
    scene.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), (30, 100, 200), np.uint8)  # BGR
    cv2.imwrite(str(scene / f"{n}.jpg"), image)
    cv2.imwrite(str(scene / f"{n}.png"), np.full(size, n, np.uint8) if depth is None else depth)


def write_scene(scene: Path, numbers=range(1, 4), size=(6, 8)) -> None:
    for n in numbers:
        write_frame(scene, n, size)


def write_scenes(folder: Path) -> Path:
    """Two scenes: attic_out with frames 1..12, cellar_out with frames 5..7."""
    write_scene(folder / "cellar_out", range(5, 8))
    write_scene(folder / "attic_out", range(1, 13))
    return folder


def assert_refuses(path, *words, **arguments) -> None:
    assert_refused(lambda: NYUKaggle(path, **arguments), *words)
