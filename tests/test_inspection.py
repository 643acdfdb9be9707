"""What `smoothdino data inspect` measures, and of which frames."""

import numpy as np
import pytest
from made_frames import SHIFT, Made, kinds, listed, with_depth

from smoothdino_jax.apps import data_inspect
from smoothdino_jax.apps.contact_sheet import WIDTH, contact_sheet
from smoothdino_jax.data import DataError
from smoothdino_jax.data.listing import Scene
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.inspection import inspect_source, sample


def test_right_data_looks_right():
    inspection = inspect_source(Made())
    assert (inspection.warnings, inspection.verdict) == ((), "looks right")
    assert (inspection.frames, inspection.read, inspection.sampled) == (20, 20, False)
    assert inspection.sizes == ((64, 48, 20),)
    assert [(scene.name, scene.frames, scene.read) for scene in inspection.scenes] == [
        ("attic", 10, 10),
        ("cellar", 10, 10),
    ]
    assert inspect_source(SyntheticRooms(2, 6, size=(48, 64), noise=0.5)).verdict == "looks right"


def test_the_shift_is_that_of_the_texture():
    inspection = inspect_source(Made())
    assert inspection.shift.pairs == 18  # none across scenes
    # The window breaks the roll's exactness at the border; the paper's centroid does the rest.
    np.testing.assert_allclose(inspection.shifts[:, :2], np.tile(SHIFT, (18, 1)), atol=0.3)
    assert inspection.shift.median == pytest.approx(np.hypot(*SHIFT), abs=0.2)
    assert inspection.shift.median_of_width == pytest.approx(inspection.shift.median / 64)
    assert inspection.shift.low_response == 0


def test_depth_is_measured_over_all_pixels_with_a_reading():
    def holes(depth, k):
        depth = depth.copy()
        depth[: 12 if k == 3 else 6] = 0
        depth[6, :4] = np.nan, np.inf, -1, 0
        return depth

    source = with_depth(holes)
    depth = inspect_source(source).depth
    pixels = np.stack([source[position].depth for position in range(len(source))])
    known = pixels[np.isfinite(pixels) & (pixels > 0)]
    assert (depth.low, depth.high) == (known.min(), known.max())
    expected = np.quantile(known, (0.01, 0.5, 0.99))
    np.testing.assert_allclose((depth.percent_1, depth.median, depth.percent_99), expected, rtol=6e-4)
    assert depth.invalid == pytest.approx(1 - known.size / pixels.size)
    assert depth.worst_frame == "attic/3"
    # In frame 3 row 6 is among the holes.
    assert depth.worst_invalid == pytest.approx(12 / 48)


def test_gaps_are_told_by_frame_number_and_no_pair_crosses_one():
    scenes = [Scene("attic", np.array([1, 2, 5, 6, 7]), [2]), Scene("cellar", np.arange(3))]
    inspection = inspect_source(Made(scenes=scenes))
    assert inspection.gaps == (("attic", 2, 5),)
    assert inspection.shift.pairs == 1 + 2 + 2


def test_poses_and_intrinsics():
    matrix = np.array([[50.0, 0, 31.5], [0, 51.0, 23.5], [0, 0, 1]])
    posed = Made(lambda scene, k, frame: frame._replace(pose=np.eye(4), intrinsics=matrix))
    inspection = inspect_source(posed)
    assert (inspection.poses, inspection.intrinsics) == (1, ((50, 51, 31.5, 23.5),))
    assert (inspect_source(Made()).poses, inspect_source(Made()).intrinsics) == (0, ())
    assert kinds(Made(lambda scene, k, frame: frame._replace(pose=np.eye(4) if k else None))) == ["poses"]


