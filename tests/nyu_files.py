"""NYUv2 in the Kaggle layout, made up, and preparing it."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
from refusals import assert_refused

from smoothdino_jax.data.nyu_prepare import Prepared, prepare
from smoothdino_jax.data.nyu_video import NYUVideo

SIZE = (32, 48)
BROKEN = "data/nyu2_train/attic_out/3.jpg"


def write_frame(scene: Path, n: int, size=SIZE) -> None:
    scene.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(n)
    image = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), size[::-1])
    cv2.imwrite(str(scene / f"{n}.jpg"), image)
    cv2.imwrite(str(scene / f"{n}.png"), rng.integers(0, 256, size, np.uint8))


def make_folder(top: Path) -> Path:
    """Kaggle's layout: attic_out with frames 1..6, cellar_out with frames 1..4, two test images."""
    for n in range(1, 7):
        write_frame(top / "data" / "nyu2_train" / "attic_out", n)
    for n in range(1, 5):
        write_frame(top / "data" / "nyu2_train" / "cellar_out", n)
    test = top / "data" / "nyu2_test"
    test.mkdir()
    for n in (0, 7):
        cv2.imwrite(str(test / f"{n:05d}_colors.png"), np.random.default_rng(n).integers(0, 256, (*SIZE, 3), np.uint8))
        cv2.imwrite(str(test / f"{n:05d}_depth.png"), np.full(SIZE, 1000 + n, np.uint16))
    return top


def build(path, data_dir, **arguments) -> Prepared:
    return prepare(path, data_dir, progress=False, **arguments)


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, prefix + str(file.relative_to(folder)))
    return path


def assert_nothing_finished(data_dir: Path) -> None:
    assert not list(data_dir.glob("nyu_depth_v2_video/*/[0-9]*"))
    assert_refused(lambda: NYUVideo(data_dir), "no finished")
