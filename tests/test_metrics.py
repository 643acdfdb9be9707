"""Metrics and losses on cases worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax import losses
from smoothdino_jax.metrics.frames import DEFINITIONS, counts, frame_metrics
from smoothdino_jax.models.vit import Features

# One frame of four pixels, one of them without a reading. Errors: +1, -1, +4 m.
TRUTH = jnp.array([[[1.0, 2.0], [4.0, 0.0]]])
PREDICTION = jnp.array([[[2.0, 1.0], [8.0, 3.0]]])


def test_frame_metrics_by_hand():
    values = {name: float(value[0]) for name, value in frame_metrics(PREDICTION, TRUTH).items()}
    logs = np.log([2.0, 0.5, 2.0])
    assert values["mse"] == pytest.approx((1 + 1 + 16) / 3)
    assert values["rmse"] == pytest.approx(6**0.5)
    assert values["abs_rel"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert values["sq_rel"] == pytest.approx((1 / 1 + 1 / 2 + 16 / 4) / 3)
    assert values["log10"] == pytest.approx(np.log10(2))
    assert values["delta1"] == values["delta2"] == 0.0
    assert values["delta3"] == 0.0  # every ratio is 2, and 1.25³ = 1.953
    assert values["silog"] == pytest.approx(100 * np.sqrt((logs**2).mean() - logs.mean() ** 2), rel=1e-5)


def test_deltas_count_ratios_in_both_directions():
    truth = jnp.full((1, 1, 4), 1.0)
    values = frame_metrics(jnp.array([[[1.2, 1 / 1.2, 1.5, 1.9]]]), truth)
    assert [float(values[f"delta{k}"][0]) for k in (1, 2, 3)] == [0.5, 0.75, 1.0]


def test_a_global_scale_costs_no_silog():
    truth = jnp.asarray(np.random.default_rng(0).uniform(1, 5, (1, 8, 8)), jnp.float32)
    values = frame_metrics(1.3 * truth, truth)
    assert float(values["silog"][0]) < 1e-3
    assert float(values["abs_rel"][0]) == pytest.approx(0.3, rel=1e-4)


def test_frame_metrics_are_the_formulas_in_numpy():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 9, (3, 12, 16)).astype(np.float32)
    prediction = (truth * rng.uniform(0.6, 1.7, truth.shape)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.3] = 0
    values = frame_metrics(jnp.asarray(prediction), jnp.asarray(truth))
    for k in range(3):
        t, p = (array[k][truth[k] > 0].astype(np.float64) for array in (truth, prediction))
        log = np.log(p / t)
        expected = {
            "mse": ((p - t) ** 2).mean(),
            "rmse": np.sqrt(((p - t) ** 2).mean()),
            "abs_rel": (abs(p - t) / t).mean(),
            "sq_rel": ((p - t) ** 2 / t).mean(),
            "log10": abs(np.log10(p / t)).mean(),
            "silog": 100 * log.std(),
            "delta1": (np.maximum(p / t, t / p) < 1.25).mean(),
            "delta2": (np.maximum(p / t, t / p) < 1.25**2).mean(),
            "delta3": (np.maximum(p / t, t / p) < 1.25**3).mean(),
        }
        assert {name: float(value[k]) for name, value in values.items()} == pytest.approx(expected, rel=1e-5)


def test_every_frame_metric_is_defined():
    assert list(frame_metrics(PREDICTION, TRUTH)) == list(DEFINITIONS)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_one_broken_pixel_leaves_no_metric_of_its_frame(broken):
    truth = jnp.concatenate([TRUTH, TRUTH])
    prediction = jnp.concatenate([PREDICTION.at[0, 0, 1].set(broken), PREDICTION])
    intact = frame_metrics(PREDICTION, TRUTH)
    for name, value in frame_metrics(prediction, truth).items():
        assert np.isnan(value[0]), name
        assert value[1] == intact[name][0], name


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_predicted_where_there_is_no_reading_is_ignored(broken):
    prediction = PREDICTION.at[0, 1, 1].set(broken)
    assert frame_metrics(prediction, TRUTH) == frame_metrics(PREDICTION, TRUTH)


def test_a_frame_without_readings_has_no_metric():
    assert all(np.isnan(value[0]) for value in frame_metrics(PREDICTION, jnp.zeros_like(TRUTH)).values())


def test_predictions_below_a_millimetre_count_as_one_in_logarithms_and_ratios_alone():
    values = frame_metrics(jnp.array([[[-2.0, 0.0]]]), jnp.array([[[1.0, 1.0]]]))
    assert float(values["mse"][0]) == pytest.approx((9 + 1) / 2)
    assert float(values["abs_rel"][0]) == pytest.approx((3 + 1) / 2)
    assert float(values["log10"][0]) == pytest.approx(3)  # 1 mm against 1 m
    assert float(values["silog"][0]) == pytest.approx(0, abs=1e-3)
    assert float(values["delta3"][0]) == 0


def test_counts_of_pixels_and_of_broken_ones():
    truth = jnp.concatenate([TRUTH, jnp.zeros_like(TRUTH)])
    broken = jnp.array([[jnp.nan, jnp.inf], [1.0, jnp.nan]])  # the last one has no truth, and counts as well
    found = counts(jnp.stack([broken, broken]), truth)
    assert found["pixels"].tolist() == [3, 0]
    assert found["nonfinite"].tolist() == [3, 3]


def test_losses_by_hand():
    assert float(losses.mse(PREDICTION, TRUTH)) == pytest.approx(6)
    assert float(losses.log_l1(PREDICTION, TRUTH)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("loss", losses.LOSSES.values())
@pytest.mark.parametrize("hole", [0.0, -np.inf, np.nan])
def test_pixels_without_a_reading_touch_neither_loss_nor_gradient(loss, hole):
    truth = TRUTH.at[0, 1, 1].set(hole)
    value, gradient = jax.value_and_grad(loss)(PREDICTION, truth)
    assert float(value) == pytest.approx(float(loss(PREDICTION, TRUTH)))
    assert np.isfinite(gradient).all()
    assert gradient[0, 1, 1] == 0


def test_feature_change_is_the_mean_square_over_levels():
    before = tuple(Features(jnp.zeros((1, 2, 2, 3)), jnp.zeros((1, 3))) for _ in range(4))
    after = (Features(jnp.full((1, 2, 2, 3), 2.0), jnp.ones((1, 3))), *before[1:])
    assert float(losses.feature_change(before, after)) == pytest.approx(1.0)
