"""What is compared: models, models that are denied their past, and the averages that any of them has to beat.

A predictor is a step function like the model's own, `predictor(frames, state) -> (depth, state)`, over what all rows of
an evaluation share: each frame is encoded once per encoder, and decoded once for everything that builds on the frozen
model's depth.
"""

import dataclasses
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Shaped

from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.smoothdino import SmoothDINO

# Below this response a shift is noise (see `phase_correlation.Shift`): averages then stay where they are.
_LEAST_RESPONSE = 0.05


class Frames:
    """A frame of each of B streams, and what is computed of it once for all predictors.

    Args:
        models: by name.
        images: `(B, H, W, 3)` RGB in 0..255.
        fresh: `(B,)`, which streams start here.
        others: `(B, H, W, 3)`, frames from elsewhere in the set; None where nobody needs them.
    """

    def __init__(
        self,
        models: dict[str, SmoothDINO],
        images: Shaped[Array | np.ndarray, "b h w 3"],
        fresh: Bool[Array | np.ndarray, "b"],
        others: Shaped[Array | np.ndarray, "b h w 3"] | None = None,
    ):
        self.models, self.images, self.fresh, self.others = models, images, fresh, others
        self._made: dict[tuple, object] = {}

    def features(self, name: str, others: bool = False):
        """The encoder's features of the images, or of the others."""
        encoder = self.models[name].encoder
        images = self.others if others else self.images
        return self._once(("features", id(encoder), others), lambda: self.models[name].encode(images))

    def vanilla(self, name: str) -> Float[Array, "b h w"]:
        """Depth of each frame alone."""
        model = self.models[name]
        size = self.images.shape[1:3]
        key = ("vanilla", id(model.encoder), id(model.decoder))
        return self._once(key, lambda: model.decode(self.features(name), size))

    def _once(self, key, make):
        # Which parts are the same objects is known while tracing.
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


@runtime_checkable
class Predictor(Protocol):
    """A row of an evaluation. Hashable; its state is a pytree of arrays with a leading axis of streams."""

    def init(self, models: dict[str, SmoothDINO], images: np.ndarray):
        """The state before the first frame, for images `(B, H, W, 3)` of this shape."""
        ...

    def __call__(self, frames: Frames, state) -> tuple[Float[Array, "b h w"], object]:
        """Depth of the frames, and the next state."""
        ...


@dataclasses.dataclass(frozen=True)
class Vanilla:
    """The frozen model, frame by frame."""

    model: str

    def init(self, models, images):
        return ()

    def __call__(self, frames: Frames, state):
        return frames.vanilla(self.model), state


ABLATIONS = {
    "shuffled": "the previous frame is another frame of the set, drawn at random, and so is the shift",
    "current": "the previous frame's features are replaced by the current frame's; the shift stays",
    "zero_shift": "the shift is said to be 0; the response stays",
    "negated_shift": "the shift is said to be the opposite of what was measured",
    "first_frame": "every frame is treated as a stream's first: no past, no shift, no response",
}


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """A model with an adapter along its stream.

    Attributes:
        model: its name.
        ablation: "" for the model as it is, or one of `ABLATIONS`: what is done to its past at every frame.
    """

    model: str
    ablation: str = ""

    def __post_init__(self):
        if self.ablation and self.ablation not in ABLATIONS:
            raise ValueError(f"ablation {self.ablation!r}: there are {', '.join(ABLATIONS)}")

    def init(self, models, images):
        return models[self.model].init_state(images)

    def __call__(self, frames: Frames, state):
        model, features = frames.models[self.model], frames.features(self.model)
        first = state.fresh | frames.fresh
        state = state._replace(fresh=first)
        match self.ablation:
            case "":
                return model.advance(features, frames.images, state)
            case "first_frame":
                return model.advance(features, frames.images, state._replace(fresh=jnp.ones_like(first)))
            case "shuffled":
                # What the model would remember had the other frame been the stream's first. Its depth is not used,
                # and so not computed.
                _, past = model.advance(
                    frames.features(self.model, others=True),
                    frames.others,
                    state._replace(fresh=jnp.ones_like(first)),
                )
                return model.advance(features, frames.images, past._replace(fresh=first))
        shift, spectrum = model.track(frames.images, state.spectrum)
        told, memory = shift, state.adapter
        match self.ablation:
            case "current":
                memory = model.adapter.init_state(features)
            case "zero_shift":
                told = shift._replace(dx=jnp.zeros_like(shift.dx), dy=jnp.zeros_like(shift.dy))
            case "negated_shift":
                told = shift._replace(dx=-shift.dx, dy=-shift.dy)
        adapted, memory, told = model.adapt(features, told, memory, first)
        depth = model.decode(adapted, frames.images.shape[1:3])
        return depth, state._replace(adapter=memory, spectrum=spectrum, fresh=jnp.zeros_like(first), shift=told)


