"""Frames of a camera that moves along a picture, as scenes that follow one another."""

import cv2
import numpy as np


def pan(count: int, size: tuple[int, int] = (56, 70), seed: int = 0, speed: int = 1) -> np.ndarray:
    """`count` uint8 frames `(N, H, W, 3)` of a scene of one colour; the picture moves `speed` pixels left a frame."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (size[0] // 4, (size[1] + speed * count) // 4 + 1, 3), dtype=np.uint8)
    wide = cv2.resize(wide // 2 + rng.integers(0, 128, 3, np.uint8), (size[1] + speed * count, size[0]))
    return np.stack([wide[:, speed * k : speed * k + size[1]] for k in range(count)])
