"""What is timed of this package: jitted functions of the weights, ready to be called again and again."""

import functools

import jax
import numpy as np
import optax
from flax import nnx
from variants import ENCODERS, JAX_SIDE, Contestant

from smoothdino_jax.config import default_config
from smoothdino_jax.evaluation.cost import compile_with_cost
from smoothdino_jax.feature_cache import pack
from smoothdino_jax.models import phase_correlation as pc
from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.dpt import DecoderConfig
from smoothdino_jax.models.smoothdino import SmoothDINO, SmoothDINOConfig
from smoothdino_jax.models.vit import EncoderConfig
from smoothdino_jax.training import TrainState, train_step


def build_model(variant: str, dtype: str) -> SmoothDINO:
    """The whole model with random weights and the paper's adapter."""
    width = ENCODERS[variant]["width"]
    config = SmoothDINOConfig(
        EncoderConfig(**ENCODERS[variant], dtype=dtype),
        DecoderConfig.nyu(width, dtype=dtype),
        AdapterConfig.paper(width, dtype=dtype),
    )
    return SmoothDINO(config, nnx.Rngs(0))


def build(names: tuple[str, ...], *, variant: str, dtype: str, size: tuple[int, int], batch: int):
    """Compiles the contestants of these `names`: a dict of `Contestant`, in their order."""
    model = build_model(variant, dtype)
    graph, weights = nnx.split(model)
    rng = np.random.default_rng(0)
    # Two frames, 3 px apart.
    scene = rng.integers(0, 256, (batch, size[0], size[1] + 3, 3), dtype=np.uint8)
    images, previous = scene[:, :, 3:], scene[:, :, :-3]

    def pure(method):
        return jax.jit(lambda weights, *args: method(nnx.merge(graph, weights), *args))

    @functools.cache
    def features():
        return pure(SmoothDINO.encode)(weights, images)

    def correlation(window):
        def run(_, images, before):
            now = pc.spectrum(pc.grey(images), window)
            return pc.correlate(before, now, pc.transform_size(size, window)), now

        return _stateless(jax.jit(run), None, images, pc.spectrum(pc.grey(previous), window))

    def make(name):
        match name:
            case "vanilla":
                return _stateless(pure(SmoothDINO.__call__), weights, images)
            case "smoothed":
                return _streaming(model, graph, weights, images)
            case "encoder":
                return _stateless(pure(SmoothDINO.encode), weights, images)
            case "decoder":
                decode = pure(lambda model, features: model.decode(features, size))
                return _stateless(decode, weights, features())
            case "adapter":
                shift = pc.Shift(*np.zeros((3, batch), np.float32))
                adapt = pure(lambda model, *args: model.adapter(*args))
                return _stateless(adapt, weights, features(), features(), shift)
            case "correlation":
                return correlation(True)
            case "correlation-paper":
                return correlation(False)
            case "train" | "train-cached":
                clip = np.stack([previous, images], 1)
                depth = rng.uniform(0.5, 9.0, (batch, 2, *size)).astype(np.float32)
                pairs = {"image": clip, "depth": depth}
                if name == "train-cached":
                    tokens = pack(pure(SmoothDINO.encode)(weights, clip.reshape(-1, *clip.shape[2:])))
                    pairs["features"] = np.asarray(tokens, np.float16).reshape(batch, 2, *tokens.shape[1:])
                return _training(model, pairs)
        raise ValueError(f"no contestant {name!r}; there are {', '.join(JAX_SIDE)}")

    return {name: make(name) for name in names}


def _stateless(function, *args) -> Contestant:
    compiled, cost = compile_with_cost(function, *args)
    return Contestant(lambda: jax.block_until_ready(compiled(*args)), cost.flops, cost.bytes)


def _streaming(model, graph, weights, images) -> Contestant:
    # As `smoothdino_jax.Stream` without looking for cuts: the state's buffers are donated to the next state.
    step = jax.jit(lambda weights, *args: nnx.merge(graph, weights).step(*args), donate_argnums=2)
    state = jax.tree.map(jax.numpy.asarray, model.init_state(images))
    compiled, cost = compile_with_cost(step, weights, images, state)

    def run():
        nonlocal state
        depth, state = compiled(weights, images, state)
        jax.block_until_ready((depth, state))

    return Contestant(run, cost.flops, cost.bytes)


def _training(model, batch) -> Contestant:
    # The package's own step on clips of two frames: MSE and the paper's regulariser on the features.
    config = default_config()
    config.train.regulariser, config.train.regulariser_weight = "features", 0.1
    graph, trained, frozen = nnx.split(model, lambda path, _: path[0] == "adapter", ...)
    # The step donates its state, and other contestants use the model's weights.
    trained = jax.tree.map(jax.numpy.copy, trained)
    optimizer = optax.adam(1e-5)
    state = TrainState(trained, optimizer.init(trained), jax.numpy.zeros((), jax.numpy.int32))
    step = jax.jit(functools.partial(train_step, config, graph, optimizer), donate_argnums=0)
    compiled, cost = compile_with_cost(step, state, frozen, batch)

    def run():
        nonlocal state
        state, measured = compiled(state, frozen, batch)
        jax.block_until_ready((state, measured))

    return Contestant(run, cost.flops, cost.bytes)
