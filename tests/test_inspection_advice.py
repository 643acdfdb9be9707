"""What `smoothdino data inspect` warns of and notes."""

import numpy as np
import pytest
from made_frames import SIZE, Made, kinds, listed, ramp, texture, with_depth

from smoothdino_jax.apps import data_inspect
from smoothdino_jax.apps.contact_sheet import WIDTH, contact_sheet
from smoothdino_jax.data.listing import Scene
from smoothdino_jax.inspection import inspect_source
from smoothdino_jax.inspection.advice import units_that_fit


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
