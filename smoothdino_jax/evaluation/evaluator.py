"""The evaluator: predictors and their metrics in one compiled program per frame.

Models on the same frozen encoder are encoded once per frame, whatever their number, so further rows cost an
adapter and a decoding each. Metrics run on the device too, and what they say stays there until the end: the host only
reads frames.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from smoothdino_jax import interrupts
from smoothdino_jax.evaluation.lanes import Lanes
from smoothdino_jax.evaluation.predictors import Frames, Predictor, Smoothed, Vanilla
from smoothdino_jax.evaluation.records import Records
from smoothdino_jax.metrics import (
    DEFINITIONS,
    Pair,
    Protocol,
    View,
    frame_counts,
    frame_metrics,
    scale_metrics,
    sharpness_metrics,
    temporal_metrics,
)
from smoothdino_jax.models.dpt import resize_depth
from smoothdino_jax.models.smoothdino import SmoothDINO

GROUPS = ("frame", "scale", "sharpness", "temporal")
_AHEAD = 2  # steps given to the device beyond the one it is at


class Carry(NamedTuple):
    """What the evaluation of a stream remembers.

    Attributes:
        states: row -> its predictor's state.
        last: `View` of the frame before, its predictions with a leading axis of rows; () without temporal metrics.
    """

    states: dict
    last: View | tuple[()]


def evaluate(models: dict[str, SmoothDINO], lanes: Lanes, *, progress: str = "") -> dict[str, dict]:
    """Streams all frames through all models and averages their per-frame metrics.

    Args:
        models: row name -> model; one without an adapter predicts frame by frame.
        lanes: what to stream.
        progress: label of a progress bar; "" for none.

    Returns:
        Row name -> what `Records.means` says.

    Raises:
        DataError: a frame can't be read.
        ValueError: no frame has a depth reading.
    """
    predictors = {name: Smoothed(name) if model.adapter else Vanilla(name) for name, model in models.items()}
    records = measure(models, predictors, lanes, groups=("frame",), progress=progress)
    return {name: records.means(name) for name in models}


def measure(
    models: dict[str, SmoothDINO],
    predictors: dict[str, Predictor],
    lanes: Lanes,
    *,
    groups: Sequence[str] = GROUPS,
    protocol: Protocol = Protocol(),  # noqa: B008, it is frozen
    progress: str = "",
) -> Records:
    """Streams all frames through all predictors and measures every frame.

    Args:
        models: what the predictors name.
        predictors: row name -> predictor.
        lanes: what to stream; with `others` where a predictor needs them.
        groups: some of `GROUPS`.
        protocol: which of the truth's pixels count.
        progress: label of a progress bar; "" for none.

    Returns:
        Records of the counted frames, by position.

    Raises:
        DataError: a frame can't be read.
        ValueError: an unknown group.
    """
    if unknown := set(groups) - set(GROUPS):
        raise ValueError(f"no metrics {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    graph, weights = nnx.split(models)
    step = _compiled(graph, tuple(predictors.items()), tuple(groups), protocol)
    # Where the weights are, or the second batch would compile again for committed inputs.
    place = functools.partial(jax.device_put, device=jax.tree.leaves(weights)[0].sharding)
    carry = pose = None
    measured = []
    for batch in tqdm(
        lanes.batches(), progress, len(lanes), unit="step", disable=None if progress else True, leave=False
    ):
        if carry is None:
            carry = place(_start(models, predictors, batch, "temporal" in groups))
        batch.pop("counted")
        motion = _motion(pose, batch["pose"], batch["fresh"])
        pose = batch.pop("pose")
        interrupts.check()
        carry, values = step(weights, carry, batch | {"motion": motion})
        measured.append(values)
        jax.block_until_ready(measured[max(0, len(measured) - 1 - _AHEAD)])
    return _records(jax.device_get(measured), tuple(predictors), lanes)


@functools.lru_cache(maxsize=4)
def _compiled(graph, predictors, groups, protocol):
    """The step for models of this structure: one validation must not compile what the last one did."""
    return jax.jit(functools.partial(_step, graph, predictors, groups, protocol), donate_argnums=1)


def _step(graph, predictors, groups, protocol, weights, carry, batch):
    frames = Frames(nnx.merge(graph, weights), batch["image"], batch["fresh"], batch.get("other"))
    made = {name: predictor(frames, carry.states[name]) for name, predictor in predictors}
    states = {name: state for name, (_, state) in made.items()}
    truth = protocol.restrict(batch["depth"])
    predictions = jnp.stack([_at_size(depth, truth.shape[1:]) for depth, _ in made.values()])

    last = ()
    if "temporal" in groups:
        image = batch["image"]
        if image.shape[1:3] != truth.shape[1:]:
            image = jax.image.resize(image.astype(jnp.float32), (*truth.shape, 3), "linear")
        last = View(predictions, truth, image)

    def of_row(row):
        whole, before = row
        prediction = protocol.clamp(whole)
        values = frame_counts(prediction, truth)
        if "frame" in groups:
            values |= frame_metrics(prediction, truth)
        if "scale" in groups:
            values |= scale_metrics(prediction, truth)
        if "sharpness" in groups:
            values |= sharpness_metrics(prediction, truth)
        if "temporal" in groups:
            # A stream's first frame has no past: without truth and motion, nothing is defined.
            known = jnp.where(batch["fresh"][:, None, None], 0.0, carry.last.truth)
            previous = carry.last._replace(prediction=before, truth=known)
            current = last._replace(prediction=whole)
            values |= temporal_metrics(Pair(previous, current, batch["motion"], batch["intrinsics"]))
        return values

    # One after the other, not side by side: compiled once for all rows, and no more memory than one needs.
    before = carry.last.prediction if "temporal" in groups else predictions
    values = jax.lax.map(of_row, (predictions, before))
    nothing = jnp.full(truth.shape[0], jnp.nan)
    for part in ("dx", "dy", "response"):
        found = [getattr(state.shift, part) if hasattr(state, "shift") else nothing for state in states.values()]
        values[part] = jnp.stack(found)
    return Carry(states, last), values


def _at_size(depth, size):
    return depth if depth.shape[1:] == tuple(size) else resize_depth(depth, size)


def _start(models, predictors, batch, temporal):
    image, depth = batch["image"], batch["depth"]
    states = {name: predictor.init(models, image) for name, predictor in predictors.items()}
    if not temporal:
        return Carry(states, ())
    dtype = image.dtype if image.shape[1:3] == depth.shape[1:] else jnp.float32
    return Carry(
        states,
        View(jnp.zeros((len(predictors), *depth.shape)), jnp.zeros(depth.shape), jnp.zeros((*depth.shape, 3), dtype)),
    )


def _motion(before: np.ndarray | None, now: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """From the previous camera's coordinates to the current one's; in float64, poses may be far from the origin."""
    if before is None:
        return np.full(now.shape, np.nan, np.float32)
    known = ~fresh & np.isfinite(before).all((1, 2)) & np.isfinite(now).all((1, 2))
    motion = np.full(now.shape, np.nan)
    motion[known] = np.linalg.inv(now[known]) @ before[known]
    return motion.astype(np.float32)


def _records(measured: list[dict], predictors: tuple[str, ...], lanes: Lanes) -> Records:
    counted = np.array([[entry[2] for entry in lane] for lane in lanes.table]).T  # (steps, lanes)
    positions = np.array([[entry[0] for entry in lane] for lane in lanes.table]).T[counted]
    order = np.argsort(positions, kind="stable")
    # JAX sorts the names of a dict; people don't.
    names = ("pixels", "nonfinite", *(name for name in DEFINITIONS if name in measured[0]), "dx", "dy", "response")
    # (steps, rows, lanes) to (rows, steps, lanes), of which the counted frames.
    columns = {
        name: np.moveaxis(np.stack([values[name] for values in measured]), 1, 0)[:, counted][:, order] for name in names
    }
    scenes = np.empty(len(positions), object)
    numbers = np.empty(len(positions), np.int64)
    ordered = positions[order]
    for scene, where in lanes.frames.source.scenes.items():
        inside = (ordered >= where.start) & (ordered < where.stop)
        scenes[inside] = scene
        numbers[inside] = lanes.frames.source.indices(scene)[ordered[inside] - where.start]
    rows = {name: {column: values[k] for column, values in columns.items()} for k, name in enumerate(predictors)}
    single = all(len(segment) == 1 for segment in lanes.frames.source.segments)
    return Records(scenes.astype(str), numbers, rows, single)


def share_frozen(models: dict[str, SmoothDINO]) -> None:
    """Lets models whose encoders (or decoders) hold the same numbers share one, so that it runs once."""
    kept: list[SmoothDINO] = []
    for model in models.values():
        for part in ("encoder", "decoder"):
            for other in kept:
                if _same(getattr(model, part), getattr(other, part)):
                    setattr(model, part, getattr(other, part))
                    break
        kept.append(model)


def other_frozen(models: dict[str, SmoothDINO]) -> tuple[str, ...]:
    """Names of the models whose encoder or decoder holds other numbers than the first one's."""
    first = next(iter(models.values()))
    parts = ("encoder", "decoder")
    return tuple(
        name
        for name, model in models.items()
        if not all(_same(getattr(model, part), getattr(first, part)) for part in parts)
    )


def _same(a: nnx.Module, b: nnx.Module) -> bool:
    if a is b:
        return True
    if a.config != b.config:
        return False
    leaves = zip(jax.tree.leaves(nnx.state(a)), jax.tree.leaves(nnx.state(b)), strict=True)
    return all(bool(jnp.array_equal(x, y)) for x, y in leaves)
