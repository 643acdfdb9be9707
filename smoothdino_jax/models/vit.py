"""The DINOv2 encoder: a plain vision transformer with LayerScale, any size of input.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023). Depth uses the raw
outputs of four blocks (no final norm): patch tokens as a map and the class token, see `Features`.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from smoothdino_jax.models.resize import resize_position_grid

# Meta's `vits14` … are trained with this patch; nothing below depends on the number.
PATCH = 14


class Features(NamedTuple):
    """One level of the encoder's output.

    Attributes:
        patches: `(B, h, w, C)`, one token per patch.
        cls: `(B, C)`, the class token.
    """

    patches: Float[Array, "*b h w c"]
    cls: Float[Array, "*b c"]


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Architecture of the encoder.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        blocks: indices of the four blocks whose outputs are returned.
        swiglu: SwiGLU feed-forward layers (giant) instead of GELU ones.
        patch: side of a patch in pixels.
        native_grid: side of the learned position grid, in patches.
        position_offset: 0.1 for Meta's weights, 0 for Hugging Face's, see `resize_position_grid`.
        dtype: compute dtype, "float32" or "bfloat16". Weights, LayerNorm and softmax stay float32.
    """

    width: int
    depth: int
    heads: int
    blocks: tuple[int, int, int, int]
    swiglu: bool = False
    patch: int = PATCH
    native_grid: int = 37
    position_offset: float = 0.1
    dtype: str = "float32"

    def __post_init__(self):
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.width % self.heads:
            raise ValueError(f"encoder: width {self.width} is not a multiple of heads {self.heads}")
        ordered = list(self.blocks) == sorted(set(self.blocks))
        if len(self.blocks) != 4 or not ordered or not 0 <= self.blocks[0] <= self.blocks[-1] < self.depth:
            raise ValueError(f"encoder: blocks {self.blocks} must be four increasing indices below depth {self.depth}")

    @classmethod
    def small(cls, **changes) -> "EncoderConfig":
        """ViT-S/14, 22 M parameters."""
        return cls(**{"width": 384, "depth": 12, "heads": 6, "blocks": (2, 5, 8, 11)} | changes)

    @classmethod
    def base(cls, **changes) -> "EncoderConfig":
        """ViT-B/14, 86 M parameters."""
        return cls(**{"width": 768, "depth": 12, "heads": 12, "blocks": (2, 5, 8, 11)} | changes)

    @classmethod
    def large(cls, **changes) -> "EncoderConfig":
        """ViT-L/14, 304 M parameters."""
        return cls(**{"width": 1024, "depth": 24, "heads": 16, "blocks": (4, 11, 17, 23)} | changes)

    @classmethod
    def giant(cls, **changes) -> "EncoderConfig":
        """ViT-g/14, 1.1 G parameters, SwiGLU."""
        giant = {"width": 1536, "depth": 40, "heads": 24, "blocks": (9, 19, 29, 39), "swiglu": True}
        return cls(**giant | changes)

    @property
    def hidden(self) -> int:
        """Width of the feed-forward layer; SwiGLU's is two thirds of it, rounded up to a multiple of 8."""
        full = 4 * self.width
        return (full * 2 // 3 + 7) // 8 * 8 if self.swiglu else full


_INIT = nnx.initializers.truncated_normal(0.02)


class Attention(nnx.Module):
    """Multi-head self-attention with one fused projection to queries, keys and values."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        self.heads = config.heads
        self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, kernel_init=_INIT, rngs=rngs)
        self.proj = nnx.Linear(width, width, dtype=dtype, kernel_init=_INIT, rngs=rngs)

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = jnp.moveaxis(qkv, 2, 0)
        # Softmax in float32 whatever the compute dtype: bfloat16 sums lose the small weights.
        merged = jax.lax.platform_dependent(
            query, key, value, cpu=_attention_by_head, default=jax.nn.dot_product_attention
        )
        return self.proj(merged.reshape(batch, tokens, width))


def _attention_by_head(
    query: Float[Array, "b n h d"], key: Float[Array, "b n h d"], value: Float[Array, "b n h d"]
) -> Float[Array, "b n h d"]:
    # The scores of all heads at once are 60 MB for ViT-S at 480×640 and leave every cache; those of one
    # head are 10 MB. One head after the other takes a quarter of the time on a CPU.
    batch, tokens, heads, width = query.shape

    def one(inputs):
        query, key, value = inputs
        scores = jnp.dot(query * width**-0.5, key.T, preferred_element_type=jnp.float32)
        return jax.nn.softmax(scores, axis=-1).astype(value.dtype) @ value

    flat = [jnp.swapaxes(x, 1, 2).reshape(batch * heads, tokens, width) for x in (query, key, value)]
    merged = jax.lax.map(one, tuple(flat)).reshape(batch, heads, tokens, width)
    return jnp.swapaxes(merged, 1, 2)


class FeedForward(nnx.Module):
    """GELU (exact, by erf) or SwiGLU feed-forward layer."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.swiglu = config.swiglu
        inner = config.hidden * (2 if config.swiglu else 1)
        args = {"dtype": config.dtype, "kernel_init": _INIT, "rngs": rngs}
        self.fc1 = nnx.Linear(config.width, inner, **args)
        self.fc2 = nnx.Linear(config.hidden, config.width, **args)

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        x = self.fc1(x)
        if self.swiglu:
            gate, x = jnp.split(x, 2, axis=-1)
            x = nnx.silu(gate) * x
        else:
            x = nnx.gelu(x, approximate=False)
        return self.fc2(x)


class Block(nnx.Module):
    """Pre-norm transformer block; LayerScale is one learned factor per channel on each branch."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        norm = {"epsilon": 1e-6, "dtype": jnp.float32, "rngs": rngs}
        self.norm1 = nnx.LayerNorm(config.width, **norm)
        self.attn = Attention(config, rngs)
        self.ls1 = nnx.Param(jnp.ones(config.width))
        self.norm2 = nnx.LayerNorm(config.width, **norm)
        self.mlp = FeedForward(config, rngs)
        self.ls2 = nnx.Param(jnp.ones(config.width))

    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        x = x + self.attn(self.norm1(x).astype(x.dtype)) * self.ls1[...].astype(x.dtype)
        return x + self.mlp(self.norm2(x).astype(x.dtype)) * self.ls2[...].astype(x.dtype)


class Encoder(nnx.Module):
    """DINOv2 without its final norm, which depth does not use: `Encoder(config, rngs)(images)`."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        self.config = config
        width, patch = config.width, config.patch
        self.patch_embed = nnx.Conv(
            3, width, (patch, patch), (patch, patch), padding="VALID", dtype=config.dtype, rngs=rngs
        )
        draw = _INIT(rngs.params(), (2 + config.native_grid**2, width))
        self.cls_token = nnx.Param(draw[0])
        self.cls_position = nnx.Param(draw[1])
        self.position_grid = nnx.Param(draw[2:].reshape(config.native_grid, config.native_grid, width))
        # Blocks past the last one returned would be dead weight in memory and in every file.
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.blocks[-1] + 1)])

    def __call__(self, images: Float[Array, "b h w 3"]) -> tuple[Features, ...]:
        """Encodes normalised images.

        Args:
            images: `(B, H, W, 3)`, normalised and padded: H and W multiples of the patch.

        Returns:
            Four `Features`, shallow to deep, in the compute dtype, grid `(H/patch, W/patch)`.
        """
        config = self.config
        dtype = jnp.dtype(config.dtype)
        tokens = self.patch_embed(images.astype(dtype))
        batch, height, width, channels = tokens.shape
        positions = resize_position_grid(self.position_grid[...], (height, width), config.position_offset)
        tokens = (tokens + positions.astype(dtype)).reshape(batch, height * width, channels)
        cls = (self.cls_token[...] + self.cls_position[...]).astype(dtype)
        x = jnp.concatenate([jnp.broadcast_to(cls, (batch, 1, channels)), tokens], axis=1)
        levels = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in config.blocks:
                levels.append(Features(x[:, 1:].reshape(batch, height, width, channels), x[:, 0]))
        return tuple(levels)
