"""What an evaluation compares: models, models denied their past, averages."""

import jax.numpy as jnp
import numpy as np
import pytest
from experiments import randomise
from flax import nnx

from smoothdino_jax.evaluation.predictors import ABLATIONS, Average, Frames, Smoothed, Vanilla, averages, moved
from smoothdino_jax.models.adapters import AdapterConfig
from smoothdino_jax.models.phase_correlation import Shift

SIZE = (28, 42)


@pytest.fixture
def model(tiny_model):
    randomise(tiny_model.adapter, scale=0.1)
    return tiny_model


@pytest.fixture(scope="module")
def video():
    """Five frames of texture that moves right by 2 pixels a frame, and five frames from elsewhere."""
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (SIZE[0], SIZE[1] + 8, 3), dtype=np.uint8)
    frames = np.stack([wide[:, 8 - 2 * k : 8 - 2 * k + SIZE[1]] for k in range(5)])
    return frames[:, None], rng.integers(0, 256, frames[:, None].shape, dtype=np.uint8)


def run(predictor, models, images, others=None, fresh=None):
    """Depth of every frame; the first is fresh."""
    others = [None] * len(images) if others is None else others
    state, depths = predictor.init(models, images[0]), []
    for k, (image, other) in enumerate(zip(images, others, strict=True)):
        start = np.array([k == 0 if fresh is None else fresh[k]])
        depth, state = predictor(Frames(models, image, start, other), state)
        depths.append(np.asarray(depth[0]))
    return np.stack(depths)


def by_hand(model, images):
    state, depths = model.init_state(images[0]), []
    for image in images:
        depth, state = model.step(image, state)
        depths.append(np.asarray(depth[0]))
    return np.stack(depths)


def test_a_model_streams_as_its_own_step_does(model, video):
    images, _ = video
    np.testing.assert_allclose(run(Smoothed("a"), {"a": model}, images), by_hand(model, images), rtol=1e-5, atol=1e-5)


def test_vanilla_is_the_frozen_model_frame_by_frame(model, video):
    images, _ = video
    expected = np.concatenate([model(image) for image in images])
    np.testing.assert_allclose(run(Vanilla("a"), {"a": model}, images), expected, rtol=1e-5)


def test_every_ablation_changes_what_a_model_with_a_past_predicts(model, video):
    images, others = video
    plain = run(Smoothed("a"), {"a": model}, images)
    for ablation in ABLATIONS:
        depths = run(Smoothed("a", ablation), {"a": model}, images, others)
        # No stream's first frame has a past to be denied, but shift 0 for a fresh stream is what all have.
        np.testing.assert_allclose(depths[0], plain[0], rtol=1e-5, err_msg=ablation)
        assert np.abs(depths[1:] - plain[1:]).max() > 1e-4, ablation


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_no_ablation_changes_a_model_that_sees_the_current_frame_alone(model, video, ablation):
    images, others = video
    model = model.with_adapter(AdapterConfig.current_only(16), nnx.Rngs(0))
    randomise(model.adapter, scale=0.1)
    depths = run(Smoothed("a", ablation), {"a": model}, images, others)
    np.testing.assert_allclose(depths, run(Smoothed("a"), {"a": model}, images), rtol=1e-5)


def test_first_frame_makes_every_frame_the_first_of_its_stream(model, video):
    images, _ = video
    each = np.concatenate([by_hand(model, image[None]) for image in images])
    np.testing.assert_allclose(run(Smoothed("a", "first_frame"), {"a": model}, images), each, rtol=1e-5, atol=1e-5)


def test_shuffled_is_what_the_model_says_after_the_other_frame(model, video):
    images, others = video
    depths = run(Smoothed("a", "shuffled"), {"a": model}, images, others)
    for k in range(1, len(images)):
        expected = by_hand(model, np.stack([others[k], images[k]]))[1]
        np.testing.assert_allclose(depths[k], expected, rtol=1e-5, atol=1e-5)


def test_shift_is_negated_and_zeroed_where_it_is_all_that_counts(model, video):
    images, _ = video
    negated, zero = (Smoothed("a", how) for how in ("negated_shift", "zero_shift"))
    told = []
    for predictor in (Smoothed("a"), negated, zero):
        state = predictor.init({"a": model}, images[0])
        for k in range(2):
            _, state = predictor(Frames({"a": model}, images[k], np.array([k == 0])), state)
        told.append(float(state.shift.dx[0]))
    assert told[0] == pytest.approx(2, abs=0.3)
    assert told[1] == -told[0]
    assert told[2] == 0


