"""Batches: exact resume, a new order each epoch, shards that share nothing, honest augmentation."""

import contextlib
import itertools
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from smoothdino_jax import grey, phase_correlation
from smoothdino_jax.data import (
    Augment,
    ClipSource,
    DataError,
    Frame,
    NYUKaggle,
    make_clips,
    training_batches,
)


class Frames:
    """One scene of random pictures; the depth of position p is p + 1 everywhere."""

    def __init__(self, length, size=(6, 8), sizes=None):
        self.scenes = {"room": range(length)}
        self.size, self.sizes = size, sizes or {}

    @property
    def segments(self):
        return list(self.scenes.values())

    def indices(self, scene):
        return np.arange(len(self.scenes[scene]))

    def origin(self, position):
        return f"frame {position}"

    def __len__(self):
        return len(self.scenes["room"])

    def __getitem__(self, position):
        size = self.sizes.get(position, self.size)
        image = np.random.default_rng(position).integers(0, 256, (*size, 3), np.uint8)
        return Frame(image, np.full(size, position + 1, np.float32), "room", position)


def clips_of(length, t=2, **arguments) -> ClipSource:
    source = Frames(length, **arguments)
    return ClipSource(source, make_clips(source, t))


def starts(batches) -> list[int]:
    """The first position of each clip, batch by batch, of batches without augmentation."""
    return [int(depth[0, 0, 0]) - 1 for batch in batches for depth in batch["depth"]]


def assert_same(batch, other) -> None:
    assert batch.keys() == other.keys() == {"image", "depth"}
    for key in batch:
        np.testing.assert_array_equal(batch[key], other[key])


def test_a_batch_is_stacked_clips():
    clips = clips_of(9, t=3)
    batch = next(iter(training_batches(clips, 2, seed=0, shuffle=False)))
    assert batch["image"].shape == (2, 3, 6, 8, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["depth"].shape == (2, 3, 6, 8)
    assert batch["depth"].dtype == np.float32
    for i in range(2):
        assert_same({key: value[i] for key, value in batch.items()}, clips[i])


def test_each_epoch_has_every_clip_in_a_new_order():
    batches = iter(training_batches(clips_of(13), 4, seed=1))
    epochs = [starts(itertools.islice(batches, 3)) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
        assert epoch != sorted(epoch)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_seed_decides_the_order():
    def order(seed):
        return starts(itertools.islice(training_batches(clips_of(31), 5, seed=seed), 6))

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_without_repeat_one_epoch_of_full_batches():
    batches = list(training_batches(clips_of(12), 4, seed=0, repeat=False))
    assert [len(batch["image"]) for batch in batches] == [4, 4]
    assert len(set(starts(batches))) == 8


@pytest.mark.parametrize("threads", [0, 3])
def test_resuming_gives_the_very_same_batches(threads):
    def batches():
        data = training_batches(clips_of(11), 3, seed=5, augment=Augment(noise=2), threads=threads)
        return iter(data)

    first = batches()
    for _ in range(5):  # into the second epoch
        next(first)
    state = json.loads(json.dumps(first.get_state()))
    expected = [next(first) for _ in range(4)]

    fresh = batches()
    fresh.set_state(state)
    for batch in expected:
        assert_same(next(fresh), batch)
    first.set_state(state)  # and back, over what was already prefetched
    assert_same(next(first), expected[0])
    assert not np.array_equal(expected[0]["image"], expected[1]["image"])


def test_threads_and_prefetching_change_nothing():
    def batches(**options):
        data = training_batches(clips_of(11), 3, seed=5, augment=Augment(), **options)
        return list(itertools.islice(data, 6))

    reference = batches(threads=0)
    for options in ({"threads": 4, "prefetch": 6}, {"threads": 8, "prefetch": 1}, {"prefetch": 0}):
        for batch, other in zip(reference, batches(**options), strict=True):
            assert_same(batch, other)


def test_shards_share_no_clip_and_together_make_the_epoch():
    def shard(index, **options):
        data = training_batches(clips_of(25), 2, seed=3, shard_index=index, shard_count=3, **options)
        return starts(itertools.islice(data, 8))

    for epoch in (slice(0, 8), slice(8, 16)):
        seen = [shard(index)[epoch] for index in range(3)]
        assert sorted(itertools.chain(*seen)) == list(range(24))
    assert sorted(shard(0)[:8]) != sorted(shard(0)[8:])  # clips move between hosts


def test_shards_draw_different_augmentations():
    source = Frames(2)
    clips = ClipSource(source, np.array([[0, 1]] * 8))  # the same clip over and over
    shards = [training_batches(clips, 4, seed=0, augment=Augment(), shard_index=i, shard_count=2) for i in range(2)]
    one, two = (next(iter(shard))["image"] for shard in shards)
    assert len({clip.tobytes() for clip in (*one, *two)}) == 8


def test_uneven_shards_have_the_same_number_of_batches():
    counts = [
        len(list(training_batches(clips_of(12), 5, seed=0, repeat=False, shard_index=i, shard_count=2)))
        for i in range(2)
    ]
    assert counts == [1, 1]


def test_too_few_clips_for_a_batch_are_refused_at_once():
    with pytest.raises(DataError, match=r"4 training clips.*batch of 5"):
        training_batches(clips_of(5), 5, seed=0)
    with pytest.raises(DataError, match=r"over 2 host\(s\) are 2 each"):
        training_batches(clips_of(5), 3, seed=0, shard_count=2)
    with pytest.raises(ValueError, match="shard_index=2"):
        training_batches(clips_of(5), 1, seed=0, shard_index=2, shard_count=2)
    with pytest.raises(ValueError, match="batch_size=0"):
        training_batches(clips_of(5), 0, seed=0)


def test_clips_of_different_sizes_in_a_batch_are_explained():
    source = Frames(4, sizes={2: (8, 8), 3: (8, 8)})
    clips = ClipSource(source, np.array([[0, 1], [2, 3]]))
    with pytest.raises(DataError, match=r"\(6, 8\), \(8, 8\).*working size"):
        next(iter(training_batches(clips, 2, seed=0)))
    clips = ClipSource(source, np.array([[0, 1], [2, 3]]), size=(4, 4))
    assert next(iter(training_batches(clips, 2, seed=0)))["image"].shape == (2, 2, 4, 4, 3)


@pytest.fixture
def kaggle(tmp_path):
    """A scene on disk of six frames, the depth of frame n being n in 8-bit units."""
    (tmp_path / "room").mkdir()
    for n in range(1, 7):
        image = np.random.default_rng(n).integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"room/{n}.jpg"), image)
        cv2.imwrite(str(tmp_path / f"room/{n}.png"), np.full((16, 16), n, np.uint8))
    return tmp_path


