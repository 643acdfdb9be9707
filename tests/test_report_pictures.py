"""The pictures of a report: one range of metres for all panels, grey where nothing was read, no truth without truth."""

import dataclasses

import numpy as np
import pytest
from figure_reading import rendered
from made_evaluation import CLIP_FRAMES, CLIP_SIZE, made_clip
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from smoothdino_jax.apps.figures import NO_READING, colour
from smoothdino_jax.apps.report.pictures import (
    change_range,
    colour_change,
    comparison,
    depth_range,
    error_range,
    feature_pictures,
    player_frames,
    shift_arrows,
    time_slice,
)
from smoothdino_jax.evaluation.clip import Clip

HEIGHT, WIDTH = CLIP_SIZE
LONG = "a_rather_long_name_that_would_not_fit_above_its_panel"


@pytest.fixture
def clip() -> Clip:
    return made_clip()


def without_truth(clip: Clip) -> Clip:
    return dataclasses.replace(clip, truth=np.zeros_like(clip.truth))


def with_predictions(clip: Clip, **predictions) -> Clip:
    return dataclasses.replace(clip, predictions=predictions)


def pixels(axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def pictures(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.images and axes.get_visible()]


def bar_labels(figure: Figure) -> dict[str, tuple[float, float]]:
    return {axes.get_xlabel(): axes.get_xlim() for axes in figure.axes if axes.get_xlabel().endswith("[m]")}


class TestRanges:
    def test_depth_holds_the_truth_and_the_rows_in_tenths_of_a_metre(self, clip):
        # The truth is 2 and 4 m; vanilla 1.07 and 1.13 times that, from frame to frame: 4.52 m at most.
        assert depth_range(clip, ["vanilla"]) == (2.0, 4.6)
        assert depth_range(without_truth(clip), ["vanilla"]) == (2.1, 4.6)

    def test_depth_of_one_value_has_a_range_yet(self, clip):
        flat = with_predictions(without_truth(clip), flat=np.full_like(clip.truth, 3.0))
        assert depth_range(flat, ["flat"]) == (3.0, 3.1)

    def test_errors_start_at_zero(self, clip):
        assert error_range(clip, ["vanilla"]) == (0.0, 0.6)  # 0.13 · 4 m = 0.52 m
        assert error_range(with_predictions(clip, right=clip.truth), ["right"]) == (0.0, 0.1)

    def test_nothing_known_is_no_range(self, clip):
        nothing = with_predictions(without_truth(clip), broken=np.full_like(clip.truth, np.nan))
        assert depth_range(nothing, ["broken"]) is None
        assert error_range(nothing, ["broken"]) is None


class TestComparison:
    def test_shows_frames_of_the_whole_clip_in_one_range(self, clip):
        figure = comparison(clip, ["vanilla", "adapter"])
        limits, errors = depth_range(clip, ["vanilla", "adapter"]), error_range(clip, ["vanilla", "adapter"])
        shown = iter(pictures(figure))
        for k in (0, 2, 5):
            np.testing.assert_array_equal(pixels(next(shown)), clip.image[k])
            for depth in (clip.predictions["vanilla"], clip.predictions["adapter"], clip.truth):
                np.testing.assert_array_equal(pixels(next(shown)), colour(depth[k], limits))
            for name in ("vanilla", "adapter"):
                error = np.where(clip.truth[k] > 0, np.abs(clip.predictions[name][k] - clip.truth[k]), 0)
                expected = colour(error, errors, "magma", clip.truth[k] > 0)
                np.testing.assert_array_equal(pixels(next(shown)), expected)
        assert next(shown, None) is None
        assert bar_labels(figure) == {"depth [m]": limits, "|error| [m]": errors}
        rendered(figure)

    def test_titles_name_rows_and_frames(self, clip):
        shown = pictures(comparison(clip, ["biases"], frames=2))
        assert [axes.get_title() for axes in shown[:3]] == ["image", "biases", "truth"]
        assert [axes.get_ylabel() for axes in shown if axes.get_ylabel()] == ["frame 0", "frame 5"]

    def test_tells_the_rmse_of_each_error(self, clip):
        half = with_predictions(clip, half=clip.truth + np.float32(0.5))
        (text,) = [text.get_text() for axes in pictures(comparison(half, frames=1)) for text in axes.texts]
        assert text == "RMSE 0.500 m"

    def test_without_truth_there_are_no_errors(self, clip):
        figure = comparison(without_truth(clip))
        assert [axes.get_title() for axes in pictures(figure)[:3]] == ["image", "vanilla", "adapter"]
        assert len(pictures(figure)) == 3 * 3
        assert set(bar_labels(figure)) == {"depth [m]"}
        rendered(figure)

    def test_a_frame_without_truth_among_others_is_grey(self, clip):
        clip.truth[0] = 0
        _, prediction, truth, error = pictures(comparison(clip, ["vanilla"]))[:4]
        assert (pixels(truth) == NO_READING).all()
        assert (pixels(error) == NO_READING).all()
        assert not error.texts
        assert (pixels(prediction) != NO_READING).any()

    def test_broken_pixels_are_grey(self, clip):
        clip.predictions["vanilla"][:, 10:20], clip.predictions["vanilla"][:, 20:30] = np.nan, np.inf
        _, prediction, _, error = pictures(comparison(clip, ["vanilla"]))[:4]
        assert (pixels(prediction)[10:30] == NO_READING).all()
        assert (pixels(error)[10:30] == NO_READING).all()
        assert not (pixels(error)[30:] == NO_READING).all(-1).any()

    def test_unknown_rows_are_left_out(self, clip):
        figure = comparison(clip, ["nobody", "adapter"], frames=1)
        assert [axes.get_title() for axes in pictures(figure)[:3]] == ["image", "adapter", "truth"]
        assert comparison(clip, ["nobody"]) is None
        assert comparison(with_predictions(clip)) is None

    def test_many_rows_get_a_wider_figure(self, clip):
        many = with_predictions(clip, **{f"{LONG}_{k}": clip.truth for k in range(25)})
        figure = comparison(many, list(many.predictions), frames=1)
        rendered(figure)
        titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
        assert len(titles) == 27
        assert not any(box.overlaps(other) for k, box in enumerate(titles) for other in titles[:k])


class TestTimeSlice:
    def test_is_one_line_of_every_frame(self, clip):
        figure = time_slice(clip, line=25)
        first, image, truth, vanilla, adapter = pictures(figure)
        np.testing.assert_array_equal(pixels(first), clip.image[0])
        np.testing.assert_array_equal(pixels(image), clip.image[:, 25])
        (limits,) = bar_labels(figure).values()
        depths = clip.truth, clip.predictions["vanilla"], clip.predictions["adapter"]
        for axes, depth in zip((truth, vanilla, adapter), depths, strict=True):
            np.testing.assert_array_equal(pixels(axes), colour(depth[:, 25], limits))
        assert [axes.get_title("left") for axes in (truth, vanilla, adapter)] == ["truth", "vanilla", "adapter"]
        rendered(figure)

    def test_the_line_is_marked_in_the_first_frame(self, clip):
        assert list(pictures(time_slice(clip, line=7))[0].lines[0].get_ydata()) == [7, 7]
        assert list(pictures(time_slice(clip))[0].lines[0].get_ydata()) == [HEIGHT // 2] * 2

    def test_without_truth_there_is_no_slice_of_it(self, clip):
        titles = [axes.get_title("left") for axes in pictures(time_slice(without_truth(clip)))]
        assert titles[2:] == ["vanilla", "adapter"]

    def test_one_frame_has_no_time(self, clip):
        single = Clip(
            "a", *(part[:1] for part in (clip.frames, clip.image, clip.truth)), {"a": clip.truth[:1]}, clip.shift[:1]
        )
        assert time_slice(single) is None
        rendered(comparison(single))
        assert time_slice(clip, rows=["nobody"]) is None

    def test_25_rows_fit(self, clip):
        many = with_predictions(clip, **{f"{LONG}_{k}": clip.truth for k in range(25)})
        figure = time_slice(many, rows=list(many.predictions))
        assert len(pictures(figure)) == 28
        rendered(figure)


class TestFeaturePictures:
    def test_stand_under_the_image_of_their_frame(self, clip):
        figure = feature_pictures(clip)
        for column, frame in enumerate((0, 2, 5)):
            difference = np.full((6, 8), np.abs(255 - 2.0 * clip.features.before[column]).mean(-1) / 255)
            expected = [clip.image[frame], clip.features.before[column], clip.features.after[column]]
            expected.append(colour(difference, (0, 1), "magma", np.full((6, 8), True)))
            for axes, picture in zip(pictures(figure)[column::3], expected, strict=True):
                np.testing.assert_array_equal(pixels(axes), picture)
        assert len(pictures(figure)) == 12
        assert [axes.get_title() for axes in pictures(figure)[:3]] == ["frame 0", "frame 2", "frame 5"]
        assert pictures(figure)[3].get_ylabel() == "level 4, before"
        rendered(figure)

    def test_the_difference_is_a_number_and_its_colours_end_where_most_of_it_does(self, clip):
        before = np.full_like(clip.features.before, 100)
        after = before.copy()
        after[0, :, :, 0] += 9  # of 255, in one channel of three: 1.2 %
        moved = dataclasses.replace(clip, features=dataclasses.replace(clip.features, before=before, after=after))
        shown = pictures(feature_pictures(moved))[9:]
        assert [axes.texts[0].get_text() for axes in shown] == ["mean 1.2 %", "mean 0 %", "mean 0 %"]
        assert change_range(colour_change(moved.features)) == 0.02
        assert (pixels(shown[1]) == colour(np.zeros((6, 8)), (0, 1), "magma", np.full((6, 8), True))).all()

    def test_no_adapter_no_figure(self):
        assert feature_pictures(made_clip(features=False)) is None


class TestShiftArrows:
    def test_an_arrow_is_the_shift_times_what_the_figure_says(self, clip):
        # (2, -3) is 3.6 px; a third of 64 px is 21, so five times: 18 px.
        figure = shift_arrows(clip, count=2)
        arrows = [artist for axes in pictures(figure) for artist in axes.collections if isinstance(artist, Quiver)]
        assert [(float(arrow.U[0]), float(arrow.V[0]), arrow.scale) for arrow in arrows] == [(2, -3, 0.2)] * 2
        assert {(arrow.angles, arrow.scale_units) for arrow in arrows} == {("xy", "xy")}
        assert [float(arrow.get_array()[0]) for arrow in arrows] == [0.6, 0.6]
        assert figure.texts[0].get_text() == "arrows are 5 times the shift, in pixels of the 64×48 picture"
        assert [axes.get_title() for axes in pictures(figure)] == ["frame 1: 3.6 px", "frame 5: 3.6 px"]
        rendered(figure)

    def test_up_in_the_figure_is_up_in_the_picture(self, clip):
        low, high = pictures(shift_arrows(clip))[0].get_ylim()
        assert low > high

    def test_shift_and_response_are_drawn_over_time(self, clip):
        upper, lower = shift_arrows(clip).axes[-2:]
        dx, dy = upper.lines
        np.testing.assert_array_equal(dx.get_ydata(), clip.shift[:, 0])
        np.testing.assert_array_equal(dy.get_ydata(), clip.shift[:, 1])
        np.testing.assert_array_equal(lower.lines[0].get_ydata(), clip.shift[:, 2])
        np.testing.assert_array_equal(lower.lines[0].get_xdata(), clip.frames)

    def test_a_camera_at_rest_has_shifts_of_zero(self, clip):
        clip.shift[:, :2] = 0
        rendered(shift_arrows(clip))

    def test_no_shift_no_figure(self, clip):
        assert shift_arrows(dataclasses.replace(clip, shift=np.full((CLIP_FRAMES, 3), np.nan))) is None


class TestPlayerFrames:
    def test_has_every_frame_of_every_panel(self, clip):
        found = player_frames(clip, "vanilla", "adapter")
        assert list(found.panels) == ["image", "vanilla", "smoothed", "truth", "vanilla error", "smoothed error"]
        for frames in found.panels.values():
            assert len(frames) == CLIP_FRAMES
            assert {(frame.shape, frame.dtype) for frame in frames} == {((HEIGHT, WIDTH, 3), np.dtype(np.uint8))}

    def test_is_in_the_range_it_names(self, clip):
        found = player_frames(clip, "vanilla", "adapter")
        assert found.depth_range == depth_range(clip, ["vanilla", "adapter"])
        assert found.error_range == error_range(clip, ["vanilla", "adapter"])
        expected = colour(clip.predictions["adapter"][4], found.depth_range)
        np.testing.assert_array_equal(found.panels["smoothed"][4], expected)
        error = np.abs(clip.predictions["vanilla"][4] - clip.truth[4])
        expected = colour(error, found.error_range, "magma", clip.truth[4] > 0)
        np.testing.assert_array_equal(found.panels["vanilla error"][4], expected)

    def test_bars_run_from_one_end_of_the_colours_to_the_other(self, clip):
        found = player_frames(clip, "vanilla", "adapter")
        near, far = colour(np.array([[1.0, 3.0]]), (1, 3))[0]
        none, most = colour(np.array([[0.0, 1.0]]), (0, 1), "magma", np.array([[True, True]]))[0]
        for bar, (low, high) in ((found.depth_bar, (near, far)), (found.error_bar, (none, most))):
            assert bar.shape == (16, 256, 3)
            assert (bar[:, 0] == low).all()
            assert (bar[:, -1] == high).all()

    def test_without_truth_there_are_no_errors(self, clip):
        found = player_frames(without_truth(clip), "vanilla", "adapter")
        assert list(found.panels) == ["image", "vanilla", "smoothed"]
        assert found.error_range is None

    def test_a_missing_row_is_no_player(self, clip):
        assert player_frames(clip, "vanilla", "nobody") is None
        nothing = np.full_like(clip.truth, np.nan)
        assert player_frames(with_predictions(without_truth(clip), a=nothing, b=nothing), "a", "b") is None