def test_a_sample_is_stretches_of_neighbours_that_reach_every_scene():
    source = Made(scenes=[Scene(f"scene{k}", np.arange(100)) for k in range(10)])
    positions = sample(source, 60)
    assert len(positions) == 60
    stretches = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
    assert {len(stretch) for stretch in stretches} == {6}
    assert {stretch[0] // 100 for stretch in stretches} == set(range(10))
    assert all(stretch[0] // 100 == stretch[-1] // 100 for stretch in stretches)


@pytest.mark.parametrize("frames", [0, 20, 1000])
def test_all_frames_are_read_where_there_are_no_more(frames):
    np.testing.assert_array_equal(sample(Made(), frames), np.arange(20))


@pytest.mark.parametrize("frames", [2, 3, 7, 19])
def test_a_sample_has_no_more_frames_than_asked_for(frames):
    source = Made(scenes=[Scene("a", np.arange(13), [1, 2, 9]), Scene("b", np.arange(7))])
    positions = sample(source, frames)
    assert 2 <= len(positions) <= frames
    assert 0 <= positions[0] <= positions[-1] < 20
    assert (np.diff(positions) > 0).all()


def pairs_by_scene(source, positions) -> list[int]:
    """How many pairs of neighbours, none over a gap, a sample has in each scene."""
    chosen = set(positions.tolist())
    starts = {segment.start for segment in source.segments}
    return [sum({k - 1, k} <= chosen and k not in starts for k in scene) for scene in source.scenes.values()]


UNEVEN = [int(length) for length in np.random.default_rng(0).permutation(np.geomspace(20, 900, 283))]


@pytest.mark.parametrize(
    ("lengths", "frames"),
    [(UNEVEN, 1000), (UNEVEN, 566), (UNEVEN[:50], 500), (UNEVEN[:20], 500), ([3000, 2, 2, 40], 50)],
    ids=lambda value: f"{len(value)} scenes" if isinstance(value, list) else f"{value} frames",
)
def test_a_sample_reaches_every_scene_however_uneven(lengths, frames):
    source = listed(*lengths)
    positions = sample(source, frames)
    assert len(positions) == frames
    assert min(pairs_by_scene(source, positions)) >= 1
    assert {scene.start for scene in source.scenes.values()} <= set(positions.tolist())
    stretches = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
    # Neighbouring stretches of short scenes may touch.
    assert np.median([len(stretch) for stretch in stretches]) <= 10


def test_the_rest_of_a_sample_goes_to_scenes_by_their_length():
    source = listed(1000, 10, 3000)
    positions = sample(source, 400)
    counts = [int(np.isin(positions, scene).sum()) for scene in source.scenes.values()]
    np.testing.assert_allclose(counts, [2 + 394 * 998 / 4004, 2 + 394 * 8 / 4004, 2 + 394 * 2998 / 4004], atol=1)
    # From the beginning of the longest scene to its end.
    longest = positions[positions >= 1010] - 1010
    assert (longest[0], longest[-1]) == (0, 2999)
    assert np.diff(longest).max() < 150


def test_with_too_many_scenes_evenly_spaced_ones_have_a_pair_each():
    source = listed(*UNEVEN)
    positions = sample(source, 100)
    pairs = pairs_by_scene(source, positions)
    assert (len(positions), sum(pairs), max(pairs)) == (100, 50, 1)
    assert set(np.diff(np.flatnonzero(pairs))) == {5, 6}


def test_a_sample_has_a_pair_in_scenes_with_gaps_too():
    source = listed(30, 50, gaps=[1, 2, 5, 6])
    assert min(pairs_by_scene(source, sample(source, 4))) == 1
    assert pairs_by_scene(source, sample(source, 20)) == [4, 9]


def test_scenes_that_were_not_looked_at_are_told():
    source = listed(*[6] * 9)
    inspection = inspect_source(source, frames=4)
    assert inspection.left_out == tuple(f"scene{k}" for k in range(1, 8))
    note = "7 of 9 scenes were not looked at: scene1, scene2, scene3, scene4, scene5, ... (7 in all)"
    assert note in inspection.notes[0]
    assert f"note        {note}" in data_inspect.report(inspection, "x")
    assert (inspect_source(source, frames=18).left_out, inspect_source(source, frames=18).notes) == ((), ())


def test_the_report_says_that_it_is_a_sample():
    inspection = inspect_source(Made(), frames=10)
    assert (inspection.sampled, inspection.read) == (True, 10)
    assert "sample: 10 frames" in data_inspect.report(inspection, "x")
    assert "sample" not in data_inspect.report(inspect_source(Made()), "x")


@pytest.mark.parametrize("frames", [-1, 1])
def test_a_single_frame_is_no_sample(frames):
    with pytest.raises(ValueError, match="at least 2"):
        inspect_source(Made(), frames=frames)


def test_an_unreadable_frame_is_listed_and_the_rest_measured():
    def broken(scene, k, frame):
        if (scene, k) == ("cellar", 4):
            raise DataError("cellar/9.jpg: not a readable image\n(7 bytes)")
        return frame

    inspection = inspect_source(Made(broken))
    assert inspection.unreadable == (("cellar/9", "cellar/9.jpg: not a readable image (7 bytes)"),)
    assert (inspection.read, inspection.shift.pairs, inspection.sampled) == (19, 16, False)
    assert [(scene.read, scene.unreadable) for scene in inspection.scenes] == [(10, 0), (9, 1)]
    (warning,) = inspection.warnings
    assert (warning.kind, inspection.verdict) == ("unreadable", "1 thing to look at")
    assert "mend what the message says" in warning.advice
    assert "missing=skip" in warning.advice
    assert contact_sheet(Made(broken), inspection, "x").shape[1] == WIDTH


def test_nothing_readable_is_an_error():
    def broken(scene, k, frame):
        raise OSError("disk on fire")

    with pytest.raises(DataError, match="none of the 20 frames tried can be read, the first: disk on fire"):
        inspect_source(Made(broken))
