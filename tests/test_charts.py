"""The charts of a report draw the numbers they are given, all of them, and nothing where there are none."""

import numpy as np
import pytest
from figure_reading import legend, rendered, texts, ticks
from made_evaluation import made_clip, made_frames, made_rows
from matplotlib.colors import to_hex

from smoothdino_jax.apps.report import style
from smoothdino_jax.apps.report.charts import (
    eigenvalue_spectra,
    metric_by_scene,
    mse_parts,
    time_against_mse,
    uses_the_past,
)

LONG = "a_rather_long_name_that_would_not_fit_beside_its_point"


@pytest.fixture(scope="module")
def rows():
    return made_rows()


@pytest.fixture(scope="module")
def frames():
    return made_frames()


def row(name, mse, **more):
    return {"name": name, "kind": "model", "mse": mse, "ms_per_frame": 50.0} | more


def many(kind="model"):
    rng = np.random.default_rng(0)
    found = [row("vanilla", 0.2)]
    for k in range(24):
        values = {"ms_per_frame": 50 + rng.random(), "mse_change": -0.01 * k, "mse_change_ci": [-0.3, 0.0]}
        mse = 0.1 + 0.001 * k
        values |= {"mse_ci": [0.9 * mse, 1.1 * mse], "mse_ls_scaled": 0.05, "kind": kind}
        found.append(row(f"{LONG}_{k}", mse) | values)
    return found


def test_text_can_be_read_at_the_width_of_a_page():
    assert min(style.SMALL, style.NORMAL, style.LARGE) >= 8


def test_the_first_25_rows_all_look_different():
    found = style.looks([str(k) for k in range(25)])
    assert len(set(found.values())) == 25


def test_long_names_lose_their_middle_and_keep_their_ends():
    assert style.label("adapter/shuffled") == "adapter/shuffled"
    assert style.label("abcdefghij", 7) == "abc…hij"


def test_names_are_never_taken_for_formulas_or_missing_letters():
    figure = mse_parts([row("$x$", 0.2, mse_ls_scaled=0.1), row("屋根裏_1", 0.1, mse_ls_scaled=0.1)])
    rendered(figure)
    assert ticks(figure.axes[0].yaxis) == [r"\$x\$", "□□□_1"]


class TestTimeAgainstMse:
    def test_is_a_point_with_its_interval_for_each_model(self, rows):
        figure = time_against_mse(rows)
        points = {line.get_label(): (*line.get_xdata(), *line.get_ydata()) for line in figure.axes[0].lines}
        models = [row for row in rows if row["kind"] == "model"]
        assert points == {row["name"]: (row["ms_per_frame"], row["mse"]) for row in models}
        bars = [bar.get_segments()[0][:, 1].tolist() for bar in figure.axes[0].collections]
        assert bars == [row["mse_ci"] for row in models]
        rendered(figure)

    def test_a_row_without_a_time_or_with_a_broken_mse_has_no_point(self):
        broken = [row("a", float("nan")), row("b", None), row("c", 0.1, ms_per_frame=None), {"name": "d"}]
        assert len(time_against_mse([row("vanilla", 0.2), *broken]).axes[0].lines) == 1
        assert time_against_mse(broken) is None
        assert time_against_mse([]) is None

    def test_names_are_on_no_other_name_and_no_point_however_many(self):
        figure = time_against_mse(many())
        rendered(figure)
        (axes,) = figure.axes
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(boxes) == 25
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:k])
            assert axes.get_window_extent().containsx(box.x0)
            assert axes.get_window_extent().containsx(box.x1)
            for line in axes.lines:
                x, y = axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
                assert not box.contains(x, y)

    def test_says_which_way_is_better(self, rows):
        assert "better" in time_against_mse(rows).axes[0].get_title("right")


