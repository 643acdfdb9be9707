"""Which pixels of a frame are measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.metrics.frames import frame_metrics
from smoothdino_jax.metrics.masks import NYU, Protocol, masked_mean


def measured(protocol, height, width):
    """Rows and columns of which something counts, and how many pixels count in all."""
    counts = np.asarray(protocol.restrict(jnp.ones((1, height, width))))[0] > 0
    rows, columns = np.flatnonzero(counts.any(1)), np.flatnonzero(counts.any(0))
    return (rows[0], rows[-1]), (columns[0], columns[-1]), counts.sum()


def test_both_ends_of_the_range_are_left_out():
    truth = jnp.array([[[0.0, 0.5, 0.75, 2.0, 2.5]]])
    assert Protocol(0.5, 2.0).restrict(truth).tolist() == [[[0, 0, 0.75, 0, 0]]]


def test_without_limits_every_reading_counts_and_nothing_else():
    truth = jnp.array([[[0.0, -1.0, jnp.nan, jnp.inf, 1e-6, 1e6]]])
    assert Protocol().restrict(truth)[0, 0].tolist() == pytest.approx([0, 0, 0, 0, 1e-6, 1e6])


def test_eigens_crop_at_the_size_it_was_given_for():
    assert measured(Protocol(crop="eigen"), 480, 640) == ((45, 470), (41, 600), 426 * 560)


def test_eigens_crop_is_scaled_and_rounded_at_other_sizes():
    # Half of 45:471 and 41:601 is 22.5:235.5 and 20.5:300.5.
    assert measured(Protocol(crop="eigen"), 240, 320) == ((23, 235), (21, 300), 213 * 280)
    # 45 · 426/480 = 39.94, 471 · 426/480 = 418.01; 41 · 560/640 = 35.9, 601 · 560/640 = 525.9
    assert measured(Protocol(crop="eigen"), 426, 560) == ((40, 417), (36, 525), 378 * 490)


def test_predictions_are_brought_into_the_range():
    assert Protocol(0.5, 2.0).clamp(jnp.array([[[-3.0, 0.5, 1.0, 7.0]]])).tolist() == [[[0.5, 0.5, 1, 2]]]


def test_an_end_without_a_limit_changes_no_prediction():
    prediction = jnp.array([[[-3.0, 0.0, 1.0, 1e9]]])
    assert Protocol().clamp(prediction).tolist() == prediction.tolist()
    assert Protocol(max_depth=5.0).clamp(prediction).tolist() == [[[-3, 0, 1, 5]]]
    assert Protocol(min_depth=0.5).clamp(prediction).tolist() == [[[0.5, 0.5, 1, pytest.approx(1e9)]]]


def test_clamping_hides_no_broken_prediction():
    broken = jnp.array([[[jnp.nan, jnp.inf, -jnp.inf]]])
    assert np.array_equal(NYU.clamp(broken), broken, equal_nan=True)


def test_a_protocol_measures_what_cutting_the_arrays_by_hand_does():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 11, (1, 480, 640)).astype(np.float32)
    prediction = rng.uniform(-1, 12, truth.shape).astype(np.float32)

    @jax.jit
    def measure(prediction, truth):
        return frame_metrics(NYU.clamp(prediction), NYU.restrict(truth))

    values = measure(prediction, truth)
    inside, guess = (array[0, 45:471, 41:601].astype(np.float64) for array in (truth, prediction))
    valid = (inside > 1e-3) & (inside < 10)
    t, p = inside[valid], np.clip(guess, 1e-3, 10)[valid]
    assert float(values["rmse"][0]) == pytest.approx(np.sqrt(((p - t) ** 2).mean()), rel=1e-5)
    assert float(values["log10"][0]) == pytest.approx(abs(np.log10(p) - np.log10(t)).mean(), rel=1e-5)


@pytest.mark.parametrize("limits", [(2.0, 1.0), (1.0, 1.0), (-1.0, 5.0), (np.nan, 5.0), (0.0, np.nan)])
def test_ranges_that_hold_nothing_are_an_error(limits):
    with pytest.raises(ValueError, match=r"no depth is between .* min_depth must be"):
        Protocol(*limits)


def test_unknown_crops_are_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="'garg': there are none, eigen"):
        Protocol(crop="garg")


def test_a_mean_without_pixels_is_undefined():
    values = jnp.array([[[1.0, 3.0, jnp.nan]], [[1.0, 2.0, 3.0]]])
    valid = jnp.array([[[True, True, False]], [[False, False, False]]])
    assert masked_mean(values, valid).tolist() == [2, pytest.approx(np.nan, nan_ok=True)]
