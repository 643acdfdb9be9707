"""What is measured on one frame, and on a pair of consecutive ones.

Frames are measured as they are read and then dropped, so that memory doesn't grow with the data; what is kept of
each is a few numbers and two digests. Pairs go to the phase correlation in batches of one shape, so that
it's compiled once per size.
"""

import functools
import hashlib
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from smoothdino_jax.data.frames import Frame
from smoothdino_jax.models.phase_correlation import grey, phase_correlation

# Positive float32 sort like their bits, so the upper bits are a histogram's bin: 10 bits of mantissa, at most
# 0.1 % wide, from the smallest metres to the largest without a range to choose.
_DROPPED_BITS = 13
_BINS = 0x7F800000 >> _DROPPED_BITS
_SUBSET = 20_000  # pixels of a frame that are looked at for distinct values
_BATCH_PIXELS = 2**22  # of one side of a batch of pairs


class FrameFigures(NamedTuple):
    """What is kept of a frame.

    Attributes:
        size: (height, width).
        image: digest of the image.
        depth: digest of the depth.
        valid: number of pixels with a reading.
        low, median, high: of the readings, metres; NaN without any.
        at_high: number of pixels that read exactly `high`.
        has_pose: whether there is a pose.
        intrinsics: (fx, fy, cx, cy), or None.
    """

    size: tuple[int, int]
    image: bytes
    depth: bytes
    valid: int
    low: float
    median: float
    high: float
    at_high: int
    has_pose: bool
    intrinsics: tuple[float, float, float, float] | None


def measure_frame(frame: Frame) -> tuple[FrameFigures, np.ndarray, np.ndarray]:
    """Measures one frame.

    Args:
        frame: any; depth that is not a number or not above 0 counts as no reading.

    Returns:
        The figures, `(bins,)` int64 counts of depth for `quantile`, and the distinct values of a subset of the
        depth, ascending.
    """
    height, width = frame.depth.shape
    step = max(1, math.isqrt(frame.depth.size // _SUBSET))
    subset = frame.depth[::step, ::step]
    values = np.unique(subset[_known(subset)])
    readings = np.asarray(frame.depth[_known(frame.depth)], np.float32)
    counts = np.bincount(readings.view(np.uint32) >> _DROPPED_BITS, minlength=_BINS)
    low, high = (float(readings.min()), float(readings.max())) if len(readings) else (math.nan, math.nan)
    matrix = frame.intrinsics
    figures = FrameFigures(
        size=(height, width),
        image=_digest(frame.image),
        depth=_digest(frame.depth),
        valid=len(readings),
        low=low,
        median=float(np.clip(quantile(counts, 0.5), low, high)),
        high=high,
        at_high=int(np.count_nonzero(readings == high)),
        has_pose=frame.pose is not None,
        intrinsics=None if matrix is None else tuple(float(matrix[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))),
    )
    return figures, counts, values


@functools.cache
def centres() -> np.ndarray:
    """`(bins,)` float32, the middle of each bin in metres; not to be written into."""
    return ((np.arange(_BINS, dtype=np.uint32) << _DROPPED_BITS) + (1 << (_DROPPED_BITS - 1))).view(np.float32)


def quantile(counts: np.ndarray, share: float) -> float:
    """The depth that a share of the readings does not exceed, metres, to 0.05 %; NaN without any."""
    up_to = np.cumsum(counts)
    if not up_to[-1]:
        return math.nan
    return float(centres()[np.searchsorted(up_to, share * up_to[-1])])


class PairFigures(NamedTuple):
    """A frame against the one before it.

    Attributes:
        position: of the later frame.
        dx, dy: shift in pixels.
        response: of the phase correlation.
        difference: mean absolute difference of grey, 0..255.
        width: of the frames, pixels.
    """

    position: int
    dx: float
    dy: float
    response: float
    difference: float
    width: int


class Pairs:
    """Collects pairs and measures them a batch at a time; `results` has all after `flush`."""

    def __init__(self):
        self.results: list[PairFigures] = []
        self._waiting: list[tuple[int, np.ndarray, np.ndarray]] = []

    def add(self, position: int, previous: np.ndarray, current: np.ndarray) -> None:
        """Adds a pair of images, `(H, W, 3)` uint8 each, of one shape."""
        if self._waiting and self._waiting[0][1].shape != current.shape:
            self.flush()
        self._waiting.append((position, previous, current))
        if len(self._waiting) == _batch_size(current):
            self.flush()

    def flush(self) -> None:
        """Measures the pairs that wait."""
        if not self._waiting:
            return
        positions, previous, current = zip(*self._waiting, strict=True)
        spare = _batch_size(current[0]) - len(positions)
        stacks = [np.stack([*images, *[images[-1]] * spare]) for images in (previous, current)]
        rows = np.stack(_compare(*stacks), axis=-1)[: len(positions)]
        width = current[0].shape[1]
        self.results += [
            PairFigures(position, *map(float, row), width) for position, row in zip(positions, rows, strict=True)
        ]
        self._waiting = []


def _batch_size(image: np.ndarray) -> int:
    return int(np.clip(_BATCH_PIXELS // (image.shape[0] * image.shape[1]), 1, 16))


@jax.jit
def _compare(previous: jax.Array, current: jax.Array) -> tuple[jax.Array, ...]:
    before, after = grey(previous), grey(current)
    return *phase_correlation(before, after), jnp.abs(after - before).mean((1, 2))


def _digest(pixels: np.ndarray) -> bytes:
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels))
    return digest.digest()


def _known(depth: np.ndarray) -> np.ndarray:
    return np.isfinite(depth) & (depth > 0)
