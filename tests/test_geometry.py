"""Geometry of two views, on cameras simple enough to work out by hand."""

import jax.numpy as jnp
import numpy as np

from smoothdino_jax.metrics.geometry import (
    Projection,
    crop_intrinsics,
    invert_motion,
    landing,
    move,
    pixel_grid,
    project,
    reproject,
    rigid_flow,
    sample,
    splat_last,
    splat_nearest,
    unproject,
)

# Focal length 10 pixels, the optical axis through pixel (2, 1) of a picture of 3 x 5.
K = jnp.array([[[10.0, 0, 2], [0, 10, 1], [0, 0, 1]]])


def motion(x=0.0, y=0.0, z=0.0, rotation=None):
    """What takes points from the first camera's coordinates to the second's."""
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, 3] = x, y, z
    if rotation is not None:
        matrix[:3, :3] = rotation
    return jnp.asarray(matrix)[None]


def turn(angle):
    """About the y axis: z towards x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def test_the_grid_counts_columns_then_rows_from_the_top_left_centre():
    grid = pixel_grid(2, 3)
    assert grid[0, 0].tolist() == [0, 0]
    assert grid[1, 2].tolist() == [2, 1]


def test_unprojected_pixels_are_where_the_pinhole_puts_them():
    points = unproject(jnp.full((1, 3, 5), 2.0), K)
    assert points[0, 1, 2].tolist() == [0, 0, 2]  # on the axis
    np.testing.assert_allclose(points[0, 2, 4], [2 * 2 / 10, 2 * 1 / 10, 2], rtol=1e-6)


def test_unprojecting_at_given_pixels():
    pixels = jnp.full((1, 1, 1, 2), 3.5)
    np.testing.assert_allclose(unproject(jnp.full((1, 1, 1), 4.0), K, pixels)[0, 0, 0], [0.6, 1, 4], rtol=1e-6)


def test_projecting_undoes_unprojecting_with_skew_too():
    depth = jnp.asarray(np.random.default_rng(0).uniform(1, 5, (1, 3, 5)), jnp.float32)
    skewed = K.at[0, 0, 1].set(0.7)
    pixels, z = project(unproject(depth, skewed), skewed)
    np.testing.assert_allclose(pixels[0], pixel_grid(3, 5), atol=1e-6)
    np.testing.assert_array_equal(z, depth)


def test_moving_there_and_back_leads_home():
    points = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 5, 3)), jnp.float32)
    there = motion(0.1, -0.2, 0.3, turn(0.4))
    np.testing.assert_allclose(move(move(points, there), invert_motion(there)), points, atol=1e-6)
    np.testing.assert_allclose(invert_motion(there)[0] @ there[0], np.eye(4), atol=1e-6)


def test_a_camera_that_moves_right_by_one_pixel_of_parallax_sees_everything_shift_left():
    # 0.2 m to the right at 2 m: 10 * 0.2 / 2 = 1 pixel.
    flow = rigid_flow(jnp.full((1, 3, 5), 2.0), motion(x=-0.2), K)
    np.testing.assert_allclose(flow[..., 0], -1, atol=1e-6)
    np.testing.assert_allclose(flow[..., 1], 0, atol=1e-6)


def test_flow_of_a_forward_moving_camera_expands_from_the_axis():
    # Half the distance left: everything twice as far from the axis as before.
    flow = rigid_flow(jnp.full((1, 3, 5), 2.0), motion(z=-1.0), K)
    np.testing.assert_allclose(flow[0], pixel_grid(3, 5) - np.array([2, 1]), atol=1e-6)


def test_flow_of_a_turning_camera_does_not_depend_on_depth():
    depth = jnp.asarray(np.random.default_rng(0).uniform(1, 5, (1, 3, 5)), jnp.float32)
    flow = rigid_flow(depth, motion(rotation=turn(0.1)), K)
    angle = np.arctan((np.arange(5) - 2) / 10)
    np.testing.assert_allclose(flow[0, 1, :, 0], 10 * np.tan(angle + 0.1) - 10 * np.tan(angle), atol=1e-5)


def test_flow_is_unknown_without_depth_or_pose_and_behind_the_camera():
    depth = jnp.full((1, 3, 5), 2.0).at[0, 0, 0].set(0.0)
    flow = np.asarray(rigid_flow(depth, motion(), K))
    assert np.isnan(flow[0, 0, 0]).all()
    assert not flow[0].reshape(-1, 2)[1:].any()
    assert np.isnan(rigid_flow(depth, motion(z=-3.0), K)).all()
    assert np.isnan(rigid_flow(depth, motion() * jnp.nan, K)).all()


def test_intrinsics_of_a_crop_see_the_same_points():
    depth = jnp.full((1, 3, 5), 2.0)
    points = unproject(depth, K)[:, 1:, 2:]
    np.testing.assert_allclose(unproject(depth[:, 1:, 2:], crop_intrinsics(K, top=1, left=2)), points, atol=1e-6)


def test_points_land_on_the_nearest_pixel_and_nowhere_outside():
    pixels = jnp.array([[[[0.4, 0.6], [4.4, 2.4], [4.6, 0.0], [-0.6, 0.0], [jnp.nan, 0.0]]] * 3])
    z = jnp.ones((1, 3, 5))
    assert landing(Projection(pixels, z))[0, 0].tolist() == [5, 14, 15, 15, 15]
    assert landing(Projection(pixels, -z))[0, 0].tolist() == [15] * 5
    assert landing(Projection(pixels, z * jnp.inf))[0, 0].tolist() == [15] * 5


def test_streams_of_a_batch_land_in_their_own_picture():
    stacked = jnp.concatenate([motion(x=-0.2), motion(x=0.2)])
    depth = jnp.stack([jnp.full((3, 5), 2.0), jnp.full((3, 5), 1.0)])
    there = reproject(depth, stacked, jnp.concatenate([K, K]))
    left, right = splat_nearest(there.depth, landing(there))
    assert left[0].tolist() == [2, 2, 2, 2, 0]
    assert right[0].tolist() == [0, 0, 1, 1, 1]


def test_with_a_z_buffer_the_nearest_wins_and_without_it_the_last():
    depth = jnp.array([[[3.0, 1.0, 2.0, 5.0]]])
    target = jnp.array([[[1, 1, 1, 3]]])
    assert splat_nearest(depth, target)[0, 0].tolist() == [0, 1, 0, 5]
    assert splat_last(depth, target)[0, 0].tolist() == [0, 2, 0, 5]


def test_points_outside_leave_no_trace():
    depth, outside = jnp.ones((1, 1, 4)), jnp.full((1, 1, 4), 4)
    assert not splat_nearest(depth, outside).any()
    assert not splat_last(depth, outside).any()


def test_sampling_interpolates_between_the_four_neighbours():
    values = jnp.arange(15.0).reshape(1, 3, 5, 1)
    found, inside = sample(values, jnp.broadcast_to(jnp.array([1.25, 1.5]), (1, 3, 5, 2)))
    np.testing.assert_allclose(found, 1.25 + 5 * 1.5, rtol=1e-6)
    assert inside.all()


def test_the_picture_ends_half_a_pixel_beyond_the_outer_centres():
    values = 1 + jnp.arange(15.0).reshape(1, 3, 5, 1)
    pixels = jnp.array([[[[4.49, 2.0], [4.51, 0.0], [0.0, -0.49], [0.0, -0.51], [jnp.nan, 1.0]]] * 3])
    found, inside = sample(values, pixels)
    assert found[0, 0, :, 0].tolist() == [15, 0, 1, 0, 0]
    assert inside[0, 0].tolist() == [True, False, True, False, False]


def test_sampling_meets_a_nan_only_where_it_has_weight():
    values = jnp.arange(15.0).reshape(1, 3, 5, 1).at[0, 0, 1].set(jnp.nan)
    pixels = jnp.array([[[[0.0, 0.0], [0.5, 0.0], [0.0, 1.0], [1.0, 0.5], [2.0, 0.0]]] * 3])
    found, _ = sample(values, pixels)
    assert np.isnan(found[0, 0, :, 0]).tolist() == [False, True, False, True, False]


def test_sampling_keeps_channels_and_streams_apart():
    values = jnp.arange(24.0).reshape(2, 2, 2, 3)
    found, _ = sample(values, jnp.full((2, 2, 2, 2), 1.0))
    np.testing.assert_array_equal(found[:, 0, 0], values[:, 1, 1])
