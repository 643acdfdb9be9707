"""What a report says of the gain that remains without a part of the input: numbers, and no more than they show."""

import pytest

from smoothdino_jax.apps.report.ablations import past_verdict, remaining_gain

VANILLA = {"name": "vanilla", "kind": "model", "mse": 0.2, "mse_change_ci": None}
SURE, UNSURE = [-0.25, -0.1], [-0.25, 0.02]


def told(interval=SURE, mse=0.16, **shares):
    return remaining_gain(*rows_with(interval, mse, **shares))


def verdict(interval=SURE, mse=0.16, **shares):
    return past_verdict(*rows_with(interval, mse, **shares))


def rows_with(interval, mse, **shares):
    """Of a gain of 0.04 m² by default, with these shares of it left by the ablations."""
    gain = VANILLA["mse"] - mse
    adapter = {"name": "adapter", "kind": "model", "mse": mse, "mse_change_ci": interval}
    rows = [VANILLA, adapter]
    for name, share in shares.items():
        left = None if share is None else VANILLA["mse"] - share * gain
        rows.append({"name": f"adapter/{name}", "kind": "ablation", "mse": left})
    return rows, adapter


def test_a_gain_that_every_ablation_halves_depends_on_the_past():
    shares = {"shuffled": -0.3, "current": 0.3, "first_frame": 0.01}
    assert verdict(**shares) == "The gain depends on the past."
    assert told(**shares) == [
        "30 % of the gain remains with the current frame in place of the past. 1 % "
        "remains with every frame taken as the first. Nothing remains with a random past and shift."
    ]


def test_one_ablation_that_leaves_more_than_half_is_the_verdict_and_the_others_are_numbers():
    shares = {"shuffled": -0.1, "current": 0.98, "first_frame": 0.3}
    assert verdict(**shares) == "Most of the gain is not the past."
    assert told(**shares) == [
        "98 % of the gain remains with the current frame in place of the past. 30 % "
        "remains with every frame taken as the first. Nothing remains with a random past and shift."
    ]
    assert verdict(shuffled=0.55) == "Most of the gain is not the past."


@pytest.mark.parametrize("interval", [SURE, None])
def test_where_all_of_the_gain_remains_the_past_is_not_used(interval):
    shares = {"shuffled": 0.998, "current": 1.01, "first_frame": 1.0, "zero_shift": 0.2}
    assert verdict(interval, **shares) == "It does not use the past."
    assert told(interval, **shares)[0] == (
        "All of the gain remains with the current frame in place of the past, with every frame taken as the first and "
        "with a random past and shift."
    )
    assert verdict(shuffled=0.93, current=0.97) == "As far as measured, it does not use the past."


@pytest.mark.parametrize("share", [0.89, 1.2])
def test_a_past_that_makes_a_difference_is_used_for_better_or_worse(share):
    assert verdict(shuffled=share, current=1.0, first_frame=1.0) == "Most of the gain is not the past."


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.985, "98 %"), (0.992, "All"), (1.09, "All"), (1.2, "120 %, more than all,"), (0.004, "Nothing")],
)
def test_shares_in_words(share, text):
    assert told(shuffled=share) == [f"{text} of the gain remains with a random past and shift."]


@pytest.mark.parametrize("shares", [{"shuffled": 0.0}, {"shuffled": 0.0, "current": None, "first_frame": 0.1}])
def test_no_dependence_is_said_from_a_part_of_the_ablations(shares):
    # A random past is an unusual input by itself: that it spoils the depth does not show that the true one is used.
    (sentence,) = told(**shares)
    assert verdict(**shares) == ""
    assert "of the gain remains" in sentence


def test_half_is_neither():
    shares = {"shuffled": 0.25, "current": 0.5, "first_frame": 0.0}
    assert verdict(mse=0.0, **shares) == ""
    assert told(mse=0.0, **shares) == [  # a gain of 0.2 m², so that half of it is exact
        "50 % of the gain remains with the current frame in place of the past. 25 % remains with a random past and "
        "shift. Nothing remains with every frame taken as the first."
    ]


def test_without_an_interval_there_are_numbers_alone():
    assert told(None, shuffled=0.0, current=0.1, first_frame=0.0, zero_shift=0.97, negated_shift=0.9) == [
        "10 % of the gain remains with the current frame in place of the past. Nothing remains with a random past and "
        "shift and with every frame taken as the first.",
        "97 % of the gain remains with a shift of 0. 90 % remains with the opposite shift. The gain itself has no "
        "interval.",
    ]


def test_the_shift_has_a_sentence_of_its_own():
    past, shift = told(shuffled=0, current=0, first_frame=0, zero_shift=1.0, negated_shift=0.2)
    assert past == (
        "Nothing of the gain remains with a random past and shift, with the current "
        "frame in place of the past and with every frame taken as the first."
    )
    assert shift == (
        "Most of the gain is not the shift: all of the gain remains with a shift of 0. 20 % remains with the "
        "opposite shift."
    )


def test_an_ablation_of_another_kind_is_a_number():
    assert told(no_response=0.75) == ["75 % of the gain remains as `adapter/no_response`."]


def test_without_a_gain_nothing_is_said_of_where_it_comes_from():
    assert told(UNSURE, shuffled=0.5) == []
    assert verdict(UNSURE, shuffled=1.0, current=1.0, first_frame=1.0) == ""
    assert told([0.01, 0.09], mse=0.21, shuffled=0.5) == []
    assert told(None, mse=0.2, shuffled=0.5) == []
    assert told(None, mse=0.19999, shuffled=0.5) == []  # reads as the same
    assert told() == []


def test_ablations_of_another_model_are_not_this_ones():
    adapter = {"name": "adapter", "kind": "model", "mse": 0.16, "mse_change_ci": SURE}
    assert remaining_gain([VANILLA, adapter, {"name": "other/current", "kind": "ablation", "mse": 0.16}], adapter) == []
