"""Temporal metrics of video depth: how well the depth of one frame fits the next.

Three questions. Does the prediction change as the truth does, pixel by pixel (`flicker`)? Do two predicted depth maps
describe the same surfaces, once the camera's motion is accounted for (`tae_vda`, `tae_zbuffer`, `consistency_px`,
`consistency_share`)? Does depth stay put along the optical flow (`opw_fmnet`, `opw_nvds`, of `flow_warping.py`)?

All but flicker need poses and take the scene to be static: whatever moves by itself counts as an error.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from smoothdino_jax.metrics import flow_warping
from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.geometry import (
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
from smoothdino_jax.metrics.masks import masked_mean
from smoothdino_jax.metrics.views import Pair, View

DEFINITIONS = {
    "flicker": Definition(
        "flicker",
        "m",
        "lower",
        "Mean absolute difference, pixel by pixel, between the change of the prediction from the frame before and the "
        "change of the truth (ours); needs neither flow nor poses.",
    ),
    "tae_vda": Definition(
        "TAE",
        "",
        "lower",
        "Temporal alignment error of Video Depth Anything (Chen et al. 2025): each predicted depth map moved into the "
        "other frame by the true pose, AbsRel to the depth predicted there, both directions averaged; without a "
        "z-buffer, as their code has it (which reports it times 100).",
    ),
    "tae_zbuffer": Definition(
        "TAE, z-buffer",
        "",
        "lower",
        "Temporal alignment error in which the nearest surface hides the others, at the pixels with a reading.",
    ),
    **flow_warping.DEFINITIONS,
    "consistency_px": Definition(
        "reprojection",
        "px",
        "lower",
        "Mean distance by which a pixel misses itself when it goes to the frame before by its own predicted depth and "
        "comes back by the depth predicted there (the test of MVSNet, Yao et al. 2018, §4.2); at most 10 each.",
    ),
    "consistency_share": Definition(
        "consistent",
        "",
        "higher",
        "Share of pixels that come back from the frame before within 1 pixel and 1 % of their depth: two-view "
        "consistent in MVSNet's sense (Yao et al. 2018, §4.2).",
    ),
}

_FARTHEST = 10.0  # pixels; a point just in front of the other camera would else decide the mean alone


def temporal_metrics(pair: Pair) -> dict[str, Float[Array, "b"]]:
    """All temporal metrics of one pair of frames: those of `DEFINITIONS`.

    OPW gets the flow that the truth's depth and the pose make, `rigid_flow`: exact where the scene is static.

    Args:
        pair: the two frames of each stream.

    Returns:
        Name -> `(B,)`; NaN where the pair lacks what the metric needs (poses and intrinsics for all but `flicker`,
        truth for all but `tae_vda` and `consistency_...`), where no pixel can be compared, or where a prediction is
        not finite.
    """
    flow = rigid_flow(pair.current.truth, invert_motion(pair.motion), pair.intrinsics)
    values = flicker(pair) | temporal_alignment(pair) | consistency(pair)
    values |= flow_warping.opw(pair.previous, pair.current, flow)
    return {name: values[name] for name in DEFINITIONS}


def flicker(pair: Pair) -> dict[str, Float[Array, "b"]]:
    """Mean of |(p_t - p_{t-1}) - (d_t - d_{t-1})| over the pixels with a reading in both frames, metres.

    p is the prediction, d the truth. Ours: the error of the temporal derivative that video matting measures by its root
    mean square (dtSSD; Erofeev et al., "Perceptually Motivated Benchmark for Video Matting", 2015), here with absolute
    values, so that it is in metres and few pixels don't decide it. A constant error costs nothing, and neither does an
    error that stays where it is in the picture; what a still viewer sees flicker does.

    Args:
        pair: the two frames of each stream; motion and intrinsics aren't used.

    Returns:
        "flicker": `(B,)`; NaN where no pixel has two readings, or the prediction at one of them is not finite.
    """
    before, now = pair.previous, pair.current
    both = (before.truth > 0) & (now.truth > 0)
    change = (now.prediction - before.prediction) - (now.truth - before.truth)
    value = masked_mean(jnp.abs(change), both)
    return {"flicker": jnp.where(jnp.isfinite(value), value, jnp.nan)}


def temporal_alignment(pair: Pair) -> dict[str, Float[Array, "b"]]:
    """Temporal alignment error (TAE), as published and with a z-buffer.

    A predicted depth map is unprojected, moved by the true pose, and projected into the other frame, each point to
    the nearest pixel; there it is compared with the depth predicted for that frame, mean |p - moved| / p. The value
    is the mean of both directions.

    `tae_vda` is that of Video Depth Anything (arXiv 2501.12375, `tae_torch` and `eval_TAE` in
    `benchmark/eval/eval_tae.py`) for one pair. The same as there: rounding to the nearest even pixel, no z-buffer
    (of the points on one pixel the last in reading order stays), the relative error's denominator, no truth and no
    mask (their ScanNet setting), all pixels with depth above 0 in both maps. Different:

    * No scale and shift are fitted and nothing is clipped to a range: predictions are metres.
    * Relative, and one pair; they report the mean over pairs times 100.
    * They cut 8 rows and 11 columns off each side of the depth maps but keep the intrinsics of the whole picture;
      here the pair's intrinsics belong to its maps. `crop_intrinsics(k, -8, -11)` makes their mistake.
    * NaN where no pixel can be compared; they count 0. Points behind the camera never hide others.

    `tae_zbuffer` keeps the nearest of the points on one pixel, so what the other view can't see is not compared with
    what hides it, and looks at target pixels with a reading (so crop and depth range of the evaluation hold); source
    pixels all take part, since they may hide others. Coming closer, the splat of a near surface tears and what is
    behind shines through, and points land up to half a pixel off, so the truth itself scores a little above 0.

    Args:
        pair: the two frames of each stream.

    Returns:
        "tae_vda" and "tae_zbuffer", each `(B,)`; NaN where pose or intrinsics are unknown, no pixel can be compared
        in one of the directions, or a prediction is not finite anywhere.
    """
    forth = _alignment(pair.previous, pair.current, pair.motion, pair.intrinsics)
    back = _alignment(pair.current, pair.previous, invert_motion(pair.motion), pair.intrinsics)
    finite = _finite(pair)
    return {name: jnp.where(finite, (forth[name] + back[name]) / 2, jnp.nan) for name in forth}


def consistency(pair: Pair) -> dict[str, Float[Array, "b"]]:
    """Self-consistency of two predictions by a round trip; needs poses but no truth.

    A pixel of the current frame goes to the previous one by its predicted depth, and from the place where it arrives
    back by the depth predicted there (bilinear): MVSNet's geometric check of depth maps (Yao et al., "MVSNet", 2018,
    §4.2), which keeps a pixel that returns within 1 pixel and 1 % of its depth. A prediction that is wrong in the
    same way in both frames may be consistent.

    Args:
        pair: the two frames of each stream; truth and pictures aren't used.

    Returns:
        "consistency_px", the mean distance in pixels, each taken as at most 10, and "consistency_share", the share
        of pixels that pass, over the pixels that arrive inside the previous frame, hidden there or not; each `(B,)`.
        NaN where pose or intrinsics are unknown, no pixel arrives, or a prediction is not finite anywhere.
    """
    depth = pair.current.prediction
    there = reproject(depth, invert_motion(pair.motion), pair.intrinsics)
    sampled, inside = sample(pair.previous.prediction[..., None], there.pixels)
    found = unproject(sampled[..., 0], pair.intrinsics, there.pixels)
    home = project(move(found, pair.motion), pair.intrinsics)
    missed = home.pixels - pixel_grid(*depth.shape[1:])
    distance = jnp.where(home.depth > 0, jnp.hypot(missed[..., 0], missed[..., 1]), jnp.inf)
    passed = (distance < 1) & (jnp.abs(home.depth - depth) < 0.01 * depth)
    compared = inside & (there.depth > 0) & (depth > 0)
    values = {
        "consistency_px": masked_mean(jnp.minimum(distance, _FARTHEST), compared),
        "consistency_share": masked_mean(passed.astype(jnp.float32), compared),
    }
    finite = _finite(pair)
    return {name: jnp.where(finite, value, jnp.nan) for name, value in values.items()}


def _alignment(
    source: View, target: View, motion: Float[Array, "b 4 4"], intrinsics: Float[Array, "b 3 3"]
) -> dict[str, Float[Array, "b"]]:
    """One direction of both kinds of TAE."""
    there = reproject(source.prediction, motion, intrinsics)
    pixel = landing(there)
    predicted = target.prediction

    def abs_rel(moved, mask):
        compared = (moved > 0) & (predicted > 0) & mask
        return masked_mean(jnp.abs(predicted - moved) / jnp.where(compared, predicted, 1.0), compared)

    return {
        "tae_vda": abs_rel(splat_last(there.depth, pixel), jnp.ones_like(predicted, bool)),
        "tae_zbuffer": abs_rel(splat_nearest(there.depth, pixel), target.truth > 0),
    }


def _finite(pair: Pair) -> Bool[Array, "b"]:
    # A point that isn't finite lands nowhere; without this it would go unnoticed.
    return jnp.isfinite(pair.previous.prediction).all((1, 2)) & jnp.isfinite(pair.current.prediction).all((1, 2))
