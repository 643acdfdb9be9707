"""The DPT depth head, as DINOv2's published depthers use it.

Ranftl et al., "Vision Transformers for Dense Prediction" (2021), with the details of Meta's release: class
token read out by projection, four levels at 4×, 2×, 1× and 1/2 of the patch grid, fused deep to shallow,
one output channel in metres.
"""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from smoothdino_jax.models.resize import resize_bilinear, upsample2_bilinear
from smoothdino_jax.models.vit import Features


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Architecture and range of the depth head.

    Attributes:
        width: channels of the encoder's tokens.
        levels: channels of the four reassembled levels, shallow to deep.
        features: channels in the fusion path.
        last: channels of the last hidden convolution.
        min_depth: metres; lower end of the clamp.
        max_depth: metres; upper end of the clamp.
        depth_offset: metres added after the last ReLU: 0.001 in Meta's head, 0 in Hugging Face's.
        dtype: compute dtype; the two convolutions at full resolution are float32 always.
    """

    width: int
    levels: tuple[int, int, int, int]
    features: int = 256
    last: int = 32
    min_depth: float = 0.001
    max_depth: float = 10.0
    depth_offset: float = 0.001
    dtype: str = "float32"

    def __post_init__(self):
        object.__setattr__(self, "levels", tuple(self.levels))
        if len(self.levels) != 4:
            raise ValueError(f"decoder: levels must be four channel counts, got {self.levels}")
        if not 0 <= self.min_depth < self.max_depth:
            raise ValueError(f"decoder: depth range {self.min_depth}..{self.max_depth} m is empty or negative")

    @classmethod
    def nyu(cls, width: int, **changes) -> "DecoderConfig":
        """Indoor range, 0.001 to 10 m, and the published channel counts for an encoder of this width."""
        levels = (width // 8, width // 4, width // 2, width)
        return cls(**{"width": width, "levels": levels} | changes)

    @classmethod
    def kitti(cls, width: int, **changes) -> "DecoderConfig":
        """Driving range, 0.001 to 80 m."""
        return cls.nyu(width, **{"max_depth": 80.0} | changes)


def _conv(inputs: int, outputs: int, *, bias: bool, dtype, rngs, strides: int = 1) -> nnx.Conv:
    # Explicit padding: 'SAME' would pad a stride of 2 on the other side than torch does.
    return nnx.Conv(
        inputs,
        outputs,
        (3, 3),
        (strides, strides),
        padding=((1, 1), (1, 1)),
        use_bias=bias,
        dtype=dtype,
        kernel_init=nnx.initializers.he_normal(),
        rngs=rngs,
    )


class PatchUpsample(nnx.Module):
    """Transposed convolution whose kernel equals its stride: every input pixel becomes one k×k tile.

    Written as the matrix product that it is; a transposed convolution would take the slow path of a
    dilated input on the CPU.
    """

    def __init__(self, channels: int, factor: int, *, dtype, rngs):
        shape = (channels, factor, factor, channels)
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=0, out_axis=(1, 2, 3))
        self.kernel = nnx.Param(init(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
        batch, height, width, channels = x.shape
        kernel = self.kernel[...].astype(self.dtype)
        factor = kernel.shape[1]
        tiles = jnp.einsum("bhwc,cijd->bhiwjd", x.astype(self.dtype), kernel)
        x = tiles.reshape(batch, height * factor, width * factor, channels)
        return x + self.bias[...].astype(self.dtype)


class Reassemble(nnx.Module):
    """Tokens of one level to a map: class token projected in, channels and resolution of the level."""

    def __init__(self, config: DecoderConfig, level: int, rngs: nnx.Rngs):
        width, channels, dtype = config.width, config.levels[level], config.dtype
        self.readout = nnx.Linear(2 * width, width, dtype=dtype, rngs=rngs)
        self.project = nnx.Conv(width, channels, (1, 1), dtype=dtype, rngs=rngs)
        match level:
            case 0:
                self.resize = PatchUpsample(channels, 4, dtype=dtype, rngs=rngs)
            case 1:
                self.resize = PatchUpsample(channels, 2, dtype=dtype, rngs=rngs)
            case 2:
                self.resize = None
            case _:
                self.resize = _conv(channels, channels, bias=True, strides=2, dtype=dtype, rngs=rngs)
        self.conv = _conv(channels, config.features, bias=False, dtype=dtype, rngs=rngs)

    def __call__(self, level: Features) -> Float[Array, "b h w c"]:
        patches = level.patches
        cls = jnp.broadcast_to(level.cls[:, None, None], patches.shape)
        x = nnx.gelu(self.readout(jnp.concatenate([patches, cls], -1)), approximate=False)
        x = self.project(x)
        if self.resize is not None:
            x = self.resize(x)
        return self.conv(x)


class ResidualUnit(nnx.Module):
    """Pre-activation residual unit of two 3×3 convolutions without bias."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        args = {"bias": False, "dtype": config.dtype, "rngs": rngs}
        self.conv1 = _conv(config.features, config.features, **args)
        self.conv2 = _conv(config.features, config.features, **args)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return x + self.conv2(nnx.relu(self.conv1(nnx.relu(x))))


