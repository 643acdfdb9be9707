"""What a model costs: time per frame of one stream, operations, memory, weights.

Everything is of the streaming step at batch 1, the way a camera would run it. A program is compiled ahead of time
and once: the same one is timed and counted.
"""

import dataclasses
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import UInt8
from tqdm import tqdm

from smoothdino_jax.models.smoothdino import SmoothDINO


class XlaCost(NamedTuple):
    """What XLA says of a program.

    Attributes:
        flops: floating-point operations before optimisation, a multiply-add being two; None where XLA doesn't say.
        bytes: planned memory: arguments + results + temporaries, less what is donated; None where XLA doesn't say.
    """

    flops: float | None
    bytes: int | None

    @property
    def mib(self) -> float | None:
        """The planned memory in MiB."""
        return None if self.bytes is None else self.bytes / 2**20


@dataclasses.dataclass(frozen=True)
class Latency:
    """Times of one model, in milliseconds per frame.

    Attributes:
        median: of the whole step.
        p95: 95th percentile of the whole step.
        parts: medians of "encoder", "phase_correlation", "adapter" and "decoder"; None for the middle two where
            the model has no adapter.
        cost: of the whole step.
    """

    median: float
    p95: float
    parts: dict[str, float | None]
    cost: XlaCost


def latency(
    models: dict[str, SmoothDINO],
    frames: UInt8[np.ndarray, "n h w 3"],
    rounds: int,
    warmup: int = 2,
    progress: str = "",
) -> dict[str, Latency]:
    """Times a single stream, the models taking turns frame by frame, so that a machine slows down for all of them.

    The whole is what `Stream` runs, but for scene cuts: one program, its state donated to the next, from a frame in
    the host's memory to depth in the device's. A model without an adapter has no state and runs `model(images)`. The
    parts are the same step as four programs, one after the other. They add up to somewhat more than the whole: each
    takes a few tenths of a millisecond to start, and XLA can't fuse or overlap across them. Models that hold the same
    encoder (`share_frozen`) share its time.

    Args:
        models: row name -> model.
        frames: `(N, H, W, 3)` RGB, of one scene in order; used again and again.
        rounds: timed frames per model. Up to 20, the 95th percentile lies between the two slowest frames;
            100 leave five beyond it, which is when it starts to mean something.
        warmup: frames before that, not counted.
        progress: label of a progress bar; "" for none.

    Returns:
        Row name -> `Latency`.

    Raises:
        ValueError: no frames, or no rounds.
    """
    if rounds < 1 or not len(frames):
        raise ValueError(f"latency needs at least one round and one frame, got {rounds} and {len(frames)}")
    total = len(models) + warmup + rounds
    with tqdm(total=total, desc=progress, unit="round", disable=None if progress else True, leave=False) as bar:
        timed = {}
        for name, model in models.items():
            timed[name] = _Timed(model, frames[:1])
            bar.update()
        for k in range(warmup + rounds):
            encoded = {}
            for one in timed.values():
                one.run(frames[k % len(frames)][None], encoded)
            bar.update()
    return {name: one.summary(warmup) for name, one in timed.items()}


def compile_with_cost(jitted: Any, *args: Any) -> tuple[jax.stages.Compiled, XlaCost]:
    """A jitted function compiled for these arguments (arrays or `jax.ShapeDtypeStruct`), and what XLA says of it."""
    traced = jitted.trace(*args)
    compiled = traced.lower().compile()
    # Counted before optimisation and as for a GPU: on the CPU the encoder loops over attention heads, and
    # XLA's count takes the body of a loop once.
    counted = traced.lower(lowering_platforms=("cuda",)).cost_analysis() or {}
    if (plan := compiled.memory_analysis()) is None:
        return compiled, XlaCost(counted.get("flops"), None)
    needed = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return compiled, XlaCost(counted.get("flops"), needed - plan.alias_size_in_bytes)


def parameters(model: SmoothDINO) -> tuple[int, int]:
    """How many weights the model has in all, and how many of them are the adapter's."""
    return _size(model), 0 if model.adapter is None else _size(model.adapter)


