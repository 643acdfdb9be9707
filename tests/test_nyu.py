"""The Kaggle layout of NYU Depth v2: order, units, and the choice of scenes."""

import os
from pathlib import Path

import numpy as np
import pytest
from kaggle_files import write_frame, write_scenes
from ml_collections import ConfigDict

from smoothdino_jax.data import DataError, NYUKaggle, open_folder, open_source

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_scenes(tmp_path / "data" / "nyu2_train")


def test_frames_come_in_numeric_order(folder):
    source = NYUKaggle(folder)
    assert source.scenes == {"attic_out": range(12), "cellar_out": range(12, 15)}
    assert (source.indices("attic_out")[0], source.indices("cellar_out")[0]) == (1, 5)
    frames = [source[i] for i in range(len(source))]
    assert [frame.index for frame in frames] == [*range(1, 13), *range(5, 8)]
    read = [round(float(frame.depth[0, 0]) * 25.5) for frame in frames]
    assert read == [frame.index for frame in frames]
    assert [frame.scene for frame in frames] == ["attic_out"] * 12 + ["cellar_out"] * 3


def test_depth_is_metres_and_images_are_rgb(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_frame(tmp_path / "room", 1, (16, 16), values)
    write_frame(tmp_path / "room", 2, (16, 16), values)
    frame = NYUKaggle(tmp_path)[1]
    assert frame.depth.dtype == np.float32
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (16, 16, 3)
    np.testing.assert_array_equal(frame.depth, (10.0 * values / 255.0).astype(np.float32))
    assert frame.depth[0, 0] == 0  # no reading
    # JPEG keeps a plain colour to within a few grey levels.
    np.testing.assert_allclose(frame.image[0, 0], [200, 100, 30], atol=4)
    assert frame.pose is None
    assert frame.intrinsics is None


def test_path_may_be_any_of_the_three_folders(folder):
    for path in (folder, folder.parent, folder.parent.parent, str(folder)):
        assert NYUKaggle(path).scenes.keys() == {"attic_out", "cellar_out"}


def test_chosen_scenes_keep_the_order_asked_for(folder):
    source = NYUKaggle(folder, scenes=("cellar_out", "attic_out"))
    assert source.scenes == {"cellar_out": range(3), "attic_out": range(3, 15)}
    assert source[3].scene == "attic_out"
    assert list(NYUKaggle(folder, scenes=["cellar_out"]).scenes) == ["cellar_out"]
    assert len(NYUKaggle(folder, scenes=())) == 15


def test_positions_outside_are_index_errors(folder):
    source = NYUKaggle(folder)
    for position in (-1, 15):
        with pytest.raises(IndexError, match=str(position)):
            source[position]


def test_other_files_and_folders_are_no_frames(folder):
    (folder / "attic_out" / "notes.txt").write_text("x")
    (folder / "attic_out" / "._1.jpg").write_text("x")
    (folder / "__MACOSX").mkdir()
    assert len(NYUKaggle(folder)) == 15


def test_real_frames():
    path = SHARED / "data" / "nyu_kaggle"
    if not path.is_dir():
        pytest.skip(f"no NYU frames at {path} (set SMOOTHDINO_SHARED)")
    source = NYUKaggle(path)
    assert {name: len(positions) for name, positions in source.scenes.items()} == {
        "basement_0001a_out": 281,
        "bathroom_0028_out": 249,
        "office_0011_out": 243,
    }
    frame = source[len(source) - 1]
    assert (frame.scene, frame.index) == ("office_0011_out", 243)
    assert frame.image.shape == (480, 640, 3)
    assert 0 < frame.depth.min() < frame.depth.max() <= 10
    assert frame.image[:4].mean() > 240  # the white border


def test_a_field_that_is_not_set_is_told_from_an_error_inside_of_a_source(folder, monkeypatch):
    config = ConfigDict({"name": "nyu_kaggle", "path": str(folder)})
    with pytest.raises(DataError, match=r"'nyu_kaggle' needs a field.*scenes"):
        open_source(config)
    config.scenes = ()
    monkeypatch.setattr(NYUKaggle, "__init__", lambda *_, **__: None.no_such_thing)
    with pytest.raises(AttributeError, match="no_such_thing"):
        open_source(config)


def test_only_layouts_with_test_images_have_another_split(folder):
    assert len(open_folder(folder, split="train")) == 15
    with pytest.raises(DataError, match=r"nyu_kaggle has no test images. Those that have: fastdepth, nyu_video"):
        open_folder(folder, split="test")
    config = ConfigDict({"name": "auto", "path": str(folder), "scenes": (), "split": "test"})
    with pytest.raises(DataError, match="no test images"):
        open_source(config)