def test_an_unreadable_file_names_itself_through_the_threads(kaggle):
    source = NYUKaggle(kaggle)
    (kaggle / "room" / "4.jpg").write_bytes(b"damaged")
    clips = ClipSource(source, make_clips(source, 2))
    batches = iter(training_batches(clips, 2, seed=0, shuffle=False))
    next(batches)
    with pytest.raises(DataError, match=r"room/4\.jpg"):
        next(batches)


def test_worker_processes_give_the_same_batches_and_resume_exactly(kaggle):
    source = NYUKaggle(kaggle)
    clips = ClipSource(source, make_clips(source, 2))  # five: epochs end within batches

    def batches(**options):
        return iter(training_batches(clips, 2, seed=7, augment=Augment(noise=2), **options))

    reference = list(itertools.islice(batches(threads=0), 7))
    states = []
    with contextlib.closing(batches(threads=1, workers=2)) as first:
        for expected in reference[:6]:
            assert_same(next(first), expected)
            states.append(json.loads(json.dumps(first.get_state())))
        first.set_state(states[1])  # back, over what was already prefetched
        assert_same(next(first), reference[2])
    with contextlib.closing(batches(threads=2, workers=2)) as fresh:
        for seen in (1, 4):  # mid-epoch, and two epochs on
            fresh.set_state(states[seen - 1])
            assert_same(next(fresh), reference[seen])
            assert_same(next(fresh), reference[seen + 1])


class WithCacheSize(ClipSource):
    """Clips that tell how full the cache of the process that reads them is, and which process that is."""

    def __getitem__(self, i):
        clip = super().__getitem__(i)
        return clip | {"cached": np.array([self.cached_bytes, os.getpid()])}


def test_each_worker_process_keeps_its_cache_within_the_limit():
    source = Frames(40)
    frame = 6 * 8 * (3 + 4)
    clips = WithCacheSize(source, make_clips(source, 2), cache_bytes=3 * frame)
    with contextlib.closing(iter(training_batches(clips, 2, seed=0, threads=2, workers=2))) as batches:
        seen = np.concatenate([next(batches)["cached"] for _ in range(20)])
    assert len(set(seen[:, 1]) - {os.getpid()}) == 2
    assert frame <= seen[:, 0].min()
    assert seen[:, 0].max() == 3 * frame


def test_tensorflow_is_never_imported():
    code = """
import sys
sys.modules["tensorflow"] = None  # importing it now fails
import numpy as np
from smoothdino_jax import data
class Room:
    scenes, segments = {"room": range(2)}, [range(2)]
    def __len__(self): return 2
    def __getitem__(self, i):
        return data.Frame(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.float32), "room", i)
clips = data.ClipSource(Room(), np.array([[0, 1]]))
batches = iter(data.training_batches(clips, 1, seed=0, augment=data.Augment()))
print(next(batches)["image"].shape)
batches.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 2, 4, 4, 3)", done.stderr


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
    assert_same(Augment(**OFF)(clip, np.random.default_rng(0)), before)
    changed = Augment(crop=0.3, noise=5)(clip, np.random.default_rng(0))
    changed["image"][:], changed["depth"][:] = 0, 0
    assert_same(clip, before)


def test_mirroring_and_reversal_move_image_and_depth_together():
    clip, rng = clip_of(), np.random.default_rng(0)
    mirrored = Augment(**OFF | {"flip": 1})(clip, rng)
    assert_same(mirrored, {key: value[:, :, ::-1] for key, value in clip.items()})
    backwards = Augment(**OFF | {"reverse": 1})(clip, rng)
    assert_same(backwards, {key: value[::-1] for key, value in clip.items()})


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
