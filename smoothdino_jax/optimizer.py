"""The optax transformation of a configuration."""

import optax
from ml_collections import ConfigDict


def make_optimizer(config: ConfigDict, steps: int) -> optax.GradientTransformation:
    """Optax transformation of the configuration; `steps` batches long."""
    train = config.train
    updates = max(1, steps // train.accumulate)
    warmup = min(train.warmup_steps, updates - 1)
    match train.schedule:
        case "constant":
            rate = optax.join_schedules(
                [
                    optax.linear_schedule(0.0, train.learning_rate, warmup),
                    optax.constant_schedule(train.learning_rate),
                ],
                [warmup],
            )
        case "cosine":
            rate = optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, warmup, updates)
        case other:
            raise ValueError(f'train.schedule={other!r} must be "constant" or "cosine"')
    match train.optimizer:
        case "adam":
            rule = optax.adam(rate)
        case "adamw":
            rule = optax.adamw(rate, weight_decay=train.weight_decay)
        case other:
            raise ValueError(f'train.optimizer={other!r} must be "adam" or "adamw"')
    clip = optax.clip_by_global_norm(train.clip_norm) if train.clip_norm else optax.identity()
    optimizer = optax.chain(clip, rule)
    if train.accumulate > 1:
        optimizer = optax.MultiSteps(optimizer, train.accumulate).gradient_transformation()
    return optimizer
