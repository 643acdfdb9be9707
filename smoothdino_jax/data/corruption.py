"""What a cheap hand-held camera does to a picture: exposure, colour, blur, glare and noise, in JAX.

Noise is correlated over several scales on purpose: white noise alone averages out within a
transformer's patch, and a network that sees one frame would hardly be hurt by it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

MAX_BLOBS = 3
_TAPS = 7
_BLOTCHES = (5, 14)  # cells across the picture, one for each scale
MAX_BLUR = 16  # pixels to each side of the centre


class Corruption(NamedTuple):
    """One frame's corruptions; with `amount` 0 and the rest neutral the picture is clean.

    Attributes:
        key: `(2,)` uint32, seed of the noise.
        gain: `(3,)` exposure and white balance, factors on linear RGB.
        blur: `(2,)` motion during the exposure in pixels, x and y.
        noise: `(3,)` standard deviations in grey levels: read noise, shot noise at full white,
            blotches.
        blobs: `(MAX_BLOBS, 4)` glare: x, y and radius relative to the width, strength.
        vignette: `()` how much the corners darken, 0..1.
    """

    key: Array
    gain: Array
    blur: Array
    noise: Array
    blobs: Array
    vignette: Array


def _normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Nearly normal numbers of variance 1 (the sum of a word's four bytes), cheaper than exact ones."""
    bits = jax.random.bits(key, shape, jnp.uint32)
    pairs = (bits & 0x00FF00FF) + ((bits >> 8) & 0x00FF00FF)
    total = ((pairs & 0xFFFF) + (pairs >> 16)).astype(jnp.int32)
    return (total - 510).astype(jnp.float32) * (1 / 147.8)


def _blurred(plane: Array, blur: Array) -> Array:
    """Mean over the motion's path, edges repeated."""
    height, width = plane.shape
    padded = jnp.pad(plane, MAX_BLUR, mode="edge")
    total = 0.0
    for tap in range(_TAPS):
        offset = jnp.round(blur * (tap / (_TAPS - 1) - 0.5)).astype(jnp.int32)
        offset = jnp.clip(offset, -MAX_BLUR, MAX_BLUR) + MAX_BLUR
        total = total + jax.lax.dynamic_slice(padded, (offset[1], offset[0]), (height, width))
    return total / _TAPS


def _spread(cells: int, pixels: int) -> np.ndarray:
    """`(pixels, cells)` weights of linear interpolation, scaled so that variance is kept on average."""
    at = (np.arange(pixels) + 0.5) / pixels * (cells - 1)
    weights = np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def _blotches(normal: Array, height: int, width: int) -> Array:
    """Low-frequency noise of variance 1, mostly grey with some colour, `(3, H, W)`.

    Args:
        normal: `(4, rows, columns)` normal numbers: red, green, blue and grey.
        height: of the picture.
        width: of the picture.
    """
    grid = 0.4 * normal[:3] + 0.9165 * normal[3:]
    down, across = _spread(normal.shape[1], height), _spread(normal.shape[2], width)
    return jnp.einsum("hi,cij,wj->chw", down, grid, across, precision="highest")


@jax.jit
def _exposed(linear: list[Array], corruption: Corruption) -> list[Array]:
    """Exposure, blur, vignetting, glare and the tone curve: linear RGB -> grey levels, unclipped."""
    height, width = linear[0].shape
    x = ((jnp.arange(width) + 0.5) / width)[None, :]
    y = ((jnp.arange(height) + 0.5) / width)[:, None]
    radius = (x - 0.5) ** 2 + (y - 0.5 * height / width) ** 2
    glare = 0.0
    for k in range(MAX_BLOBS):
        bx, by, size, strength = corruption.blobs[k]
        across = jnp.exp(-(((x - bx) / size) ** 2))
        glare = glare + strength * across * jnp.exp(-(((y - by) / size) ** 2))
    factor = jnp.exp(glare) * (1 - corruption.vignette * 2.0 * radius)
    veil = 0.15 * jnp.maximum(glare, 0.0)
    planes = []
    for i in range(3):
        light = _blurred(linear[i] * corruption.gain[i], corruption.blur) * factor + veil
        mapped = 1.25 * light / (1 + 0.25 * light)
        planes.append(255.0 * jnp.sqrt(jnp.clip(mapped, 0.0, 1.0)))  # gamma 2, near sRGB's
    return planes


@jax.jit
def _noisy(grey: list[Array], corruption: Corruption) -> Array:
    """Adds noise and quantises to `(H, W, 3)` uint8."""
    height, width = grey[0].shape
    grids = [(max(2, round(n * height / width)) + 1, n + 1) for n in _BLOTCHES]
    counts = [4 * rows * columns for rows, columns in grids]
    normal = _normal(corruption.key, (3 * height * width + sum(counts),))
    white = normal[: 3 * height * width].reshape(3, height, width)
    start, blotches = 3 * height * width, 0.0
    for count, grid in zip(counts, grids, strict=True):
        some = normal[start : start + count].reshape(4, *grid)
        blotches = blotches + len(grids) ** -0.5 * _blotches(some, height, width)
        start += count
    read, shot, blotch = corruption.noise
    planes = []
    for i in range(3):
        sigma = jnp.sqrt(read**2 + shot**2 * grey[i] / 255.0)
        value = grey[i] + sigma * white[i] + blotch * blotches[i]
        planes.append(jnp.clip(jnp.round(value), 0.0, 255.0).astype(jnp.uint8))
    return jnp.stack(planes, -1)


def corrupt(linear: list[Array], corruption: Corruption) -> Array:
    """Exposes, blurs, tone-maps, adds noise and quantises.

    Args:
        linear: red, green and blue, `(H, W)` each, linear, 1.0 about the brightest diffuse white.
        corruption: this frame's values.

    Returns:
        `(H, W, 3)` uint8 RGB.
    """
    return _noisy(_exposed(linear, corruption), corruption)
