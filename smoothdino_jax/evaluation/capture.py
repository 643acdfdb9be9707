"""A stretch of one stream, predicted for pictures."""

from collections.abc import Iterable

import cv2
import jax
import numpy as np

from smoothdino_jax.data import ClipSource
from smoothdino_jax.data.clips import resize_frame
from smoothdino_jax.evaluation.clip import Clip, FeaturePictures
from smoothdino_jax.evaluation.ncut import feature_pictures
from smoothdino_jax.models.smoothdino import SmoothDINO

_LEVEL = 3  # the deepest features, the ones that normalised cuts are usually drawn of
_CUT_FRAMES = 3


def capture(models: dict[str, SmoothDINO], frames: ClipSource, positions: np.ndarray, *, width: int = 320) -> Clip:
    """Streams consecutive frames through models and keeps what pictures need.

    Args:
        models: row name -> model; shift and features are those of the last one with an adapter.
        frames: at the working size.
        positions: `(N,)`, consecutive frames of one scene.
        width: pixels that pictures are at most wide; what is wider is shrunk, images by area and depth to the nearest
            pixel. Predictions are made at the working size in any case.

    Returns:
        The clip.
    """
    shown = [frames.frame(position) for position in positions]
    height, across = shown[0].depth.shape
    size = (height, across) if across <= width else (round(height * width / across), width)
    predictions = {
        name: np.stack([_nearest(depth, size) for depth in predict(model, shown)]) for name, model in models.items()
    }
    adapted = next((model for model in reversed(models.values()) if model.adapter is not None), None)
    shift = np.full((len(shown), 3), np.nan, np.float32)
    features = None
    if adapted is not None:
        picked = np.unique(np.linspace(min(1, len(shown) - 1), len(shown) - 1, _CUT_FRAMES).round().astype(int))
        shift, features = _look_inside(adapted, shown, picked)
        shift[:, :2] *= size[1] / across
    small = [resize_frame(frame, size) for frame in shown]
    return Clip(
        scene=shown[0].scene,
        frames=np.array([frame.index for frame in shown]),
        image=np.stack([frame.image for frame in small]),
        truth=np.stack([frame.depth for frame in small]),
        predictions=predictions,
        shift=shift,
        features=features,
    )


def predict(model: SmoothDINO, frames: Iterable) -> Iterable[np.ndarray]:
    """`(H, W)` metres of each frame of a stream; smoothed where the model has an adapter."""
    state = None
    for frame in frames:
        images = frame.image[None]
        if model.adapter is None:
            yield np.asarray(model(images)[0])
            continue
        state = model.init_state(images) if state is None else state
        depth, state = model.step(images, state)
        yield np.asarray(depth[0])


def _look_inside(model: SmoothDINO, frames: list, picked: np.ndarray) -> tuple[np.ndarray, FeaturePictures | None]:
    """Shift of every frame (NaN for the first), and pictures of the features of those picked."""

    @jax.jit
    def look(model, images, state):
        features = model.encode(images)
        fresh = state.fresh
        shift, spectrum = model.track(images, state.spectrum)
        adapted, memory, shift = model.adapt(features, shift, state.adapter, fresh)
        state = state._replace(adapter=memory, spectrum=spectrum, fresh=fresh & False, shift=shift)
        return features[_LEVEL].patches[0], adapted[_LEVEL].patches[0], state

    state = model.init_state(frames[0].image[None])
    shifts, before, after = np.full((len(frames), 3), np.nan, np.float32), [], []
    for k, frame in enumerate(frames):
        plain, adapted, state = look(model, frame.image[None], state)
        if k:
            shifts[k] = np.stack([part[0] for part in state.shift])
        if k in picked:
            before.append(np.asarray(plain, np.float32))
            after.append(np.asarray(adapted, np.float32))
    return shifts, feature_pictures(np.stack(before), np.stack(after), frames=picked, level=_LEVEL)


def _nearest(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return depth if depth.shape == size else cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
