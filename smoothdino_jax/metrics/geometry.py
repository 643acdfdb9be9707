"""Pinhole geometry of two views: where the pixels of one depth map lie in the other.

Everything follows the conventions of `Pair`: OpenCV axes (x right, y down, z forward), metres, depth along z, pixel
(u, v) with the centre of the top left pixel at (0, 0). Steps are small enough that XLA fuses a chain of them; the
integer pixel on which a point lands (`landing`) is kept apart from scattering to it (`splat_nearest`, `splat_last`),
because two kinds of splat share it. Non-finite numbers are carried along, never replaced.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Products of 3x3 matrices cost nothing, and TF32 would be off by a tenth of a pixel at 640 pixels.
_PRECISE = "highest"


class Projection(NamedTuple):
    """Points in the picture of a camera.

    Attributes:
        pixels: `(B, H, W, 2)` (u, v); any finite or non-finite number, meaningless where `depth` is not above 0.
        depth: `(B, H, W)` metres along the camera's z axis; 0 or less is behind the camera.
    """

    pixels: Float[Array, "b h w 2"]
    depth: Float[Array, "b h w"]


def pixel_grid(height: int, width: int) -> Float[Array, "h w 2"]:
    """`(H, W, 2)` coordinates (u, v) of the pixel centres."""
    v, u = jnp.mgrid[:height, :width]
    return jnp.stack([u, v], -1).astype(jnp.float32)


def crop_intrinsics(intrinsics: Float[Array, "b 3 3"], top: int, left: int) -> Float[Array, "b 3 3"]:
    """Intrinsics of a picture after `top` rows and `left` columns are cut off."""
    return intrinsics.at[:, 0, 2].add(-left).at[:, 1, 2].add(-top)


def invert_motion(motion: Float[Array, "b 4 4"]) -> Float[Array, "b 4 4"]:
    """The way back: of x' = R x + t the inverse is x = Rᵀ x' - Rᵀ t."""
    back = jnp.swapaxes(motion[:, :3, :3], 1, 2)
    shift = -jnp.matmul(back, motion[:, :3, 3:], precision=_PRECISE)
    return jnp.concatenate([jnp.concatenate([back, shift], 2), motion[:, 3:]], 1)


def unproject(
    depth: Float[Array, "b h w"], intrinsics: Float[Array, "b 3 3"], pixels: Float[Array, "b h w 2"] | None = None
) -> Float[Array, "b h w 3"]:
    """The points in camera coordinates that a depth map sees: depth · K⁻¹ (u, v, 1).

    Args:
        depth: `(B, H, W)` metres.
        intrinsics: pinhole matrix with a last row of (0, 0, 1).
        pixels: `(B, H, W, 2)` (u, v) that `depth` belongs to, if not each to its own pixel.

    Returns:
        `(B, H, W, 3)` metres.
    """
    if pixels is None:
        pixels = pixel_grid(*depth.shape[1:])
    y = (pixels[..., 1] - _entry(intrinsics, 1, 2)) / _entry(intrinsics, 1, 1)
    x = (pixels[..., 0] - _entry(intrinsics, 0, 2) - _entry(intrinsics, 0, 1) * y) / _entry(intrinsics, 0, 0)
    return jnp.stack([x * depth, y * depth, depth], -1)


def move(points: Float[Array, "b h w 3"], motion: Float[Array, "b 4 4"]) -> Float[Array, "b h w 3"]:
    """Points in the coordinates of another camera: R x + t."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    rows = [
        _entry(motion, i, 0) * x + _entry(motion, i, 1) * y + _entry(motion, i, 2) * z + _entry(motion, i, 3)
        for i in range(3)
    ]
    return jnp.stack(rows, -1)


def project(points: Float[Array, "b h w 3"], intrinsics: Float[Array, "b 3 3"]) -> Projection:
    """Where a camera sees points that are given in its coordinates."""
    z = points[..., 2]
    x, y = points[..., 0] / z, points[..., 1] / z
    u = _entry(intrinsics, 0, 0) * x + _entry(intrinsics, 0, 1) * y + _entry(intrinsics, 0, 2)
    v = _entry(intrinsics, 1, 1) * y + _entry(intrinsics, 1, 2)
    return Projection(jnp.stack([u, v], -1), z)


def reproject(
    depth: Float[Array, "b h w"], motion: Float[Array, "b 4 4"], intrinsics: Float[Array, "b 3 3"]
) -> Projection:
    """Where the pixels of a depth map lie in another view.

    Args:
        depth: `(B, H, W)` metres.
        motion: takes points from this camera's coordinates to the other's.
        intrinsics: of both.

    Returns:
        For each pixel of `depth` its place and its depth in the other view.
    """
    return project(move(unproject(depth, intrinsics), motion), intrinsics)