class TestMseParts:
    def test_bars_add_up_to_the_mse(self, rows):
        (axes,) = mse_parts(rows).axes
        rest, scale = axes.containers
        for row_, low, high in zip(rows, rest, scale, strict=True):
            assert low.get_width() == pytest.approx(row_["mse_ls_scaled"], rel=1e-12)
            assert high.get_x() == low.get_width()
            assert high.get_x() + high.get_width() == pytest.approx(row_["mse"], rel=1e-12)

    def test_tells_which_part_the_change_lies_in(self):
        # Of 0.20: 0.08 rest + 0.12 scale; then 0.07 + 0.05: scale takes 0.07 = 35 %, the rest 0.01 = 5 %.
        given = [row("vanilla", 0.2, mse_ls_scaled=0.08), row("adapter", 0.12, mse_ls_scaled=0.07)]
        (axes,) = mse_parts(given).axes
        assert texts(axes) == ["change", "in scale", "in the rest", "−40.0 %", "−35.0 %", "−5.0 %"]

    def test_a_bar_much_longer_than_the_others_is_cut_and_told(self):
        given = [row(name, mse, mse_ls_scaled=mse / 2) for name, mse in (("vanilla", 0.2), ("a", 0.1), ("bad", 9.0))]
        (axes,) = mse_parts(given).axes
        assert axes.get_xlim() == (0, pytest.approx(0.6))  # three times the median
        assert [text.get_text() for text in axes.texts if "▸" in text.get_text()] == ["9 ▸"]
        assert {text.xy[1] for text in axes.texts if "▸" in text.get_text()} == {2}
        (axes,) = mse_parts(given[:2]).axes
        assert not any("▸" in text for text in texts(axes))

    def test_without_parts_of_the_first_row_there_is_nothing_to_compare(self):
        (axes,) = mse_parts([row("vanilla", 0.2), row("adapter", 0.12, mse_ls_scaled=0.07)]).axes
        assert texts(axes) == []
        assert ticks(axes.yaxis) == ["adapter"]
        assert mse_parts([row("vanilla", 0.2, mse_ls_scaled=None)]) is None

    def test_many_rows_with_long_names_fit(self):
        figure = mse_parts(many())
        rendered(figure)
        (axes,) = figure.axes
        boxes = [text.get_window_extent() for text in [*axes.get_yticklabels(), *axes.texts]]
        assert min(box.x0 for box in boxes) >= 0
        assert max(box.x1 for box in boxes) <= figure.bbox.x1
        assert axes.get_position().width > 0.3


class TestUsesThePast:
    def test_bars_are_the_changes_in_groups(self, rows):
        figure = uses_the_past(rows)
        (axes,) = figure.axes
        names = ticks(axes.yaxis)
        assert names == [
            *("adapter", "adapter/shuffled", "adapter/no_shift", "mean2", "mean2_aligned", "biases", "current_only"),
        ]
        changes = {row["name"]: 100 * row["mse_change"] for row in rows}
        intervals = {row["name"]: [100 * end for end in row["mse_change_ci"]] for row in rows}
        for name, bar, line in zip(names, axes.containers[0], axes.collections, strict=True):
            assert bar.get_width() == pytest.approx(changes[name], rel=1e-12)
            assert line.get_segments()[0][:, 0].tolist() == intervals[name]
        colours = [to_hex(bar.get_facecolor()) for bar in axes.containers[0]]
        assert [colours.index(colour) for colour in colours] == [0, 1, 1, 3, 3, 5, 5]
        assert len(legend(figure)) == 4
        rendered(figure)

    def test_the_change_is_written_beside_the_bar(self):
        given = [row("vanilla", 0.2), row("adapter", 0.1, mse_change=-0.5, mse_change_ci=[-0.6, -0.4])]
        assert texts(uses_the_past(given).axes[0]) == ["−50.0 %", "[−60.0, −40.0]"]

    def test_one_very_bad_model_does_not_stretch_the_axis(self):
        given = [row(name, 0.1, mse_change=change) for name, change in (("a", -0.2), ("b", -0.15), ("bad", 12.0))]
        given[1]["mse_change_ci"] = [-0.3, 0.9]
        (axes,) = uses_the_past([row("vanilla", 0.2), *given]).axes
        low, high = axes.get_xlim()
        assert (low, high) == (pytest.approx(-31.5), pytest.approx(60))
        marks = {text.xy[1]: text.get_text() for text in axes.texts if "▸" in text.get_text()}
        assert marks == {2: "+1200 % ▸", 1: "▸"}

    def test_models_that_are_all_bad_are_drawn_whole(self):
        given = [row(name, 0.1, mse_change=change) for name, change in (("a", 9.0), ("b", 11.0), ("c", 12.0))]
        (axes,) = uses_the_past([row("vanilla", 0.2), *given]).axes
        assert axes.get_xlim()[1] > 1200
        assert not any("▸" in text for text in texts(axes))

    def test_a_change_without_an_interval_is_drawn_alone(self):
        for ends in (None, [], [None, None], [float("nan"), 1.0]):
            (axes,) = uses_the_past([row("vanilla", 0.2), row("a", 0.1, mse_change=-0.5, mse_change_ci=ends)]).axes
            assert len(axes.containers[0]) == 1
            assert not axes.collections

    def test_one_row_says_nothing_about_the_past(self, rows):
        assert uses_the_past(rows[:1]) is None
        assert uses_the_past([row("vanilla", 0.2), row("adapter", 0.1)]) is None
        assert uses_the_past([]) is None

    def test_many_rows_with_long_names_fit(self):
        figure = uses_the_past(many("ablation"))
        rendered(figure)
        assert max(text.get_window_extent().x1 for text in figure.axes[0].texts) <= figure.bbox.x1


class TestEigenvalueSpectra:
    def test_draws_both_against_their_number(self):
        figure = eigenvalue_spectra(made_clip().features)
        before, after = figure.axes[0].lines
        assert list(zip(*before.get_data(), strict=True)) == [(1, 1.0), (2, 0.8), (3, 0.6), (4, 0.5)]
        assert list(after.get_ydata()) == [1.0, 0.7, 0.4, 0.3]
        assert "level 4" in figure.axes[0].get_title("left")
        rendered(figure)

    def test_no_features_no_figure(self):
        assert eigenvalue_spectra(None) is None


