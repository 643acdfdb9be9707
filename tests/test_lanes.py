"""What an evaluation streams: streams, lanes, batches."""

import numpy as np
import pytest

from smoothdino_jax.data import ClipSource, DataError, make_clips
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.evaluation import Lanes, streams


def as_lists(arrays):
    return [array.tolist() for array in arrays]


def test_overlapping_clips_join_to_the_streams_they_were_cut_from(frames):
    assert as_lists(streams(frames.source, np.array([[3, 4], [4, 5], [9, 10]]))) == [[3, 4, 5], [9, 10]]


def test_a_stream_ends_where_no_clip_goes_on(frames):
    # The pair 4 -> 5 went to training: 5 must not be judged as the follower of 4.
    assert as_lists(streams(frames.source, np.array([[3, 4], [5, 6]]))) == [[3, 4], [5, 6]]


def test_streams_keep_the_stride_of_their_clips(frames):
    assert as_lists(streams(frames.source, np.array([[0, 2], [1, 3], [2, 4]]))) == [[0, 2, 4], [1, 3]]


def test_single_frames_join_where_they_are_consecutive_in_one_scene(frames):
    assert as_lists(streams(frames.source, np.array([[6], [3], [4], [5], [8]]))) == [[3, 4], [5, 6], [8]]


@pytest.fixture(scope="module")
def frames():
    source = SyntheticRooms(3, 5, size=(28, 42))
    return ClipSource(source, make_clips(source, 1))


def test_lanes_play_every_frame_once_in_order_and_count_past_the_warmup(frames):
    paths = [np.arange(0, 5), np.arange(5, 10), np.arange(10, 13)]
    lanes = Lanes(frames, paths, lanes=2, warmup=1)
    assert [[position for position, _, _ in lane] for lane in lanes.table] == [
        [0, 1, 2, 3, 4, 10, 11, 12],
        [5, 6, 7, 8, 9, 9, 9, 9],  # through: the last frame again, uncounted
    ]
    batches = list(lanes.batches())
    assert np.stack([batch["fresh"] for batch in batches]).T.astype(int).tolist() == [
        [1, 0, 0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert np.stack([batch["counted"] for batch in batches]).T.astype(int).tolist() == [
        [0, 1, 1, 1, 1, 0, 1, 1],
        [0, 1, 1, 1, 1, 0, 0, 0],
    ]
    assert np.array_equal(batches[6]["image"][0], frames.frame(11).image)
    assert np.array_equal(batches[2]["depth"][1], frames.frame(7).depth)


def test_a_limit_takes_the_start_of_every_stream(frames):
    lanes = Lanes(frames, [np.arange(0, 5), np.arange(5, 10)], warmup=1, limit=6)
    assert [entry[0] for entry in lanes.table[0]] == [0, 1, 2, 5, 6, 7]


def test_a_limit_holds_with_many_short_streams(frames):
    paths = [np.arange(k, k + 2) for k in range(12)]
    table = Lanes(frames, paths, warmup=1, limit=6).table[0]
    assert [position for position, _, _ in table] == [0, 1, 6, 7, 11, 12]


def test_streams_no_longer_than_the_warmup_are_an_error(frames):
    with pytest.raises(DataError, match="nothing to evaluate"):
        Lanes(frames, [np.array([0]), np.array([7])], warmup=1)


def test_truth_can_keep_its_own_size():
    source = SyntheticRooms(1, 3, size=(56, 84))
    small = ClipSource(source, make_clips(source, 1), (28, 42))
    batch = Lanes(small, [np.arange(3)], native_truth=True)[1]
    assert batch["image"].shape == (1, 28, 42, 3)
    assert np.array_equal(batch["image"][0], small.frame(1).image)
    assert np.array_equal(batch["depth"][0], source[1].depth)
    assert np.array_equal(batch["intrinsics"][0], source[1].intrinsics)
    assert np.array_equal(Lanes(small, [np.arange(3)])[1]["intrinsics"][0], small.frame(1).intrinsics)


def test_every_frame_gets_another_one_and_each_is_used_once(frames):
    lanes = Lanes(frames, [np.arange(0, 5), np.arange(5, 10)], others=True)
    given = [batch["other"][0] for batch in lanes.batches()]
    own = [batch["image"][0] for batch in lanes.batches()]
    assert not any(np.array_equal(a, b) for a, b in zip(given, own, strict=True))
    assert len({picture.tobytes() for picture in given}) == 10
    assert {picture.tobytes() for picture in given} == {picture.tobytes() for picture in own}
    again = Lanes(frames, [np.arange(0, 5), np.arange(5, 10)], others=True)
    assert np.array_equal(again[3]["other"], lanes[3]["other"])