def rigid_flow(
    depth: Float[Array, "b h w"], motion: Float[Array, "b 4 4"], intrinsics: Float[Array, "b 3 3"]
) -> Float[Array, "b h w 2"]:
    """Optical flow that the camera's motion makes; exact where nothing else moves.

    Args:
        depth: `(B, H, W)` metres.
        motion: takes points from this camera's coordinates to the other's.
        intrinsics: of both.

    Returns:
        `(B, H, W, 2)` pixels: the pixel at p is at p + flow in the other view. NaN where `depth` is not above 0, or
        the point is behind the other camera.
    """
    there = reproject(depth, motion, intrinsics)
    height, width = depth.shape[1:]
    seen = (depth > 0) & (there.depth > 0)
    return jnp.where(seen[..., None], there.pixels - pixel_grid(height, width), jnp.nan)


def landing(projection: Projection) -> Int[Array, "b h w"]:
    """The pixel that each point falls on, rounded to the nearest (halves to the even one).

    Returns:
        `(B, H, W)` positions in the flattened `B · H · W` picture; `B · H · W`, which is outside, for points outside
        the frame, behind the camera or not finite.
    """
    batch, height, width = projection.depth.shape
    u, v = jnp.round(projection.pixels[..., 0]), jnp.round(projection.pixels[..., 1])
    # Compared as floats: converting huge ones or NaN to integers is undefined.
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height) & (projection.depth > 0) & jnp.isfinite(projection.depth)
    first = jnp.arange(batch)[:, None, None] * (height * width)
    position = first + jnp.where(inside, v * width + u, 0).astype(int)
    return jnp.where(inside, position, batch * height * width)


def splat_nearest(depth: Float[Array, "b h w"], target: Int[Array, "b h w"]) -> Float[Array, "b h w"]:
    """Forward-warps with a z-buffer: of the points that fall on a pixel the nearest counts.

    Args:
        depth: of the points in the view they fall into, metres.
        target: where they fall, of `landing`.

    Returns:
        The depth map of that view, 0 where no point falls.
    """
    empty = jnp.full(depth.size, jnp.inf, depth.dtype)
    nearest = empty.at[target.ravel()].min(depth.ravel(), mode="drop")
    return jnp.where(jnp.isinf(nearest), 0.0, nearest).reshape(depth.shape)


def splat_last(depth: Float[Array, "b h w"], target: Int[Array, "b h w"]) -> Float[Array, "b h w"]:
    """Forward-warps without a z-buffer: of the points that fall on a pixel the last in reading order counts.

    That is what assigning to a tensor at repeated indices does on a CPU; said outright, it is the same on any device.

    Args:
        depth: of the points in the view they fall into, metres.
        target: where they fall, of `landing`.

    Returns:
        The depth map of that view, 0 where no point falls.
    """
    order = jnp.arange(depth.size)
    last = jnp.full(depth.size, -1).at[target.ravel()].max(order, mode="drop")
    return jnp.where(last < 0, 0.0, depth.ravel()[last]).reshape(depth.shape)


def sample(
    values: Float[Array, "b h w c"], pixels: Float[Array, "b h w 2"]
) -> tuple[Float[Array, "b h w c"], Bool[Array, "b h w"]]:
    """Bilinear interpolation.

    Args:
        values: what to look up.
        pixels: `(B, H, W, 2)` (u, v) in `values`.

    Returns:
        `(B, H, W, C)` the values there, and `(B, H, W)` whether the place is inside the picture, which ends half a
        pixel beyond the outer centres; that last half holds the outer centres' values. Outside, and where `pixels`
        is not finite, the values are 0. A non-finite neighbour of weight 0 does no harm.
    """
    batch, height, width, channels = values.shape
    u, v = pixels[..., 0], pixels[..., 1]
    # Ending at the centres would let rounding decide over the border of a camera at rest.
    inside = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
    u, v = jnp.clip(jnp.where(inside, u, 0.0), 0, width - 1), jnp.clip(jnp.where(inside, v, 0.0), 0, height - 1)
    left, top = jnp.floor(u), jnp.floor(v)
    across, down = u - left, v - top
    first = jnp.arange(batch)[:, None, None] * height
    corner = (first + top.astype(int)) * width + left.astype(int)
    right, below = (left + 1 < width).astype(int), (top + 1 < height) * width
    # Channel by channel: XLA on a CPU computes positions anew for every number of a row that it gathers.
    planes = []
    for c in range(channels):
        plane = values[..., c].ravel()

        def weighted(place, weight, plane=plane):
            return jnp.where(weight > 0, plane[place] * weight, 0.0)

        mixed = (
            weighted(corner, (1 - across) * (1 - down))
            + weighted(corner + right, across * (1 - down))
            + weighted(corner + below, (1 - across) * down)
            + weighted(corner + right + below, across * down)
        )
        planes.append(jnp.where(inside, mixed, 0.0))
    return jnp.stack(planes, -1), inside


def _entry(matrix: Float[Array, "b n m"], row: int, column: int) -> Float[Array, "b 1 1"]:
    return matrix[:, row, column, None, None]
