"""The architecture of a source, read off the shapes of its tensors."""

from collections.abc import Mapping

import numpy as np

from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.rules import numbered

Tensors = Mapping[str, np.ndarray]
_RANGES = {"nyu": (0.001, 10.0), "kitti": (0.001, 80.0)}
_PUBLISHED = (
    EncoderConfig.small(),
    EncoderConfig.base(),
    EncoderConfig.large(),
    EncoderConfig.giant(),
)


def head_count(width: int) -> int:
    """Attention heads of the published variant of this width; they don't show in the shapes.

    Raises:
        WeightsError: no such variant.
    """
    for variant in _PUBLISHED:
        if variant.width == width:
            return variant.heads
    widths = ", ".join(str(variant.width) for variant in _PUBLISHED)
    raise WeightsError(
        f"the backbone has {width} channels, and the published ones have {widths}: the number of attention "
        "heads can't be read off the weights, so give it (--heads N)"
    )


def default_blocks(depth: int) -> tuple[int, int, int, int]:
    """The blocks that the published depth heads read; the ends of the quarters for other depths."""
    for variant in _PUBLISHED:
        if variant.depth == depth:
            return variant.blocks
    return tuple(depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4))


def encoder(
    tensors: Tensors,
    *,
    patch_embed: str,
    pos_embed: str,
    blocks_prefix: str,
    swiglu: bool,
    position_offset: float,
    heads: int | None,
    blocks: tuple[int, ...] | None = None,
    where: str,
) -> EncoderConfig:
    """The encoder's config.

    Args:
        tensors: source key -> array.
        patch_embed: key of the patch embedding's weight `(C, 3, p, p)`.
        pos_embed: key of the position embedding `(1, 1 + g², C)`.
        blocks_prefix: what precedes a block's number.
        swiglu: whether the feed-forward layers are SwiGLU.
        position_offset: see `EncoderConfig`.
        heads: attention heads; None for those of the published variant.
        blocks: indices of the blocks returned; None for those of the published heads.
        where: the source, for messages.

    Raises:
        WeightsError: not a DINOv2 backbone.
    """
    depth = numbered(blocks_prefix, tensors)
    absent = [key for key in (patch_embed, pos_embed) if key not in tensors]
    if absent or not depth:
        absent += [] if depth else [f"{blocks_prefix}*"]
        raise WeightsError(f"{where}: not a DINOv2 backbone, it has no {' and no '.join(absent)}")
    kernel, positions = tensors[patch_embed].shape, tensors[pos_embed].shape
    if len(kernel) != 4 or len(positions) != 3:
        raise WeightsError(
            f"{where}: not a DINOv2 backbone, {patch_embed} is {kernel} and {pos_embed} is {positions}; "
            "expected (C, 3, patch, patch) and (1, 1 + grid², C)"
        )
    if depth < 4:
        raise WeightsError(f"{where}: a depth head reads four blocks, and the backbone has only {depth}")
    try:
        return EncoderConfig(
            width=kernel[0],
            depth=depth,
            heads=head_count(kernel[0]) if heads is None else heads,
            blocks=blocks or default_blocks(depth),
            swiglu=swiglu,
            patch=kernel[2],
            native_grid=round(max(positions[1] - 1, 1) ** 0.5),
            position_offset=position_offset,
        )
    except ValueError as error:
        raise WeightsError(f"{where}: {error}") from None


def decoder(
    tensors: Tensors,
    *,
    width: int,
    level: str,
    fused: str,
    last: str,
    depth_offset: float,
    depth_range: tuple[float, float],
    where: str,
) -> DecoderConfig:
    """The decoder's config.

    Args:
        tensors: source key -> array.
        width: channels of the encoder's tokens.
        level: key of a level's 1×1 projection's weight, with `{}` for the level's number.
        fused: key of a fusion convolution's weight, whose first axis is the channels of the fusion path.
        last: key of the weight whose first axis is the channels of the last hidden convolution.
        depth_offset: see `DecoderConfig`.
        depth_range: metres, lower and upper end of the clamp.
        where: the source, for messages.

    Raises:
        WeightsError: not a DPT head.
    """
    levels = [level.format(number) for number in range(4)]
    absent = [key for key in (*levels, fused, last) if key not in tensors]
    if absent:
        raise WeightsError(f"{where}: not a DPT depth head, it has no {' and no '.join(absent)}")
    try:
        return DecoderConfig(
            width=width,
            levels=tuple(tensors[key].shape[0] for key in levels),
            features=tensors[fused].shape[0],
            last=tensors[last].shape[0],
            min_depth=depth_range[0],
            max_depth=depth_range[1],
            depth_offset=depth_offset,
        )
    except ValueError as error:
        raise WeightsError(f"{where}: {error}") from None


def parse_range(given: str | tuple[float, float] | None, *names: str) -> tuple[tuple[float, float], str]:
    """The range of depth that a head was trained for.

    Args:
        given: "nyu", "kitti", "MIN,MAX" or `(min, max)` in metres; None to guess from the names.
        *names: of the files; KITTI if one of them contains "kitti", else NYU.

    Returns:
        `(min, max)` in metres, and how it was found, for people.

    Raises:
        WeightsError: not a range.
    """
    if given is None:
        guess = "kitti" if any("kitti" in name.lower() for name in names) else "nyu"
        return _RANGES[guess], f"{guess}, guessed from the name; --range sets it"
    if isinstance(given, str) and given.lower() in _RANGES:
        return _RANGES[given.lower()], given.lower()
    try:
        low, high = (float(end) for end in (given.split(",") if isinstance(given, str) else given))
    except (TypeError, ValueError):
        raise WeightsError(
            f"the depth range is nyu, kitti or MIN,MAX in metres (as in 0.001,10), not {given!r}"
        ) from None
    if not 0 <= low < high < float("inf"):
        raise WeightsError(f"the depth range {low},{high} m is empty, negative or endless")
    return (low, high), "as given"
