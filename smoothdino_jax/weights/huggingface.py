"""Hugging Face's DPT over DINOv2, such as `facebook/dpt-dinov2-small-nyu`: `config.json` and safetensors.

Two styles of names are about: files on disk say `attention.attention.query`, the newer code in memory
`q_proj`. Read with safetensors alone.
"""

from collections.abc import Mapping
from typing import Any

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

# The port asks for the exact size of the position grid, and its head returns relu(x).
POSITION_OFFSET = 0.0
DEPTH_OFFSET = 0.0
_EMBEDDINGS = "backbone.embeddings"
_BLOCKS = "backbone.encoder.layer."

# What the models here compute, whatever the file says: (field, value needed, the library's default).
_HEAD_NEEDS = (
    ("is_hybrid", False, False),
    ("readout_type", "project", "project"),
    ("reassemble_factors", [4, 2, 1, 0.5], [4, 2, 1, 0.5]),
    ("add_projection", True, False),
    ("head_in_index", -1, -1),
    ("hidden_act", "gelu", "gelu"),
    ("use_batch_norm_in_fusion_residual", False, False),
)
_BACKBONE_NEEDS = (
    ("model_type", "dinov2", None),
    ("apply_layernorm", False, True),
    ("reshape_hidden_states", False, True),
    ("hidden_act", "gelu", "gelu"),
    ("layer_norm_eps", 1e-6, 1e-6),
    ("qkv_bias", True, True),
    ("mlp_ratio", 4, 4),
)


def check(fields: Mapping[str, Any], where: str) -> None:
    """Refuses a `config.json` of another architecture than DPT over DINOv2.

    Args:
        fields: the parsed `config.json`.
        where: its file, for the message.

    Raises:
        WeightsError: naming every field that is off.
    """
    backbone = fields.get("backbone_config")
    if fields.get("model_type") != "dpt" or not isinstance(backbone, Mapping):
        raise WeightsError(
            f'{where}: model_type is {fields.get("model_type")!r}; only "dpt" over a DINOv2 backbone can be '
            "converted, such as facebook/dpt-dinov2-small-nyu"
        )
    off = [
        f"{prefix}{name} is {part.get(name, default)!r}, expected {need!r}"
        for prefix, part, needs in (
            ("", fields, _HEAD_NEEDS),
            ("backbone_config.", backbone, _BACKBONE_NEEDS),
        )
        for name, need, default in needs
        if part.get(name, default) != need
    ]
    if off:
        raise WeightsError(f"{where}: not the published depth architecture: {'; '.join(off)}")


def configs(
    fields: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    *,
    depth_range: tuple[float, float],
    heads: int | None,
    name: str,
) -> tuple[EncoderConfig, DecoderConfig]:
    """The architecture of a checked `config.json` and its tensors.

    Args:
        fields: the parsed `config.json`.
        tensors: source key -> array.
        depth_range: metres.
        heads: attention heads; None for what the config says.
        name: of the source, for messages.

    Raises:
        WeightsError: not such a model.
    """
    backbone = fields["backbone_config"]
    encoder = architecture.encoder(
        tensors,
        patch_embed=f"{_EMBEDDINGS}.patch_embeddings.projection.weight",
        pos_embed=f"{_EMBEDDINGS}.position_embeddings",
        blocks_prefix=_BLOCKS,
        swiglu=any(".mlp.weights_in." in key or ".mlp.gate_proj." in key for key in tensors),
        position_offset=POSITION_OFFSET,
        heads=backbone.get("num_attention_heads", 12) if heads is None else heads,
        blocks=_blocks(backbone),
        where=name,
    )
    decoder = architecture.decoder(
        tensors,
        width=encoder.width,
        level="neck.reassemble_stage.layers.{}.projection.weight",
        fused="neck.convs.0.weight",
        last="head.head.2.weight",
        depth_offset=DEPTH_OFFSET,
        depth_range=depth_range,
        where=name,
    )
    return encoder, decoder


