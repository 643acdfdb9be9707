"""The resizes of the reference, exactly, and why none of them is `jax.image.resize(x, ..., "cubic")`.

PyTorch has three that matter here, and a port that mixes them up is off by centimetres:

* bilinear, `align_corners=False` (half-pixel centres, no antialiasing): what `jax.image.resize` calls
  "linear" with `antialias=False`;
* bilinear ×2, `align_corners=True` (corner pixels stay put): not in JAX, written out below;
* bicubic with a = -0.75 and an explicit scale factor, for the position embedding.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def resize_bilinear(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b H W c"]:
    """Bilinear resize with half-pixel centres, as torch's `interpolate(..., align_corners=False)`.

    Args:
        x: `(B, h, w, C)`.
        size: `(H, W)` of the result.

    Returns:
        `(B, H, W, C)`, the dtype of `x`.
    """
    if x.shape[1:3] == tuple(size):
        return x
    shape = (x.shape[0], *size, x.shape[3])
    return jax.image.resize(x, shape, "linear", antialias=False)


def upsample2_bilinear(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Doubles height and width, as torch's `interpolate(scale_factor=2, align_corners=True)`.

    Output sample i lies at i (n-1)/(2n-1) of the input, so an even sample 2k falls between inputs k-1 and
    k, an odd one 2k+1 between k and k+1, with weights linear in k. That makes it two shifted sums per
    axis: no gather, no dense matrix, and memory speed on every device.

    Args:
        x: `(B, h, w, C)`.

    Returns:
        `(B, 2h, 2w, C)`, the dtype of `x`.
    """
    return _double(_double(x, axis=1), axis=2)


def _double(x: Array, axis: int) -> Array:
    n = x.shape[axis]
    along = [1] * x.ndim
    along[axis] = n
    k = jnp.arange(n, dtype=jnp.float32).reshape(along)
    before = (k / (2 * n - 1)).astype(x.dtype)  # weight of x[k-1] in sample 2k; 0 at k = 0
    after = ((n - 1 - k) / (2 * n - 1)).astype(x.dtype)  # weight of x[k+1] in sample 2k+1; 0 at the end
    first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(x, n - 1, n, axis=axis)
    previous = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    following = jnp.concatenate([jax.lax.slice_in_dim(x, 1, n, axis=axis), last], axis)
    even = x + (previous - x) * before
    odd = x + (following - x) * after
    shape = list(x.shape)
    shape[axis] = 2 * n
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def resize_position_grid(grid: Float[Array, "g g c"], size: tuple[int, int], offset: float) -> Float[Array, "h w c"]:
    """Resizes the learned position grid to another patch grid.

    Meta's hub models pass `interpolate` the scale factors `(h + 0.1) / g` rather than the size, and torch
    then samples with that slightly larger scale; the Hugging Face port asks for the exact size
    (offset 0). The two differ by far more than rounding, so the offset travels with the weights.

    Args:
        grid: `(g, g, C)`, the native grid (37 for the published models).
        size: `(h, w)` patches.
        offset: 0.1 for Meta's weights, 0 for Hugging Face's.

    Returns:
        `(h, w, C)`; the grid itself where the size is the native one.
    """
    if grid.shape[:2] == tuple(size):
        return grid
    scale = jnp.array([(n + offset) / g for n, g in zip(size, grid.shape[:2], strict=True)])
    return jax.image.scale_and_translate(
        grid,
        (*size, grid.shape[2]),
        (0, 1),
        scale,
        jnp.zeros(2),
        method="cubic-pytorch",
        antialias=False,
    )
