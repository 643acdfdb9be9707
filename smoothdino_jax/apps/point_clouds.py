"""Depth maps as coloured point clouds, in metres, and as PLY files.

Points are in the camera's frame, OpenCV axes (x right, y down, z forward). Pixels are as everywhere here: the centre
of the top left one is at (0, 0), so the picture spans -1/2 to W - 1/2.
"""

import io
import math
from collections.abc import Sequence

import numpy as np

from smoothdino_jax.data.frames import DataError


def intrinsics_from(camera: float | Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pinhole matrix of a camera.

    Args:
        camera: horizontal field of view in degrees, from the picture's left edge to its right, for square pixels and
            a centred axis; or (fx, fy, cx, cy) in pixels of a picture of `size`.
        size: `(H, W)`.

    Returns:
        `(3, 3)` float64.

    Raises:
        DataError: no such camera.
    """
    height, width = size
    values = np.atleast_1d(np.asarray(camera, np.float64))
    if values.shape == (1,):
        degrees = float(values[0])
        if not 0 < degrees < 180:
            raise DataError(f"a field of view of {degrees:g}°: it lies between 0 and 180, of a phone around 65")
        fx = fy = width / 2 / math.tan(math.radians(degrees) / 2)
        cx, cy = (width - 1) / 2, (height - 1) / 2
    elif values.shape == (4,):
        fx, fy, cx, cy = values
        if not (np.isfinite(values).all() and fx > 0 and fy > 0):
            raise DataError(f"intrinsics fx fy cx cy of {_listed(values)}: focal lengths are pixels above 0")
    else:
        raise DataError(f"intrinsics of {_listed(values)}: they are four numbers, fx fy cx cy")
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def point_cloud(
    image: np.ndarray, depth: np.ndarray, intrinsics: np.ndarray, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The points that a depth map sees.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        depth: `(H, W)` metres along the optical axis; pixels of 0 or less, NaN or infinity make no point.
        intrinsics: `(3, 3)`, for pictures of this size.
        stride: every how many pixels along each side there is a point.

    Returns:
        points: `(N, 3)` float32, metres.
        colours: `(N, 3)` uint8, RGB.
    """
    depth, image = depth[::stride, ::stride], image[::stride, ::stride]
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    (fx, _, cx), (_, fy, cy) = intrinsics[:2]
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([(columns * stride - cx) / fx * z, (rows * stride - cy) / fy * z, z], -1)
    return points.astype(np.float32), image[rows, columns]


def ply(points: np.ndarray, colours: np.ndarray) -> bytes:
    """A binary (little-endian) PLY file with vertices x, y, z in metres and red, green, blue.

    Needs the package plyfile.

    Args:
        points: `(N, 3)` float32.
        colours: `(N, 3)` uint8.
    """
    from plyfile import PlyData, PlyElement

    names = ["x", "y", "z", "red", "green", "blue"]
    vertices = np.empty(len(points), list(zip(names, ["<f4"] * 3 + ["u1"] * 3, strict=True)))
    for name, column in zip(names, [*points.T, *colours.T], strict=True):
        vertices[name] = column
    file = io.BytesIO()
    PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(file)
    return file.getvalue()


def _listed(values) -> str:
    return " ".join(f"{value:g}" for value in values.ravel())
