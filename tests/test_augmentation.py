"""Augmentation: one draw for a whole clip, image and depth together, and the shift follows."""

import chex
import cv2
import numpy as np
import pytest

from smoothdino_jax import grey, phase_correlation
from smoothdino_jax.data import (
    Augment,
)

OFF = {"flip": 0, "reverse": 0, "brightness": 0, "contrast": 0, "gamma": 0, "colour": 0}


def clip_of(frames=3, size=(6, 8), seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (frames, *size, 3), np.uint8),
        "depth": rng.uniform(0, 10, (frames, *size)).astype(np.float32),
    }


def test_augmentation_that_is_off_changes_nothing_and_its_input_never():
    clip = clip_of()
    before = {key: value.copy() for key, value in clip.items()}
    chex.assert_trees_all_equal(Augment(**OFF)(clip, np.random.default_rng(0)), before)
    changed = Augment(crop=0.3, noise=5)(clip, np.random.default_rng(0))
    changed["image"][:], changed["depth"][:] = 0, 0
    chex.assert_trees_all_equal(clip, before)


def test_mirroring_and_reversal_move_image_and_depth_together():
    clip, rng = clip_of(), np.random.default_rng(0)
    mirrored = Augment(**OFF | {"flip": 1})(clip, rng)
    chex.assert_trees_all_equal(mirrored, {key: value[:, :, ::-1] for key, value in clip.items()})
    backwards = Augment(**OFF | {"reverse": 1})(clip, rng)
    chex.assert_trees_all_equal(backwards, {key: value[::-1] for key, value in clip.items()})


def test_every_change_but_noise_is_the_same_in_all_frames_of_a_clip():
    still = {name: value[:1].repeat(4, axis=0) for name, value in clip_of(size=(20, 30)).items()}
    for seed in range(10):
        changed = Augment(crop=0.3)(still, np.random.default_rng(seed))
        assert not np.array_equal(changed["image"], still["image"])
        for value in changed.values():
            np.testing.assert_array_equal(value, value[:1].repeat(4, axis=0))


def panning(dx, dy, size=(96, 128)):
    """A clip of two frames over a smooth random texture, the second moved by (dx, dy) pixels."""
    height, width = size
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (height + 60, width + 60, 3)).astype(np.float32), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    moves = [np.float32([[1, 0, x - 30], [0, 1, y - 30]]) for x, y in ((0, 0), (dx, dy))]
    image = np.stack([cv2.warpAffine(texture, move, (width, height), flags=cv2.INTER_CUBIC) for move in moves])
    return {"image": np.clip(np.rint(image), 0, 255).astype(np.uint8), "depth": np.ones((2, *size), np.float32)}


def shift_of(clip):
    previous, current = grey(clip["image"])
    shift = phase_correlation(previous[None], current[None])
    return np.array([shift.dx[0], shift.dy[0]])


def test_the_measured_shift_follows_mirroring_reversal_and_crop():
    clip, rng = panning(10, -6), np.random.default_rng(0)
    shift = shift_of(clip)
    np.testing.assert_allclose(shift, [10, -6], atol=0.2)
    np.testing.assert_allclose(shift_of(Augment(**OFF | {"flip": 1})(clip, rng)), shift * [-1, 1], atol=0.1)
    np.testing.assert_allclose(shift_of(Augment(**OFF | {"reverse": 1})(clip, rng)), -shift, atol=0.1)
    both = Augment(**OFF | {"reverse": 1, "flip": 1})(clip, rng)
    np.testing.assert_allclose(shift_of(both), shift * [1, -1], atol=0.1)

    # A crop's window is scaled back up: by how much, a depth that is its own column tells.
    clip["depth"] = np.tile(np.arange(128, dtype=np.float32), (2, 96, 1))
    for seed in range(5):
        cropped = Augment(**OFF | {"crop": 0.4})(clip, np.random.default_rng(seed))
        zoom = 128 / (np.ptp(cropped["depth"]) + 1)
        # Between whole pixels the centroid of the peak is good to a third of a pixel.
        np.testing.assert_allclose(shift_of(cropped), shift * zoom, atol=0.4)


