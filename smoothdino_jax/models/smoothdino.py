"""SmoothDINO: encode → step → decode.

    frame ─► pad + normalise ─► encoder (frozen) ─► features ─┐
                                                              ├─► adapter ─► decoder (frozen) ─► depth
    previous frame ─► phase correlation ─► shift, response ───┘

Everything here is a pure function of the weights and its arguments. `encode`, `decode`, `step` and the call itself
run compiled, cached by shape, and inside somebody's own `jax.jit` they are simply part of the program. The other
methods are what these are made of, to be called under a `jax.jit`.
"""

import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Complex, Float, Shaped

from smoothdino_jax.models import phase_correlation as pc
from smoothdino_jax.models import scene_cuts
from smoothdino_jax.models.adapters import Adapter, AdapterConfig, AdapterState, adapt_clip
from smoothdino_jax.models.dpt import Decoder, DecoderConfig, resize_depth
from smoothdino_jax.models.normalise import Images, normalise
from smoothdino_jax.models.phase_correlation import Shift
from smoothdino_jax.models.scene_cuts import SceneCuts
from smoothdino_jax.models.state import State
from smoothdino_jax.models.vit import Encoder, EncoderConfig, Features


@dataclasses.dataclass(frozen=True)
class SmoothDINOConfig:
    """The whole model.

    Attributes:
        encoder: see `EncoderConfig`.
        decoder: see `DecoderConfig`.
        adapter: see `AdapterConfig`; None for the vanilla depther.
        window: Hann window in the phase correlation; False for the paper's form.
    """

    encoder: EncoderConfig
    decoder: DecoderConfig
    adapter: AdapterConfig | None = None
    window: bool = True

    @classmethod
    def from_dict(cls, fields: dict) -> "SmoothDINOConfig":
        """Reads what `dataclasses.asdict` wrote; unknown fields raise TypeError with their names."""
        fields = dict(fields)
        adapter = fields.pop("adapter", None)
        return cls(
            encoder=EncoderConfig(**fields.pop("encoder")),
            decoder=DecoderConfig(**fields.pop("decoder")),
            adapter=None if adapter is None else AdapterConfig(**adapter),
            **fields,
        )


