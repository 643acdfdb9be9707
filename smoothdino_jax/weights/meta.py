"""Meta's own files: `dinov2_vits14_pretrain.pth` and `dinov2_vits14_nyu_dpt_head.pth`.

The names are those of the dinov2 repository (Apache-2.0); its depth heads were trained in mmsegmentation,
hence `decode_head.`. Read from the names and shapes alone.
"""

from collections.abc import Mapping

import numpy as np

from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights import architecture
from smoothdino_jax.weights.errors import WeightsError
from smoothdino_jax.weights.rules import (
    CONV,
    LINEAR,
    POSITION_GRID,
    TILES,
    TOKEN,
    Rule,
    norm,
    position_cls,
    rule,
    with_bias,
)

# Meta's hub models add this to the grid's size before they divide, see `resize_position_grid`.
POSITION_OFFSET = 0.1
# Meta's head returns relu(x) + min_depth.
DEPTH_OFFSET = 0.001
_HEAD = "decode_head"


def configs(
    backbone: Mapping[str, np.ndarray],
    head: Mapping[str, np.ndarray],
    *,
    heads: int | None,
    depth_range: tuple[float, float],
    names: tuple[str, str],
) -> tuple[EncoderConfig, DecoderConfig]:
    """The architecture of a backbone and its head.

    Args:
        backbone: the backbone's tensors.
        head: the head's tensors.
        heads: attention heads; None for those of the published variant.
        depth_range: metres.
        names: of the two files, for messages.

    Raises:
        WeightsError: not such files, or register tokens.
    """
    if "register_tokens" in backbone:
        raise WeightsError(
            f"{names[0]}: a backbone with register tokens; the published depth heads belong to the ones "
            "without (dinov2_vits14_pretrain.pth, not dinov2_vits14_reg4_pretrain.pth)"
        )
    encoder = architecture.encoder(
        backbone,
        patch_embed="patch_embed.proj.weight",
        pos_embed="pos_embed",
        blocks_prefix="blocks.",
        swiglu=any(".mlp.w12." in key for key in backbone),
        position_offset=POSITION_OFFSET,
        heads=heads,
        where=names[0],
    )
    decoder = architecture.decoder(
        head,
        width=encoder.width,
        level=f"{_HEAD}.reassemble_blocks.projects.{{}}.conv.weight",
        fused=f"{_HEAD}.convs.0.conv.weight",
        last=f"{_HEAD}.conv_depth.head.2.weight",
        depth_offset=DEPTH_OFFSET,
        depth_range=depth_range,
        where=names[1],
    )
    return encoder, decoder


def encoder_rules(config: EncoderConfig) -> list[Rule]:
    """The backbone's table."""
    table = [
        *rule("encoder.cls_token", "cls_token", layout=TOKEN),
        *rule("encoder.cls_position", "pos_embed", layout=position_cls(config.native_grid)),
        *rule("encoder.position_grid", "pos_embed", layout=POSITION_GRID),
        *with_bias("encoder.patch_embed", "patch_embed.proj", layout=CONV),
    ]
    first, second = ("w12", "w3") if config.swiglu else ("fc1", "fc2")
    for index in range(config.blocks[-1] + 1):
        ours, theirs = f"encoder.blocks.{index}", f"blocks.{index}"
        table += [
            *norm(f"{ours}.norm1", f"{theirs}.norm1"),
            *with_bias(f"{ours}.attn.qkv", f"{theirs}.attn.qkv", layout=LINEAR),
            *with_bias(f"{ours}.attn.proj", f"{theirs}.attn.proj", layout=LINEAR),
            *rule(f"{ours}.ls1", f"{theirs}.ls1.gamma"),
            *norm(f"{ours}.norm2", f"{theirs}.norm2"),
            *with_bias(f"{ours}.mlp.fc1", f"{theirs}.mlp.{first}", layout=LINEAR),
            *with_bias(f"{ours}.mlp.fc2", f"{theirs}.mlp.{second}", layout=LINEAR),
            *rule(f"{ours}.ls2", f"{theirs}.ls2.gamma"),
        ]
    return table


def ignored(config: EncoderConfig) -> list[str]:
    """Backbone tensors that depth has no use for: masking, the final norm, blocks past the last one read."""
    past = range(config.blocks[-1] + 1, config.depth)
    return ["mask_token", "norm.weight", "norm.bias", *(f"blocks.{index}.*" for index in past)]


def decoder_rules() -> list[Rule]:
    """The head's table."""
    reassemble = f"{_HEAD}.reassemble_blocks"
    table = [
        *with_bias("decoder.project", f"{_HEAD}.project.conv", layout=CONV),
        *with_bias("decoder.head1", f"{_HEAD}.conv_depth.head.0", layout=CONV),
        *with_bias("decoder.head2", f"{_HEAD}.conv_depth.head.2", layout=CONV),
        *with_bias("decoder.head3", f"{_HEAD}.conv_depth.head.4", layout=CONV),
    ]
    for level, resize in enumerate((TILES, TILES, None, CONV)):
        ours, fusion = f"decoder.reassemble.{level}", f"decoder.fusion.{level}"
        table += with_bias(f"{ours}.readout", f"{reassemble}.readout_projects.{level}.0", layout=LINEAR)
        table += with_bias(f"{ours}.project", f"{reassemble}.projects.{level}.conv", layout=CONV)
        if resize is not None:
            table += with_bias(f"{ours}.resize", f"{reassemble}.resize_layers.{level}", layout=resize)
        table += rule(f"{ours}.conv.kernel", f"{_HEAD}.convs.{level}.conv.weight", layout=CONV)
        theirs = f"{_HEAD}.fusion_blocks.{level}"
        table += with_bias(f"{fusion}.project", f"{theirs}.project.conv", layout=CONV)
        # The deepest fusion block has no side input, hence no unit for it.
        for unit, name in (("side", "res_conv_unit1"), ("refine", "res_conv_unit2"))[level == 0 :]:
            for conv in ("conv1", "conv2"):
                source = f"{theirs}.{name}.{conv}.conv.weight"
                table += rule(f"{fusion}.{unit}.{conv}.kernel", source, layout=CONV)
    return table
