"""The adapter: what is trained. A step function, `(state, features, shift) -> (state, features)`.

Jagnandan & Chaudhari's adapter sits between the frozen encoder and the frozen decoder: per level two 3×3
convolutions see the current patch tokens, the previous frame's and two constant maps with the shift, and
what they give is added to the current tokens; two linear layers do the same for the class token. Its state
is the previous frame's features.

Only the output layer starts at zero, so an untrained adapter is exactly the vanilla model and yet every
weight receives a gradient from the second step on. The authors' released code starts *both* layers at zero
(`init="released"`): the hidden layer is then zero for ever, no weight receives a gradient, and the biases
of the output layer are all that trains. That is kept as an ablation.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.vit import Features

AdapterState = tuple[Features, ...]
_INPUTS = ("current", "previous", "shift", "response")


@dataclasses.dataclass(frozen=True)
class AdapterConfig:
    """What the adapter sees and how it starts.

    Attributes:
        width: channels of a token.
        inputs: any of "current", "previous", "shift" (two maps, in tokens) and "response" (one map), in
            this order.
        hidden: channels of the hidden layer; None for `width`.
        class_token: "adapt" with two linear layers, or "pass" through unchanged.
        init: "zero_output", or "released" with every weight zero.
        memory: what the next frame gets as "previous": the "encoded" features as in the paper, or the
            "adapted" ones, which makes the adapter recurrent, so that it can average over more than two frames.
        dtype: compute dtype.
    """

    width: int
    inputs: tuple[str, ...] = _INPUTS
    hidden: int | None = None
    class_token: Literal["adapt", "pass"] = "adapt"
    init: Literal["zero_output", "released"] = "zero_output"
    memory: Literal["encoded", "adapted"] = "encoded"
    dtype: str = "float32"

    def __post_init__(self):
        object.__setattr__(self, "inputs", tuple(self.inputs))
        if not self.inputs or list(self.inputs) != [name for name in _INPUTS if name in self.inputs]:
            raise ValueError(f"adapter: inputs {self.inputs} must be some of {_INPUTS}, in this order")
        if self.class_token not in ("adapt", "pass"):
            raise ValueError(f'adapter: class_token is "adapt" or "pass", not {self.class_token!r}')
        if self.init not in ("zero_output", "released"):
            raise ValueError(f'adapter: init is "zero_output" or "released", not {self.init!r}')
        if self.memory not in ("encoded", "adapted"):
            raise ValueError(f'adapter: memory is "encoded" or "adapted", not {self.memory!r}')

    @classmethod
    def paper(cls, width: int, **changes) -> "AdapterConfig":
        """The paper's: current, previous and shift in."""
        return cls(**{"width": width, "inputs": ("current", "previous", "shift")} | changes)

    @classmethod
    def released(cls, width: int, **changes) -> "AdapterConfig":
        """The released code's: previous and shift in, hidden C+2, every weight zero: trains biases alone."""
        released = {"inputs": ("previous", "shift"), "hidden": width + 2, "init": "released"}
        return cls(**{"width": width} | released | changes)

    @classmethod
    def current_only(cls, width: int, **changes) -> "AdapterConfig":
        """An ablation without any past: what the extra weights alone are worth."""
        return cls(**{"width": width, "inputs": ("current",)} | changes)

    @property
    def channels(self) -> int:
        """Channels of the concatenated inputs."""
        sizes = {"current": self.width, "previous": self.width, "shift": 2, "response": 1}
        return sum(sizes[name] for name in self.inputs)