class Past(NamedTuple):
    """Depth maps of the frames before, for the averages.

    Attributes:
        depths: `(B, K, H, W)` metres.
        weights: `(B, K, H, W)` in 0..1; 0 where there is nothing.
        spectrum: of the previous frame; () where nothing is aligned.
    """

    depths: Float[Array, "b k h w"]
    weights: Float[Array, "b k h w"]
    spectrum: Complex[Array, "b f g"] | tuple[()]


@dataclasses.dataclass(frozen=True)
class Average:
    """An average of the frozen model's depth maps over time, which costs nothing and learns nothing.

    Attributes:
        model: whose frozen part.
        frames: over how many frames, at least 2: a running mean of the last so many, or an exponential average with
            weight 2 / (frames + 1) on the current one, whose mean age is the same.
        exponential: which of the two.
        aligned: past maps are moved by the measured shift first (bilinear; not at all where the response is below
            0.05). What comes in at the border has no past and is the current frame's alone.
    """

    model: str
    frames: int
    exponential: bool = False
    aligned: bool = False

    def init(self, models, images):
        batch, height, width, _ = images.shape
        kept = 1 if self.exponential else self.frames - 1
        # Two arrays, not one twice: their buffers are donated.
        depths, weights = (jnp.zeros((batch, kept, height, width)) for _ in range(2))
        return Past(depths, weights, models[self.model].init_state(images).spectrum if self.aligned else ())

    def __call__(self, frames: Frames, state: Past):
        depth, model = frames.vanilla(self.model), frames.models[self.model]
        depths, spectrum = state.depths, state.spectrum
        weights = jnp.where(frames.fresh[:, None, None, None], 0.0, state.weights)
        # What weighs nothing may be NaN.
        depths = jnp.where(weights > 0, depths, 0.0)
        if self.aligned:
            shift, spectrum = model.track(frames.images, state.spectrum)
            depths, weights = moved(depths, weights, shift)
        now = jnp.ones_like(depth)
        if self.exponential:
            share = 2 / (self.frames + 1)
            past = (1 - share) * weights[:, 0]
            # Without a past the current frame has all the weight.
            mean = (share * depth + past * depths[:, 0]) / (share + past)
            return mean, Past(mean[:, None], now[:, None], spectrum)
        mean = (depth + (weights * depths).sum(1)) / (1 + weights.sum(1))
        depths = jnp.concatenate([depth[:, None], depths], 1)[:, : self.frames - 1]
        weights = jnp.concatenate([now[:, None], weights], 1)[:, : self.frames - 1]
        return mean, Past(depths, weights, spectrum)


def averages(model: str) -> dict[str, Average]:
    """Running mean and exponential average over 2, 3 and 4 frames, as they are and aligned, by row name."""
    return {
        f"{'ema' if exponential else 'mean'}{frames}{'_aligned' if aligned else ''}": Average(
            model, frames, exponential, aligned
        )
        for exponential in (False, True)
        for aligned in (False, True)
        for frames in (2, 3, 4)
    }


def moved(
    depths: Float[Array, "b k h w"], weights: Float[Array, "b k h w"], shift: Shift
) -> tuple[Float[Array, "b k h w"], Float[Array, "b k h w"]]:
    """Moves maps with the picture, bilinear; what comes in at the border has weight 0.

    Args:
        depths: `(B, K, H, W)` metres.
        weights: `(B, K, H, W)`.
        shift: `(B,)`, of the picture in pixels; taken for 0 where the response is below 0.05.

    Returns:
        Depths and weights, moved.
    """

    def move(depth, weight, dx, dy):
        height, width = depth.shape[1:]

        def along(array, offset, axis, size):
            at = jnp.arange(size) - offset
            low = jnp.floor(at)
            part = at - low
            shape = [1, 1, 1]
            shape[axis] = size

            def take(index, share):
                inside = (index >= 0) & (index < size)
                taken = jnp.take(array, jnp.clip(index, 0, size - 1).astype(int), axis)
                return taken * (share * inside).reshape(shape)

            return take(low, 1 - part) + take(low + 1, part)

        both = jnp.concatenate([depth * weight, weight])
        both = along(along(both, dy, 1, height), dx, 2, width)
        total, weight = jnp.split(both, 2)
        return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1.0), 0.0), weight

    sure = shift.response >= _LEAST_RESPONSE
    dx, dy = jnp.where(sure, shift.dx, 0.0), jnp.where(sure, shift.dy, 0.0)
    return jax.vmap(move)(depths, weights, dx, dy)
