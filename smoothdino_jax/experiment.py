"""From a configuration to its data and its model."""

import jax
from absl import logging
from flax import nnx
from ml_collections import ConfigDict

from smoothdino_jax.data import DataError, Split, make_clips, make_split, open_source
from smoothdino_jax.data.frames import FrameSource
from smoothdino_jax.losses import LOSSES
from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights.folder import load

PARTS = ("adapter", "decoder", "encoder")


def trainable_parts(config: ConfigDict) -> tuple[str, ...]:
    """`config.train.trainable`, checked, with "all" spelled out."""
    parts = config.train.trainable
    parts = (parts,) if isinstance(parts, str) else tuple(parts)
    if parts == ("all",):
        return PARTS
    if not parts or not set(parts) <= set(PARTS):
        raise ValueError(f'train.trainable={parts} must name some of {PARTS}, or be ("all",)')
    return parts


def check_training(train: ConfigDict) -> None:
    """Raises ValueError for a field of `config.train` that no training can follow."""
    if train.loss not in LOSSES:
        raise ValueError(f"train.loss={train.loss!r} must be one of {sorted(LOSSES)}")
    if train.regulariser not in ("features", "depth"):
        raise ValueError(f'train.regulariser={train.regulariser!r} must be "features" or "depth"')
    if train.export not in ("last", "best"):
        raise ValueError(f'train.export={train.export!r} must be "last" or "best"')
    if train.accumulate < 1 or train.batch_size < 1 or train.validations_per_epoch < 1:
        raise ValueError("train.accumulate, batch_size and validations_per_epoch must be at least 1")


def open_data(config: ConfigDict) -> tuple[FrameSource, Split]:
    """The frames and their split into training and validation clips.

    Raises:
        DataError, ValueError: from the source or the split.
    """
    if "adapter" in trainable_parts(config) and config.data.clip_length < 2:
        raise ValueError("data.clip_length=1 leaves the adapter without a past: train it on clips of 2 or more")
    source = open_source(config.data.source)
    clips = make_clips(source, config.data.clip_length, config.data.stride)
    split = make_split(config.data.split, source, clips)
    if split.leaking:
        logging.warning(
            "%.0f %% of the validation clips touch training frames: the validation error is flattered",
            100 * split.leaking,
        )
    return source, split


def working_size(config: ConfigDict) -> tuple[int, int] | None:
    """`config.data.size`, None for the frames' own."""
    size = tuple(config.data.size)
    if len(size) != 2 or (any(size) and min(size) < 14):
        raise DataError(f"data.size={size} must be (height, width) of at least 14 pixels, or (0, 0)")
    return size if any(size) else None


def build_model(config: ConfigDict) -> SmoothDINO:
    """The model to train: loaded or made anew, with a new adapter where the adapter is trained.

    Raises:
        WeightsError: the checkpoint can't be loaded.
        ValueError, TypeError: configuration that makes no model.
    """
    fields = config.model
    rngs = nnx.Rngs(config.seed)
    if fields.checkpoint:
        model = load(fields.checkpoint, dtype=fields.dtype)
    else:
        encoder = EncoderConfig(**fields.encoder, dtype=fields.dtype)
        decoder = DecoderConfig.nyu(encoder.width, **fields.decoder, dtype=fields.dtype)
        # Compiled, or initialisation runs thousands of small programs.
        model = jax.jit(lambda rngs: SmoothDINO(SmoothDINOConfig(encoder, decoder), rngs))(rngs)
    if "adapter" not in trainable_parts(config):
        return model.vanilla()
    if fields.keep_adapter:
        if model.adapter is None:
            raise ValueError(f"model.keep_adapter: {fields.checkpoint!r} has no adapter to go on with")
        return model
    adapter = dict(fields.adapter) | {"width": model.config.encoder.width, "dtype": fields.dtype}
    adapter["hidden"] = adapter["hidden"] or None
    return model.with_adapter(AdapterConfig(**adapter), rngs, window=fields.window)
