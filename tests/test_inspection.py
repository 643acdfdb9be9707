"""`smoothdino data inspect`: what it measures, what it warns of, the contact sheet and the report."""

import argparse
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from absl import logging

from smoothdino_jax.apps import data_inspect
from smoothdino_jax.apps.contact_sheet import WIDTH, contact_sheet, depth_edges
from smoothdino_jax.apps.figures import NO_READING
from smoothdino_jax.data import DataError, Frame
from smoothdino_jax.data.listing import ListedFrames, Scene
from smoothdino_jax.data.opening import open_folder
from smoothdino_jax.data.synthetic import SyntheticRooms
from smoothdino_jax.inspection import inspect_source, sample
from smoothdino_jax.inspection.advice import units_that_fit

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
SIZE = (48, 64)
SHIFT = (2, -3)  # dx, dy of `Made` from frame to frame


def texture(size=SIZE, seed=0) -> np.ndarray:
    """A smooth random picture that can be rolled around without a seam."""
    noise = np.random.default_rng(seed).normal(size=size)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    soft = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency / 0.2) ** 2))).real
    grey = np.clip(128 + 50 * soft / soft.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def ramp(size=SIZE) -> np.ndarray:
    """Depth from 1 to 4 m, every pixel another."""
    return np.linspace(1, 4, size[0] * size[1], dtype=np.float32).reshape(size)


class Made(ListedFrames):
    """Two scenes of ten frames of a texture that rolls by `SHIFT`; `change(scene, k, frame)` may spoil a frame."""

    def __init__(self, change=lambda scene, k, frame: frame, scenes=None, problems=()):
        super().__init__(scenes or [Scene("attic", np.arange(10)), Scene("cellar", np.arange(5, 15))], problems)
        self._change = change

    def _read(self, scene, k):
        number = int(scene.indices[k])
        image = np.roll(texture(seed=len(scene.name)), (SHIFT[1] * k, SHIFT[0] * k), (0, 1))
        return self._change(scene.name, k, Frame(image, ramp() + np.float32(0.01 * k), scene.name, number))

    def _origin(self, scene, k):
        return f"{scene.name}/{scene.indices[k]}.jpg"


def kinds(source, **options) -> list[str]:
    return [warning.kind for warning in inspect_source(source, **options).warnings]


def with_depth(make):
    """A source whose depth is `make(depth, k)`."""
    return Made(lambda scene, k, frame: frame._replace(depth=np.asarray(make(frame.depth, k), np.float32)))


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


def listed(*lengths, gaps=()) -> Made:
    return Made(scenes=[Scene(f"scene{k}", np.arange(length), gaps) for k, length in enumerate(lengths)])


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


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, ": 1000 per metre would make it 2.54 m, "),
        (5000, "5000 per metre would make it 2.54 m"),
        (256, "256 per metre would make it 2.54 m"),
    ],
)
def test_a_wrong_unit_is_warned_of_with_the_unit_that_fits(factor, words):
    (warning,) = inspect_source(with_depth(lambda depth, k: depth * factor)).warnings
    assert warning.kind == "unit"
    assert f"{2.545 * factor:,.0f}"[:2] in warning.what
    assert words in warning.advice


def test_the_unit_that_was_used_counts():
    # 0.2545 m read with TUM's 5000.
    inspection = inspect_source(with_depth(lambda depth, k: depth / 10), layout="tum")
    (warning,) = inspection.warnings
    assert "1000 per metre would make it 1.27 m" in warning.advice
    assert "it was read with 5000" in warning.advice
    assert units_that_fit(0.25, 5000)[0] == (1000, 1.25)
    assert units_that_fit(1e-6, 1) == []


def test_one_scene_of_another_unit_is_named():
    source = Made(lambda scene, k, frame: frame._replace(depth=frame.depth * (1000 if scene == "cellar" else 1)))
    (warning,) = inspect_source(source).warnings
    assert warning.kind == "unit"
    assert "in cellar," in warning.what


def test_mostly_invalid_depth_is_warned_of():
    assert kinds(with_depth(lambda depth, k: depth * (np.arange(64) < 30))) == ["invalid"]
    assert kinds(with_depth(lambda depth, k: depth * (np.arange(64) < 34))) == []


def test_depth_without_any_reading_is_warned_of():
    inspection = inspect_source(with_depth(lambda depth, k: depth * 0))
    assert [warning.kind for warning in inspection.warnings] == ["invalid", "empty_depth"]
    assert np.isnan(inspection.depth.median)
    assert "not one reading" in data_inspect.report(inspection, "x")
    assert contact_sheet(Made(), inspection, "x").shape[1] == WIDTH
    assert kinds(with_depth(lambda depth, k: depth * (k != 4))) == ["empty_depth"]


