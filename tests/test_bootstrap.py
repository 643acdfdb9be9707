"""Intervals over scenes: against every possible resample, and whether they hold the truth as often as they say."""

import itertools

import numpy as np
import pytest

from smoothdino_jax.evaluation.bootstrap import bootstrap_change, bootstrap_mean

# Three scenes of two, one and three frames: sums 4, 4, 33.
SCENES = np.array(["a", "a", "b", "c", "c", "c"])
VALUES = np.array([1.0, 3.0, 4.0, 10.0, 10.0, 13.0])


def every_resample(above, below, level):
    """Percentiles of sum / sum over all 27 ways to draw three scenes out of three."""
    ratios = [
        sum(above[scene] for scene in drawn) / sum(below[scene] for scene in drawn)
        for drawn in itertools.product(range(3), repeat=3)
    ]
    return tuple(np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf"))


@pytest.mark.parametrize(
    ("level", "by_hand"),
    # 80 %: aab, mean (4 + 4 + 4) / 5, and bcc, (4 + 33 + 33) / 7. 95 %: aaa and ccc, 1/27 of the draws each.
    [(0.8, (2.4, 10.0)), (0.95, (2.0, 11.0))],
)
def test_the_interval_of_a_mean_is_that_of_all_resamples(level, by_hand):
    assert every_resample([4, 4, 33], [2, 1, 3], level) == pytest.approx(by_hand, rel=1e-12)
    # Enough that the ends, between jumps of the distribution 1 % away, are exact.
    interval = bootstrap_mean(VALUES, SCENES, resamples=20000, level=level)
    assert interval == pytest.approx(by_hand, rel=1e-12)


def test_the_interval_of_a_change_is_that_of_all_resamples():
    reference = np.array([5.0, 3.0, 2.0, 11.0, 11.0, 8.0])  # sums 8, 2, 30
    low, high = every_resample([4, 4, 33], [8, 2, 30], 0.8)
    interval = bootstrap_change(VALUES, reference, SCENES, resamples=20000, level=0.8)
    assert interval == pytest.approx((low - 1, high - 1), rel=1e-12)


def test_values_in_proportion_have_no_uncertainty():
    # However the scenes differ: both means are of the same drawn scenes.
    assert bootstrap_change(0.83 * VALUES, VALUES, SCENES) == pytest.approx((-0.17, -0.17), abs=1e-12)


def simulated(rng):
    """Twenty scenes of 5 to 14 frames; the scenes scatter around 0 by 1, the frames around their scene by 0.3."""
    scenes = np.repeat(np.arange(20), rng.integers(5, 15, 20))
    return rng.normal(0, 1, 20)[scenes] + rng.normal(0, 0.3, len(scenes)), scenes


def test_95_percent_intervals_hold_the_truth_about_that_often_and_those_over_frames_do_not():
    rng = np.random.default_rng(0)
    over_scenes = over_frames = 0
    for _ in range(200):
        values, scenes = simulated(rng)
        low, high = bootstrap_mean(values, scenes, resamples=500)
        over_scenes += low <= 0 <= high
        low, high = bootstrap_mean(values, np.arange(len(values)), resamples=500)
        over_frames += low <= 0 <= high
    assert 0.85 * 200 <= over_scenes <= 0.99 * 200
    assert over_frames <= 0.6 * 200


def test_the_order_of_frames_and_the_names_of_scenes_do_not_matter():
    rng = np.random.default_rng(0)
    values, scenes = simulated(rng)
    expected = bootstrap_mean(values, scenes)
    order = rng.permutation(len(values))
    names = np.array([f"room_{scene:02d}" for scene in scenes])
    assert bootstrap_mean(values[order], names[order]) == pytest.approx(expected, rel=1e-12)
    reference = values + 9
    expected = bootstrap_change(values, reference, scenes)
    assert bootstrap_change(values[order], reference[order], names[order]) == pytest.approx(expected, rel=1e-12)


def test_a_seed_fixes_the_interval():
    values, scenes = simulated(np.random.default_rng(0))
    assert bootstrap_mean(values, scenes) == bootstrap_mean(values, scenes)
    assert bootstrap_mean(values, scenes) != bootstrap_mean(values, scenes, seed=1)


def test_a_lower_level_is_a_narrower_interval_of_the_same_draws():
    values, scenes = simulated(np.random.default_rng(0))
    wide, narrow = (bootstrap_mean(values, scenes, level=level) for level in (0.95, 0.5))
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


@pytest.mark.parametrize("frames", [0, 1, 6])
def test_fewer_than_two_scenes_have_no_interval(frames):
    values, scenes = np.arange(1.0, frames + 1), np.zeros(frames, int)
    assert bootstrap_mean(values, scenes) is None
    assert bootstrap_change(values, values, scenes) is None


def test_no_interval_where_a_scene_alone_has_nothing_to_compare_with():
    reference = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])  # scene b is free of errors
    assert bootstrap_change(VALUES, reference, SCENES) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_undefined_values_are_for_the_caller_to_leave_out(bad):
    spoilt = np.where(SCENES == "b", bad, VALUES)
    with pytest.raises(ValueError, match="1 of 6 values are NaN or infinite"):
        bootstrap_mean(spoilt, SCENES)
    with pytest.raises(ValueError, match="1 of 6"):
        bootstrap_change(spoilt, VALUES, SCENES)
    with pytest.raises(ValueError, match="1 of 6"):
        bootstrap_change(VALUES, spoilt, SCENES)
