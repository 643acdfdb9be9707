"""Metrics and losses on cases worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax import losses
from smoothdino_jax.metrics import Sums, frame_metrics
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


def test_sums_average_over_frames_not_pixels():
    truth = jnp.stack([TRUTH[0], jnp.full((2, 2), 3.0)])
    prediction = jnp.stack([PREDICTION[0], jnp.full((2, 2), 5.0)])
    means = Sums.zero().add(prediction, truth, jnp.array([True, True])).means()
    assert means["mse"] == pytest.approx((6 + 4) / 2)
    assert means["frames"] == 2


def test_sums_leave_out_uncounted_frames_and_count_empty_ones():
    truth = jnp.stack([TRUTH[0], TRUTH[0], jnp.zeros((2, 2))])
    prediction = jnp.stack([PREDICTION[0], jnp.full((2, 2), jnp.nan), PREDICTION[0]])
    means = Sums.zero().add(prediction, truth, jnp.array([True, False, True])).means()
    assert means["mse"] == pytest.approx(6)
    assert (means["frames"], means["empty"]) == (1, 1)


def test_nan_in_a_prediction_is_not_averaged_away():
    prediction = PREDICTION.at[0, 0, 0].set(jnp.nan)
    assert np.isnan(Sums.zero().add(prediction, TRUTH, jnp.array([True])).means()["mse"])


def test_nothing_evaluated_is_an_error():
    with pytest.raises(ValueError, match="no frame"):
        Sums.zero().add(PREDICTION, jnp.zeros_like(TRUTH), jnp.array([True])).means()


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
