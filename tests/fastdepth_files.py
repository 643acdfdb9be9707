"""NYUv2 in the FastDepth layout, made up."""

from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")


def write_h5(path: Path, size=(6, 8), rgb=None, depth=None, **datasets) -> None:
    """A frame whose depth is a hundredth of its number in metres, and whose image is a fixed colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if rgb is None:
        rgb = np.broadcast_to(np.array([200, 100, 30], np.uint8)[:, None, None], (3, *size))
    if depth is None:
        depth = np.full(size, 1 + int(path.stem) / 100, np.float32)
    with h5py.File(path, "w") as file:
        for key, values in ({"rgb": rgb, "depth": depth} | datasets).items():
            if values is not False:
                file[key] = values
