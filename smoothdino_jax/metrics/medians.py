"""Medians of frames over a mask, exactly and without sorting.

The 2³² numbers there are get bisected, counting 32 times how many values are no larger, where sorting would move them:
about 2 ms instead of 30 or more for 480×640 on a CPU.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

_LARGEST = 2**31 - 1


def median(values: Float[Array, "b h w"], valid: Bool[Array, "b h w"]) -> Float[Array, "b"]:
    """Median of each frame over its valid pixels; of an even number, the mean of the two in the middle.

    Args:
        values: `(B, H, W)` float32, finite where valid.
        valid: which of them count.

    Returns:
        `(B,)`; NaN where none counts.
    """
    keys, count, lower = _search(values, valid)
    following = jnp.where(keys > lower[:, None, None], keys, _LARGEST).min((1, 2))
    upper = jnp.where(_no_larger(keys, lower) > count // 2, lower, following)
    return jnp.where(count > 0, (_float(lower) + _float(upper)) / 2, jnp.nan)


def lower_median(values: Float[Array, "b h w"], valid: Bool[Array, "b h w"]) -> Float[Array, "b"]:
    """As `median`, but of an even number the lower of the two in the middle, as torch has it. NaN sorts last."""
    _, count, lower = _search(values, valid)
    return jnp.where(count > 0, _float(lower), jnp.nan)


def _search(values, valid):
    """Keys in the values' order, how many count, and the key of the lower median."""
    count = valid.sum((1, 2))
    keys = jnp.where(valid, _ordered(lax.bitcast_convert_type(values, jnp.int32)), _LARGEST)
    rank = (count - 1) // 2

    def halve(_, interval):
        low, high = interval
        middle = (low & high) + ((low ^ high) >> 1)  # their mean, without overflow
        enough = _no_larger(keys, middle) > rank
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    ends = jnp.full_like(count, -(2**31)), jnp.full_like(count, _LARGEST)
    return keys, count, lax.fori_loop(0, 32, halve, ends)[0]


def _no_larger(keys, bound):
    return (keys <= bound[:, None, None]).sum((1, 2))


def _float(key):
    return lax.bitcast_convert_type(_ordered(key), jnp.float32)


def _ordered(bits: Int[Array, "..."]) -> Int[Array, "..."]:
    """Integers in the order of the floats whose bits these are, and back: negative floats count downwards."""
    return bits ^ ((bits >> 31) & _LARGEST)
