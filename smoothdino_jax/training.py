"""Training: `train_and_evaluate(config, workdir)`, the loop behind `train.py`.

The adapter alone by default: what is frozen enters the loss as a constant, so neither gradients nor optimiser
state for it exist. With `train.trainable` naming the encoder and decoder instead, the same loop trains a
depther on single frames.
"""

import functools
import json
import math
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from flax import nnx
from flax.traverse_util import flatten_dict
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict
from tqdm import tqdm

from smoothdino_jax import feature_cache, interrupts, losses
from smoothdino_jax.data import Augment, ClipSource, training_batches
from smoothdino_jax.data.pipeline import describe_batches
from smoothdino_jax.evaluation import Lanes, evaluate, streams
from smoothdino_jax.experiment import build_model, check_config, open_data, trainable_parts, working_size
from smoothdino_jax.logs import Logs
from smoothdino_jax.machine import provenance
from smoothdino_jax.models.smoothdino import SmoothDINO
from smoothdino_jax.monitor import Postfix, Throughput, Watch, step_bar
from smoothdino_jax.optimizer import make_optimizer
from smoothdino_jax.weights.checkpoints import Checkpoints
from smoothdino_jax.weights.folder import check_free, save

LOG_EVERY = 10  # steps


class TrainState(NamedTuple):
    """What a step changes.

    Attributes:
        weights: the trainable weights, an `nnx.State`.
        optimizer: optax's state for them.
        step: `()` int32, batches seen.
    """

    weights: nnx.State
    optimizer: optax.OptState
    step: jax.Array


