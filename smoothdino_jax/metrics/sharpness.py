"""Whether depth jumps where the truth jumps, and how steep it is.

Smoothing over time can lower the MSE by washing out the outlines of things. These metrics show it.

An edge is a pair of neighbouring pixels of which one is more than 5 % farther than the other: the relation of Depth Pro
(Bochkovskii et al., "Depth Pro: Sharp Monocular Metric Depth in Less Than a Second", 2024) at the smallest of its
thresholds. The other usual definition is a Sobel gradient above 0.25, 0.5 or 1 in metres (Hu et al., "Revisiting Single
Image Depth Estimation", 2019). A ratio suits metric depth with holes better:

* It doesn't change with the scale of a prediction, so sharpness is measured apart from scale.
* Floors seen at a flat angle and the noise of a sensor grow with the distance, up to Hu's thresholds.
* A pair needs two readings where Sobel needs nine, and sensors have their holes along the outlines.

Depth Pro averages thresholds from 5 to 25 %. Here the smallest stands alone because predictions spread a jump over
several pixels: a sensor's depth map blurred by a Gaussian of σ = 4 pixels has no pair above 10 % left.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.masks import nan_where_broken

RATIO = 1.05
"""At an edge, one of two neighbouring pixels is more than this many times farther than the other."""

_EDGE = "An edge is where neighbouring depths differ by more than 5 % (Depth Pro's relation); 1 pixel off still counts."

DEFINITIONS = {
    "edge_precision": Definition(
        "edge precision", "", "higher", f"Share of the predicted edges that the truth has too. {_EDGE}"
    ),
    "edge_recall": Definition("edge recall", "", "higher", f"Share of the truth's edges that are predicted. {_EDGE}"),
    "edge_f1": Definition("edge F1", "", "higher", "Harmonic mean of a frame's edge precision and edge recall."),
    "gradient_error": Definition(
        "gradient error",
        "m/px",
        "lower",
        "Mean |error| of the difference between neighbouring pixels (ours, after MegaDepth's loss, Li & Snavely 2018).",
    ),
}

_LEAST = 1e-3  # metres, for predictions


def sharpness_metrics(prediction: Float[Array, "b h w"], truth: Float[Array, "b h w"]) -> dict[str, Float[Array, "b"]]:
    """Sharpness of each frame.

    A predicted edge matches one of the truth that has the same direction (right or down), the same side in front, and
    lies at most 1 pixel away, diagonally too: depth and colour of a sensor are not aligned better than that. Edges of
    all directions are counted together.

    * `edge_recall` = share of the truth's edges, both of whose pixels have a reading, that some predicted edge
      matches, be it in a hole of the truth; NaN where there are none
    * `edge_precision` = share of the predicted edges that match one of the truth. Only those are counted where the
      truth is known at all pairs within 1 pixel, as the edge that would match could hide in a hole; NaN where there
      are none
    * `edge_f1` = 2 P R / (P + R); 0 where none of the truth's edges was found, NaN where it has none
    * `gradient_error` = mean |∇p - ∇t| with ∇ the difference between two neighbours, m per pixel, over all pairs to
      the right and down with two readings; NaN where there are none. Ours: the gradient matching term of MegaDepth
      (Li & Snavely, "MegaDepth: Learning Single-View Depth Prediction from Internet Photos", 2018) at its finest scale
      alone, and of depth where theirs is of log depth, so that it is in metres

    A pixel is one of the given maps: compare values of one size only. All are NaN where the prediction is not finite at
    a valid pixel; what is predicted below 1 mm counts as 1 mm in ratios.

    Args:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
    """
    valid = truth > 0
    known = _known(valid, beyond=False)
    hidden = ~_known(valid, beyond=True)  # outside of the picture nothing hides
    true, predicted = _edges(truth) & known, _edges(prediction)
    judged = predicted & known & ~_spread(hidden)

    # 0 / 0 gives the NaN.
    recall = _count(true & _spread(predicted)) / _count(true)
    precision = _count(judged & _spread(true)) / _count(judged)
    metrics = {
        "edge_precision": precision,
        "edge_recall": recall,
        "edge_f1": jnp.where(recall == 0, 0.0, 2 * precision * recall / (precision + recall)),
        "gradient_error": _gradient_error(jnp.where(valid, prediction - truth, 0.0), valid),
    }
    return nan_where_broken(metrics, prediction, truth)


def _gradient_error(error: Float[Array, "b h w"], valid: Bool[Array, "b h w"]) -> Float[Array, "b"]:
    total, pairs = 0.0, 0
    for neighbour in (_right, _below):
        both = valid & neighbour(valid, False)
        total += jnp.where(both, jnp.abs(neighbour(error, 0.0) - error), 0.0).sum((1, 2))
        pairs += both.sum((1, 2))
    return total / pairs


# A pixel has up to four edges: its right neighbour is farther or nearer, its lower neighbour is. Each is a bit of a
# byte, so that all four are compared, spread and counted at once.


def _edges(depth: Float[Array, "b h w"]) -> UInt8[Array, "b h w"]:
    # A comparison with NaN is False: no edges where the prediction is broken or the picture ends.
    depth = jnp.where(jnp.isfinite(depth), jnp.maximum(depth, _LEAST), jnp.nan)
    right, below = _right(depth, jnp.nan), _below(depth, jnp.nan)
    relations = (right > RATIO * depth, depth > RATIO * right, below > RATIO * depth, depth > RATIO * below)
    return sum(relation.astype(jnp.uint8) << k for k, relation in enumerate(relations))


def _known(valid: Bool[Array, "b h w"], beyond: bool) -> UInt8[Array, "b h w"]:
    """Bits of the relations to neighbours with a reading; `beyond` is what pixels outside of the picture have."""
    right, below = valid & _right(valid, beyond), valid & _below(valid, beyond)
    return 0b0011 * right.astype(jnp.uint8) | 0b1100 * below.astype(jnp.uint8)


def _spread(bits: UInt8[Array, "b h w"]) -> UInt8[Array, "b h w"]:
    """Each pixel's bits and those of its eight neighbours."""
    bits = bits | _right(bits, 0) | _shifted(bits, 2, -1, 0)
    return bits | _below(bits, 0) | _shifted(bits, 1, -1, 0)


def _count(bits: UInt8[Array, "b h w"]) -> Int[Array, "b"]:
    return lax.population_count(bits).sum((1, 2), dtype=jnp.int32)


def _right(values: Shaped[Array, "b h w"], beyond) -> Shaped[Array, "b h w"]:
    """What each pixel's right neighbour holds."""
    return _shifted(values, 2, 1, beyond)


def _below(values: Shaped[Array, "b h w"], beyond) -> Shaped[Array, "b h w"]:
    """What each pixel's lower neighbour holds."""
    return _shifted(values, 1, 1, beyond)


def _shifted(values: Shaped[Array, "b h w"], axis: int, by: int, beyond) -> Shaped[Array, "b h w"]:
    """What the pixel `by` (1 or -1) steps further along `axis` holds; `beyond` where that is outside."""
    padding = [(0, 0, 0)] * values.ndim
    padding[axis] = (-1, 1, 0) if by > 0 else (1, -1, 0)
    return lax.pad(values, jnp.asarray(beyond, values.dtype), padding)