class LevelAdapter(nnx.Module):
    """The two layers of one level, for the patch tokens and for the class token."""

    def __init__(self, config: AdapterConfig, rngs: nnx.Rngs):
        self.config = config
        hidden = config.hidden or config.width
        zeros = nnx.initializers.zeros_init()
        first = zeros if config.init == "released" else nnx.initializers.he_normal()
        conv = {"padding": ((1, 1), (1, 1)), "dtype": config.dtype, "rngs": rngs}
        self.conv_hidden = nnx.Conv(config.channels, hidden, (3, 3), kernel_init=first, **conv)
        self.conv_out = nnx.Conv(hidden, config.width, (3, 3), kernel_init=zeros, **conv)
        if config.class_token == "adapt":
            fc = {"dtype": config.dtype, "rngs": rngs}
            self.fc_hidden = nnx.Linear(config.channels, hidden, kernel_init=first, **fc)
            self.fc_out = nnx.Linear(hidden, config.width, kernel_init=zeros, **fc)

    def __call__(self, current: Features, previous: Features, shift: Float[Array, "b k"]) -> Features:
        patches = self._inputs(current.patches, previous.patches, shift[:, None, None])
        change = self.conv_out(nnx.relu(self.conv_hidden(patches)))
        cls = current.cls
        if self.config.class_token == "adapt":
            inputs = self._inputs(current.cls, previous.cls, shift)
            cls = cls + self.fc_out(nnx.relu(self.fc_hidden(inputs))).astype(cls.dtype)
        return Features(current.patches + change.astype(current.patches.dtype), cls)

    def _inputs(self, current: Array, previous: Array, shift: Array) -> Array:
        parts = [array for name, array in (("current", current), ("previous", previous)) if name in self.config.inputs]
        if shift.shape[-1]:
            shift = jnp.broadcast_to(shift, (*current.shape[:-1], shift.shape[-1]))
            parts.append(shift.astype(current.dtype))
        return jnp.concatenate(parts, -1)


class Adapter(nnx.Module):
    """The paper's adapter: `adapter(state, features, shift) -> (state, features)`, one frame further."""

    def __init__(self, config: AdapterConfig, rngs: nnx.Rngs):
        self.config = config
        self.levels = nnx.List([LevelAdapter(config, rngs) for _ in range(4)])

    def init_state(self, features: tuple[Features, ...]) -> AdapterState:
        """The state of a stream that has seen nothing: its past is the frame itself."""
        return features

    def __call__(
        self, state: AdapterState, features: tuple[Features, ...], shift: Shift
    ) -> tuple[AdapterState, tuple[Features, ...]]:
        """One step.

        Args:
            state: the previous frame's features, from `init_state` or the last step.
            features: four levels of the current frame, as the encoder gives them.
            shift: `Shift` from the previous frame to this one, **in tokens** (pixels over the patch).

        Returns:
            The state for the next frame, and the adapted features.
        """
        maps = []
        if "shift" in self.config.inputs:
            maps += [shift.dx, shift.dy]
        if "response" in self.config.inputs:
            maps += [shift.response]
        batch = features[0].cls.shape[0]
        stacked = jnp.stack(maps, -1) if maps else jnp.zeros((batch, 0))
        adapted = tuple(
            level(current, previous, stacked)
            for level, current, previous in zip(self.levels, features, state, strict=True)
        )
        return (features if self.config.memory == "encoded" else adapted), adapted


def adapt_clip(
    adapter: Adapter, features: tuple[Features, ...], shifts: Shift, *, skip: int = 0
) -> tuple[Features, ...]:
    """Runs the step over a clip, from a fresh state.

    Args:
        adapter: the step function.
        features: four levels with leading axes `(T, B)`.
        shifts: `Shift` of `(T, B)` arrays, in tokens; those of the first frame are ignored (set to zero).
        skip: frames at the start that only make the state: their adapted features are not returned.

    Returns:
        Adapted features, leading axes `(T - skip, B)`.
    """

    def frame(tree, t):
        return jax.tree.map(lambda leaf: leaf[t], tree)

    at_rest = jax.tree.map(lambda leaf: leaf.at[0].set(0.0), shifts)
    state = adapter.init_state(frame(features, 0))
    clip = []
    # A Python loop: unlike a scan, it leaves out the skipped outputs, forward and backward.
    for t in range(len(shifts.dx)):
        state, adapted = adapter(state, frame(features, t), frame(at_rest, t))
        clip.append(adapted)
    return jax.tree.map(lambda *frames: jnp.stack(frames), *clip[skip:])