def _blocks(backbone: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Block indices of a config's stages: stage 0 is the embedding, stage n the output of block n - 1."""
    indices = backbone.get("out_indices")
    if indices is None and backbone.get("out_features"):
        stages = [str(stage).removeprefix("stage") for stage in backbone["out_features"]]
        indices = [int(stage) for stage in stages if stage.isdigit()]
    return None if indices is None else tuple(index - 1 for index in indices)


def encoder_rules(config: EncoderConfig, tensors: Mapping[str, np.ndarray]) -> list[Rule]:
    """The backbone's table, in the style of names that the tensors have."""
    table = [
        *rule("encoder.cls_token", f"{_EMBEDDINGS}.cls_token", layout=TOKEN),
        *rule(
            "encoder.cls_position",
            f"{_EMBEDDINGS}.position_embeddings",
            layout=position_cls(config.native_grid),
        ),
        *rule("encoder.position_grid", f"{_EMBEDDINGS}.position_embeddings", layout=POSITION_GRID),
        *with_bias("encoder.patch_embed", f"{_EMBEDDINGS}.patch_embeddings.projection", layout=CONV),
    ]
    newer = any(".attention.q_proj." in key for key in tensors)
    if newer:
        attention, merged = ("q_proj", "k_proj", "v_proj"), "o_proj"
    else:
        attention, merged = ("attention.query", "attention.key", "attention.value"), "output.dense"
    gated = any(".mlp.gate_proj." in key for key in tensors)
    match config.swiglu, gated:
        case False, _:
            first, second = ("fc1",), "fc2"
        case True, True:
            first, second = ("gate_proj", "up_proj"), "down_proj"
        case _:
            first, second = ("weights_in",), "weights_out"
    for index in range(config.blocks[-1] + 1):
        ours, theirs = f"encoder.blocks.{index}", f"{_BLOCKS}{index}"
        qkv = [f"{theirs}.attention.{name}" for name in attention]
        table += [
            *norm(f"{ours}.norm1", f"{theirs}.norm1"),
            *with_bias(f"{ours}.attn.qkv", *qkv, layout=LINEAR),
            *with_bias(f"{ours}.attn.proj", f"{theirs}.attention.{merged}", layout=LINEAR),
            *rule(f"{ours}.ls1", f"{theirs}.layer_scale1.lambda1"),
            *norm(f"{ours}.norm2", f"{theirs}.norm2"),
            *with_bias(f"{ours}.mlp.fc1", *(f"{theirs}.mlp.{name}" for name in first), layout=LINEAR),
            *with_bias(f"{ours}.mlp.fc2", f"{theirs}.mlp.{second}", layout=LINEAR),
            *rule(f"{ours}.ls2", f"{theirs}.layer_scale2.lambda1"),
        ]
    return table


def ignored(config: EncoderConfig) -> list[str]:
    """Tensors that depth has no use for.

    Besides masking, the final norm and blocks past the last one read: the deepest fusion layer has no side
    input, and yet the library gives it a residual unit for one, with weights that nothing ever touched.
    """
    past = range(config.blocks[-1] + 1, config.depth)
    return [
        f"{_EMBEDDINGS}.mask_token",
        "backbone.layernorm.weight",
        "backbone.layernorm.bias",
        "neck.fusion_stage.layers.0.residual_layer1.*",
        *(f"{_BLOCKS}{index}.*" for index in past),
    ]


def decoder_rules() -> list[Rule]:
    """The neck's and the head's table."""
    table = [
        *with_bias("decoder.project", "head.projection", layout=CONV),
        *with_bias("decoder.head1", "head.head.0", layout=CONV),
        *with_bias("decoder.head2", "head.head.2", layout=CONV),
        *with_bias("decoder.head3", "head.head.4", layout=CONV),
    ]
    for level, resize in enumerate((TILES, TILES, None, CONV)):
        ours, fusion = f"decoder.reassemble.{level}", f"decoder.fusion.{level}"
        stage = "neck.reassemble_stage"
        table += with_bias(f"{ours}.readout", f"{stage}.readout_projects.{level}.0", layout=LINEAR)
        table += with_bias(f"{ours}.project", f"{stage}.layers.{level}.projection", layout=CONV)
        if resize is not None:
            table += with_bias(f"{ours}.resize", f"{stage}.layers.{level}.resize", layout=resize)
        table += rule(f"{ours}.conv.kernel", f"neck.convs.{level}.weight", layout=CONV)
        theirs = f"neck.fusion_stage.layers.{level}"
        table += with_bias(f"{fusion}.project", f"{theirs}.projection", layout=CONV)
        for unit, name in (("side", "residual_layer1"), ("refine", "residual_layer2"))[level == 0 :]:
            for conv, convolution in (("conv1", "convolution1"), ("conv2", "convolution2")):
                source = f"{theirs}.{name}.{convolution}.weight"
                table += rule(f"{fusion}.{unit}.{conv}.kernel", source, layout=CONV)
    return table
