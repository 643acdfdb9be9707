"""Which pixels are measured, and means over them.

Truth of 0 means "no reading", and what is compared with the truth is so at pixels with a truth above 0 alone. So a
depth range and a crop are applied once, by setting the truth to 0 outside of them, and no metric needs to know of
either. What compares predictions with each other (`tae_vda`, `consistency_...`) looks at whole frames.
"""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

CROPS = ("none", "eigen")

# Rows and columns of Eigen's crop in an image of NYU's size; the ends are not included.
_NYU_SIZE = (480, 640)
_EIGEN_ROWS, _EIGEN_COLUMNS = (45, 471), (41, 601)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Which pixels of the truth count, and to which range predictions are brought.

    Both ends of the range are left out, `min_depth < truth < max_depth`, as in the evaluations of BTS, AdaBins, DPT
    and the Monocular-Depth-Estimation-Toolbox (whose protocol DINOv2's published numbers follow). It matters where
    depth is stored up to a largest value, as in 8-bit files with 255 = 10 m: a pixel at the limit only says "at least
    this far".

    The Eigen crop (rows 45 to 470, columns 41 to 600 of 480×640; Eigen et al. 2014) leaves out the border where NYU's
    projected depth has no readings. At other sizes its edges are scaled with the image and rounded, halves up.

    Attributes:
        min_depth: metres; 0 for no limit.
        max_depth: metres; infinity for no limit.
        crop: one of `CROPS`.

    Raises:
        ValueError: an unknown crop, or a range that is empty or negative.
    """

    min_depth: float = 0.0
    max_depth: float = math.inf
    crop: str = "none"

    def __post_init__(self):
        if self.crop not in CROPS:
            raise ValueError(f"unknown crop {self.crop!r}: there are {', '.join(CROPS)}")
        if not 0 <= self.min_depth < self.max_depth:  # NaN fails too
            raise ValueError(
                f"no depth is between {self.min_depth} and {self.max_depth} m: "
                "min_depth must be 0 or more, and below max_depth"
            )

    def restrict(self, truth: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
        """The truth with 0 wherever it doesn't count: outside the range and the crop, and where it is not a number.

        Args:
            truth: `(B, H, W)` metres, 0 where there is no reading.
        """
        counts = (truth > self.min_depth) & (truth < self.max_depth)
        if self.crop == "eigen":
            counts &= _eigen(*truth.shape[1:])
        return jnp.where(counts, truth, 0.0)

    def clamp(self, prediction: Float[Array, "*rows h w"]) -> Float[Array, "*rows h w"]:
        """Predictions brought into the range, as those evaluations do; an end without a limit changes nothing.

        NaN and infinity stay what they are, so that the metrics still show them.

        Args:
            prediction: `(..., H, W)` metres.
        """
        low = self.min_depth if self.min_depth > 0 else None
        high = self.max_depth if self.max_depth < math.inf else None
        return jnp.where(jnp.isfinite(prediction), jnp.clip(prediction, low, high), prediction)


NYU = Protocol(1e-3, 10.0, "eigen")
"""The customary protocol of NYU Depth v2's 654 test images, on which published numbers are computed.

Metrics are averaged per image there: the RMSE of the set is the mean of the images' RMSE.
"""


def _eigen(height: int, width: int) -> Bool[Array, "h w"]:
    def inside(length, edges, full):
        first, end = ((2 * edge * length + full) // (2 * full) for edge in edges)
        place = jnp.arange(length)
        return (place >= first) & (place < end)

    rows = inside(height, _EIGEN_ROWS, _NYU_SIZE[0])
    columns = inside(width, _EIGEN_COLUMNS, _NYU_SIZE[1])
    return rows[:, None] & columns[None, :]


def masked_mean(values: Float[Array, "b h w"], valid: Bool[Array, "b h w"]) -> Float[Array, "b"]:
    """Mean of each frame over its valid pixels; NaN where it has none. What the other pixels hold doesn't matter."""
    # 0 / 0 gives the NaN.
    return jnp.where(valid, values, 0.0).sum((1, 2)) / valid.sum((1, 2))


def nan_where_broken(
    metrics: dict[str, Float[Array, "b"]], prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]
) -> dict[str, Float[Array, "b"]]:
    """The metrics with NaN for each frame whose prediction is NaN or infinite at a valid pixel.

    Not every formula passes a NaN on by itself: a comparison with it is False, and so would look like an answer.
    """
    broken = ((truth > 0) & ~jnp.isfinite(prediction)).any((1, 2))
    return {name: jnp.where(broken, jnp.nan, value) for name, value in metrics.items()}
