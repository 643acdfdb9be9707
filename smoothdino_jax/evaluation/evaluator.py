"""Evaluation: scenes streamed in order through one jitted step, all models side by side.

Models on the same frozen encoder are encoded once per frame, whatever their number, so further rows cost an
adapter and a decoding each.
"""

import functools
import time
from collections.abc import Iterator, Sequence

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from smoothdino_jax.data import ClipSource, DataError, FrameSource, runs
from smoothdino_jax.metrics import Sums
from smoothdino_jax.models.smoothdino import SmoothDINO


def streams(source: FrameSource, clips: np.ndarray) -> list[np.ndarray]:
    """Joins overlapping clips into the streams they were cut from.

    A frame follows another where some clip says so, and nowhere else: with clips drawn at random, a stream
    ends where the next clip went to the other side of the split. Single frames (T = 1) join where they are
    consecutive frames of one scene.

    Args:
        source: what the positions are of.
        clips: `(N, T)` positions.

    Returns:
        Arrays of positions in temporal order.
    """
    if clips.shape[1] == 1:
        return [np.array(run) for run in runs(source, clips)]
    following = dict(zip(clips[:, :-1].ravel().tolist(), clips[:, 1:].ravel().tolist(), strict=True))
    joined = []
    for start in sorted(following.keys() - set(following.values())):
        stream = [start]
        while stream[-1] in following:
            stream.append(following[stream[-1]])
        joined.append(np.array(stream))
    return joined


class Lanes:
    """Streams laid end to end in a few lanes that advance together: random access to their batches.

    Args:
        frames: where frames come from, at the working size.
        streams: arrays of positions.
        lanes: how many streams run side by side.
        warmup: frames at the start of each stream that run without being counted.
        limit: how many frames to stream, about; 0 for all. The start of every stream, or of evenly spaced
            ones where there are too many of them.

    Raises:
        DataError: no stream is longer than the warm-up.
    """

    def __init__(
        self,
        frames: ClipSource,
        streams: Sequence[np.ndarray],
        lanes: int = 1,
        warmup: int = 0,
        limit: int = 0,
    ):
        streams = [stream for stream in streams if len(stream) > warmup]
        if limit and streams:
            few = min(len(streams), max(1, limit // (warmup + 1)))
            streams = [streams[k] for k in np.linspace(0, len(streams) - 1, few).round().astype(int)]
            streams = [stream[: max(warmup + 1, limit // few)] for stream in streams]
        if not streams:
            raise DataError(f"nothing to evaluate: no stream is longer than the {warmup} frame(s) of warm-up")
        self.frames = frames
        filled: list[list[tuple[int, bool, bool]]] = [[] for _ in range(min(lanes, len(streams)))]
        for stream in sorted(streams, key=len, reverse=True):
            shortest = min(filled, key=len)
            shortest += [(int(at), k == 0, k >= warmup) for k, at in enumerate(stream)]
        length = max(map(len, filled))
        # A lane that is through repeats its last frame, uncounted.
        self.table = [lane + [(lane[-1][0], False, False)] * (length - len(lane)) for lane in filled]

    def __len__(self) -> int:
        return len(self.table[0])

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """`image` `(B, H, W, 3)`, `depth` `(B, H, W)`, `fresh` and `counted` `(B,)`."""
        positions, fresh, counted = zip(*(lane[step] for lane in self.table), strict=True)
        frames = [self.frames.frame(position) for position in positions]
        if len(sizes := {frame.depth.shape for frame in frames}) > 1:
            raise DataError(f"frames of different sizes (height, width): {sorted(sizes)}. Set data.size.")
        return {
            "image": np.stack([frame.image for frame in frames]),
            "depth": np.stack([frame.depth for frame in frames]),
            "fresh": np.array(fresh),
            "counted": np.array(counted),
        }

    def batches(self, threads: int = 2) -> Iterator[dict[str, np.ndarray]]:
        """The batches in order, read ahead in threads."""
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        return iter(grain.MapDataset.source(self).to_iter_dataset(options))


def evaluate(models: dict[str, SmoothDINO], lanes: Lanes, *, progress: str = "") -> dict[str, dict]:
    """Streams all frames through all models.

    Args:
        models: row name -> model; one without an adapter predicts frame by frame.
        lanes: what to stream.
        progress: label of a progress bar; "" for none.

    Returns:
        Row name -> metrics of `metrics.Sums.means`.

    Raises:
        DataError: a frame can't be read.
        ValueError: no frame has a depth reading.
    """
    graph, weights = nnx.split(models)
    step = _compiled(graph)
    # Where the weights are, or the second batch would compile again for committed inputs.
    place = functools.partial(jax.device_put, device=jax.tree.leaves(weights)[0].sharding)
    sums = place({name: Sums.zero() for name in models})
    states = None
    for batch in tqdm(
        lanes.batches(), progress, len(lanes), unit="step", disable=None if progress else True, leave=False
    ):
        if states is None:
            image = batch["image"]
            states = place({name: model.init_state(image) for name, model in models.items() if model.adapter})
        states, sums = step(weights, states, sums, batch)
    return {name: total.means() for name, total in sums.items()}


@functools.lru_cache(maxsize=4)
def _compiled(graph):
    """The step for models of this structure: one validation must not compile what the last one did."""
    return jax.jit(functools.partial(_step, graph), donate_argnums=(1, 2))


def _step(graph, weights, states, sums, batch):
    images, depth = batch["image"], batch["depth"]
    models = nnx.merge(graph, weights)
    encoded = {}  # models that share an encoder share this; which ones do is known while tracing
    new_states, new_sums = {}, {}
    for name, model in models.items():
        key = id(model.encoder)
        if key not in encoded:
            encoded[key] = model.encode(images)
        if model.adapter is None:
            prediction = model.decode(encoded[key], images.shape[1:3])
        else:
            state = states[name]
            state = state._replace(fresh=state.fresh | batch["fresh"])
            prediction, new_states[name] = model.advance(encoded[key], images, state)
        new_sums[name] = sums[name].add(prediction, depth, batch["counted"])
    return new_states, new_sums


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


def _same(a: nnx.Module, b: nnx.Module) -> bool:
    if a is b:
        return True
    if a.config != b.config:
        return False
    leaves = zip(jax.tree.leaves(nnx.state(a)), jax.tree.leaves(nnx.state(b)), strict=True)
    return all(bool(jnp.array_equal(x, y)) for x, y in leaves)


def milliseconds_per_frame(models: dict[str, SmoothDINO], frames: np.ndarray, rounds: int) -> dict[str, float]:
    """Latency of a single stream: median over `rounds` after warm-up, the models taking turns.

    Args:
        models: row name -> model.
        frames: `(N, H, W, 3)` uint8, of one scene in order; used again and again.
        rounds: timed frames per model.
    """
    runs = {}
    for name, model in models.items():
        if model.adapter is None:
            runs[name] = jax.jit(lambda model, images, state: (model(images), state)), model, None
        else:
            step = jax.jit(lambda model, images, state: model.step(images, state))
            runs[name] = step, model, model.init_state(frames[:1])
    times = {name: [] for name in models}
    warmup = 2
    for k in range(warmup + rounds):
        images = frames[k % len(frames)][None]
        for name, (step, model, state) in runs.items():
            start = time.perf_counter()
            _, state = jax.block_until_ready(step(model, images, state))
            times[name].append(1e3 * (time.perf_counter() - start))
            runs[name] = step, model, state
    return {name: float(np.median(series[warmup:])) for name, series in times.items()}
