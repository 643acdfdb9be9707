"""Phase correlation finds shifts, agrees with OpenCV in the paper's form, and says when it knows nothing."""

import itertools
import os
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.models.phase_correlation import grey, phase_correlation

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).parents[2] / "shared"))


def texture(rng, size):
    """A picture with detail at every scale."""
    noise = rng.normal(size=size).astype(np.float32)
    return sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1, 3, 9)) * 20 + 120


def shifted(image, dx, dy):
    """The picture moved by a sub-pixel shift, as a Fourier phase ramp: exact and periodic."""
    y, x = np.meshgrid(*(np.fft.fftfreq(n) for n in image.shape), indexing="ij")
    return np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * (x * dx + y * dy))).real.astype(np.float32)


def opencv(previous, current):
    """OpenCV's answer, less the half pixel that it adds where its padded size is odd."""
    (dx, dy), response = cv2.phaseCorrelate(previous.astype(np.float64), current.astype(np.float64))
    height, width = (cv2.getOptimalDFTSize(n) for n in previous.shape)
    return dx - (width % 2) / 2, dy - (height % 2) / 2, response


def assert_agrees_with_opencv(previous, current):
    ours = phase_correlation(previous[None], current[None], window=False)
    dx, dy, response = opencv(previous, current)
    assert abs(float(ours.dx[0]) - dx) < 0.02
    assert abs(float(ours.dy[0]) - dy) < 0.02
    assert abs(float(ours.response[0]) - response) < 0.01


def test_grey_is_opencvs():
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    assert np.abs(np.asarray(grey(image)) - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).max() <= 0.51


@pytest.mark.parametrize("window", [True, False])
def test_whole_shifts_have_the_sign_of_the_motion(window):
    image = texture(np.random.default_rng(1), (96, 128))
    moved = np.roll(image, (-5, 9), (0, 1))  # up by 5, right by 9
    shift = phase_correlation(image[None], moved[None], window)
    assert abs(float(shift.dx[0]) - 9) < 0.1
    assert abs(float(shift.dy[0]) + 5) < 0.1
    assert shift.response[0] > 0.3


@pytest.mark.parametrize("size", [(96, 128), (120, 160), (97, 131), (64, 90)])
def test_papers_form_agrees_with_opencv_on_random_subpixel_shifts(size):
    rng = np.random.default_rng(2)
    for _ in range(10):
        image = texture(rng, size)
        assert_agrees_with_opencv(image, shifted(image, *rng.uniform(-9, 9, 2)))


def test_papers_form_agrees_with_opencv_on_rendered_video():
    source = SyntheticRooms(3, 8, (112, 154))
    greys = np.stack([np.asarray(grey(source[k].image)) for k in range(24)])
    for k in (0, 2, 5, 9, 13, 17, 20):
        assert_agrees_with_opencv(greys[k], greys[k + 1])


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real frames are not at {SHARED}")
@pytest.mark.parametrize(
    "pattern",
    ["nyu_kaggle/data/nyu2_train/*/*.jpg", "posed_rgbd/*.color.jpg", "tum_rgbd/rgb/*.png"],
)
def test_papers_form_agrees_with_opencv_on_real_frames(pattern):
    paths = sorted(SHARED.glob("data/" + pattern))
    assert paths
    step = max(1, len(paths) // 12)
    for first, second in list(itertools.pairwise(paths))[::step]:
        pair = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) for path in (first, second)]
        assert_agrees_with_opencv(*pair)


def test_identical_frames_do_not_move_at_any_size():
    for size in [(60, 80), (61, 75), (45, 81)]:
        image = texture(np.random.default_rng(3), size)[None]
        for window in (True, False):
            shift = phase_correlation(image, image, window)
            assert abs(shift.dx[0]) < 1e-3
            assert abs(shift.dy[0]) < 1e-3
            assert shift.response[0] > 0.95


def test_a_still_border_does_not_hide_the_motion_from_the_window():
    image = texture(np.random.default_rng(4), (120, 160))
    moved = np.roll(image, 6, 1)
    for frame in (image, moved):
        frame[:8], frame[-8:], frame[:, :8], frame[:, -8:] = 255, 255, 255, 255
    windowed = phase_correlation(image[None], moved[None])
    assert abs(float(windowed.dx[0]) - 6) < 0.5


def test_unrelated_frames_have_a_low_response():
    rng = np.random.default_rng(5)
    response = phase_correlation(texture(rng, (120, 160))[None], texture(rng, (120, 160))[None]).response
    assert response[0] < 0.05


@pytest.mark.parametrize("window", [True, False])
def test_flat_frames_give_zero_and_no_nan(window):
    frames = jnp.stack([jnp.zeros((32, 48)), jnp.full((32, 48), 200.0)])
    shift = phase_correlation(jnp.zeros((2, 32, 48)), frames, window)
    assert np.array_equal(np.stack(shift), np.zeros((3, 2)))


def test_a_batch_is_its_elements():
    rng = np.random.default_rng(6)
    previous = np.stack([texture(rng, (64, 80)) for _ in range(3)])
    current = np.stack([shifted(image, *rng.uniform(-5, 5, 2)) for image in previous])
    together = np.stack(phase_correlation(previous, current))
    apart = [np.stack(phase_correlation(previous[k : k + 1], current[k : k + 1]))[:, 0] for k in range(3)]
    np.testing.assert_allclose(together, np.stack(apart, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 8, 8), (1, 8, 9)), ((8, 8), (8, 8)), ((1, 1, 8), (1, 1, 8))],
)
def test_what_is_no_pair_of_frames_is_refused(first, second):
    with pytest.raises(ValueError, match="grey stacks of one shape"):
        phase_correlation(np.zeros(first), np.zeros(second))