def train_and_evaluate(config: ConfigDict, workdir: str | Path) -> SmoothDINO:
    """Trains, validates and saves; started again with the same workdir, goes on where it was.

    WORKDIR gets `config.json`, `run.json` (the command and what it ran on), `checkpoints/`, `log.jsonl`,
    `tensorboard/` and `model/`, a folder that `smoothdino_jax.load` reads.

    Args:
        config: see `config.default_config`.
        workdir: made if it does not exist.

    Returns:
        The trained model.

    Raises:
        DataError, WeightsError, CheckpointError, ValueError: bad input, before any training.
        TrainingDiverged: NaN in the loss or a gradient; the checkpoints from before stay.
    """
    workdir = Path(workdir)
    check_config(config)
    trainable = trainable_parts(config)
    if "adapter" in trainable and config.data.clip_length < 2:
        raise ValueError("data.clip_length=1 leaves the adapter without a past: train it on clips of 2 or more")
    first = jax.process_index() == 0

    # Data first: a wrong path should not cost the time of loading weights.
    source, split = open_data(config)
    clips = ClipSource(source, split.train, working_size(config), config.data.cache_bytes)
    batches, described = _batches(config, clips)
    lanes = Lanes(
        clips.with_clips(split.validation),
        streams(source, split.validation),
        lanes=config.eval.batch_size,
        # Without an adapter there is no past, and the first frame of a stream is as good as any.
        warmup=config.eval.warmup if "adapter" in trainable else 0,
        limit=config.train.validation_frames,
    )
    if first:
        tqdm.write(
            f"{len(source)} frames in {len(source.scenes)} scene(s): {len(split.train)} clips to train on, "
            f"{len(np.unique(split.validation))} frames to validate on"
        )
    per_epoch = max(1, len(clips) // config.train.batch_size)
    total = config.train.steps or round(config.train.epochs * per_epoch)
    every = config.train.validation_steps or max(1, per_epoch // config.train.validations_per_epoch)

    model = build_model(config)
    graph, weights, frozen = nnx.split(model, lambda path, _: path[0] in trainable, ...)
    optimizer = make_optimizer(config, total)
    state = TrainState(weights, optimizer.init(weights), jnp.zeros((), jnp.int32))

    # One mesh axis over all devices: the batch is split along it, weights are copied.
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(AxisType.Auto,))
    sharded, copied = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["batch"], []))
    state, frozen = jax.device_put((state, frozen), copied)
    step = functools.partial(train_step, config, graph, optimizer)
    step = jax.jit(step, donate_argnums=0)

    # Resume.
    check_free(workdir / "model", overwrite=True)
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(workdir / "checkpoints", config.train.checkpoints_to_keep)
    best, vanilla, position = math.inf, None, None
    if checkpoints.latest is not None:
        state, extra = checkpoints.restore(checkpoints.latest, state)
        checkpoints.check_batches(extra.get("batches", described), described)
        best, vanilla, position = extra["best"], extra["vanilla"], extra["data"]
        _warn_of_changes(config, workdir / "config.json")
        if int(state.step) < total:
            tqdm.write(f"{workdir}: going on from step {state.step} of {total}")
        else:
            tqdm.write(f"{workdir} has its {total} steps already; to go on, give more train.steps")
    if config.data.feature_cache:
        clips.use_features(_stored_features(config, model, clips))
    iterator = iter(batches)
    if position is not None:
        iterator.set_state(position)
    (workdir / "config.json").write_text(config.to_json_best_effort(indent=2))
    (workdir / "run.json").write_text(json.dumps(provenance(), indent=2) + "\n")
    logs = Logs(workdir, resume_at=int(state.step))

    def export(weights):
        if first:
            provenance = {"trained": sorted(trainable), "from": Path(config.model.checkpoint).name or "scratch"}
            save(nnx.merge(graph, weights, frozen), workdir / "model", provenance=provenance, overwrite=True)

    def validate(number, state):
        nonlocal best
        row = evaluate({"": nnx.merge(graph, state.weights, frozen)}, lanes, progress="validation")[""]
        watch.check(number, {"validation MSE": row["mse"]})
        logs.write(number, {f"validation/{name}": row[name] for name in ("mse", "abs_rel", "delta1")})
        if row["mse"] < best:
            best = row["mse"]
            if config.train.export == "best":
                export(state.weights)
        return row["mse"]

    watch = Watch(checkpoints)
    bar = step_bar(total, int(state.step), shown=first)
    if "adapter" in trainable and vanilla is None:
        vanilla = evaluate({"": model.vanilla()}, lanes, progress="vanilla")[""]["mse"]
        logs.write(0, {"validation/vanilla_mse": vanilla})
    postfix = Postfix(vanilla, logs.latest("validation/mse"))

    # Loop. What a step measured is looked at one step later, so that the device never waits for the host.
    throughput = Throughput(int(state.step), config.train.batch_size * config.data.clip_length)
    for number in range(int(state.step) + 1, total + 1):
        batch = jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharded, x), next(iterator))
        interrupts.check()
        state, measured = step(state, frozen, batch)
        watch.look(number, measured)
        bar.update()
        last = number == total
        if number % LOG_EVERY == 0 or last:
            values = watch.flush()
            rate = {"frames_per_second": throughput.look(number)}
            logs.write(number, {f"train/{name}": value for name, value in (values | rate).items()})
            bar.set_postfix_str(postfix.train(values["loss"], rate["frames_per_second"]), refresh=False)
        if number % every == 0 or last:
            watch.flush()
            bar.set_postfix_str(postfix.validation(validate(number, state)))
            extra = {"data": iterator.get_state(), "batches": described, "best": best, "vanilla": vanilla}
            checkpoints.save(number, state, extra)
    bar.close()
    logs.close()
    iterator.close()
    if config.train.export == "last":
        export(state.weights)
    if first:
        tqdm.write(f"{workdir / 'model'}: the trained model. eval.py with the same --config and --workdir judges it")
    return nnx.merge(graph, state.weights, frozen)


def train_step(config: ConfigDict, graph, optimizer, state: TrainState, frozen: nnx.State, batch):
    """One batch: `(state, {"loss", "mse", "gradient_norm", "weight_norm"})`.

    Args:
        config: static.
        graph: structure of the model, from `nnx.split`.
        optimizer: an optax transformation.
        state: what changes.
        frozen: the weights that do not.
        batch: `image` `(B, T, H, W, 3)` uint8, `depth` `(B, T, H, W)` metres, and maybe `features`, as `loss`
            takes them.
    """

    def objective(weights):
        model = nnx.merge(graph, weights, frozen)
        return loss(config, model, batch["image"], batch["depth"], batch.get("features"))

    (value, mse), gradients = jax.value_and_grad(objective, has_aux=True)(state.weights)
    updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.weights)
    weights = optax.apply_updates(state.weights, updates)
    # The loss judges the weights before the update; their norm afterwards tells whether the update ruined them.
    norms = {"gradient_norm": optax.tree.norm(gradients), "weight_norm": optax.tree.norm(weights)}
    measured = {"loss": value, "mse": mse} | norms
    return TrainState(weights, optimizer_state, state.step + 1), measured