class SmoothDINO(nnx.Module):
    """The model: `model(images)` per frame, `model.step(images, state)` along a stream.

    A module is a pytree, so under `jax.jit` its weights are arguments of the compiled program: other weights of
    the same shapes do not compile again.
    """

    def __init__(self, config: SmoothDINOConfig, rngs: nnx.Rngs):
        if config.encoder.width != config.decoder.width:
            raise ValueError(f"encoder width {config.encoder.width} and decoder width {config.decoder.width} differ")
        self.config = config
        self.encoder = Encoder(config.encoder, rngs)
        self.decoder = Decoder(config.decoder, rngs)
        self.adapter = nnx.data(None if config.adapter is None else Adapter(config.adapter, rngs))

    def vanilla(self) -> "SmoothDINO":
        """This model without its adapter; the weights are shared."""
        return self._with(None, dataclasses.replace(self.config, adapter=None))

    def with_adapter(self, adapter: AdapterConfig, rngs: nnx.Rngs, window: bool | None = None) -> "SmoothDINO":
        """This model with a new, untrained adapter in place of its own; the other weights are shared.

        Args:
            adapter: configuration of the new adapter.
            rngs: for its first layers.
            window: Hann window in the phase correlation; None leaves it as it is.
        """
        window = self.config.window if window is None else window
        config = dataclasses.replace(self.config, adapter=adapter, window=window)
        return self._with(Adapter(adapter, rngs), config)

    def _with(self, adapter: Adapter | None, config: SmoothDINOConfig) -> "SmoothDINO":
        model = copy.copy(self)
        model.adapter, model.config = adapter, config
        return model

    @jax.jit
    def encode(self, images: Images) -> tuple[Features, ...]:
        """Features of a batch of frames.

        Args:
            images: `(B, H, W, 3)` RGB, uint8 or float in 0..255, any size.

        Returns:
            Four `Features(patches (B, h, w, C), cls (B, C))`, h = ceil(H / 14), w = ceil(W / 14).
        """
        return self.encoder(normalise(images, self.config.encoder.patch))

    def decode(self, features: tuple[Features, ...], size: tuple[int, int]) -> Float[Array, "b h w"]:
        """Depth from features.

        Args:
            features: four levels, from `encode` or the adapter.
            size: `(H, W)` of the frames. As the reference does, the depth of the padded frame is
                resized to this size without cutting the padding off.

        Returns:
            `(B, H, W)` float32 metres.
        """
        return self._decode(features, size=tuple(size))

    @functools.partial(jax.jit, static_argnames="size")
    def _decode(self, features, *, size):
        return resize_depth(self.decoder(features), size)

    @jax.jit
    def __call__(self, images: Images) -> Float[Array, "b h w"]:
        """Vanilla depth, frame by frame, without the adapter.

        Args:
            images: `(B, H, W, 3)` RGB, uint8 or float in 0..255.

        Returns:
            `(B, H, W)` float32 metres.
        """
        return self.decode(self.encode(images), images.shape[1:3])

    def init_state(self, images: Images) -> State:
        """The state of streams that have seen nothing yet.

        Args:
            images: `(B, H, W, 3)`, only the shape counts: one stream per batch element.
        """
        images = jax.ShapeDtypeStruct(images.shape, jnp.uint8)

        def blank(images):
            features = self.encode(images)
            shift, spectrum = self.track(images, None)
            memory = () if self.adapter is None else self.adapter.init_state(features)
            nothing = jnp.ones(images.shape[0], bool)
            return State(memory, spectrum, nothing, shift, nothing, scene_cuts.blank(features))

        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(blank, images))
        return zeros._replace(fresh=jnp.ones(images.shape[0], bool))

    @functools.partial(jax.jit, static_argnames="cuts", donate_argnames="state")
    def step(
        self,
        images: Images,
        state: State,
        reset: Bool[Array | np.ndarray, "streams"] | None = None,
        cuts: SceneCuts | None = None,
    ) -> tuple[Float[Array, "b h w"], State]:
        """One frame further along a batch of streams, as one program of constant time and memory.

        The state is donated: its memory becomes the next state's, and it can't be used afterwards. To go on from
        one state twice, copy it first (`jax.tree.map(jnp.copy, state)`).

        Args:
            images: `(B, H, W, 3)` RGB, uint8 or float in 0..255; the size `init_state` was given.
            state: from `init_state` or the last step.
            reset: `(B,)`, True for the streams whose first frame this is; the others go on. None: all go on.
            cuts: how to find scene cuts, at which a stream starts anew by itself and `state.cut` says so; None: not
                at all.

        Returns:
            `(B, H, W)` float32 metres, and the state for the next frame.
        """
        return self.advance(self.encode(images), images, state, reset=reset, cuts=cuts)

    def advance(
        self,
        features: tuple[Features, ...],
        images: Images,
        state: State,
        *,
        reset: Bool[Array | np.ndarray, "streams"] | None = None,
        cuts: SceneCuts | None = None,
        size: tuple[int, int] | None = None,
    ) -> tuple[Float[Array, "b H W"], State]:
        """`step` for who has the features already, such as an evaluation of several adapters on one encoder.

        Args:
            features: of `images`, from `encode`.
            images: `(B, H, W, 3)` RGB in 0..255.
            state: from `init_state` or the last step; not donated.
            reset: as in `step`.
            cuts: as in `step`.
            size: `(H, W)` of the depth; None for that of the images.

        Returns:
            As `step`.
        """
        if state.fresh.shape[0] != images.shape[0]:
            raise ValueError(f"the state is for {state.fresh.shape[0]} streams, the batch has {images.shape[0]} frames")
        if reset is not None and reset.shape != state.fresh.shape:
            raise ValueError(f"reset is for {reset.shape[0]} streams, the state for {state.fresh.shape[0]}")
        height, width = pc.transform_size(images.shape[1:3], self.config.window)
        if state.spectrum.shape[1:] != (height, width // 2 + 1):
            raise ValueError("the state is for frames of another size: make a new one with init_state")
        shift, spectrum = self.track(images, state.spectrum)
        fresh = state.fresh if reset is None else state.fresh | reset
        cut, scene = scene_cuts.find(cuts, state.scene, features, shift.response, fresh)
        adapted, memory, shift = self.adapt(features, shift, state.adapter, fresh | cut)
        depth = self.decode(adapted, images.shape[1:3] if size is None else size)
        return depth, State(memory, spectrum, jnp.zeros_like(fresh), shift, cut, scene)

    def track(self, images: Images, previous: Complex[Array, "b f g"] | None):
        """Shift since the previous frame, and this frame's spectrum to keep for the next.

        Args:
            images: `(B, H, W, 3)` RGB in 0..255.
            previous: the previous frame's spectrum; None correlates the frame with itself.

        Returns:
            `Shift` in pixels, and the spectrum.
        """
        spectrum = pc.spectrum(pc.grey(images), self.config.window)
        size = pc.transform_size(images.shape[1:3], self.config.window)
        return pc.correlate(spectrum if previous is None else previous, spectrum, size), spectrum

    def adapt(self, features, shift: Shift, memory: AdapterState, fresh: Bool[Array, "b"]):
        """The adapter's step for streams of which some are `fresh`: their past is the frame itself.

        Args:
            features: four levels of the current frames.
            shift: since the previous frames, `(B,)` pixels.
            memory: the adapter's state.
            fresh: `(B,)`, which streams have no past.

        Returns:
            Adapted features (unchanged where the model has no adapter), the adapter's next state, and the shift
            in pixels that it was told.
        """
        shift = jax.tree.map(lambda leaf: jnp.where(fresh, 0.0, leaf), shift)
        if self.adapter is None:
            return features, memory, shift

        def restart(now, then):
            return jnp.where(fresh.reshape(-1, *[1] * (then.ndim - 1)), now, then)

        memory = jax.tree.map(restart, self.adapter.init_state(features), memory)
        memory, adapted = self.adapter(memory, features, self.in_tokens(shift))
        return adapted, memory, shift

    def adapt_clip(
        self,
        features: tuple[Features, ...],
        images: Shaped[Array | np.ndarray, "b t h w 3"],
        *,
        skip: int = 0,
    ) -> tuple[Features, ...]:
        """The same step over whole clips, for training.

        Args:
            features: four levels with leading axes `(B, T)`.
            images: `(B, T, H, W, 3)`, the frames they come from.
            skip: frames at the start of every clip that only make the state: their adapted features are
                neither returned nor, with the paper's adapter, computed.

        Returns:
            Adapted features, leading axes `(B, T - skip)`.
        """
        batch, frames = images.shape[:2]
        spectra = pc.spectrum(pc.grey(images.reshape(-1, *images.shape[2:])), self.config.window)
        spectra = spectra.reshape(batch, frames, *spectra.shape[1:])
        before = jnp.concatenate([spectra[:, :1], spectra[:, :-1]], 1)
        size = pc.transform_size(images.shape[2:4], self.config.window)
        shift = jax.vmap(lambda a, b: pc.correlate(a, b, size))(before, spectra)
        swap = functools.partial(jax.tree.map, lambda leaf: jnp.swapaxes(leaf, 0, 1))
        return swap(adapt_clip(self.adapter, swap(features), swap(self.in_tokens(shift)), skip=skip))

    def in_tokens(self, shift: Shift) -> Shift:
        """`shift` in pixels to tokens, the unit that the adapter is told."""
        patch = self.config.encoder.patch
        return shift._replace(dx=shift.dx / patch, dy=shift.dy / patch)
