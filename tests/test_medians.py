"""Medians without sorting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.metrics.medians import lower_median, median


@pytest.mark.parametrize("count", range(1, 10))
def test_the_median_is_numpys_for_odd_and_even_numbers(count):
    rng = np.random.default_rng(count)
    # Few different values, so that some repeat; negative ones, and zero with both signs.
    values = rng.choice(np.float32([-3.5, -1e-30, -0.0, 0.0, 0.1, 0.7, 2.0, 1e30]), (20, 3, 4))
    valid = np.zeros((20, 12), bool)
    for row in valid:
        row[rng.choice(12, count, replace=False)] = True
    valid = valid.reshape(20, 3, 4)
    expected = [np.median(frame[mask]) for frame, mask in zip(values, valid, strict=True)]
    assert median(jnp.asarray(values), jnp.asarray(valid)).tolist() == expected


def test_the_median_is_numpys_at_full_size_and_under_map():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 10, (2, 1, 480, 640)).astype(np.float32)
    valid = rng.random(values.shape) < 0.8
    found = jax.jit(lambda values, valid: jax.lax.map(lambda row: median(*row), (values, valid)))(values, valid)
    assert found[:, 0].tolist() == [np.median(values[k][valid[k]]) for k in range(2)]


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_the_lower_median_is_that_of_a_sorted_list(count):
    rng = np.random.default_rng(count)
    numbers = rng.normal(size=(3, 5, 8)).astype(np.float32)
    numbers[0] = numbers[0].round(1)  # with repeats
    numbers[1] = abs(numbers[1])
    mask = np.zeros((3, 40), bool)
    for row in mask:
        row[rng.permutation(40)[:count]] = True
    expected = [np.sort(n.ravel()[m])[(count - 1) // 2] for n, m in zip(numbers, mask, strict=True)]
    assert lower_median(jnp.asarray(numbers), jnp.asarray(mask.reshape(3, 5, 8))).tolist() == expected


def test_there_is_no_median_of_nothing():
    assert np.isnan(lower_median(jnp.ones((1, 2, 2)), jnp.zeros((1, 2, 2), bool))[0])
