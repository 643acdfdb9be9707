"""The error of a frame that a factor would remove, and the rest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.metrics.frames import frame_metrics
from smoothdino_jax.metrics.scale import DEFINITIONS
from smoothdino_jax.metrics.scale import scale_metrics as traced

scale_metrics = jax.jit(traced)

# Where there is a reading: truth 1 2 4 6 8, prediction 2 2 2 4 10.
TRUTH = jnp.array([[[1.0, 2.0, 4.0], [0.0, 6.0, 8.0]]])
PREDICTION = jnp.array([[[2.0, 2.0, 2.0], [99.0, 4.0, 10.0]]])


def first(metrics):
    return {name: float(value[0]) for name, value in metrics.items()}


def test_scale_by_hand():
    values = first(scale_metrics(PREDICTION, TRUTH))
    assert values["scale_median"] == 4 / 2
    # 4 4 4 8 20 against 1 2 4 6 8
    assert values["mse_median_scaled"] == pytest.approx((9 + 4 + 0 + 4 + 144) / 5)
    # Σpt = 2+4+8+24+80 = 118, Σp² = 4+4+4+16+100 = 128, Σt² = 121
    assert values["scale_ls"] == pytest.approx(118 / 128)
    assert values["mse_ls_scaled"] == pytest.approx((121 - 118**2 / 128) / 5, rel=1e-6)


def test_no_factor_fits_better_than_least_squares():
    values = first(scale_metrics(PREDICTION, TRUTH))
    for factor in (1.0, values["scale_ls"] - 0.01, values["scale_ls"] + 0.01, values["scale_median"]):
        assert values["mse_ls_scaled"] < first(frame_metrics(factor * PREDICTION, TRUTH))["mse"]


def test_multiplying_a_prediction_changes_its_scale_and_not_the_rest():
    values, larger = (first(scale_metrics(c * PREDICTION, TRUTH)) for c in (1.0, 1.7))
    for name in ("scale_median", "scale_ls"):
        assert larger[name] == pytest.approx(values[name] / 1.7, rel=1e-6)
    for name in ("mse_median_scaled", "mse_ls_scaled"):
        assert larger[name] == pytest.approx(values[name], rel=1e-5)


def test_a_right_shape_of_wrong_size_leaves_no_error():
    truth = jnp.asarray(np.random.default_rng(0).uniform(1, 5, (1, 8, 8)), jnp.float32)
    values = first(scale_metrics(0.8 * truth, truth))
    assert values["scale_median"] == pytest.approx(1.25)
    assert values["scale_ls"] == pytest.approx(1.25)
    assert values["mse_ls_scaled"] < 1e-12


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_one_broken_pixel_leaves_no_metric_of_its_frame(broken):
    truth = jnp.concatenate([TRUTH, TRUTH])
    prediction = jnp.concatenate([PREDICTION.at[0, 0, 1].set(broken), PREDICTION.at[0, 1, 0].set(broken)])
    intact = first(scale_metrics(PREDICTION, TRUTH))
    for name, value in scale_metrics(prediction, truth).items():
        assert np.isnan(value[0]), name
        assert value[1] == intact[name], name  # that pixel has no reading


def test_a_frame_without_readings_has_no_scale():
    assert all(np.isnan(value) for value in first(scale_metrics(PREDICTION, jnp.zeros_like(TRUTH))).values())


def test_a_prediction_of_nothing_has_no_scale():
    assert all(np.isnan(value) for value in first(scale_metrics(jnp.zeros_like(TRUTH), TRUTH)).values())


def test_a_median_below_zero_gives_no_scale_while_least_squares_does():
    values = first(scale_metrics(-TRUTH, TRUTH))
    assert np.isnan(values["scale_median"])
    assert np.isnan(values["mse_median_scaled"])
    assert values["scale_ls"] == -1


def test_frames_of_a_batch_are_measured_apart():
    other = jnp.flip(PREDICTION, 2)
    both = scale_metrics(jnp.concatenate([PREDICTION, other]), jnp.concatenate([TRUTH, TRUTH]))
    for k, prediction in enumerate((PREDICTION, other)):
        assert {name: float(value[k]) for name, value in both.items()} == first(scale_metrics(prediction, TRUTH))


def test_every_scale_metric_is_defined():
    assert set(DEFINITIONS) == set(scale_metrics(PREDICTION, TRUTH))
