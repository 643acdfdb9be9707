"""A stream of single frames, for people with a camera: `depth = stream(frame)`.

One compiled program takes a frame from the host's memory to metric depth at the frame's size, and keeps the state on
the device in the same memory from frame to frame. Only frames that are not of the working size are resized on the
host, by OpenCV, so that less travels to the device.
"""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.scene_cuts import SceneCuts
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.models.state import State


class Stream:
    """Depth along one video, frame by frame, constant in time and memory.

    The first call compiles for the frame's size (`warm_up` does it beforehand); later calls run the compiled step.

    >>> stream = Stream(model)  # doctest: +SKIP
    >>> depth = stream(frame)   # doctest: +SKIP

    A stream is not to be called from several threads at once.

    Attributes:
        state: the `State` after the last frame, of a batch of one; None before the first.
        frames: how many frames there were since the start or the last `reset()`.
    """

    def __init__(
        self,
        model: SmoothDINO,
        *,
        cuts: SceneCuts | None = SceneCuts(),  # noqa: B008 - frozen
        size: tuple[int, int] | None = None,
        compare: bool = False,
    ):
        """A stream that has seen nothing yet.

        Args:
            model: with an adapter or without.
            cuts: how to find scene cuts, at which the stream forgets its past by itself; None: not at all.
            size: `(H, W)` that frames of any size are resized to before the model sees them; the depth has the
                frame's own size all the same. None: the model works at the frame's size.
            compare: give the depth of each frame alone as well, from the same features.

        Raises:
            ValueError: a `size` below 2×2, or nothing to compare because the model has no adapter.
        """
        if size is not None and min(size) < 2:
            raise ValueError(f"the working size is (H, W) of at least 2×2 pixels, got {size}")
        if compare and model.adapter is None:
            raise ValueError("to compare, the model needs an adapter: this one gives the depth of each frame alone")
        self.state: State | None = None
        self.frames = 0
        self._model, self._working, self._compare = model, size, compare
        graph, weights = nnx.split(model)
        self._weights = jax.device_put(weights)
        self._step = _program(graph, cuts, compare)
        self._seen = self._frame_size = None

    def reset(self) -> None:
        """Forgets the past: the next frame is the first of a new stream, of any size."""
        self.state = self._seen = self._frame_size = None
        self.frames = 0

    def warm_up(self, size: tuple[int, int]) -> None:
        """Compiles for uint8 frames of this size and runs once, so that the first frame takes no longer than others.

        Args:
            size: `(H, W)` of the frames to come. The stream itself is left as it is.
        """
        images = self._prepared(np.zeros((*size, 3), np.uint8))
        jax.block_until_ready(self._step(self._weights, images, self._model.init_state(images), size=tuple(size)))

    def __call__(self, frame: np.ndarray) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Depth of the next frame.

        Args:
            frame: `(H, W, 3)` RGB, uint8 or float in 0..255; without a working size the same H and W until `reset()`.

        Returns:
            `(H, W)` float32 metres; with `compare` that of the frame alone (vanilla), and the smoothed one.

        Raises:
            ValueError: not RGB, another dtype, smaller than 2×2, a size that changed midway, or NaN in the frame. The
                state is left as it was.
        """
        depth = self.submit(frame)
        return tuple(map(np.asarray, depth)) if self._compare else np.asarray(depth)

    def submit(self, frame: np.ndarray) -> jax.Array | tuple[jax.Array, jax.Array]:
        """As calling the stream, but without waiting for the result: `np.asarray` of it waits.

        With the next frame submitted before the last one's depth is read, reading and writing frames overlaps with
        computing. `frame` may be changed as soon as this returns.
        """
        frame = _checked(frame)
        size = frame.shape[:2]
        if self._frame_size not in (None, size) and self._working is None:
            raise ValueError(f"the stream has frames of {self._frame_size}, got {size}: call reset() for another size")
        images = self._prepared(frame)
        if np.may_share_memory(images, frame):
            images = images.copy()  # on a CPU JAX computes in the caller's memory where that is aligned
        state = self._model.init_state(images) if self.state is None else self.state
        depth, self.state, self._seen = self._step(self._weights, images, state, size=size)
        self._frame_size = size
        self.frames += 1
        return depth

    @property
    def shift(self) -> Shift:
        """How far the picture moved to the last frame: dx, dy in pixels of the frame, and response, all floats.

        Zero before and at the first frame, and at a scene cut. Waits until the last frame is done.
        """
        if self._seen is None:
            return Shift(0.0, 0.0, 0.0)
        dx, dy, response = np.asarray(self._seen[0]).tolist()  # at once: to iterate would slice on the device
        height, width = self._working or self._frame_size
        return Shift(dx * self._frame_size[1] / width, dy * self._frame_size[0] / height, response)

    @property
    def cut(self) -> bool:
        """Whether the last frame was found to begin a new scene, so that the stream started anew with it."""
        return self._seen is not None and bool(self._seen[1])

    def _prepared(self, frame: np.ndarray) -> np.ndarray:
        size = self._working
        if size is None or frame.shape[:2] == tuple(size):
            return frame[None]
        shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
        return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)[None]


def _checked(frame: np.ndarray) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
        raise ValueError(
            f"a frame is (H, W, 3) RGB, got grey of shape {frame.shape}: "
            "make it RGB with cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)"
        )
    if frame.ndim == 3 and frame.shape[2] == 4:
        raise ValueError(f"a frame is (H, W, 3) RGB, got shape {frame.shape}: leave out alpha with frame[..., :3]")
    if frame.ndim != 3 or frame.shape[2] != 3 or min(frame.shape[:2]) < 2:
        raise ValueError(f"a frame is (H, W, 3) RGB of at least 2×2 pixels, got shape {frame.shape}")
    if frame.dtype.kind == "f":
        if not np.isfinite(frame).all():
            raise ValueError("the frame holds NaN or infinite values; it was not used")
        return frame.astype(np.float32, copy=False)
    if frame.dtype != np.uint8:
        raise ValueError(f"a frame is uint8, or float in 0..255; got {frame.dtype}: bring its values to 0..255 first")
    return frame


@functools.lru_cache(maxsize=8)
def _program(graph, cuts, compare):
    # Streams of models of one structure share their compiled programs; looked up once a stream, since to hash a model's
    # structure takes a good part of a millisecond.
    return jax.jit(functools.partial(_step, graph, cuts, compare), static_argnames="size", donate_argnames="state")


def _step(graph, cuts, compare, weights, images, state, *, size):
    model = nnx.merge(graph, weights)
    features = model.encode(images)
    smoothed, state = model.advance(features, images, state, cuts=cuts, size=size)
    # Apart from the state, whose memory is the next frame's.
    seen = (jnp.concatenate(state.shift), state.cut[0])
    if compare:
        return (model.decode(features, size)[0], smoothed[0]), state, seen
    return smoothed[0], state, seen
