"""OPW, the optical-flow-based warping metric of video depth, in the two forms that are in use.

The previous frame's depth is warped onto the current frame by optical flow and compared there; the more the warped
picture differs from the current one, the less a pixel weighs. Wang et al. brought it in with FMNet ("Less is More:
Consistent Video Depth Estimation with Masked Frames Modeling", ACM MM 2022) and use it in NVDS ("Neural Video Depth
Stabilizer", ICCV 2023, arXiv 2307.08695). What their papers write down and what their released code computes differ,
so both are here, and values of one form can't be compared with values of the other.

Either form asks that the depth of a point stays the same from frame to frame. It does not where the camera moves
along its axis or turns, so the truth itself scores above 0 (Chen et al., "Video Depth Anything", 2025, §3.2, drop the
loss of this kind for that reason).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.geometry import pixel_grid, sample
from smoothdino_jax.metrics.views import View

DEFINITIONS = {
    "opw_fmnet": Definition(
        "OPW",
        "m",
        "lower",
        "Change of depth along the optical flow, weighted by how well the colours agree: the formula that goes with "
        "FMNet (Wang et al. 2022).",
    ),
    "opw_nvds": Definition(
        "OPW (NVDS code)",
        "",
        "lower",
        "The same as the released code of NVDS (Wang et al. 2023) computes it: each depth map without its median and "
        "divided by its mean deviation, colours compared in grey levels, times 10.",
    ),
}

_ALPHA = 50.0  # of both forms; of squared differences of colours in 0..1 (FMNet) and in 0..255 (NVDS)


def opw(previous: View, current: View, flow: Float[Array, "b h w 2"]) -> dict[str, Float[Array, "b"]]:
    """Both forms of OPW for one pair of frames.

    With d the current prediction, I the current picture, d' and I' the previous ones warped onto them (bilinearly),
    and a mean over the N pixels whose flow is known, in which those that flow out of the frame count with weight 0:

    * `opw_fmnet` = mean of exp(-50 Σ (I - I')²) · |d - d'|, colours in 0..1, Σ over the three channels, d in metres.
      The released code of FMNet has no OPW to compare with, and the formula was not checked against the paper's
      print; it is the one that later work evaluates under this name. Such papers often report it times 100.
    * `opw_nvds` = 10 · mean of Σ exp(-50 (I - I')²) · |n(d) - n(d')|, colours in 0..255, Σ over the three channels,
      n(x) = (x - median x) / mean |x - median x|, with torch's median (the lower of the middle two). This is
      `flow_warping_loss_align_test` in `smooth_loss.py` as `infer_NVDS_dpt_bi.py` calls it. In grey levels the weight
      of a channel is 2e-22 for a difference of one level: only pixels of all but equal colour count, and sensor
      noise alone lowers the value. What differs from that code: n uses the pixels that stay in the frame (there
      also zeros that the warp pads with); d is metric depth (there the network's inverse depth); the mean over
      a video divides by the pairs (there by the frames); the flow is given (there GMFlow's).

    Args:
        previous: the frame before.
        current: this frame.
        flow: `(B, H, W, 2)` pixels from the current frame to the previous one: what is at p was at p + flow. NaN
            where unknown; those pixels are left out.

    Returns:
        Name -> `(B,)`. NaN where no flow is known, or a prediction that is looked at is not finite.
    """
    height, width = flow.shape[1:3]
    known = jnp.isfinite(flow).all(-1)
    picture = current.image.astype(jnp.float32)
    before = jnp.concatenate([previous.prediction[..., None], previous.image.astype(jnp.float32)], -1)
    warped, inside = sample(before, pixel_grid(height, width) + flow)
    depth, warped_depth = current.prediction, warped[..., 0]
    squared = jnp.square(picture - warped[..., 1:])
    count = known.sum((1, 2))

    def mean(weight, difference):
        value = jnp.where(inside, weight * difference, 0.0).sum((1, 2)) / count
        return jnp.where(jnp.isfinite(value), value, jnp.nan)

    agreement = _decay(_ALPHA * squared.sum(-1) / 255**2)
    agreement_in_levels = _decay(_ALPHA * squared).sum(-1)
    normalised = jnp.abs(_normalise(depth, inside) - _normalise(warped_depth, inside))
    return {
        "opw_fmnet": mean(agreement, jnp.abs(depth - warped_depth)),
        "opw_nvds": 10 * mean(agreement_in_levels, normalised),
    }


def lower_median(values: Float[Array, "b h w"], mask: Bool[Array, "b h w"]) -> Float[Array, "b"]:
    """The median over a mask, the lower of the middle two where their number is even, as torch has it.

    Exact, and without sorting: the answer is built bit by bit, each by a count of what lies below, which takes a
    twentieth of a sort's time on a CPU.

    Args:
        values: `(B, H, W)`; NaN sorts last.
        mask: which count.

    Returns:
        `(B,)`; NaN where the mask is empty.
    """
    bits = jax.lax.bitcast_convert_type(values, jnp.uint32)
    sign = jnp.uint32(1 << 31)
    # Unsigned integers in the order of the numbers: negative ones reversed, below the others.
    keys = jnp.where(bits & sign, ~bits, bits | sign)
    count = mask.sum((1, 2))
    rank = (count - 1) // 2

    def decide(step, found):
        trial = found | (sign >> step.astype(jnp.uint32))
        below = (mask & (keys < trial[:, None, None])).sum((1, 2))
        return jnp.where(below <= rank, trial, found)

    found = jax.lax.fori_loop(0, 32, decide, jnp.zeros_like(count, jnp.uint32))
    median = jax.lax.bitcast_convert_type(jnp.where(found & sign, found ^ sign, ~found), jnp.float32)
    return jnp.where(count > 0, median, jnp.nan)


def _decay(exponent: Float[Array, "..."]) -> Float[Array, "..."]:
    # exp(-exponent), cut off at 1e-26: numbers under 1e-38 take a CPU forty times as long.
    return jnp.where(exponent < 60, jnp.exp(-jnp.minimum(exponent, 60.0)), 0.0)


def _normalise(depth: Float[Array, "b h w"], mask: Bool[Array, "b h w"]) -> Float[Array, "b h w"]:
    centred = depth - lower_median(depth, mask)[:, None, None]
    spread = jnp.where(mask, jnp.abs(centred), 0.0).sum((1, 2)) / mask.sum((1, 2))
    return centred / jnp.maximum(spread, 1e-6)[:, None, None]