def test_probabilities_are_probabilities():
    clip = clip_of(2, (2, 2))
    augment = Augment(**OFF | {"flip": 0.25, "reverse": 0.5})
    seen = [augment(clip, np.random.default_rng(seed)) for seed in range(400)]
    mirror, back = clip["depth"][:, :, ::-1], clip["depth"][::-1]
    both = mirror[::-1]
    flips = np.mean([np.array_equal(s["depth"], m) for s in seen for m in (mirror, both)]) * 2
    backs = np.mean([np.array_equal(s["depth"], m) for s in seen for m in (back, both)]) * 2
    # Four standard deviations of a mean of 400 draws.
    assert flips == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 400))
    assert backs == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 400))


def test_colours_change_the_same_way_in_every_frame_and_leave_depth_alone():
    one = clip_of(1)
    clip = {key: np.repeat(value, 4, axis=0) for key, value in one.items()}
    for seed in range(5):
        changed = Augment(flip=0, crop=0.0)(clip, np.random.default_rng(seed))
        assert not np.array_equal(changed["image"], clip["image"])
        for frame in changed["image"]:
            np.testing.assert_array_equal(frame, changed["image"][0])
        np.testing.assert_array_equal(changed["depth"], clip["depth"])


@pytest.mark.parametrize(
    ("field", "strength", "low", "high"),
    [("brightness", 0.2, 80, 120), ("contrast", 0.5, 86.25, 113.75), ("gamma", 0.5, 62.6, 136.7)],
)
def test_colour_strengths_bound_the_change(field, strength, low, high):
    # Of a grey of 100: ×(1±0.2); 127.5 - 27.5·(1±0.5); 255·(100/255)^(1.5 or 1/1.5).
    clip = {"image": np.full((1, 2, 2, 3), 100, np.uint8), "depth": np.ones((1, 2, 2), np.float32)}
    augment = Augment(**OFF | {field: strength})
    values = [augment(clip, np.random.default_rng(seed))["image"] for seed in range(200)]
    assert all((value == value[0, 0, 0, 0]).all() for value in values)
    grey = [int(value[0, 0, 0, 0]) for value in values]
    assert low - 0.5 <= min(grey) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(grey) <= high + 0.5


def test_colour_gains_differ_by_channel():
    clip = {"image": np.full((1, 2, 2, 3), 100, np.uint8), "depth": np.ones((1, 2, 2), np.float32)}
    red, green, blue = Augment(**OFF | {"colour": 0.5})(clip, np.random.default_rng(0))["image"][0, 0, 0]
    assert len({int(red), int(green), int(blue)}) == 3


def test_a_crop_takes_one_window_for_image_and_depth_of_all_frames():
    ramp = np.tile(np.arange(64, dtype=np.float32), (48, 1))  # depth = the column it came from
    image = np.repeat(ramp.astype(np.uint8)[None, ..., None], 3, axis=0).repeat(3, axis=3)
    clip = {"image": image, "depth": np.repeat(ramp[None], 3, axis=0)}
    widths = set()
    for seed in range(20):
        changed = Augment(**OFF | {"crop": 0.5})(clip, np.random.default_rng(seed))
        assert changed["image"].shape == image.shape
        np.testing.assert_array_equal(changed["depth"], changed["depth"][:1].repeat(3, axis=0))
        assert np.abs(changed["image"][..., 0] - changed["depth"]).max() <= 1
        widths.add(int(changed["depth"].max() - changed["depth"].min()) + 1)
    assert min(widths) >= 32
    assert min(widths) < 40 < 56 < max(widths)


def test_noise_differs_from_frame_to_frame():
    clip = {
        "image": np.full((2, 50, 50, 3), 128, np.uint8),
        "depth": np.ones((2, 50, 50), np.float32),
    }
    noise = Augment(**OFF | {"noise": 6})(clip, np.random.default_rng(0))["image"] - 128.0
    # 7500 draws: the standard deviation is known to 1 %, rounding adds 0.3 %.
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), 6, rtol=0.05)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_switching_one_change_off_leaves_the_others_as_they_were():
    clip, mirrored = clip_of(), []
    for seed in range(10):
        full = Augment()(clip, np.random.default_rng(seed))["image"]
        without = Augment(flip=0)(clip, np.random.default_rng(seed))["image"]
        mirrored.append(not np.array_equal(full, without))
        np.testing.assert_array_equal(full, without[:, :, ::-1] if mirrored[-1] else without)
    assert 0 < sum(mirrored) < 10


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"reverse": -0.1}, {"contrast": 1}, {"crop": -0.2}, {"noise": -1}])
def test_impossible_strengths_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augment(**wrong)
