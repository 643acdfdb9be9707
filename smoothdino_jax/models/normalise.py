"""What the encoder is given: frames by ImageNet's statistics, padded to whole patches."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

# ImageNet's statistics in 0..255, what DINOv2 was trained with.
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_STD = np.array([58.395, 57.12, 57.375], np.float32)

Images = Shaped[Array | np.ndarray, "b h w 3"]


def normalise(images: Images, patch: int) -> Float[Array, "b H W 3"]:
    """ImageNet normalisation, then centred zero padding to whole patches.

    Args:
        images: `(B, H, W, 3)` RGB, uint8 or float in 0..255.
        patch: side of a patch.

    Returns:
        `(B, H', W', 3)` float32, H' and W' the next multiples of `patch`; an odd pixel of padding goes to the
        bottom and right.
    """
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images are (B, H, W, 3) RGB, got shape {images.shape}; of one frame, images[None]")
    images = (jnp.asarray(images, jnp.float32) - _MEAN) / _STD
    widths = [divmod(-n % patch, 2) for n in images.shape[1:3]]
    return jnp.pad(images, ((0, 0), *[(half, half + odd) for half, odd in widths], (0, 0)))
