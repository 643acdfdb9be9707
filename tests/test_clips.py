"""Clips never cross scenes, resizing keeps metres metres, and the cache keeps to its limit."""

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smoothdino_jax.data import ClipSource, DataError, Frame, make_clips, resize_frame, runs


class Frames:
    """Frames in memory: every pixel of position p is p; counts the reads."""

    def __init__(self, lengths, size=(4, 6), sizes=None, gaps=()):
        starts = np.cumsum([0, *lengths])
        self.scenes = {f"scene{k}": range(int(starts[k]), int(starts[k + 1])) for k in range(len(lengths))}
        self.size, self.sizes, self.reads = size, sizes or {}, []
        edges = sorted({*starts.tolist(), *gaps})
        self.segments = [range(a, b) for a, b in itertools.pairwise(edges)]

    def indices(self, scene):
        return 1 + np.arange(len(self.scenes[scene]))

    def origin(self, position):
        return f"frame {position}"

    def __len__(self):
        return sum(map(len, self.scenes.values()))

    def __getitem__(self, position):
        self.reads.append(position)
        scene, positions = next((s, r) for s, r in self.scenes.items() if position in r)
        size = self.sizes.get(position, self.size)
        image = np.full((*size, 3), position % 256, np.uint8)
        depth = np.full(size, position, np.float32)
        return Frame(image, depth, scene, position - positions.start + 1)


def test_clips_stay_within_their_scene():
    clips = make_clips(Frames([4, 3]), 3)
    np.testing.assert_array_equal(clips, [[0, 1, 2], [1, 2, 3], [4, 5, 6]])


def test_clips_and_runs_stay_within_their_segment():
    source = Frames([5, 3], gaps=(2,))
    np.testing.assert_array_equal(make_clips(source, 2), [[0, 1], [2, 3], [3, 4], [5, 6], [6, 7]])
    assert runs(source, range(8)) == [range(2), range(2, 5), range(5, 8)]
    with pytest.raises(ValueError, match="crosses scenes or a gap"):
        ClipSource(source, np.array([[1, 2]]))


def test_stride_spreads_a_clip_and_step_spaces_the_clips():
    np.testing.assert_array_equal(make_clips(Frames([5, 4]), 2, stride=3), [[0, 3], [1, 4], [5, 8]])
    np.testing.assert_array_equal(make_clips(Frames([5, 4]), 2, step=2), [[0, 1], [2, 3], [5, 6], [7, 8]])


def test_scenes_too_short_for_a_clip_are_passed_over_but_not_all_of_them():
    np.testing.assert_array_equal(make_clips(Frames([2, 3]), 3), [[2, 3, 4]])
    with pytest.raises(DataError, match=r"spans 5 frames.*longest stretch without a gap in 2 scene.*has 4"):
        make_clips(Frames([2, 4]), 3, stride=2)


@pytest.mark.parametrize("wrong", [{"length": 0}, {"stride": 0}, {"step": 0}])
def test_clips_of_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        make_clips(Frames([4]), **({"length": 2} | wrong))


def test_runs_are_maximal_and_break_between_scenes():
    source = Frames([4, 4])
    assert runs(source, range(8)) == [range(4), range(4, 8)]
    assert runs(source, [7, 0, 1, 3, 3, 6]) == [range(2), range(3, 4), range(6, 8)]
    assert runs(source, make_clips(source, 2)) == [range(4), range(4, 8)]
    assert runs(source, []) == []
    with pytest.raises(ValueError, match="position 8"):
        runs(source, [8])


def test_a_clip_is_its_frames_in_order():
    clip = ClipSource(Frames([4, 3]), np.array([[4, 6]]))[0]
    assert clip["image"].shape == (2, 4, 6, 3)
    assert clip["image"].dtype == np.uint8
    assert clip["depth"].shape == (2, 4, 6)
    assert clip["depth"].dtype == np.float32
    np.testing.assert_array_equal(clip["depth"][:, 0, 0], [4, 6])
    np.testing.assert_array_equal(clip["image"][:, 0, 0, 0], [4, 6])


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([[0, 1, 2, 3], [3, 4, 5, 6]], "clip 1 crosses scenes"),
        ([[6, 7]], "position 7"),
        ([[-1, 0]], "position -1"),
        ([0, 1], r"\(N, T\)"),
    ],
)
def test_impossible_clips_are_refused(clips, message):
    with pytest.raises(ValueError, match=message):
        ClipSource(Frames([4, 3]), np.array(clips))


def test_frames_of_different_sizes_need_a_working_size():
    source = Frames([3], sizes={1: (8, 6)})
    with pytest.raises(DataError, match=r"frame 0 is 6×4.*frame 1 is 6×8.*working size"):
        ClipSource(source, np.array([[0, 1]]))[0]
    clip = ClipSource(source, np.array([[0, 1]]), size=(2, 3))[0]
    assert clip["image"].shape == (2, 2, 3, 3)
    assert clip["depth"].shape == (2, 2, 3)