class Fusion(nnx.Module):
    """Merges a level into what came from below, and doubles the resolution; the deepest only refines."""

    def __init__(self, config: DecoderConfig, deepest: bool, rngs: nnx.Rngs):
        self.side = None if deepest else ResidualUnit(config, rngs)
        self.refine = ResidualUnit(config, rngs)
        self.project = nnx.Conv(config.features, config.features, (1, 1), dtype=config.dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], side: Float[Array, "b i j c"] | None = None
    ) -> Float[Array, "b 2*h 2*w c"]:
        if side is not None:
            x = x + self.side(resize_bilinear(side, x.shape[1:3]))
        # The reference projects after upsampling. A 1×1 convolution and an interpolation whose weights sum
        # to one commute, so projecting first is the same function at a quarter of the work.
        return upsample2_bilinear(self.project(self.refine(x)))


class Decoder(nnx.Module):
    """The DPT head: four levels of features to metric depth."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        self.config = config
        features, dtype = config.features, config.dtype
        self.reassemble = nnx.List([Reassemble(config, level, rngs) for level in range(4)])
        self.fusion = nnx.List([Fusion(config, level == 0, rngs) for level in range(4)])
        self.project = _conv(features, features, bias=True, dtype=dtype, rngs=rngs)
        self.head1 = _conv(features, features // 2, bias=True, dtype=dtype, rngs=rngs)
        self.head2 = _conv(features // 2, config.last, bias=True, dtype=jnp.float32, rngs=rngs)
        self.head3 = nnx.Conv(config.last, 1, (1, 1), dtype=jnp.float32, rngs=rngs)
        # Training from scratch starts at a metre or two: at 0 the last ReLU could be dead from the start.
        self.head3.bias[...] = jnp.full(1, min(2.0, config.max_depth / 2), jnp.float32)

    def __call__(self, levels: tuple[Features, ...]) -> Float[Array, "b h w"]:
        """Decodes features to depth at the head's own resolution.

        Args:
            levels: four `Features`, shallow to deep.

        Returns:
            `(B, h, w)` float32 metres within the configured range; 576×736 for 480×640 frames.
        """
        config = self.config
        shallow_to_deep = [reassemble(level) for reassemble, level in zip(self.reassemble, levels, strict=True)]
        x = self.fusion[0](shallow_to_deep[3])
        for fusion, side in zip(self.fusion[1:], shallow_to_deep[2::-1], strict=True):
            x = fusion(x, side)
        x = self.head1(nnx.relu(self.project(x))).astype(jnp.float32)
        x = nnx.relu(self.head2(upsample2_bilinear(x)))
        depth = nnx.relu(self.head3(x)[..., 0]) + config.depth_offset
        return jnp.clip(depth, config.min_depth, config.max_depth)


def resize_depth(depth: Float[Array, "b h w"], size: tuple[int, int]) -> Float[Array, "b H W"]:
    """Bilinear resize of depth maps `(B, h, w)` to `size`, half-pixel centres."""
    return resize_bilinear(depth[..., None], size)[..., 0]
