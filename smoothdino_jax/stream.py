"""A stream of single frames, for people with a camera: `depth = stream(frame)`."""

import functools

import jax
import numpy as np
from flax import nnx

from smoothdino_jax.models.smoothdino import SmoothDINO, State


class Stream:
    """Depth along one video, frame by frame, constant in time and memory.

    The first call compiles for the frame's size; later calls run the compiled step and keep the state, whose
    buffers are reused.

    >>> stream = Stream(model)  # doctest: +SKIP
    >>> depth = stream(frame)   # doctest: +SKIP

    Attributes:
        state: the `State` after the last frame; None before the first. `state.shift` tells how far the
            picture moved.
    """

    def __init__(self, model: SmoothDINO):
        self.state: State | None = None
        self._model = model
        graph, self._weights = nnx.split(model)
        self._step = jax.jit(functools.partial(_step, graph), donate_argnums=2)

    def reset(self) -> None:
        """Forgets the past: the next frame is the first of a new stream, of any size."""
        self.state = None

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Depth of the next frame.

        Args:
            frame: `(H, W, 3)` uint8 RGB (or float in 0..255), the same size until `reset()`.

        Returns:
            `(H, W)` float32 metres.

        Raises:
            ValueError: wrong shape, smaller than 2×2, a size that changed midway, or NaN in the frame. The
                state is left as it was.
        """
        frame = np.asarray(frame)
        if frame.ndim != 3 or frame.shape[2] != 3 or min(frame.shape[:2]) < 2:
            raise ValueError(f"a frame is (H, W, 3) RGB of at least 2×2 pixels, got shape {frame.shape}")
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise ValueError("the frame holds NaN or infinite values; it was not used")
        if self.state is None:
            self.state, self._size = self._model.init_state(frame[None]), frame.shape[:2]
        elif frame.shape[:2] != self._size:
            raise ValueError(
                f"the stream has frames of {self._size}, got {frame.shape[:2]}: call reset() for another size"
            )
        depth, self.state = self._step(self._weights, frame[None], self.state)
        return np.asarray(depth[0])


def _step(graph, weights, images, state):
    return nnx.merge(graph, weights).step(images, state)
