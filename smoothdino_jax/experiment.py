"""From a configuration to its data and its model."""

import jax
import numpy as np
from absl import logging
from flax import nnx
from ml_collections import ConfigDict

from smoothdino_jax.data import Augment, DataError, Split, make_clips, make_split, open_source
from smoothdino_jax.data.feature_store import DTYPES
from smoothdino_jax.data.frames import FrameSource
from smoothdino_jax.data.splits import NoTrainingClips, make_sides
from smoothdino_jax.evaluation.evaluator import GROUPS
from smoothdino_jax.losses import LOSSES
from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.weights.folder import load

PARTS = ("adapter", "decoder", "encoder")
_LEAST = {
    "train.steps": 0,
    "train.batch_size": 1,
    "train.accumulate": 1,
    "train.warmup_steps": 0,
    "train.validations_per_epoch": 1,
    "train.validation_steps": 0,
    "train.validation_frames": 0,
    "train.checkpoints_to_keep": 1,
    "eval.batch_size": 1,
    "eval.warmup": 0,
    "eval.frames": 0,
    "eval.timing_frames": 1,
    "eval.min_depth": 0,
    "eval.max_depth": 0,
    "eval.resamples": 0,
}


def trainable_parts(config: ConfigDict) -> tuple[str, ...]:
    """`config.train.trainable`, checked, with "all" spelled out."""
    parts = config.train.trainable
    parts = (parts,) if isinstance(parts, str) else tuple(parts)
    if parts == ("all",):
        return PARTS
    if not parts or not set(parts) <= set(PARTS):
        raise ValueError(f'train.trainable={parts} must name some of {PARTS}, or be ("all",)')
    return parts


def check_config(config: ConfigDict) -> None:
    """Raises ValueError for a field that no training or evaluation can follow."""
    train = config.train
    for name, low in _LEAST.items():
        value = config
        for part in name.split("."):
            value = value[part]
        if value < low:
            raise ValueError(f"{name}={value} must be at least {low}")
    if (not train.steps and train.epochs <= 0) or train.learning_rate <= 0:
        raise ValueError("train.epochs (or train.steps) and train.learning_rate must be positive")
    if train.steps and train.accumulate > train.steps:
        raise ValueError(f"train.steps={train.steps} are fewer than train.accumulate={train.accumulate}: no update")
    if config.model.dtype not in ("float32", "bfloat16"):
        raise ValueError(f'model.dtype={config.model.dtype!r} must be "float32" or "bfloat16"')
    groups = tuple(config.eval.measures)
    if "frame" not in groups or not set(groups) <= set(GROUPS):
        raise ValueError(f'eval.measures={groups}: "frame", and any of {", ".join(GROUPS[1:])}')
    if config.eval.name == "vanilla":
        raise ValueError('eval.name="vanilla" is the name of the frozen model\'s row: choose another')
    if train.loss not in LOSSES:
        raise ValueError(f"train.loss={train.loss!r} must be one of {sorted(LOSSES)}")
    if train.regulariser not in ("features", "depth"):
        raise ValueError(f'train.regulariser={train.regulariser!r} must be "features" or "depth"')
    if train.export not in ("last", "best"):
        raise ValueError(f'train.export={train.export!r} must be "last" or "best"')
    if config.data.feature_cache:
        _check_feature_cache(config)


def _check_feature_cache(config: ConfigDict) -> None:
    data = config.data
    if data.feature_dtype not in DTYPES:
        raise ValueError(f"data.feature_dtype={data.feature_dtype!r} must be one of {', '.join(DTYPES)}")
    if "encoder" in trainable_parts(config):
        raise ValueError(
            "data.feature_cache stores what a frozen encoder says, but train.trainable names the encoder: "
            'train without it, or set data.feature_cache=""'
        )
    altering = Augment(**data.augmentation).of_pixels if data.augment else ()
    if altering:
        raise ValueError(
            "data.feature_cache: stored features are of unaltered pictures, so time reversal is the only augmentation. "
            "Give --config.data.augment=False, or "
            + " ".join(f"--config.data.augmentation.{name}=0" for name in altering)
        )


def open_data(config: ConfigDict, *, training: bool = True) -> tuple[FrameSource, Split]:
    """The frames and their split into training and validation clips.

    Args:
        config: the experiment's.
        training: False where nothing is trained: then a split without training clips will do.

    Raises:
        DataError, ValueError: from the source or the split.
    """
    source = open_source(config.data.source)
    clips = make_clips(source, config.data.clip_length, config.data.stride)
    try:
        split = make_split(config.data.split, source, clips)
    except NoTrainingClips as error:
        if training:
            raise
        split = error.split
    if training and config.data.step != 1:
        # Of training alone: validation clips are joined into streams, which a step would tear.
        spaced = make_clips(source, config.data.clip_length, config.data.stride, config.data.step)
        train = split.train[np.isin(split.train[:, 0], spaced[:, 0])]
        split = make_sides(source, train, split.validation, f"data.step={config.data.step} is too long for it")
    # "everything" is for data that nothing was trained on, where it means nothing.
    if split.leaking and config.data.split.how != "everything":
        logging.warning(
            "%.0f %% of the validation frames are in training or have a neighbour there: the validation error is "
            "flattered. Split by_blocks or by_scene.",
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
