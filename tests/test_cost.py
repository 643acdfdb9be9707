"""What a model costs: what is timed is the model's own step, and counts are what a count by hand gives."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise
from flax import nnx

from smoothdino_jax.evaluation.cost import (
    _Timed,
    compile_with_cost,
    device_peak_mib,
    latency,
    parameters,
)

PARTS = ["encoder", "phase_correlation", "adapter", "decoder"]


@pytest.fixture
def frames():
    """Four frames of noise that moves."""
    scene = np.random.default_rng(0).integers(0, 256, (28, 51, 3), dtype=np.uint8)
    return np.stack([scene[:, 3 * k : 3 * k + 42] for k in range(4)])


@pytest.fixture
def model(tiny_model):
    randomise(tiny_model.adapter, scale=0.1)
    return tiny_model


def test_the_timed_programs_give_the_depth_of_the_models_step(model, frames):
    timed = _Timed(model, frames[:1])
    state = model.init_state(frames[:1])
    for frame in frames:
        expected, state = model.step(frame[None], state)
        whole, from_parts = timed.run(frame[None], {})
        # Other programs, so other orders of summation.
        np.testing.assert_allclose(whole, expected, rtol=1e-5)
        np.testing.assert_allclose(from_parts, expected, rtol=1e-5)
    vanilla = timed.decode(timed.frozen_weights, timed.encode(timed.frozen_weights, frames[-1:]))
    assert not np.allclose(expected, vanilla, rtol=1e-3)


def test_the_timed_programs_without_an_adapter_give_the_depth_of_the_model(model, frames):
    vanilla = model.vanilla()
    for depth in _Timed(vanilla, frames[:1]).run(frames[:1], {}):
        np.testing.assert_allclose(depth, vanilla(frames[:1]), rtol=1e-5)


def test_every_part_that_a_model_has_takes_time(model, frames):
    found = latency({"vanilla": model.vanilla(), "adapter": model}, frames, rounds=3)
    assert list(found) == ["vanilla", "adapter"]
    for name, missing in (("vanilla", PARTS[1:3]), ("adapter", [])):
        row = found[name]
        assert 0 < row.median <= row.p95
        assert list(row.parts) == PARTS
        assert [part for part, ms in row.parts.items() if ms is None] == missing
        assert all(ms > 0 for ms in row.parts.values() if ms is not None)


def test_models_on_one_encoder_share_its_time(model, frames):
    found = latency({"vanilla": model.vanilla(), "adapter": model}, frames, rounds=3)
    assert found["vanilla"].parts["encoder"] == found["adapter"].parts["encoder"]


def test_median_and_percentile_are_of_the_frames_past_the_warmup(model, frames):
    timed = _Timed(model.vanilla(), frames[:1])
    timed.times = {"whole": [90.0, 80.0, 5.0, 1.0, 2.0, 4.0, 3.0], "encoder": [9.0, 9.0, 2.0, 2.0, 1.0]}
    found = timed.summary(warmup=2)
    assert found.median == 3
    assert found.p95 == pytest.approx(1 + 0.95 * 4, rel=1e-12)  # of 1 to 5: 0.95 of the way
    assert found.parts == dict.fromkeys(PARTS) | {"encoder": 2.0}


@pytest.mark.parametrize(("number", "rounds"), [(0, 1), (1, 0)])
def test_no_frames_or_no_rounds_are_an_error(model, frames, number, rounds):
    with pytest.raises(ValueError, match="at least one round and one frame"):
        latency({"model": model}, frames[:number], rounds)


def test_an_adapter_costs_operations(model, frames):
    found = latency({"vanilla": model.vanilla(), "adapter": model}, frames, rounds=1)
    assert 0 < found["vanilla"].cost.flops < found["adapter"].cost.flops


def test_models_of_one_structure_compile_once(model, frames):
    compiled = []

    def listen(event, seconds, **_):
        compiled.extend([event] if event.endswith("backend_compile_duration") else [])

    graph, weights = nnx.split(model)
    other = nnx.merge(graph, jax.tree.map(jnp.negative, weights))
    latency({"model": model}, frames, rounds=1)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        latency({"model": other}, frames, rounds=1)
        assert compiled == []
        jax.jit(lambda x: x + 12.5)(1.0)  # what is listened for does come
        assert compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_operations_of_a_product_of_matrices_are_two_for_each_multiplication():
    a, b = jnp.ones((3, 5)), jnp.ones((5, 7))
    compiled, cost = compile_with_cost(jax.jit(jnp.matmul), a, b)
    assert cost.flops == 2 * 3 * 5 * 7
    assert cost.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)
    assert np.array_equal(compiled(a, b), np.full((3, 7), 5.0))


def test_donated_memory_is_planned_once():
    vector = jax.ShapeDtypeStruct((2**18,), jnp.float32)  # 1 MiB
    add = lambda x: x + 1  # noqa: E731
    assert compile_with_cost(jax.jit(add), vector)[1].mib == 2
    assert compile_with_cost(jax.jit(add, donate_argnums=0), vector)[1].mib == 1


def test_weights_are_counted_as_by_hand(model):
    # Per level, 35 channels in (two times 16 and 3 maps): two 3×3 convolutions and two linear layers, with biases.
    level = (9 * 35 * 16 + 16) + (9 * 16 * 16 + 16) + (35 * 16 + 16) + (16 * 16 + 16)
    total, adapter = parameters(model)
    assert adapter == 4 * level
    assert parameters(model.vanilla()) == (total - adapter, 0)


def test_the_devices_peak_is_what_the_device_says(monkeypatch):
    assert device_peak_mib() is None  # the CPU keeps no count
    device = types.SimpleNamespace(memory_stats=lambda: {"peak_bytes_in_use": 3 * 2**20})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert device_peak_mib() == 3