def loss(config: ConfigDict, model: SmoothDINO, images: jax.Array, depth: jax.Array, tokens: jax.Array | None = None):
    """Loss and MSE of a batch of clips; every frame is encoded once, or not at all where its features are stored.

    Args:
        config: static.
        model: with an adapter, over the clip's frames after the first; without, over all frames.
        images: `(B, T, H, W, 3)`.
        depth: `(B, T, H, W)` metres, 0 where there is no reading.
        tokens: `(B, T, levels, 1 + h·w, C)`, the encoder's features of the images as `feature_cache.pack` lays
            them out; None to encode.

    Returns:
        Scalars: the loss with its regulariser, and the MSE in m².
    """
    (batch, length), size = depth.shape[:2], depth.shape[2:]
    if tokens is None:
        features = model.encode(images.reshape(-1, *images.shape[2:]))
    else:
        features = feature_cache.unpack(tokens.reshape(-1, *tokens.shape[2:]), model.config.encoder, size)
    if "encoder" not in trainable_parts(config):
        features = jax.lax.stop_gradient(features)
    if model.adapter is None:
        prediction = model.decode(features, size)
        truth = depth.reshape(prediction.shape)
        return losses.LOSSES[config.train.loss](prediction, truth), losses.mse(prediction, truth)

    def flat(leaf):
        return leaf.reshape(-1, *leaf.shape[2:])

    # The first frame of a clip has no past, and teaches the adapter nothing.
    clip = jax.tree.map(lambda leaf: leaf.reshape(batch, length, *leaf.shape[1:]), features)
    adapted = jax.tree.map(flat, model.adapt_clip(clip, images, skip=1))
    before = jax.tree.map(lambda leaf: flat(leaf[:, 1:]), clip)
    prediction, truth = model.decode(adapted, size), flat(depth[:, 1:])
    total = losses.LOSSES[config.train.loss](prediction, truth)
    if config.train.regulariser_weight:
        if config.train.regulariser == "features":
            change = losses.feature_change(before, adapted)
        else:
            vanilla = jax.lax.stop_gradient(model.decode(before, size))
            change = jnp.square(prediction - vanilla).mean()
        total += config.train.regulariser_weight * change
    return total, losses.mse(prediction, truth)


def _batches(config: ConfigDict, clips: ClipSource):
    hosts, data = jax.process_count(), config.data
    if config.train.batch_size % jax.device_count():
        raise ValueError(
            f"train.batch_size={config.train.batch_size} is not a multiple of the {jax.device_count()} devices"
        )
    batch_size = config.train.batch_size // hosts
    order = {"seed": config.seed, "workers": data.workers, "shard_count": hosts}
    batches = training_batches(
        clips,
        batch_size,
        augment=Augment(**data.augmentation) if data.augment else None,
        threads=data.threads,
        prefetch=data.prefetch,
        shard_index=jax.process_index(),
        **order,
    )
    return batches, describe_batches(clips, batch_size, **order)


def _stored_features(config: ConfigDict, model: SmoothDINO, clips: ClipSource):
    return feature_cache.fill(
        config.data.feature_cache,
        model,
        clips,
        dtype=config.data.feature_dtype,
        # What a training step without the cache would encode on one device.
        batch_size=config.train.batch_size * config.data.clip_length // jax.device_count(),
        threads=config.data.threads,
    )


def _warn_of_changes(config: ConfigDict, path: Path) -> None:
    """Names what differs from the configuration that the run was started with."""
    if not path.exists():
        return
    before, now = (flatten_dict(json.loads(text), sep=".") for text in (path.read_text(), config.to_json_best_effort()))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            logging.warning("%s was %s when this run started, now %s", name, before.get(name), now.get(name))