def with_holes(value, rows=5):
    def fill(depth, k):
        depth = depth.copy()
        depth[:rows] = value
        return depth

    return with_depth(fill)


def test_holes_with_a_far_depth_are_warned_of():
    (warning,) = inspect_source(with_holes(30)).warnings
    assert (warning.kind, "10.4% of the pixels" in warning.what) == ("far_value", True)
    assert "in attic and more in 1 other scene" in warning.what
    # 13.1 m is not far, but all that TUM's 16 bits hold.
    (warning,) = inspect_source(with_holes(13.107), layout="tum").warnings
    assert (warning.kind, "stored as 65535" in warning.what) == ("far_value", True)
    assert "set those pixels of the depth files to 0" in warning.advice
    assert kinds(with_holes(13.107)) == []


def test_a_range_that_ends_at_10_metres_and_a_few_far_readings_are_no_holes():
    assert kinds(with_holes(10), layout="nyu_kaggle") == []

    def corner(depth, k):
        depth = depth.copy()
        depth[0, :10] = 30
        return depth

    assert kinds(with_depth(corner)) == []


def scaled(**factors) -> Made:
    scenes = [Scene(name, np.arange(5)) for name in factors]
    scale = {name: np.float32(factor) for name, factor in factors.items()}
    return Made(lambda scene, k, frame: frame._replace(depth=frame.depth * scale[scene]), scenes)


def test_close_depth_is_noted_with_the_unit_that_would_explain_it():
    inspection = inspect_source(with_depth(lambda depth, k: depth * 0.34 / 2.545), layout="tum")
    assert inspection.verdict == "looks right"
    (note,) = inspection.notes
    assert note == "median 0.34 m in attic, cellar: close up, or 5000 was read where 1000 (1.7 m) is meant"
    assert inspect_source(with_depth(lambda depth, k: depth * 0.65 / 2.545)).notes == ()
    assert "close up, or another unit" in inspect_source(scaled(a=0.2, bb=0.2)).notes[0]


def test_scenes_of_unlike_depth_are_warned_of():
    (warning,) = inspect_source(scaled(a=1, bb=0.2, ccc=1, dddd=0.9)).warnings
    assert warning.kind == "unlike_scenes"
    assert "0.504 m in bb; the scenes' middle is 2.52 m" in warning.what
    assert kinds(scaled(a=0.2, bb=1)) == ["unlike_scenes"]
    assert kinds(scaled(a=0.3, bb=1, ccc=3)) == []


def test_7_scenes_depth_is_noted_as_not_registered():
    assert any("not registered" in note for note in inspect_source(Made(), layout="seven_scenes").notes)
    assert inspect_source(Made(), layout="recordings").notes == ()


@pytest.mark.parametrize(("frames", "block"), [(59, 10), (12, 6), (60, None), (5, None)])
def test_few_frames_for_blocks_of_30_are_noted(frames, block):
    notes = inspect_source(listed(frames)).notes
    assert [f"--config.data.split.block={block} " in note for note in notes] == ([True] if block else [])


