"""Phase correlation on `jnp.fft`: how far the picture moved, and how sure that is.

Two forms. The paper's is `cv2.phaseCorrelate` as it stands (Stone et al.'s 5×5 centroid, no window, zero
padding to the next fast size). The default applies a Hann window, without which the borders of a frame
(which do not move) pull the estimate to zero, and leaves it to the caller to weigh a shift by its response.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Shaped

# ITU-R BT.601 luma, the grey of OpenCV and of the paper.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CENTROID = 5  # side of the neighbourhood of the peak, cv2.phaseCorrelate's


class Shift(NamedTuple):
    """Translation of the picture from the previous frame to the current one.

    Attributes:
        dx: `(B,)` pixels, positive where the picture moved right.
        dy: `(B,)` pixels, positive where it moved down.
        response: `(B,)`, share of the correlation's energy at the peak: near 1 for a pure translation,
            below about 0.05 where there is no match.
    """

    dx: Float[Array, "*b"]
    dy: Float[Array, "*b"]
    response: Float[Array, "*b"]


def grey(images: Shaped[Array | np.ndarray, "*b h w 3"]) -> Float[Array, "*b h w"]:
    """Rec. 601 luma: `(..., H, W, 3)` RGB in 0..255 to `(..., H, W)` float32."""
    return jnp.dot(jnp.asarray(images, jnp.float32), _LUMA, precision="highest")


def spectrum(frames: Float[Array, "b h w"], window: bool = True) -> Complex[Array, "b f g"]:
    """Half spectrum of grey frames: what the streaming step keeps of a frame, so each is transformed once.

    Args:
        frames: `(B, H, W)` grey.
        window: apply a Hann window; without, pad with zeros to OpenCV's fast sizes as the paper does.

    Returns:
        `(B, H', W'/2+1)` complex64.
    """
    height, width = frames.shape[1:]
    if window:
        # The mean is all window once windowed: without it the window itself would correlate, at shift zero.
        frames = frames - frames.mean((1, 2), keepdims=True)
        frames = frames * _hann(height)[:, None] * _hann(width)
    return jnp.fft.rfft2(frames, s=transform_size((height, width), window))


def correlate(previous: Complex[Array, "b f g"], current: Complex[Array, "b f g"], size: tuple[int, int]) -> Shift:
    """Shift between two half spectra from `spectrum`, with the full transform size `size`.

    Source: `cv2.phaseCorrelate` (OpenCV imgproc, phasecorr.cpp).
    """
    height, width = size
    cross = jnp.conj(previous) * current
    # A spectrum that is zero (a black frame) has no phase: it contributes nothing rather than NaN.
    cross = cross / jnp.maximum(jnp.abs(cross), jnp.finfo(jnp.float32).tiny * 1e6)
    surface = jnp.fft.fftshift(jnp.fft.irfft2(cross, s=size), (1, 2))
    peak = jnp.argmax(surface.reshape(surface.shape[0], -1), axis=1)
    row, column = peak // width, peak % width

    # Centroid of the 5×5 around the peak, cut at the border of the surface as OpenCV cuts it.
    reach = jnp.arange(_CENTROID) - _CENTROID // 2
    rows, columns = row[:, None] + reach, column[:, None] + reach
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    batch = jnp.arange(surface.shape[0])[:, None, None]
    near = surface[batch, rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None]]
    near = jnp.where(inside, near, 0.0)
    response = near.sum((1, 2))
    found = response > jnp.finfo(jnp.float32).eps
    scale = jnp.where(found, 1 / jnp.where(found, response, 1.0), 0.0)
    dx = (near.sum(1) * reach).sum(1) * scale + column - width // 2
    dy = (near.sum(2) * reach).sum(1) * scale + row - height // 2
    return Shift(jnp.where(found, dx, 0.0), jnp.where(found, dy, 0.0), response)


def phase_correlation(previous: Array | np.ndarray, current: Array | np.ndarray, window: bool = True) -> Shift:
    """Translation between pairs of grey frames.

    Args:
        previous: `(B, H, W)` grey frames, any real dtype.
        current: `(B, H, W)`, the frames after them.
        window: the default form with a Hann window; False for the paper's, which agrees with
            `cv2.phaseCorrelate(previous, current)` within 0.02 px (less the half pixel that OpenCV adds
            along a side whose padded length is odd: identical frames do not move here).

    Returns:
        `Shift`, pixels; 0 with response 0 where a frame is flat and nothing can be matched.

    Raises:
        ValueError: the frames differ in shape or are not `(B, H, W)` with sides of at least 2 pixels.
    """
    if previous.shape != current.shape or previous.ndim != 3 or min(previous.shape[1:]) < 2:
        raise ValueError(
            "phase correlation takes two (B, H, W) grey stacks of one shape, at least 2×2 pixels; "
            f"got {previous.shape} and {current.shape}"
        )
    return _phase_correlation(jnp.asarray(previous), jnp.asarray(current), window)


@jax.jit(static_argnums=2)
def _phase_correlation(previous: Array, current: Array, window: bool) -> Shift:
    spectra = [spectrum(frames.astype(jnp.float32), window) for frames in (previous, current)]
    return correlate(*spectra, transform_size(previous.shape[1:], window))


def _hann(n: int) -> np.ndarray:
    # `cv2.createHanningWindow`: zero at both ends.
    return np.hanning(n).astype(np.float32)


def transform_size(size: tuple[int, int], window: bool) -> tuple[int, int]:
    """Size of the transform for frames of `size`: their own, or OpenCV's next product of 2, 3 and 5."""
    return tuple(size) if window else tuple(_next_fast(n) for n in size)


def _next_fast(n: int) -> int:
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
