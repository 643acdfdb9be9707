"""What temporal metrics look at: a frame of each of B streams, and the frame before it."""

from typing import NamedTuple

from jaxtyping import Array, Float, Shaped


class View(NamedTuple):
    """One frame of each of B streams.

    Attributes:
        prediction: `(B, H, W)` metres.
        truth: `(B, H, W)` metres, 0 where there is no reading.
        image: `(B, H, W, 3)` RGB in 0..255.
    """

    prediction: Float[Array, "b h w"]
    truth: Float[Array, "b h w"]
    image: Shaped[Array, "b h w 3"]


class Pair(NamedTuple):
    """Two consecutive frames of each of B streams.

    Attributes:
        previous: the frame before.
        current: this frame.
        motion: `(B, 4, 4)`, takes points from the previous camera's coordinates to the current one's (OpenCV axes: x
            right, y down, z forward; metres); NaN where a pose is unknown.
        intrinsics: `(B, 3, 3)` pinhole matrix of both, in pixels of these maps, the centre of the top left pixel at
            (0, 0); NaN where unknown.
    """

    previous: View
    current: View
    motion: Float[Array, "b 4 4"]
    intrinsics: Float[Array, "b 3 3"]