def test_shrinking_averages_the_image_but_never_the_depth():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200  # stripes: their mean is 100
    depth = np.full((4, 4), 5, np.float32)
    depth[:, ::2] = 0  # holes
    small = resize_frame(Frame(image, depth, "room", 1), (2, 2))
    np.testing.assert_array_equal(small.image, np.full((2, 2, 3), 100))
    assert set(np.unique(small.depth)) <= {0.0, 5.0}
    large = resize_frame(Frame(image, depth, "room", 1), (7, 9))
    assert large.image.shape == (7, 9, 3)
    assert set(np.unique(large.depth)) == {0.0, 5.0}
    assert 0 < large.image.mean() < 200


def test_depth_is_taken_from_the_pixel_under_the_centre():
    # Three columns per output column: the middle one, where INTER_NEAREST would take the first.
    depth = np.tile(np.arange(9, dtype=np.float32), (3, 1))
    small = resize_frame(Frame(np.zeros((3, 9, 3), np.uint8), depth, "room", 1), (1, 3))
    np.testing.assert_array_equal(small.depth, [[1, 4, 7]])


def test_intrinsics_follow_the_size():
    k = np.array([[50.0, 0, 3.5], [0, 60, 1.5], [0, 0, 1]])
    frame = Frame(np.zeros((4, 8, 3), np.uint8), np.ones((4, 8), np.float32), "room", 1, None, k)
    scaled = resize_frame(frame, (12, 16)).intrinsics
    # The optical axis goes through the picture's centre before and after.
    np.testing.assert_allclose(scaled, [[100, 0, 7.5], [0, 180, 5.5], [0, 0, 1]], atol=1e-12)
    assert resize_frame(frame, (4, 8)) is frame


def test_neighbouring_clips_share_cached_frames():
    source = Frames([5])
    clips = ClipSource(source, make_clips(source, 2))
    for i in range(len(clips)):
        clips[i]
    assert source.reads == [0, 1, 2, 3, 4]
    first = clips[0]
    first["image"][:] = 77  # what a caller does to its clip stays out of the cache
    np.testing.assert_array_equal(clips[0]["image"][:, 0, 0, 0], [0, 1])


def test_the_cache_drops_the_least_recently_used_and_keeps_its_limit():
    source = Frames([5])
    one = 4 * 6 * (3 + 4)
    clips = ClipSource(source, np.arange(5)[:, None], cache_bytes=2 * one)
    for i in (0, 1, 0, 2):  # 2 pushes 1 out, 0 was used since
        clips[i]
        assert clips.cached_bytes <= 2 * one
    assert clips.cached_bytes == 2 * one
    clips[0]
    assert source.reads == [0, 1, 2]
    clips[1]
    assert source.reads == [0, 1, 2, 1]


def test_the_cache_holds_resized_frames_and_can_be_off():
    source = Frames([2])
    clips = ClipSource(source, np.array([[0, 1]]), size=(2, 3))
    clips[0]
    assert clips.cached_bytes == 2 * 2 * 3 * (3 + 4)
    off = ClipSource(source, np.array([[0, 1]]), cache_bytes=0)
    off[0]
    assert off.cached_bytes == 0


def test_clips_read_from_many_threads_are_right():
    source = Frames([200], size=(8, 8))
    rows = make_clips(source, 3)
    clips = ClipSource(source, rows, cache_bytes=10 * 8 * 8 * 7)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(rows)), 5))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: clips[i]["depth"][:, 3, 3], order))
    np.testing.assert_array_equal(read, rows[order])
    assert 0 < clips.cached_bytes <= 10 * 8 * 8 * 7


def test_a_pickled_clip_source_starts_with_an_empty_cache():
    clips = ClipSource(Frames([4]), np.array([[0, 1]]), cache_bytes=10_000)
    clips[0]
    copy = pickle.loads(pickle.dumps(clips))
    assert copy.cached_bytes == 0
    np.testing.assert_array_equal(copy[0]["depth"], clips[0]["depth"])
    assert copy.cached_bytes == clips.cached_bytes > 0


def test_other_clips_of_the_same_frames_share_the_cache():
    source = Frames([6])
    clips = ClipSource(source, np.array([[0, 1]]), size=(2, 3))
    clips[0]
    others = clips.with_clips(np.array([[1, 2], [4, 5]]))
    assert others[0]["image"].shape == (2, 2, 3, 3)
    assert source.reads == [0, 1, 2]
    assert others.cached_bytes == clips.cached_bytes
