"""Recordings made on the fly."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
from refusals import assert_refused

from smoothdino_jax.data.recordings import Recordings

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", ROOT.parent / "shared"))
POSE = np.array([[0, -1, 0, 0.5], [1, 0, 0, -2], [0, 0, 1, 3], [0, 0, 0, 1]], float)
SIZE = (6, 8)


def write_frame(folder: Path, stem: str, metres: float = 2.0, size=SIZE) -> None:
    """A frame of one colour at one depth, in millimetres."""
    for name in ("image", "depth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), (30, 100, 200), np.uint8)  # BGR
    cv2.imwrite(str(folder / f"image/{stem}.jpg"), image)
    cv2.imwrite(str(folder / f"depth/{stem}.png"), np.full(size, round(1000 * metres), np.uint16))


def write_meta(folder: Path, **fields) -> None:
    (folder / "meta.json").write_text(json.dumps({"depth_units_per_metre": 1000} | fields))


def write_recording(folder: Path, stems=("000000", "000001", "000002"), **meta) -> Path:
    for k, stem in enumerate(stems):
        write_frame(folder, stem, 1 + k / 8)
    write_meta(folder, **meta)
    return folder


def write_poses(folder: Path, stems, pose=POSE) -> None:
    (folder / "pose").mkdir(exist_ok=True)
    for stem in stems:
        np.savetxt(folder / f"pose/{stem}.txt", pose)


def assert_refuses(path, *words, **arguments) -> str:
    return assert_refused(lambda: Recordings(path, **arguments), *words)
