"""What is measured of frames, and what it comes to."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from smoothdino_jax.data import DataError
from smoothdino_jax.evaluation import Records, make_rows, plain
from smoothdino_jax.evaluation.predictors import Average, Smoothed, Vanilla
from smoothdino_jax.evaluation.rows import VERSION, check_version
from smoothdino_jax.models.adapters import AdapterConfig

NAN = float("nan")
ADAPTERS = {"v": AdapterConfig(8, memory="adapted"), "a": AdapterConfig.released(8)}


def records(**changes):
    """Two scenes of two frames and one without truth."""
    columns = {
        "pixels": [10, 30, 20, 20, 0],
        "nonfinite": [0, 0, 0, 0, 0],
        "mse": [1.0, 2.0, 3.0, 6.0, NAN],
        "scale_median": [1.0, 1.2, 2.0, 2.6, NAN],
        "flicker": [NAN, 0.5, NAN, 0.1, NAN],
        "tae_zbuffer": [NAN] * 5,
        "dx": [NAN, 1.0, NAN, 2.0, 3.0],
    }
    columns = {name: np.array(values, float) for name, values in (columns | changes).items()}
    half = {name: values * (0.5 if name == "mse" else 1) for name, values in columns.items()}
    scenes = np.array(["attic", "attic", "cellar", "cellar", "cellar"])
    return Records(scenes, np.array([4, 5, 0, 1, 2]), {"vanilla": columns, "adapter": half})


def rows(measured, **options):
    predictors = {"vanilla": Vanilla("v"), "adapter": Smoothed("a")}
    return make_rows(measured, predictors, {"v": "x", "a": "y"}, adapters=ADAPTERS, **options)


def test_means_are_over_frames_with_a_reading():
    means = records().means("vanilla")
    assert means["mse"] == 3
    assert (means["frames"], means["empty"], means["nonfinite"], means["scenes"]) == (4, 1, 0, 2)


def test_the_mse_of_all_pixels_weighs_frames_by_their_readings():
    assert records().means("vanilla")["mse_pixels"] == pytest.approx((10 * 1 + 30 * 2 + 20 * 3 + 20 * 6) / 80)


def test_the_scale_spreads_within_scenes_not_between_them():
    assert records().means("vanilla")["scale_std"] == pytest.approx((0.1 + 0.3) / 2)


def test_a_metric_that_some_frames_lack_is_averaged_over_the_others_and_counted():
    means = records().means("vanilla")
    assert means["flicker"] == pytest.approx(0.3)
    assert means["counts"] == {"flicker": 2}
    assert math.isnan(means["tae_zbuffer"])


def test_one_prediction_that_is_not_finite_spoils_the_means_and_is_counted():
    # At a pixel without truth, which leaves the frame's own MSE finite.
    broken = records(nonfinite=[0, 3, 0, 0, 0])
    means = broken.means("vanilla")
    assert means["nonfinite"] == 1
    told = rows(broken)[0]["missing"]
    for name in ("mse", "mse_pixels", "scale_median", "scale_std", "flicker"):
        assert math.isnan(means[name]), name
        assert told[name] == "1 frame(s) with NaN or infinite predictions"


def test_a_broken_prediction_of_a_frame_without_truth_spoils_the_means_too():
    means = records(nonfinite=[0, 0, 0, 0, 7]).means("vanilla")
    assert np.isnan(means["mse"])
    assert means["nonfinite"] == 1


def test_nothing_with_a_reading_is_an_error():
    with pytest.raises(ValueError, match="none of the 5 frames"):
        records(pixels=[0] * 5).means("vanilla")


def test_shift_and_counts_of_pixels_are_no_metrics():
    assert records().metrics == ("mse", "scale_median", "flicker", "tae_zbuffer")


def test_csv_has_a_line_per_row_and_frame_and_empty_cells_for_no_value(tmp_path):
    records().write_csv(tmp_path / "frames.csv")
    with (tmp_path / "frames.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 10
    assert (lines[1]["row"], lines[1]["scene"], lines[1]["frame"], lines[1]["flicker"]) == (
        "vanilla",
        "attic",
        "5",
        "0.5",
    )
    assert lines[0]["flicker"] == ""
    assert lines[5]["row"] == "adapter"
    assert float(lines[5]["mse"]) == 0.5


def test_rows_compare_with_the_first():
    vanilla, adapter = rows(records())
    assert (vanilla["mse_change"], adapter["mse_change"]) == (0, -0.5)
    # Every frame's MSE is halved: the change is the same whichever scenes are drawn.
    assert adapter["mse_change_ci"] == pytest.approx((-0.5, -0.5))
    assert vanilla["mse_change_ci"] is None
    low, high = vanilla["mse_ci"]
    assert (low, high) == (1.5, 4.5)  # the means of the two scenes
    assert (vanilla["kind"], adapter["model"]) == ("model", "y")


def test_rows_say_why_a_metric_is_missing():
    for row in rows(records()):
        assert row["missing"] == {"tae_zbuffer": "no two consecutive frames with poses and intrinsics"}
    broken = rows(records(nonfinite=[1, 0, 0, 0, 0]))[0]
    assert broken["missing"]["mse"] == "1 frame(s) with NaN or infinite predictions"
    assert broken["mse_ci"] is None


def test_a_missing_spread_of_scales_is_told_by_its_own_cause():
    def why(measured):
        return rows(measured, resamples=0)[0]["missing"]

    one_each = why(records(pixels=[10, 0, 20, 0, 0]))
    assert one_each["scale_std"] == "no scene with two counted frames"
    assert "flicker" in why(records(flicker=[NAN] * 5))
    assert "scale_std" not in why(records(flicker=[NAN] * 5))
    unscaled = why(records(scale_median=[1.0, NAN, 2.0, NAN, NAN]))
    assert unscaled["scale_std"] == "no scene with two frames that have a scale"
    assert "flicker" not in unscaled
    images = dataclasses.replace(records(), single=True)
    assert why(images)["scale_std"] == "single images, none follows another"


def test_rows_tell_which_models_have_another_frozen_part():
    assert [row["frozen_differs"] for row in rows(records())] == [False, False]
    assert [row["frozen_differs"] for row in rows(records(), other_frozen=("a",))] == [False, True]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"version": "x"}, r"of an unknown version, 'x'.*run eval\.py again"),
        ({"version": 2.5}, "unknown version"),
        ({"version": True}, "unknown version"),
        ({}, "has no version"),
        ({"version": VERSION - 1}, r"by an older eval\.py.*run eval\.py again"),
        ({"version": VERSION + 1}, r"by a newer eval\.py.*update"),
    ],
)
def test_another_version_of_rows_is_told(found, message):
    with pytest.raises(DataError, match=rf"metrics\.json.*{message}"):
        check_version(Path("metrics.json"), found)
    check_version(Path("metrics.json"), {"version": VERSION})


def test_no_intervals_are_made_of_one_scene_or_without_resamples():
    assert rows(records(pixels=[1, 1, 0, 0, 0]))[1]["mse_change_ci"] is None
    assert rows(records(), resamples=0)[0]["mse_ci"] is None


def test_kinds_and_sentences_of_rows():
    measured = records()
    measured = Records(measured.scenes, measured.frames, dict.fromkeys("abc", measured.rows["vanilla"]))
    measured.rows["d"] = measured.rows["e"] = measured.rows["a"]
    predictors = {"a": Vanilla("v"), "b": Smoothed("v", "shuffled"), "c": Average("v", 3, True, True)}
    predictors |= {"d": Smoothed("v"), "e": Smoothed("a")}
    made = make_rows(measured, predictors, {"v": "x", "a": "y"}, adapters=ADAPTERS, resamples=0)
    assert [row["kind"] for row in made] == ["model", "ablation", "average", "model", "model"]
    assert "drawn at random" in made[1]["what"]
    assert made[2]["what"] == (
        "exponential average of the frozen model's depth over 3 frames, moved by the measured shift first"
    )
    assert made[3]["what"] == (
        "an adapter that sees current, previous, shift, response, where the previous is its own last output"
    )
    assert made[4]["what"] == (
        "an adapter that sees previous, shift; every weight started at zero, so that biases alone trained"
    )


def test_json_has_null_for_what_is_no_number():
    value = {"a": NAN, "b": (1.5, math.inf), "c": {"d": np.float32(2)}, "e": "text"}
    assert json.dumps(plain(value), allow_nan=False) == '{"a": null, "b": [1.5, null], "c": {"d": 2.0}, "e": "text"}'