def _size(module: nnx.Module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def device_peak_mib() -> float | None:
    """Most memory ever in use on the first device, MiB; None where the device keeps no count, as a CPU.

    It is of the whole process and never falls: it belongs to a row only where nothing larger ran before.
    """
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return None if peak is None else peak / 2**20


class _Timed:
    """One model's stream, as one program and as four."""

    def __init__(self, model: SmoothDINO, images: np.ndarray):
        graph, self.weights = _split(model)
        self.encoder = id(model.encoder)
        self.whole, self.cost = _compile_whole(model, images)
        self.state = model.init_state(images) if model.adapter else None
        self.times: dict[str, list[float]] = {}

        # Rows that differ in their adapters encode and decode by the same programs.
        frozen, self.frozen_weights = _split(model.vanilla())
        self.encode = _encode.lower(frozen, self.frozen_weights, images).compile()
        features = self.encode(self.frozen_weights, images)
        self.decode = _decode.lower(frozen, self.frozen_weights, features, images.shape[1:3]).compile()
        if model.adapter:
            self.past = past = model.init_state(images)
            self.track = _track.lower(graph, self.weights, images, past.spectrum).compile()
            self.adapt = _adapt.lower(graph, self.weights, features, past.shift, past.adapter, past.fresh).compile()

    def run(self, images: np.ndarray, encoded: dict[int, tuple[Any, float]]) -> tuple[jax.Array, jax.Array]:
        """One frame further: depth of the whole, and of the parts.

        `encoded` holds the features of this frame, and the time they took, for every encoder that has run.
        """
        if self.state is None:
            depth = self._timed("whole", self.whole, self.weights, images)
        else:
            depth, self.state = self._timed("whole", self.whole, self.weights, images, self.state)

        if self.encoder in encoded:
            features, spent = encoded[self.encoder]
            self.times.setdefault("encoder", []).append(spent)
        else:
            features = self._timed("encoder", self.encode, self.frozen_weights, images)
            encoded[self.encoder] = features, self.times["encoder"][-1]
        if self.state is not None:
            images = jax.device_put(images)  # as in the whole, the frame travels once: with the encoder
            past = self.past
            shift, spectrum = self._timed("phase_correlation", self.track, self.weights, images, past.spectrum)
            args = features, shift, past.adapter, past.fresh
            features, memory, shift = self._timed("adapter", self.adapt, self.weights, *args)
            self.past = past._replace(adapter=memory, spectrum=spectrum, fresh=jnp.zeros_like(past.fresh), shift=shift)
        return depth, self._timed("decoder", self.decode, self.frozen_weights, features)

    def _timed(self, part: str, program: Any, *args: Any) -> Any:
        start = time.perf_counter()
        result = jax.block_until_ready(program(*args))
        self.times.setdefault(part, []).append(1e3 * (time.perf_counter() - start))
        return result

    def summary(self, warmup: int) -> Latency:
        counted = {part: times[warmup:] for part, times in self.times.items()}
        whole = counted.pop("whole")
        parts = dict.fromkeys(("encoder", "phase_correlation", "adapter", "decoder"))
        parts |= {part: float(np.median(times)) for part, times in counted.items()}
        return Latency(float(np.median(whole)), float(np.percentile(whole, 95)), parts, self.cost)


def _split(model):
    """Structure, and weights on one device, wherever they were: in the host's memory, or on several devices."""
    graph, weights = nnx.split(model)
    return graph, jax.device_put(weights, jax.local_devices()[0])


def _compile_whole(model, images):
    graph, weights = _split(model)
    if model.adapter is None:
        return compile_with_cost(_frame, graph, weights, images)
    return compile_with_cost(_step, graph, weights, images, model.init_state(images))


# Functions of a model's structure and weights, each a program of its own. At the top of the module, so that JAX
# compiles one only once for all models of a structure.


@functools.partial(jax.jit, static_argnums=0)
def _frame(graph, weights, images):
    return nnx.merge(graph, weights)(images)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
def _step(graph, weights, images, state):
    return nnx.merge(graph, weights).step(images, state)


@functools.partial(jax.jit, static_argnums=0)
def _encode(graph, weights, images):
    return nnx.merge(graph, weights).encode(images)


@functools.partial(jax.jit, static_argnums=0)
def _track(graph, weights, images, spectrum):
    return nnx.merge(graph, weights).track(images, spectrum)


@functools.partial(jax.jit, static_argnums=0)
def _adapt(graph, weights, features, shift, memory, fresh):
    return nnx.merge(graph, weights).adapt(features, shift, memory, fresh)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _decode(graph, weights, features, size):
    return nnx.merge(graph, weights).decode(features, size)
