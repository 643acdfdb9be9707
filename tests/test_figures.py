"""The pictures: one fixed range of colours, grey where nothing was read, no trace of the frame before."""

import numpy as np
import pytest

from smoothdino_jax.apps.figures import NO_READING, Comparison, SideBySide, colour

SIZE = (60, 80)
IMAGE = np.full((*SIZE, 3), (10, 200, 30), np.uint8)
TITLES = slice(0, 24)


def flat(metres):
    return np.full(SIZE, metres, np.float32)


def comparison(**options):
    return Comparison(SIZE, ["vanilla", "smoothed"], (0, 10), 2, width=600, **options)


def count(picture, rgb):
    return int((picture == np.asarray(rgb, np.uint8)).all(-1).sum())


def test_near_is_warm_and_far_is_cold():
    near, far = colour(np.array([[0.1, 9.9]]), (0, 10))[0].astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]


def test_beyond_the_range_is_the_colour_of_its_end():
    pixels = colour(np.array([[0.2, 1.0, 5.0, 80.0]]), (1, 5))[0]
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[2] == pixels[3]).all()


def test_no_reading_is_grey():
    pixels = colour(np.array([[0.0, np.nan, np.inf, 3.0]]), (0, 10))[0]
    assert (pixels[:3] == NO_READING).all()
    assert (pixels[3] != NO_READING).any()


def test_a_pixels_colour_does_not_depend_on_the_rest_of_the_frame():
    ramp = np.linspace(1, 9, 80, dtype=np.float32)[None].repeat(60, 0)
    changed = ramp.copy()
    changed[:, 40:] *= 0.1
    assert (colour(ramp, (0, 10))[:, :40] == colour(changed, (0, 10))[:, :40]).all()


def test_comparison_shows_image_truth_predictions_and_errors():
    picture = comparison().draw(IMAGE, flat(4), {"vanilla": flat(5), "smoothed": flat(4.5)})
    assert picture.shape[1] == 600
    assert picture.shape[0] % 2 == 0
    panel = 100 * 140  # pixels, about: four columns in 600
    expected = [(10, 200, 30), *(colour(flat(depth), (0, 10))[0, 0] for depth in (4, 5, 4.5))]
    expected += [colour(flat(error), (0, 2), "magma")[0, 0] for error in (1, 0.5)]
    for rgb in expected:
        assert count(picture, rgb) > panel


def test_comparison_greys_holes_of_the_truth_in_the_errors_too():
    sheet = comparison()
    depths = {"vanilla": flat(5), "smoothed": flat(4)}
    whole, holes = sheet.draw(IMAGE, flat(4), depths), sheet.draw(IMAGE, flat(0), depths)
    grey = count(holes, NO_READING) - count(whole, NO_READING)
    assert grey > 3 * 100 * 140  # truth and two errors
    assert count(whole, colour(flat(1), (0, 2), "magma")[0, 0]) > 100 * 140  # an error of zero isn't grey


def test_titles_tell_the_rmse_over_readings_only():
    sheet = comparison()
    truth = flat(4)
    truth[:20] = 0
    over, under = flat(4.5), flat(3.5)
    over[:20], under[:20] = 9, 1
    one = sheet.draw(IMAGE, truth, {"vanilla": over, "smoothed": over})[TITLES]
    same = sheet.draw(IMAGE, truth, {"vanilla": under, "smoothed": under})[TITLES]
    worse = sheet.draw(IMAGE, truth, {"vanilla": over, "smoothed": flat(6)})[TITLES]
    assert (one == same).all()
    assert (one[:, :440] == worse[:, :440]).all()
    assert (one[:, 440:] != worse[:, 440:]).any()


def test_without_rmse_titles_stay():
    sheet = comparison(rmse=False)
    one = sheet.draw(IMAGE, flat(4), {"vanilla": flat(4), "smoothed": flat(4)})
    other = sheet.draw(IMAGE, flat(4), {"vanilla": flat(6), "smoothed": flat(7)})
    assert (one[TITLES] == other[TITLES]).all()
    assert (one[TITLES] != 255).any()


def test_a_frame_leaves_no_trace_in_the_next():
    sheet = comparison()
    a = IMAGE, flat(4), {"vanilla": flat(5), "smoothed": flat(4)}
    b = 255 - IMAGE, flat(2), {"vanilla": flat(9), "smoothed": flat(0)}
    first, between, again = (sheet.draw(*frame) for frame in (a, b, a))
    assert (first == again).all()
    assert (first != between).any()


def test_without_truth_there_is_one_row():
    sheet = Comparison(SIZE, ["vanilla", "smoothed"], (0.5, 10), width=600)
    picture = sheet.draw(IMAGE, None, {"vanilla": flat(5), "smoothed": flat(3)})
    assert picture.shape[0] < 2 * 144  # three columns in 600 pixels: a panel is 144 high
    for rgb in ((10, 200, 30), colour(flat(5), (0.5, 10))[0, 0], colour(flat(3), (0.5, 10))[0, 0]):
        assert count(picture, rgb) > 190 * 140


def test_wrong_input_is_named():
    depths = {"vanilla": flat(5), "smoothed": flat(4)}
    with pytest.raises(ValueError, match="low < high"):
        Comparison(SIZE, ["vanilla"], (5, 5), 1)
    with pytest.raises(ValueError, match="error_range"):
        Comparison(SIZE, ["vanilla"], (0, 5), 0)
    with pytest.raises(ValueError, match="different names"):
        Comparison(SIZE, ["vanilla", "vanilla"], (0, 5))
    with pytest.raises(ValueError, match=r"\['vanilla', 'smoothed'\], got depths of \['vanilla'\]"):
        comparison().draw(IMAGE, flat(4), {"vanilla": flat(5)})
    with pytest.raises(ValueError, match="truth comes with an error_range"):
        comparison().draw(IMAGE, None, depths)
    with pytest.raises(ValueError, match=r"smoothed has shape \(3, 80\)"):
        comparison().draw(IMAGE, flat(4), depths | {"smoothed": flat(4)[:3]})


@pytest.mark.parametrize("size", [(60, 80), (480, 640), (333, 201), (1, 2)])
def test_side_by_side_holds_the_frame_itself_on_even_sides(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    picture = SideBySide(size, ["depth"], (0, 10)).draw(image, np.full(size, 3, np.float32))
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    room = picture.shape[0] - size[0] + 1
    tops = [top for top in range(room) if (picture[top : top + size[0], : size[1]] == image).all()]
    assert len(tops) == 1


def test_side_by_side_shrinks_what_players_cannot_show():
    size = (540, 960)
    sheet = SideBySide(size, ["vanilla", "smoothed"], (0, 10), max_width=1000)
    height, width, _ = sheet.draw(np.zeros((*size, 3), np.uint8), np.ones(size), np.ones(size)).shape
    assert width <= 1000
    assert height < 250


def test_side_by_side_shows_every_depth():
    sheet = SideBySide(SIZE, ["vanilla", "smoothed"], (0, 10))
    picture = sheet.draw(IMAGE, flat(2), flat(6))
    for metres in (2, 6):
        assert count(picture, colour(flat(metres), (0, 10))[0, 0]) >= 60 * 80
    with pytest.raises(ValueError, match="shorter"):
        sheet.draw(IMAGE, flat(2))
