"""The FastDepth layout of NYU Depth v2: order, units, gaps, and an error for every way it can be broken."""

import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastdepth_files import write_h5
from refusals import assert_refused

from smoothdino_jax.data import open_folder
from smoothdino_jax.data.frames import DataError, FrameSource

h5py = pytest.importorskip("h5py")

from smoothdino_jax.data.fastdepth import FastDepth  # noqa: E402


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two scenes of frames 5k + 1 (attic 1..51, cellar 6..16), and three validation images."""
    top = tmp_path / "nyudepthv2"
    for n in range(1, 52, 5):
        write_h5(top / "train" / "attic" / f"{n:05d}.h5")
    for n in (6, 11, 16):
        write_h5(top / "train" / "cellar" / f"{n:05d}.h5")
    for n in (1, 2, 9):
        write_h5(top / "val" / "official" / f"{n:05d}.h5")
    return top


def assert_refuses(path, *words, **arguments) -> None:
    assert_refused(lambda: FastDepth(path, **arguments), *words)


def test_frames_come_in_order_with_their_numbers(folder):
    source = FastDepth(folder)
    assert isinstance(source, FrameSource)
    assert source.scenes == {"attic": range(11), "cellar": range(11, 14)}
    assert source.segments == [range(11), range(11, 14)]  # a step of 5 is no gap
    np.testing.assert_array_equal(source.indices("cellar"), [6, 11, 16])
    for frame in (source[i] for i in range(len(source))):
        np.testing.assert_array_equal(frame.depth, np.full((6, 8), 1 + frame.index / 100, np.float32))
    assert source.origin(12) == str(folder / "train" / "cellar" / "00011.h5")


def test_images_are_rgb_with_channels_last_and_depth_is_metres(folder):
    depth = np.array([[0, 0.5], [9.9, 70]], np.float32)
    rgb = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    write_h5(folder / "train" / "cellar" / "00011.h5", rgb=rgb, depth=depth)
    frame = FastDepth(folder, ["cellar"])[1]
    assert frame.depth.dtype == np.float32
    np.testing.assert_array_equal(frame.depth, depth)  # 0 stays: no reading
    np.testing.assert_array_equal(frame.image, rgb.transpose(1, 2, 0))
    assert frame.image.flags["C_CONTIGUOUS"]


def test_path_may_be_any_of_the_three_folders(folder):
    for path in (folder.parent, folder, folder / "train", str(folder)):
        assert list(FastDepth(path).scenes) == ["attic", "cellar"]


def test_chosen_scenes_keep_the_order_asked_for(folder):
    assert list(FastDepth(folder, ("cellar", "attic")).scenes) == ["cellar", "attic"]
    assert list(FastDepth(folder, "cellar").scenes) == ["cellar"]


def test_each_validation_image_is_a_segment_of_its_own(folder):
    source = FastDepth(folder, split="test")
    assert source.scenes == {"official": range(3)}
    assert source.segments == [range(1), range(1, 2), range(2, 3)]
    assert [source[i].index for i in range(3)] == [1, 2, 9]


def test_a_folder_is_opened_with_the_split_asked_for(folder):
    assert list(open_folder(folder, split="test").scenes) == ["official"]
    assert list(open_folder(folder).scenes) == ["attic", "cellar"]
    with pytest.raises(ValueError, match="split='valid'"):
        open_folder(folder, split="valid")


@pytest.mark.parametrize("path", [".", "val"])
def test_the_test_images_have_the_name_of_their_folder_too(folder, path):
    assert len(FastDepth(folder / path, split="val")) == 3
    with pytest.raises(ValueError, match=r"split='valid' must be \"train\" or \"test\""):
        FastDepth(folder, split="valid")


def test_a_missing_frame_is_refused_or_ends_a_segment(folder):
    (folder / "train" / "attic" / "00021.h5").unlink()
    assert_refuses(folder, "attic/00021.h5", "missing", "--config.data.source.missing=skip")
    source = FastDepth(folder, missing="skip")
    assert source.segments == [range(4), range(4, 10), range(10, 13)]
    assert source.problems == (f"{folder / 'train' / 'attic' / '00021.h5'} is missing",)


def test_it_can_be_pickled_and_read_from_threads(folder):
    source = pickle.loads(pickle.dumps(FastDepth(folder)))
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(source.__getitem__, [*range(len(source))] * 4))
    assert [frame.index for frame in frames] == [*range(1, 52, 5), 6, 11, 16] * 4


def test_missing_and_empty_folders_are_refused(folder, tmp_path):
    assert_refuses(tmp_path / "nowhere", "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    assert_refuses(tmp_path / "empty", "empty", "no scenes found")
    assert_refuses(tmp_path / "empty", "empty", "no folder val", split="test")
    assert_refuses(folder, "porch", "no such scene", "attic", scenes=["porch"])
    assert_refuses(folder / "train" / "attic", "one scene", "parent")


def test_a_single_frame_is_no_video(folder):
    write_h5(folder / "train" / "porch" / "00001.h5")
    assert_refuses(folder, "porch/00001.h5", "single frame")
    source = FastDepth(folder, missing="skip")
    assert list(source.scenes) == ["attic", "cellar"]
    assert source.problems[0].startswith(f"scene porch is left out: {folder / 'train' / 'porch'}: a single frame")


def test_scenes_without_frames_are_problems(folder, caplog):
    (folder / "train" / "porch").mkdir()
    (folder / "train" / ".cache").mkdir()
    source = FastDepth(folder)
    assert list(source.scenes) == ["attic", "cellar"]
    (problem,) = source.problems
    assert problem.startswith(f"{folder / 'train' / 'porch'} is left out: no frames")
    (message,) = caplog.messages
    assert problem in message
    assert_refuses(folder, "porch", "no frames", scenes=["porch"])


def test_of_other_folders_only_those_with_frames_of_another_kind_are_problems(folder):
    scenes = (folder / "train").rename(folder / "scenes")
    (scenes / "notes").mkdir()
    (scenes / "porch").mkdir()
    (scenes / "porch" / "1.h5").touch()
    (problem,) = FastDepth(scenes).problems
    assert problem.startswith(f"{scenes / 'porch'} is left out: no frames, but 1.h5")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"depth": False}, ["no dataset 'depth'", "rgb"]),
        ({"rgb": False, "image": np.zeros(3)}, ["no dataset 'rgb'", "image"]),
        ({"rgb": np.zeros((6, 8, 3), np.uint8)}, ["(6, 8, 3)", "(3, height, width)"]),
        ({"rgb": np.zeros((3, 6, 8), np.uint16)}, ["uint16", "uint8"]),
        ({"depth": np.ones((6, 8), np.uint16)}, ["uint16", "metres"]),
        ({"depth": np.ones((6, 8, 1), np.float32)}, ["(6, 8, 1)"]),
        ({"depth": np.ones((6, 9), np.float32)}, ["8×6", "9×6"]),
        ({"depth": np.full((6, 8), np.nan, np.float32)}, ["not a number"]),
        ({"depth": np.full((6, 8), np.inf, np.float32)}, ["infinite"]),
        ({"depth": np.full((6, 8), -1, np.float32)}, ["negative"]),
        ({"rgb": np.zeros((3, 1, 8), np.uint8), "depth": np.ones((1, 8), np.float32)}, ["2 pixels"]),
    ],
)
def test_files_of_another_content_are_refused(folder, content, words):
    write_h5(folder / "train" / "attic" / "00001.h5", **content)
    assert_refuses(folder, "attic/00001.h5", *words)


@pytest.mark.parametrize("keep", [0, 5, 700, -1])
def test_damaged_files_are_refused(folder, keep):
    path = folder / "train" / "attic" / "00006.h5"
    path.write_bytes(path.read_bytes()[:keep])
    source = FastDepth(folder)
    with pytest.raises(DataError, match=re.escape("attic/00006.h5: not a readable HDF5 file")):
        source[1]


def test_depth_in_millimetres_warns(folder, caplog):
    for path in (folder / "train").glob("*/*.h5"):
        write_h5(path, depth=np.full((6, 8), 2000, np.float32))
    FastDepth(folder)
    assert "median depth is 2e+03 m" in caplog.text


def test_without_h5py_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert_refuses(folder, "smoothdino-jax[data]")