def columns(values: dict[str, list[float]]) -> dict[str, np.ndarray]:
    scenes = [scene for scene, of in values.items() for _ in of]
    numbers = [k for of in values.values() for k in range(len(of))]
    mse = np.concatenate(list(values.values()))
    return {"scene": np.array(scenes), "frame": np.array(numbers), "pixels": np.full(len(mse), 9), "mse": mse}


class TestMetricByScene:
    ROWS = (row("vanilla", 1.0), row("adapter", 1.0), row("adapter/x", 1.0, kind="ablation"))

    def table(self, figure) -> dict[str, list[float]]:
        axes = figure.axes[0]
        return dict(
            zip(ticks(axes.yaxis), np.round(axes.images[0].get_array().filled(np.nan), 9).tolist(), strict=True)
        )

    def test_changes_are_those_of_the_means_of_scenes_the_best_scene_first(self):
        frames = {"vanilla": columns({"a": [1.0, 3.0], "b": [2.0]}), "adapter": columns({"a": [1.0, 4.0], "b": [1.0]})}
        figure = metric_by_scene(self.ROWS, frames)
        assert self.table(figure) == {"b": [-50.0], "a": [25.0]}
        assert texts(figure.axes[0]) == ["−50", "+25"]
        assert ticks(figure.axes[0].xaxis) == ["adapter"]
        rendered(figure)

    def test_a_scene_with_an_undefined_frame_has_no_mean_and_no_change(self):
        first = columns({"a": [9.0, 2.0], "b": [1.0, np.nan], "c": [4.0]})
        adapter = columns({"a": [np.nan, 1.0], "b": [2.0, 2.0], "c": [3.0]})
        other = columns({"a": [11.0, 11.0], "b": [2.0, 2.0], "c": [5.0]})
        rows = (*self.ROWS, row("other", 1.0))
        figure = metric_by_scene(rows, {"vanilla": first, "adapter": adapter, "other": other})
        np.testing.assert_equal(self.table(figure), {"c": [-25.0, 25.0], "a": [np.nan, 100.0]})

    def test_a_frame_without_a_reading_does_not_count(self):
        first, adapter = columns({"a": [9.0, np.nan], "b": [1.0]}), columns({"a": [4.5, np.nan], "b": [2.0]})
        for made in (first, adapter):
            made["pixels"][1] = 0
        assert self.table(metric_by_scene(self.ROWS, {"vanilla": first, "adapter": adapter})) == {
            "a": [-50.0],
            "b": [100.0],
        }

    def test_one_scene_says_no_more_than_the_mean(self):
        frames = {"vanilla": columns({"a": [9.0, 2.0]}), "adapter": columns({"a": [1.0, 1.0]})}
        assert metric_by_scene(self.ROWS, frames) is None

    def test_of_many_scenes_the_extremes_are_drawn(self):
        names = [f"s{k}" for k in range(9)]
        frames = {
            "vanilla": columns({name: [100.0] for name in names}),
            "adapter": columns({name: [50.0 + 10 * k] for k, name in enumerate(names)}),
        }
        figure = metric_by_scene(self.ROWS, frames, most=4)
        assert self.table(figure) == {"s0": [-50.0], "s1": [-40.0], "s7": [20.0], "s8": [30.0]}
        assert "4 of 9" in figure.axes[0].get_title("left")

    def test_colours_are_as_far_from_white_for_worse_as_for_better(self, rows, frames):
        picture = metric_by_scene(rows, frames).axes[0].images[0]
        low, high = picture.get_clim()
        assert low == -high

    def test_nothing_to_compare_is_no_figure(self, rows, frames):
        assert metric_by_scene(rows[:1], frames) is None
        assert metric_by_scene(rows, {}) is None
        assert metric_by_scene(rows, frames, metric="tae_zbuffer") is None
        assert metric_by_scene([], {}) is None
        empty = columns({"a": [np.nan]})
        assert metric_by_scene(self.ROWS, {"vanilla": empty, "adapter": empty}) is None

    def test_25_rows_fit(self, frames):
        names = [f"{LONG}_{k}" for k in range(25)]
        rendered(metric_by_scene([row(name, 1.0) for name in names], dict.fromkeys(names, frames["adapter"])))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (-0.1743, "−17.4 %"),
        (9.9994, "+999.9 %"),
        (9.9999, "+1000 %"),
        (-12.34, "−1234 %"),
        (-0.00001, "0.0 %"),
        (0.0, "0.0 %"),
        (0.0006, "+0.1 %"),
    ],
)
def test_a_change_has_its_digits_and_its_sign_by_what_it_reads(share, text):
    assert style.percent(share) == text