def test_current_is_an_adapter_whose_memory_is_the_frame_itself(model, video):
    images, _ = video
    changed = run(Smoothed("a", "current"), {"a": model}, images)
    # The same shift after the same frame: only the features of the past differ.
    features = model.encode(images[1])
    shift, _ = model.track(images[1], model.track(images[0], None)[1])
    adapted, _, _ = model.adapt(features, shift, features, jnp.array([False]))
    np.testing.assert_allclose(changed[1], model.decode(adapted, SIZE)[0], rtol=1e-4)


def test_a_running_mean_is_the_mean_of_the_last_frames(model, video):
    images, _ = video
    depth = run(Vanilla("a"), {"a": model}, images)
    mean = run(Average("a", 3), {"a": model}, images)
    expected = [depth[0], depth[:2].mean(0), depth[:3].mean(0), depth[1:4].mean(0), depth[2:].mean(0)]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_an_exponential_average_weighs_the_current_frame_with_two_over_span_plus_one(model, video):
    images, _ = video
    depth = run(Vanilla("a"), {"a": model}, images)
    expected = [depth[0]]
    for now in depth[1:]:
        expected.append(0.5 * now + 0.5 * expected[-1])  # span 3
    np.testing.assert_allclose(run(Average("a", 3, exponential=True), {"a": model}, images), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["mean2", "mean4_aligned", "ema3", "ema2_aligned"])
def test_an_average_starts_anew_with_its_stream(model, video, name):
    images, _ = video
    depth = run(Vanilla("a"), {"a": model}, images)
    mean = run(averages("a")[name], {"a": model}, images, fresh=[True, False, True, False, False])
    np.testing.assert_allclose(mean[2], depth[2], rtol=1e-5)
    assert np.abs(mean[3] - depth[3]).max() > 1e-4


def test_an_aligned_mean_follows_the_picture(model, video):
    images, _ = video
    depth = run(Vanilla("a"), {"a": model}, images)
    aligned = run(Average("a", 2, aligned=True), {"a": model}, images)
    shift, _ = model.track(images[1], model.track(images[0], None)[1])
    dx = float(shift.dx[0])
    assert 1 < dx < 3
    # Linear between the two pixels that it came from, dx to the left.
    low = int(np.floor(-dx))
    part = -dx - low
    row, columns = 14, np.arange(8, 40)
    came = (1 - part) * depth[0][:, columns + low] + part * depth[0][:, columns + low + 1]
    assert float(shift.dy[0]) == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(aligned[1][row, columns], (depth[1][row, columns] + came[row]) / 2, rtol=2e-2)
    np.testing.assert_allclose(aligned[1][:, 0], depth[1][:, 0], rtol=1e-5)


def test_maps_move_with_the_picture_and_weigh_nothing_where_they_come_from_outside():
    depth = jnp.arange(12.0).reshape(1, 1, 3, 4)
    ones = jnp.ones((1, 1, 3, 4))
    shift = Shift(*(jnp.array([x]) for x in (1.0, -1.0, 0.9)))
    got, weight = moved(depth, ones, shift)
    assert got[0, 0].tolist() == [[0, 4, 5, 6], [0, 8, 9, 10], [0, 0, 0, 0]]
    assert weight[0, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    halfway, _ = moved(depth, ones, Shift(*(jnp.array([x]) for x in (0.5, 0.0, 0.9))))
    assert halfway[0, 0, 0].tolist() == [0, 0.5, 1.5, 2.5]
    unsure, _ = moved(depth, ones, Shift(*(jnp.array([x]) for x in (2.0, 0.0, 0.01))))
    assert unsure.tolist() == depth.tolist()


def test_an_unknown_ablation_names_those_there_are():
    with pytest.raises(ValueError, match="first_frame"):
        Smoothed("a", "everything")


def test_one_broken_prediction_does_not_outlive_its_stream(model):
    images = np.full((3, 1, *SIZE, 3), 7, np.uint8)
    for average in (Average("a", 2), Average("a", 3, exponential=True), Average("a", 2, aligned=True)):
        state = average.init({"a": model}, images[0])
        state = state._replace(depths=jnp.full_like(state.depths, jnp.nan), weights=jnp.ones_like(state.weights))
        depth, _ = average(Frames({"a": model}, images[0], np.array([True])), state)
        assert np.isfinite(depth).all()
