"""Batches: exact resume, a new order each epoch, shards that share nothing."""

import contextlib
import itertools
import json
import os
import subprocess
import sys

import chex
import cv2
import numpy as np
import pytest

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


def test_a_batch_is_stacked_clips():
    clips = clips_of(9, t=3)
    batch = next(iter(training_batches(clips, 2, seed=0, shuffle=False)))
    assert batch["image"].shape == (2, 3, 6, 8, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["depth"].shape == (2, 3, 6, 8)
    assert batch["depth"].dtype == np.float32
    for i in range(2):
        chex.assert_trees_all_equal({key: value[i] for key, value in batch.items()}, clips[i])


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
        chex.assert_trees_all_equal(next(fresh), batch)
    first.set_state(state)  # and back, over what was already prefetched
    chex.assert_trees_all_equal(next(first), expected[0])
    assert not np.array_equal(expected[0]["image"], expected[1]["image"])


def test_threads_and_prefetching_change_nothing():
    def batches(**options):
        data = training_batches(clips_of(11), 3, seed=5, augment=Augment(), **options)
        return list(itertools.islice(data, 6))

    reference = batches(threads=0)
    for options in ({"threads": 4, "prefetch": 6}, {"threads": 8, "prefetch": 1}, {"prefetch": 0}):
        for batch, other in zip(reference, batches(**options), strict=True):
            chex.assert_trees_all_equal(batch, other)


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
            chex.assert_trees_all_equal(next(first), expected)
            states.append(json.loads(json.dumps(first.get_state())))
        first.set_state(states[1])  # back, over what was already prefetched
        chex.assert_trees_all_equal(next(first), reference[2])
    with contextlib.closing(batches(threads=2, workers=2)) as fresh:
        for seen in (1, 4):  # mid-epoch, and two epochs on
            fresh.set_state(states[seen - 1])
            chex.assert_trees_all_equal(next(fresh), reference[seen])
            chex.assert_trees_all_equal(next(fresh), reference[seen + 1])


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
