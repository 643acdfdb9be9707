"""Cameras and the points that a depth map sees."""

import io

import numpy as np
import pytest
from plyfile import PlyData

from smoothdino_jax.apps.point_clouds import intrinsics_from, ply, point_cloud
from smoothdino_jax.data.frames import DataError

SIZE = (6, 8)
IMAGE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def test_a_field_of_view_spans_the_picture_from_edge_to_edge():
    matrix = intrinsics_from(90, SIZE)
    left, right = np.linalg.inv(matrix) @ [-0.5, 2.5, 1], np.linalg.inv(matrix) @ [7.5, 2.5, 1]
    np.testing.assert_allclose(left, [-1, 0, 1], atol=1e-12)  # 45° to either side, level with the axis
    np.testing.assert_allclose(right, [1, 0, 1], atol=1e-12)
    assert matrix[0, 0] == matrix[1, 1]


def test_four_numbers_are_the_matrix():
    assert intrinsics_from((500, 510, 320.5, 239), SIZE).tolist() == [[500, 0, 320.5], [0, 510, 239], [0, 0, 1]]


@pytest.mark.parametrize("camera", [0, 180, -60, np.nan, (500, 510), (500, 0, 3, 3), (500, np.nan, 3, 3)])
def test_no_camera_is_refused(camera):
    with pytest.raises(DataError, match=r"field of view|fx fy cx cy"):
        intrinsics_from(camera, SIZE)


def test_points_project_to_their_pixels():
    matrix = intrinsics_from((7, 9, 3.25, 2.5), SIZE)
    depth = np.random.default_rng(0).uniform(1, 5, SIZE).astype(np.float32)
    points, colours = point_cloud(IMAGE, depth, matrix)
    projected = points @ matrix.T
    pixels = projected[:, :2] / projected[:, 2:]
    rows, columns = np.mgrid[:6, :8]
    # Coordinates of a few metres in float32, times a focal length of 9.
    np.testing.assert_allclose(pixels, np.stack([columns.ravel(), rows.ravel()], -1), atol=1e-5)
    assert (points[:, 2] == depth.ravel()).all()
    assert (colours == IMAGE.reshape(-1, 3)).all()


def test_pixels_without_depth_make_no_point():
    depth = np.ones(SIZE, np.float32)
    depth[0, :4] = 0, np.nan, np.inf, -1
    points, colours = point_cloud(IMAGE, depth, intrinsics_from(60, SIZE))
    assert len(points) == len(colours) == 48 - 4
    assert (colours[0] == IMAGE[0, 4]).all()


def test_stride_takes_some_of_the_same_points():
    depth = np.random.default_rng(0).uniform(1, 5, SIZE).astype(np.float32)
    all_points, _ = point_cloud(IMAGE, depth, intrinsics_from(60, SIZE))
    points, colours = point_cloud(IMAGE, depth, intrinsics_from(60, SIZE), stride=3)
    assert (points == all_points.reshape(6, 8, 3)[::3, ::3].reshape(-1, 3)).all()
    assert (colours == IMAGE[::3, ::3].reshape(-1, 3)).all()


@pytest.mark.parametrize("count", [0, 5])
def test_ply_is_binary_and_holds_points_and_colours(count):
    rng = np.random.default_rng(0)
    points, colours = rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, 256, (count, 3), np.uint8)
    data = ply(points, colours)
    assert data.startswith(b"ply\nformat binary_little_endian 1.0\n")
    vertices = PlyData.read(io.BytesIO(data))["vertex"]
    assert (np.stack([vertices[name] for name in "xyz"], -1) == points).all()
    assert (np.stack([vertices[name] for name in ("red", "green", "blue")], -1) == colours).all()
