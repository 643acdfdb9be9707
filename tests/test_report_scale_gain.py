"""What a report says of how much of a gain is scale."""

import pytest
from made_evaluation import made_rows

from smoothdino_jax.apps.report.findings import findings
from smoothdino_jax.apps.report.scale_gain import scale_of_gain
from smoothdino_jax.metrics import DEFINITIONS

FIRST = {"name": "vanilla", "mse": 1.0, "mse_ls_scaled": 0.4, "counts": {}}


def told(scale, rest, interval=None, **fields):
    """Of a model whose MSE has this much more scale and rest."""
    made = {"name": "adapter", "mse": 1.0 + scale + rest, "mse_ls_scaled": 0.4 + rest, "mse_change_ci": interval}
    return scale_of_gain(FIRST, made | {"counts": {}} | fields)


@pytest.mark.parametrize(
    ("scale", "rest", "text"),
    [
        (
            -0.43,
            -0.07,
            "86 % of the gain is scale of whole frames, which one factor per frame would mend; 14 % is the re",
        ),
        (
            0.03,
            0.07,
            "30 % of the loss is scale of whole frames, which one factor per frame would mend; 70 % is the rest.",
        ),
        (-0.3, 0.0, "All of the gain is scale of whole frames, which one factor per frame would mend."),
        (0.0, -0.3, "None of the gain is scale of whole frames, which one factor per frame would mend."),
        (-0.3, -0.0004, "All of the gain"),
    ],
)
def test_the_share_of_scale(scale, rest, text):
    assert told(scale, rest).startswith(text)


def test_a_change_that_may_be_chance_is_neither_gain_nor_loss():
    assert told(-0.03, -0.01, [-0.1, 0.02]).startswith("75 % of the change, which may be chance, is scale")
    assert told(-0.03, -0.01, [-0.1, -0.02]).startswith("75 % of the gain is scale")


@pytest.mark.parametrize(
    ("scale", "rest", "text"),
    [
        (0.11, -0.027, "adds 11 %, the rest of the error takes 2.7 % off"),
        (-0.3, 0.1, "takes 30 % off, the rest of the error adds 10 %"),
        (-0.1, 0.1, "takes 10 % off, the rest of the error adds 10 %"),
    ],
)
def test_parts_that_go_opposite_ways_have_no_share(scale, rest, text):
    assert told(scale, rest) == (
        f"Scale of whole frames, which one factor per frame would mend, {text}, both in per cent of `vanilla`’s MSE."
    )


def test_nothing_is_said_where_nothing_can_be():
    assert told(0.0, 0.0001) == ""
    assert told(-0.1, -0.1, mse=None) == ""
    assert told(-0.1, -0.1, mse_ls_scaled=None) == ""
    assert told(-0.1, -0.1, counts={"mse_ls_scaled": 9}) == ""  # of other frames than the MSE
    rows = made_rows()
    (sentence,) = [text for text in findings(rows, rows[1], DEFINITIONS) if "scale of whole frames" in text.lower()]
    first, adapter = rows[:2]
    gain = first["mse"] - adapter["mse"]
    assert sentence.startswith(
        f"{100 * (1 - (first['mse_ls_scaled'] - adapter['mse_ls_scaled']) / gain):.0f} % of the gain"
    )
