"""Evaluation: models side by side over streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise
from flax import nnx

from smoothdino_jax.data import ClipSource, make_clips
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.evaluation import Lanes, evaluate, measure, share_frozen
from smoothdino_jax.evaluation.evaluator import _compiled
from smoothdino_jax.evaluation.predictors import Smoothed, Vanilla, averages
from smoothdino_jax.evaluation.rows import NEEDS_POSES
from smoothdino_jax.metrics import DEFINITIONS, Protocol, frame_metrics


@pytest.fixture(scope="module")
def frames():
    source = SyntheticRooms(3, 5, size=(28, 42))
    return ClipSource(source, make_clips(source, 1))


@pytest.mark.parametrize("lanes", [1, 2])
def test_rows_are_what_streaming_by_hand_gives(tiny_model, frames, lanes):
    randomise(tiny_model.adapter, scale=0.1)
    models = {"vanilla": tiny_model.vanilla(), "adapter": tiny_model}
    paths = [np.arange(0, 5), np.arange(5, 8)]
    rows = evaluate(models, Lanes(frames, paths, lanes, warmup=1))
    expected = {"vanilla": [], "adapter": []}
    for path in paths:
        state = None
        for position in path:
            frame = frames.frame(position)
            image, truth = frame.image[None], jnp.asarray(frame.depth)[None]
            state = tiny_model.init_state(image) if state is None else state
            smoothed, state = tiny_model.step(image, state)
            if position != path[0]:
                expected["vanilla"].append(frame_metrics(tiny_model(image), truth)["mse"])
                expected["adapter"].append(frame_metrics(smoothed, truth)["mse"])
    for name, row in rows.items():
        assert row["frames"] == 6
        assert row["mse"] == pytest.approx(float(np.mean(expected[name])), rel=1e-4)
    assert rows["vanilla"]["mse"] != rows["adapter"]["mse"]


def test_a_second_evaluation_compiles_nothing(tiny_model, frames):
    lanes = Lanes(frames, [np.arange(0, 5)], warmup=1)
    evaluate({"model": tiny_model}, lanes)
    graph, _ = nnx.split({"model": tiny_model})
    step = _compiled(graph, (("model", Smoothed("model")),), ("frame",), Protocol())
    assert step._cache_size() == 1
    evaluate({"model": nnx.merge(*nnx.split(tiny_model))}, lanes)
    assert step._cache_size() == 1


def test_equal_frozen_parts_are_shared_and_others_are_not(tiny_model):
    graph, weights = nnx.split(tiny_model)
    same = nnx.merge(graph, jax.tree.map(np.array, weights))
    other = nnx.merge(graph, jax.tree.map(lambda leaf: leaf + 1, weights))
    models = {"a": tiny_model, "b": same, "c": other}
    share_frozen(models)
    assert models["b"].encoder is models["a"].encoder
    assert models["b"].decoder is models["a"].decoder
    assert models["c"].encoder is not models["a"].encoder


def test_every_predictor_is_measured_on_the_same_frames_and_every_metric_is_there(tiny_model, frames):
    randomise(tiny_model.adapter, scale=0.1)
    models = {"vanilla": tiny_model.vanilla(), "adapter": tiny_model}
    predictors = {"vanilla": Vanilla("vanilla"), "adapter": Smoothed("adapter")}
    predictors |= {"shuffled": Smoothed("adapter", "shuffled"), "mean2": averages("vanilla")["mean2_aligned"]}
    lanes = Lanes(frames, [np.arange(5, 10), np.arange(0, 3)], lanes=2, warmup=1, others=True)
    records = measure(models, predictors, lanes)
    assert records.scenes.tolist() == ["room_000000"] * 2 + ["room_000001"] * 4
    assert records.frames.tolist() == [1, 2, 1, 2, 3, 4]
    for row in predictors:
        means = records.means(row)
        undefined = [name for name in DEFINITIONS if np.isnan(means[name])]
        assert set(undefined) <= {"edge_precision", "edge_f1"}, row  # no edge predicted: precision has no value
    assert np.isnan(records.rows["vanilla"]["dx"]).all()
    assert np.isfinite(records.rows["adapter"]["dx"]).all()
    assert not records.single


def test_temporal_metrics_are_of_the_frame_and_the_one_before(tiny_model, frames):
    models = {"vanilla": tiny_model.vanilla()}
    records = measure(models, {"vanilla": Vanilla("vanilla")}, Lanes(frames, [np.arange(0, 5), np.arange(5, 10)]))
    depths = [np.asarray(tiny_model(frames.frame(k).image[None])[0]) for k in range(10)]
    truths = [frames.frame(k).depth for k in range(10)]
    measured = records.rows["vanilla"]["flicker"]
    assert np.isnan(measured[[0, 5]]).all()  # the first frame of each stream
    for k in (1, 2, 3, 4, 6, 7, 8, 9):
        known = (truths[k] > 0) & (truths[k - 1] > 0)
        change = (depths[k] - depths[k - 1]) - (truths[k] - truths[k - 1])
        assert measured[k] == pytest.approx(np.abs(change[known]).mean(), rel=1e-4)
    assert np.isnan(records.rows["vanilla"]["tae_zbuffer"][[0, 5]]).all()
    assert np.isfinite(records.rows["vanilla"]["tae_zbuffer"][1:5]).all()


def test_without_poses_what_needs_them_has_no_value(tiny_model, frames):
    lanes = Lanes(frames, [np.arange(0, 5)])
    read = lanes.__getitem__
    lanes_without = Lanes(frames, [np.arange(0, 5)])
    lanes_without.batches = lambda: (read(k) | {"pose": np.full((1, 4, 4), np.nan)} for k in range(5))
    records = measure({"a": tiny_model.vanilla()}, {"a": Vanilla("a")}, lanes_without, groups=("temporal",))
    for name in NEEDS_POSES:
        assert np.isnan(records.rows["a"][name]).all(), name
    assert np.isfinite(records.rows["a"]["flicker"][1:]).all()


def test_a_protocol_decides_which_pixels_count(tiny_model, frames):
    lanes = Lanes(frames, [np.arange(0, 2)])
    protocol = Protocol(2.0, 3.0, "none")
    records = measure({"a": tiny_model.vanilla()}, {"a": Vanilla("a")}, lanes, groups=("frame",), protocol=protocol)
    for k in range(2):
        frame = frames.frame(k)
        use = (frame.depth > 2) & (frame.depth < 3)
        depth = np.clip(np.asarray(tiny_model(frame.image[None])[0]), 2, 3)
        assert records.rows["a"]["pixels"][k] == use.sum()
        assert records.rows["a"]["mse"][k] == pytest.approx(np.square(depth - frame.depth)[use].mean(), rel=1e-4)


def test_predictions_that_are_not_finite_are_counted(tiny_model, frames):
    tiny_model.decoder.head3.bias[...] = jnp.full(1, jnp.nan)
    records = measure({"a": tiny_model.vanilla()}, {"a": Vanilla("a")}, Lanes(frames, [np.arange(0, 2)]))
    assert records.means("a")["nonfinite"] == 2
    assert np.isnan(records.means("a")["mse"])


def test_an_unknown_group_of_metrics_is_named(tiny_model, frames):
    with pytest.raises(ValueError, match="speed"):
        measure({}, {}, Lanes(frames, [np.arange(0, 5)]), groups=("speed",))
