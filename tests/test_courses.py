"""The courses of a report, over training steps and over frames, draw the numbers they are given."""

import numpy as np
import pytest
from figure_reading import legend, rendered
from made_evaluation import made_frames, made_log

from smoothdino_jax.apps.report.courses import scale_over_time, validation_curves

LONG = "a_rather_long_name_that_would_not_fit_beside_its_point"


@pytest.fixture(scope="module")
def frames():
    return made_frames()


class TestValidationCurves:
    def test_is_a_line_for_each_run_and_one_for_the_vanilla_they_share(self):
        figure = validation_curves({"adapter": made_log(), "biases": made_log()})
        one, other, vanilla = figure.axes[0].lines
        for line in (one, other):
            np.testing.assert_array_equal(line.get_xdata(), [0, 50, 100, 150, 200])
            np.testing.assert_allclose(line.get_ydata(), [0.19, 0.18, 0.16, 0.14 + 2 / 150, 0.15], rtol=1e-12)
        assert list(vanilla.get_ydata()) == [0.19, 0.19]
        assert vanilla.get_linestyle() == "--"
        assert legend(figure) == [
            "adapter: lowest 0.15 at step 200",
            "biases: lowest 0.15 at step 200",
            "vanilla: 0.19",
        ]
        assert figure.axes[0].get_xlim()[0] == 0
        rendered(figure)

    def test_one_validation_is_a_line_from_the_vanilla_that_never_counts_as_the_lowest(self):
        log = [{"step": 0, "validation/vanilla_mse": 0.3}, {"step": 5, "validation/mse": 0.4}]
        figure = validation_curves({"run": log})
        assert list(zip(*figure.axes[0].lines[0].get_data(), strict=True)) == [(0, 0.3), (5, 0.4)]
        assert legend(figure)[0] == "run: lowest 0.4 at step 5"

    def test_runs_with_different_vanillas_have_a_line_each(self):
        other = [{"step": 0, "validation/vanilla_mse": 0.3}, {"step": 5, "validation/mse": 0.25}]
        figure = validation_curves({"adapter": made_log(), "far": other})
        assert legend(figure)[2:] == ["vanilla (adapter): 0.19", "vanilla (far): 0.3"]
        assert len({line.get_color() for line in figure.axes[0].lines}) == 2

    def test_a_step_logged_again_after_a_restart_counts_once(self):
        lines = [{"step": s, "validation/mse": v} for s, v in ((10, 3.0), (20, 2.0), (10, 1.5), (15, float("nan")))]
        (line,) = validation_curves({"run": lines}).axes[0].lines
        assert list(zip(*line.get_data(), strict=True)) == [(10, 1.5), (20, 2.0)]

    def test_a_log_without_validation_has_no_curve(self):
        assert validation_curves({"run": [{"step": 1, "train/loss": 2.0}, {"note": "x"}]}) is None
        assert validation_curves({}) is None


class TestScaleOverTime:
    def test_is_a_line_for_each_row_over_the_longest_scene(self, frames):
        figure = scale_over_time(frames)
        one, *lines = figure.axes[0].lines
        assert set(one.get_ydata()) == {1}
        for line, columns in zip(lines, frames.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(12))
            np.testing.assert_array_equal(line.get_ydata(), columns["scale_median"][:12])
        assert "attic" in figure.axes[0].get_xlabel()
        rendered(figure)

    def test_tells_the_standard_deviation(self):
        columns = {"scene": np.array(["a"] * 3), "frame": np.arange(3), "scale_median": np.array([0.9, 1.1, np.nan])}
        assert legend(scale_over_time({"vanilla": columns})) == ["vanilla: std 0.100"]

    def test_a_frame_without_truth_is_a_gap(self, frames):
        line = scale_over_time(frames, "cellar", ["adapter"]).axes[0].lines[1]
        assert np.isnan(line.get_ydata()).tolist() == [False, False, False, True, False, False, False, False]

    def test_a_row_keeps_its_colour_when_drawn_alone(self, frames):
        all_rows, alone = scale_over_time(frames), scale_over_time(frames, rows=["biases"])
        assert alone.axes[0].lines[1].get_color() == all_rows.axes[0].lines[3].get_color()

    def test_nothing_to_draw_is_no_figure(self, frames):
        assert scale_over_time({}) is None
        assert scale_over_time(frames, "garden") is None
        assert scale_over_time(frames, rows=["nobody"]) is None
        assert scale_over_time(frames, metric="unknown") is None

    def test_25_rows_fit(self, frames):
        rendered(scale_over_time({f"{LONG}_{k}": frames["adapter"] for k in range(25)}))
