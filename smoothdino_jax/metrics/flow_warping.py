"""OPW, the optical-flow-based warping metric of video depth, in two forms.

The previous frame's depth is warped onto the current frame by optical flow and compared there; the more the warped
picture differs from the current one, the less a pixel weighs. Wang et al. brought it in with FMNet ("Less is More:
Consistent Video Depth Estimation with Masked Frames Modeling", ACM MM 2022) and use it in NVDS ("Neural Video Depth
Stabilizer", ICCV 2023, arXiv 2307.08695). The plain formula on metric depth and what the released code of NVDS computes
both go by the name, so both are here; values of one can't be compared with values of the other.

Either form asks that the depth of a point stays the same from frame to frame. It does not where the camera moves
along its axis or turns, so the truth itself scores above 0 (Chen et al., "Video Depth Anything", 2025, §3.2, drop the
loss of this kind for that reason).
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from smoothdino_jax.metrics.definitions import Definition
from smoothdino_jax.metrics.geometry import pixel_grid, sample
from smoothdino_jax.metrics.medians import lower_median
from smoothdino_jax.metrics.views import View

DEFINITIONS = {
    "opw_fmnet": Definition(
        "OPW",
        "m",
        "lower",
        "Mean change of depth along the optical flow, weighted by how well the colours agree, after FMNet (Wang et al. "
        "2022); the truth of a moving camera is above 0.",
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
      Not verified at its origin: FMNet's released code has no OPW, and the paper's equation was not at hand. It is
      the formula of a reimplementation for the evaluation of CAPA (Ke et al. 2026, arXiv 2602.14751), which reports
      it times 100 and also drops pixels whose forward and backward flow disagree.
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


def _decay(exponent: Float[Array, "..."]) -> Float[Array, "..."]:
    # exp(-exponent), cut off at 1e-26: numbers under 1e-38 take a CPU forty times as long.
    return jnp.where(exponent < 60, jnp.exp(-jnp.minimum(exponent, 60.0)), 0.0)


def _normalise(depth: Float[Array, "b h w"], mask: Bool[Array, "b h w"]) -> Float[Array, "b h w"]:
    centred = depth - lower_median(depth, mask)[:, None, None]
    spread = jnp.where(mask, jnp.abs(centred), 0.0).sum((1, 2)) / mask.sum((1, 2))
    return centred / jnp.maximum(spread, 1e-6)[:, None, None]