def test_constant_and_frozen_depth_are_warned_of():
    source = with_depth(lambda depth, k: np.full(SIZE, 2.0) if k == 4 else depth)
    (warning,) = inspect_source(source).warnings
    assert (warning.kind, "frames attic/4, cellar/9" in warning.what) == ("constant_depth", True)
    (warning,) = inspect_source(with_depth(lambda depth, k: ramp() + k // 2)).warnings
    assert (warning.kind, "frames attic/1, attic/3, attic/5, ... (10 in all)" in warning.what) == ("frozen_depth", True)


def test_8_bit_depth_is_a_warning_but_where_the_layout_has_no_other():
    source = with_depth(lambda depth, k: np.round(depth * 25.5) / 25.5)
    assert kinds(source) == ["coarse_depth"]
    for layout in ("nyu_kaggle", "nyu_video"):
        inspection = inspect_source(source, layout=layout)
        assert inspection.verdict == "looks right"
        assert "39 mm apart" in inspection.notes[0]
    assert kinds(with_depth(lambda depth, k: np.round(depth * 1000) / 1000)) == []


def test_mixed_sizes_are_warned_of():
    def narrower(scene, k, frame):
        return frame._replace(image=frame.image[:, :60], depth=frame.depth[:, :60]) if scene == "cellar" else frame

    inspection = inspect_source(Made(narrower))
    assert [warning.kind for warning in inspection.warnings] == ["mixed_sizes"]
    assert inspection.sizes == ((64, 48, 10), (60, 48, 10))
    assert inspection.shift.pairs == 18


def test_duplicates_are_told_from_consecutive_ones():
    first = Made()[0].image

    def repeat(scene, k, frame):
        return frame._replace(image=first) if (scene, k) in (("attic", 1), ("cellar", 7)) else frame

    inspection = inspect_source(Made(repeat))
    assert inspection.duplicates == (("attic/1", "attic/0", True), ("cellar/12", "attic/0", False))
    (warning,) = (warning for warning in inspection.warnings if warning.kind == "duplicates")
    assert "repeats in frames attic/1, cellar/12, 10.0% of those read; in 1 of them it is the one right" in warning.what


def test_a_still_camera_is_noted_and_no_duplicate():
    base = texture()

    def still(scene, k, frame):
        image = base.copy()
        image[0, k] ^= 1
        return frame._replace(image=image) if scene == "attic" else frame

    inspection = inspect_source(Made(still))
    assert inspection.duplicates == ()
    assert inspection.near_duplicates == tuple(f"attic/{k}" for k in range(1, 10))
    assert "(9 in all)" in inspection.notes[0]


def test_frames_too_far_apart_are_warned_of():
    def leap(scene, k, frame):
        return frame._replace(image=np.roll(frame.image, 6 * k, 1))

    (warning,) = inspect_source(Made(leap)).warnings
    assert (warning.kind, "of its width" in warning.what) == ("large_shifts", True)


def test_pairs_without_a_match_are_warned_of():
    def noise(scene, k, frame):
        number = k + 100 * (scene == "cellar")
        image = np.random.default_rng(number).integers(0, 256, (240, 320, 3), np.uint8)
        return frame._replace(image=image, depth=ramp((240, 320)) + np.float32(0.01 * k))

    inspection = inspect_source(Made(noise))
    assert "low_response" in [warning.kind for warning in inspection.warnings]
    assert inspection.shift.low_response > 0.9


def test_what_no_clip_can_contain_is_warned_of():
    scenes = [Scene("attic", np.array([1, 2, 5, 8, 9]), [2, 3]), Scene("cellar", np.arange(3))]
    (warning,) = inspect_source(Made(scenes=scenes)).warnings
    assert (warning.kind, "frame attic/5 " in warning.what) == ("single_frames", True)
    assert kinds(Made(scenes=[Scene("a", np.arange(1)), Scene("bb", np.arange(1))])) == ["single_frames", "no_pairs"]


def test_the_sources_problems_are_passed_on():
    inspection = inspect_source(Made(problems=["attic/7.png is missing"]))
    (warning,) = inspection.warnings
    assert (warning.kind, "attic/7.png is missing" in warning.what) == ("problems", True)
    assert "no clip reaches over a frame" in warning.advice
    assert "problem     attic/7.png is missing" in data_inspect.report(inspection, "x")


def test_whole_scenes_left_out_are_told_from_frames():
    problems = [
        "my/rgb/1305.33.png is left out: no depth map within 0.02 s",
        "my/frame-000012 is left out: its depth file is missing",
        "scene porch is left out: my/porch: no frame with image and depth",
        "my/seq-02.zip is left out: unpack it",
    ]
    (warning,) = inspect_source(Made(problems=problems)).warnings
    assert warning.advice.startswith("2 whole scenes left out: complete the data")
    (warning,) = inspect_source(Made(problems=problems[:2])).warnings
    assert "scenes" not in warning.advice


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


def test_the_sheet_shows_images_depth_edges_and_histograms():
    def corner(scene, k, frame):
        depth = frame.depth.copy()
        depth[:10, :10] = 0
        depth[20:40, 20:40] = 8
        return frame._replace(depth=depth)

    source = Made(corner)
    sheet = contact_sheet(source, inspect_source(source), "my/data")
    assert sheet.shape[1:] == (WIDTH, 3)
    assert sheet.dtype == np.uint8
    assert 1000 < len(sheet) < 2500
    # Bands of the sheet from top to bottom: header, 4 rows of 3 frames, overlays, histograms; none is blank.
    for band in np.array_split(sheet, 16):
        assert band.std() > 5
    for part in np.array_split(sheet[-260:], 3, axis=1):
        assert (np.abs(part.astype(int) - (76, 114, 176)).max(-1) < 3).mean() > 0.02  # the histograms' blue
    assert (sheet == NO_READING).all(-1).sum() > 12 * 1000
    magenta = (sheet[..., 0] > 200) & (sheet[..., 1] < 60) & (sheet[..., 2] > 150)
    assert magenta.sum() > 3 * 1000


def test_depth_edges_lie_where_depth_jumps_and_not_at_holes():
    depth = np.full(SIZE, 2, np.float32)
    depth[:, 32:] = 3
    depth[:10, :10] = 0
    edges = depth_edges(np.zeros((*SIZE, 3), np.uint8), depth).any(-1)
    np.testing.assert_array_equal(np.flatnonzero(edges.any(0)), [31, 32])
    assert edges[:, 31:33].all()


@pytest.fixture
def folder(tmp_path) -> Path:
    """NYU's Kaggle layout: two scenes of eight frames that move and look right."""
    path = tmp_path / "rooms"
    for seed, scene in enumerate(("attic_out", "cellar_out")):
        (path / scene).mkdir(parents=True)
        image = texture((96, 128), seed)
        for n in range(1, 9):
            cv2.imwrite(str(path / scene / f"{n}.jpg"), np.roll(image, 4 * n, 1))
            depth = np.roll(np.linspace(30, 120, 96 * 128).reshape(96, 128).astype(np.uint8), 4 * n, 1)
            cv2.imwrite(str(path / scene / f"{n}.png"), depth)
    return path


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs `inspect ...` in an empty folder; returns stdout."""
    parser = argparse.ArgumentParser()
    data_inspect.add_parser(parser.add_subparsers())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        args = parser.parse_args(["inspect", *map(str, arguments)])
        args.run(args)
        return capsys.readouterr().out

    return run


def test_the_command_reports_and_draws(run, folder, tmp_path):
    out = run(folder, "--json", "out/figures.json").splitlines()
    assert out[0] == "contact sheet: rooms_inspect.png, figures: out/figures.json"
    assert out[1] == f"{folder}: 16 frames in 2 scenes, nyu_kaggle"
    assert out[-1] == "looks right by its figures; now look at rooms_inspect.png"
    assert cv2.imread("rooms_inspect.png").shape[1] == WIDTH
    assert sorted(path.name for path in (tmp_path / "here").rglob("*")) == ["figures.json", "out", "rooms_inspect.png"]


def test_the_sheet_is_not_named_after_a_version(run, folder):
    folder = folder.rename(folder.parent / "1.0.0")
    run(folder, "--layout", "nyu_kaggle")
    assert [path.name for path in Path().iterdir()] == [f"{folder.parent.name}_inspect.png"]


def test_a_scene_without_depth_is_told_and_the_others_measured(run, folder):
    for path in (folder / "attic_out").glob("*.png"):
        path.unlink()
    out = run(folder)
    assert re.search(r"problem .*attic_out", out)
    assert re.search(r"scenes +cellar_out 8\n", out)
    assert out.endswith("1 thing to look at\n")


def test_json_has_the_numbers_of_the_report(run, folder):
    (folder / "cellar_out" / "5.jpg").write_bytes(b"no image")
    out = run(folder, "--json", "figures.json")
    figures = json.loads(Path("figures.json").read_text())
    assert figures["verdict"] == out.splitlines()[-1] == "1 thing to look at"
    depth, shift = figures["depth"], figures["shift"]
    assert f"{depth['low']:.3g} m to {depth['high']:.3g} m, median {depth['median']:.3g} m" in out
    assert f"1 % of it under {depth['percent_1']:.3g} m, 99 % under {depth['percent_99']:.3g} m" in out
    assert f"median {shift['median']:.3g} px; {shift['pairs']} consecutive pairs" in out
    assert f"(no match) {shift['low_response']:.1%}" in out
    assert figures["sizes"] == [{"width": 128, "height": 96, "frames": 15}]
    assert [scene["name"] for scene in figures["scenes"]] == ["attic_out", "cellar_out"]
    (row,) = figures["unreadable"]
    assert row["frame"] == "cellar_out/5"
    assert row["reason"] in out
    (warning,) = figures["warnings"]
    assert figures["warning_count"] == 1
    assert warning["kind"] == "unreadable"
    assert warning["what"] in out
    assert warning["advice"] in out
    assert figures["path"] == str(folder)


def test_missing_frames_are_reported_and_not_refused(run, folder):
    (folder / "attic_out" / "4.png").unlink()
    out = run(folder)
    assert re.search(r"gaps +attic_out/3 → 5", out)
    assert re.search(r"problem +\S+attic_out/4.png is missing", out)
    assert out.endswith("1 thing to look at\n")


def test_scenes_and_frames_can_be_chosen(run, folder):
    out = run(folder, "--scenes", "cellar_out", "--frames", 4, "--layout", "nyu_kaggle", "-o", "a.PNG")
    assert re.search(r"scenes +cellar_out 8\n", out)
    assert "sample: 4 frames" in out
    assert Path("a.PNG").is_file()


def test_nothing_is_overwritten_unless_asked(run, folder):
    run(folder, "-o", "sheet.png", "--json", "figures.json")
    before = {path: path.stat().st_mtime_ns for path in Path().iterdir()}
    with pytest.raises(DataError, match=r"sheet.png exists already.*--overwrite"):
        run(folder, "-o", "sheet.png")
    with pytest.raises(DataError, match=r"figures.json exists already.*--overwrite"):
        run(folder, "-o", "other.png", "--json", "figures.json")
    assert {path: path.stat().st_mtime_ns for path in Path().iterdir()} == before
    run(folder, "-o", "sheet.png", "--json", "figures.json", "--overwrite")
    assert {path: path.stat().st_mtime_ns > before[path] for path in Path().iterdir()} == dict.fromkeys(before, True)


def test_the_sheet_of_an_earlier_run_is_replaced(run, folder):
    Path("rooms_inspect.png").write_bytes(b"earlier")
    run(folder)
    assert cv2.imread("rooms_inspect.png").shape[1] == WIDTH


def test_a_problem_is_reported_and_not_logged_too(run, folder, caplog):
    before = logging.get_verbosity()
    (folder / "attic_out" / "4.png").unlink()
    assert "4.png is missing" in run(folder)
    assert caplog.records == []
    with pytest.raises(DataError, match="no such scene"):
        run(folder, "--scenes", "porch")
    assert logging.get_verbosity() == before
    open_folder(folder, missing="skip", check=False)
    assert "4.png is missing" in caplog.text  # as it is where nobody else says it


def test_the_help_tells_scripts_what_to_rely_on(run, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "exit code is 0 whenever the data could be looked at" in text
    assert '"warning_count"' in text
    assert "an earlier NAME_inspect.png there is replaced" in text


def test_holes_of_65535_in_a_recording_are_warned_of_with_the_line_to_paste(run, folder):
    recording = folder.parent / "kitchen"
    for name in ("image", "depth"):
        (recording / name).mkdir(parents=True)
    for n in range(8):
        cv2.imwrite(str(recording / "image" / f"{n}.png"), np.roll(texture(), 2 * n, 1))
        depth = (ramp() * 1000).astype(np.uint16) + n
        depth[:5] = 65535
        cv2.imwrite(str(recording / "depth" / f"{n}.png"), depth)
    (recording / "meta.json").write_text('{"depth_units_per_metre": 1000}')
    out = run(recording)
    assert "1. 10.4% of the pixels have the one largest depth, 65.5 m (stored as 65535)\n" in out
    assert 'put "invalid": [0, 65535] into meta.json' in out
    assert out.endswith("\n1 thing to look at\n")
    (recording / "meta.json").write_text('{"depth_units_per_metre": 1000, "invalid": [0, 65535]}')
    assert "\nlooks right" in run(recording)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--frames", 1), "--frames 1: at least 2"),
        (("-o", "sheet.jpg"), "has to end in .png"),
        (("-o", "."), "has to end in .png"),
        (("--json", "."), "is a folder"),
        (("--scenes", "porch"), "no such scene"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_written(run, folder, arguments, words):
    with pytest.raises(DataError, match=re.escape(words)):
        run(folder, *arguments)
    assert list(Path().iterdir()) == []


def test_a_corrupt_first_frame_is_listed_and_the_rest_measured(run, folder):
    (folder / "attic_out" / "1.jpg").write_bytes(b"")
    out = run(folder)
    assert re.search(r"unreadable +\S+attic_out/1.jpg: not a readable image", out)
    assert re.search(r"shift +median", out)
    assert out.endswith("1 thing to look at\n")


@pytest.mark.parametrize(
    ("name", "frames"), [("nyu_kaggle", 773), ("tum_rgbd", 30), ("posed_rgbd", 150)], ids=lambda value: str(value)
)
def test_real_data_looks_right(run, name, frames):
    path = SHARED / "data" / name
    if not path.is_dir():
        pytest.skip(f"no frames at {path} (set SMOOTHDINO_SHARED)")
    out = run(path, "--frames", 20)
    assert f": {frames} frames in " in out
    assert out.endswith(f"\nlooks right by its figures; now look at {name}_inspect.png\n")
