"""Evaluation: streams, lanes, rows, and the files it leaves."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise, tiny_experiment
from flax import nnx

from smoothdino_jax import save
from smoothdino_jax.apps.eval_tables import terminal_table
from smoothdino_jax.apps.evaluate import evaluate_workdir
from smoothdino_jax.data import ClipSource, DataError, make_clips
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.evaluation import Lanes, evaluate, measure, share_frozen, streams
from smoothdino_jax.evaluation.evaluator import _compiled
from smoothdino_jax.evaluation.predictors import Smoothed, Vanilla, averages
from smoothdino_jax.metrics import NYU, Protocol, frame_metrics
from smoothdino_jax.models.adapters import AdapterConfig


def as_lists(arrays):
    return [array.tolist() for array in arrays]


def test_overlapping_clips_join_to_the_streams_they_were_cut_from(frames):
    assert as_lists(streams(frames.source, np.array([[3, 4], [4, 5], [9, 10]]))) == [[3, 4, 5], [9, 10]]


def test_a_stream_ends_where_no_clip_goes_on(frames):
    # The pair 4 -> 5 went to training: 5 must not be judged as the follower of 4.
    assert as_lists(streams(frames.source, np.array([[3, 4], [5, 6]]))) == [[3, 4], [5, 6]]


def test_streams_keep_the_stride_of_their_clips(frames):
    assert as_lists(streams(frames.source, np.array([[0, 2], [1, 3], [2, 4]]))) == [[0, 2, 4], [1, 3]]


def test_single_frames_join_where_they_are_consecutive_in_one_scene(frames):
    assert as_lists(streams(frames.source, np.array([[6], [3], [4], [5], [8]]))) == [[3, 4], [5, 6], [8]]


@pytest.fixture(scope="module")
def frames():
    source = SyntheticRooms(3, 5, size=(28, 42))
    return ClipSource(source, make_clips(source, 1))


def test_lanes_play_every_frame_once_in_order_and_count_past_the_warmup(frames):
    paths = [np.arange(0, 5), np.arange(5, 10), np.arange(10, 13)]
    lanes = Lanes(frames, paths, lanes=2, warmup=1)
    assert [[position for position, _, _ in lane] for lane in lanes.table] == [
        [0, 1, 2, 3, 4, 10, 11, 12],
        [5, 6, 7, 8, 9, 9, 9, 9],  # through: the last frame again, uncounted
    ]
    batches = list(lanes.batches())
    assert np.stack([batch["fresh"] for batch in batches]).T.astype(int).tolist() == [
        [1, 0, 0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert np.stack([batch["counted"] for batch in batches]).T.astype(int).tolist() == [
        [0, 1, 1, 1, 1, 0, 1, 1],
        [0, 1, 1, 1, 1, 0, 0, 0],
    ]
    assert np.array_equal(batches[6]["image"][0], frames.frame(11).image)
    assert np.array_equal(batches[2]["depth"][1], frames.frame(7).depth)


def test_a_limit_takes_the_start_of_every_stream(frames):
    lanes = Lanes(frames, [np.arange(0, 5), np.arange(5, 10)], warmup=1, limit=6)
    assert [entry[0] for entry in lanes.table[0]] == [0, 1, 2, 5, 6, 7]


def test_a_limit_holds_with_many_short_streams(frames):
    paths = [np.arange(k, k + 2) for k in range(12)]
    table = Lanes(frames, paths, warmup=1, limit=6).table[0]
    assert [position for position, _, _ in table] == [0, 1, 6, 7, 11, 12]


def test_streams_no_longer_than_the_warmup_are_an_error(frames):
    with pytest.raises(DataError, match="nothing to evaluate"):
        Lanes(frames, [np.array([0]), np.array([7])], warmup=1)


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


@pytest.fixture
def workdir(tiny_model, tmp_path):
    randomise(tiny_model.adapter, scale=0.1)
    save(tiny_model, tmp_path / "run/model")
    randomise(other := tiny_model.with_adapter(AdapterConfig.current_only(16), nnx.Rngs(0)).adapter, scale=0.1)
    tiny_model.adapter, tiny_model.config = other, tiny_model.with_adapter(other.config, nnx.Rngs(0)).config
    save(tiny_model, tmp_path / "other/model")
    return tmp_path / "run"


def test_evaluation_prints_a_table_and_writes_metrics_and_pictures(workdir, capsys):
    config = tiny_experiment("unused")
    config.eval.checkpoints = f"current_only={workdir.parent / 'other/model'}"
    config.eval.timing_frames = 2
    rows = evaluate_workdir(config, workdir)
    assert [row["name"] for row in rows] == ["vanilla", "current_only", "adapter"]
    assert json.loads((workdir / "eval/metrics.json").read_text()) == rows
    for row in rows:
        assert {"mse", "rmse", "abs_rel", "log10", "delta1", "delta2", "delta3", "silog", "frames"} <= row.keys()
        assert row["ms_per_frame"] > 0
        assert row["frames"] == 5
    printed = capsys.readouterr().out
    assert terminal_table(rows) in printed
    for kind in ("png", "mp4", "gif"):
        assert (workdir / f"eval/comparison.{kind}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("checkpoints", "message"),
    [
        ("nonsense", "name=folder"),
        ("a=x,a=y", "twice"),
        ("vanilla=x", "taken"),
        ("other=nowhere", "nowhere"),
    ],
)
def test_wrong_checkpoints_stop_the_evaluation(workdir, checkpoints, message):
    config = tiny_experiment("unused")
    config.eval.checkpoints = checkpoints
    with pytest.raises((ValueError, DataError), match=message):
        evaluate_workdir(config, workdir)
    assert not (workdir / "eval").exists()


def test_a_workdir_without_a_model_says_so(tmp_path):
    with pytest.raises(DataError, match="model"):
        evaluate_workdir(tiny_experiment("unused"), tmp_path)
