"""Edges of depth and gradients, on small maps worked by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.metrics.sharpness import DEFINITIONS, RATIO
from smoothdino_jax.metrics.sharpness import sharpness_metrics as traced

sharpness_metrics = jax.jit(traced)
EDGES = ("edge_precision", "edge_recall", "edge_f1")
UNDEFINED = pytest.approx(np.nan, nan_ok=True)


def measure(prediction, truth):
    arrays = (jnp.asarray(array, jnp.float32)[None] for array in (prediction, truth))
    return {name: float(value[0]) for name, value in sharpness_metrics(*arrays).items()}


def edges(prediction, truth):
    """Precision, recall and F1."""
    values = measure(prediction, truth)
    return tuple(values[name] for name in EDGES)


def rows(row, count=3):
    return np.tile(np.float32(row), (count, 1))


def test_a_step_in_the_right_place_is_found_whatever_the_scale():
    step = rows([1, 1, 2, 2])
    assert edges(step, step) == edges(1.4 * step, step) == edges(step.T, step.T) == (1, 1, 1)


def test_a_step_one_pixel_off_counts_and_two_pixels_off_does_not():
    step = rows([1, 1, 1, 2, 2, 2])
    assert edges(rows([1, 1, 2, 2, 2, 2]), step) == edges(rows([1, 1, 1, 1, 2, 2]), step) == (1, 1, 1)
    assert edges(rows([1, 2, 2, 2, 2, 2]), step) == edges(rows([1, 1, 1, 1, 1, 2]), step) == (0, 0, 0)


def test_a_step_the_other_way_round_is_another_edge():
    assert edges(rows([2, 2, 1, 1]), rows([1, 1, 2, 2])) == (0, 0, 0)


def test_more_than_five_per_cent_is_an_edge():
    step = rows([1, 1, 1.06, 1.06])
    assert edges(rows([1, 1, 1.04, 1.04]), step) == (UNDEFINED, 0, 0)
    assert edges(step, step) == (1, 1, 1)


def test_precision_and_recall_by_hand():
    truth = rows([1, 1, 2, 2], 4)  # an edge in each of four rows
    prediction = np.ones((4, 4))
    prediction[0, 2:] = 2  # the edge in the first row, and two below it that the truth hasn't
    # One of three is right; it reaches the truth's edge in its own row and in the next.
    assert edges(prediction, truth) == pytest.approx((1 / 3, 2 / 4, 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)))


def test_a_flat_truth_has_nothing_to_find():
    flat = np.ones((3, 4))
    assert edges(rows([1, 1, 2, 2]), flat) == (0, UNDEFINED, UNDEFINED)
    assert edges(flat, flat) == (UNDEFINED, UNDEFINED, UNDEFINED)


def test_a_flat_prediction_finds_nothing():
    assert edges(np.ones((3, 4)), rows([1, 1, 2, 2])) == (UNDEFINED, 0, 0)


def test_the_rim_of_a_hole_is_no_edge():
    assert edges(rows([1, 1, 1, 1]), rows([1, 1, 0, 1])) == (UNDEFINED, UNDEFINED, UNDEFINED)
    assert edges(rows([1, 1, 2, 2]), rows([1, 1, 0, 2])) == (UNDEFINED, UNDEFINED, UNDEFINED)


def test_an_edge_beside_a_hole_is_not_held_against_a_prediction():
    flat_with_hole = rows([1, 1, 1, 1, 0])  # nothing is known of the pair (3, 4)
    assert edges(rows([1, 1, 1, 2, 2]), flat_with_hole)[0] == UNDEFINED  # next to it
    assert edges(rows([1, 1, 2, 2, 2]), flat_with_hole)[0] == 0


def test_gradient_error_by_hand():
    truth = [[1, 2, 4], [1, 0, 4]]
    prediction = [[1, 3, 4], [2, 9, 4]]
    # Errors 0 1 0 and 1 · 0: to the right 1 and 1, down 1 and 0; the hole takes part in no pair.
    assert measure(prediction, truth)["gradient_error"] == pytest.approx(3 / 4)


def test_an_offset_costs_no_gradient_error_and_a_factor_does():
    ramp = rows([1, 2, 3, 4])
    assert measure(ramp + 0.5, ramp)["gradient_error"] == 0
    # A half more per step in each of 3 · 3 pairs to the right, nothing in the 2 · 4 pairs down.
    assert measure(1.5 * ramp, ramp)["gradient_error"] == pytest.approx(0.5 * 9 / 17)


def test_readings_without_neighbours_have_no_gradient():
    assert measure(np.ones((2, 2)), [[1, 0], [0, 1]])["gradient_error"] == UNDEFINED


def test_a_frame_without_readings_has_no_sharpness():
    assert all(np.isnan(value) for value in measure(np.ones((3, 3)), np.zeros((3, 3))).values())


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_one_broken_pixel_leaves_no_metric(broken):
    truth = rows([1, 1, 2, 2])
    prediction = truth.copy()
    prediction[1, 0] = broken
    assert all(np.isnan(value) for value in measure(prediction, truth).values())


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_predicted_in_a_hole_makes_no_edges(broken):
    truth = rows([1, 1, 0, 1, 2, 2])
    prediction = rows([1, 1, 1, 1, 1, 1])
    prediction[:, 2] = broken
    assert measure(prediction, truth)["edge_recall"] == 0
    assert measure(prediction, truth)["gradient_error"] == pytest.approx(3 / (2 * 6 + 0 + 3 * 3 - 2 * 1 - 0 + 0))


def by_hand(prediction, truth):
    """The definitions as loops over pixels."""
    height, width = truth.shape
    pairs = {}  # (direction, which is farther) -> {pixel: (is an edge of the prediction, of the truth, known)}
    errors = []
    for y, x, (direction, down, right) in itertools.product(range(height), range(width), [("v", 1, 0), ("h", 0, 1)]):
        if y + down == height or x + right == width:
            continue
        (p, q), (t, u) = ((array[y, x], array[y + down, x + right]) for array in (prediction, truth))
        known = t > 0 and u > 0
        if known:
            errors.append(abs((q - p) - (u - t)))
        for side, (a, b), (c, d) in (("this", (p, q), (t, u)), ("other", (q, p), (u, t))):
            pairs.setdefault((direction, side), {})[y, x] = (a > RATIO * b, known and c > RATIO * d, known)
    found = wanted = right = judged = 0
    for kind in pairs.values():
        for (y, x), (predicted, true, known) in kind.items():
            near = [kind[y + i, x + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if (y + i, x + j) in kind]
            wanted += true
            found += true and any(pair[0] for pair in near)
            if predicted and known and all(pair[2] for pair in near):
                judged += 1
                right += any(pair[1] for pair in near)
    precision, recall = right / judged, found / wanted
    values = (precision, recall, 2 * precision * recall / (precision + recall), np.mean(errors))
    return dict(zip(DEFINITIONS, values, strict=True))


def test_sharpness_is_its_definition_in_loops():
    rng = np.random.default_rng(3)
    # Depths that differ by 3 % or its multiples: some neighbours make an edge, others don't.
    truth, prediction = (2 * 1.03 ** rng.integers(0, 4, (2, 3, 13, 17))).astype(np.float32)
    truth[rng.random(truth.shape) < 0.04] = 0
    measured = sharpness_metrics(prediction, truth)
    for k in range(3):
        values = {name: float(value[k]) for name, value in measured.items()}
        assert values == pytest.approx(by_hand(prediction[k], truth[k]), rel=1e-5)
        assert 0.05 < values["edge_precision"] < 0.95
