"""What is wrong with the Kaggle layout of NYU Depth v2 is refused by file, left out by choice, or warned of."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from kaggle_files import assert_refuses, write_frame, write_scene, write_scenes
from ml_collections import ConfigDict

from smoothdino_jax.data import DataError, NYUKaggle, open_source
from smoothdino_jax.data.images import decode_image


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_scenes(tmp_path / "data" / "nyu2_train")


def test_missing_or_empty_folders_are_refused(folder, tmp_path):
    assert_refuses(tmp_path / "nowhere", "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    assert_refuses(tmp_path / "empty", "empty", "no scenes found")
    assert_refuses(folder, "porch", "no such scene", "attic_out", scenes=["porch"])
    (folder / "porch").mkdir()
    assert_refuses(folder, "porch", "no frames", scenes=["porch"])


def test_one_scene_instead_of_the_folder_of_scenes_is_explained(folder):
    assert_refuses(folder / "attic_out", "one scene", "parent")


def test_a_single_frame_is_no_video(folder):
    write_scene(folder / "porch", [4])
    assert_refuses(folder, "porch", "4.jpg", "single frame")


@pytest.mark.parametrize(("gone", "left"), [("3.png", "3.jpg"), ("3.jpg", "3.png")])
def test_an_image_without_depth_or_the_reverse_is_refused(folder, gone, left):
    (folder / "attic_out" / gone).unlink()
    assert_refuses(folder, f"attic_out/{left}", f"no {gone}")


def test_a_gap_in_the_numbering_is_refused(folder):
    for n in (4, 5):
        (folder / "attic_out" / f"{n}.jpg").unlink()
        (folder / "attic_out" / f"{n}.png").unlink()
    assert_refuses(folder, "attic_out/4.jpg", "2 missing", "between 1 and 12")


def test_image_and_depth_of_different_sizes_are_refused(folder):
    write_frame(folder / "attic_out", 1, depth=np.ones((6, 9), np.uint8))
    assert_refuses(folder, "attic_out/1.jpg", "1.png", "8×6", "9×6")


@pytest.mark.parametrize("name", ["1.jpg", "1.png"])
@pytest.mark.parametrize("damage", [b"", b"no picture at all"])
def test_unreadable_files_are_refused(folder, name, damage):
    (folder / "attic_out" / name).write_bytes(damage)
    assert_refuses(folder, f"attic_out/{name}", f"{len(damage)} bytes")


def test_a_truncated_jpeg_is_refused_and_not_read_half_grey(tmp_path):
    rng = np.random.default_rng(0)
    for n in (1, 2):
        write_frame(tmp_path / "room", n, (64, 64))
        cv2.imwrite(str(tmp_path / f"room/{n}.jpg"), rng.integers(0, 255, (64, 64, 3), np.uint8))
    whole = (tmp_path / "room/2.jpg").read_bytes()
    (tmp_path / "room/2.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    source = NYUKaggle(tmp_path)
    with pytest.raises(DataError, match=r"2\.jpg.*no end mark in its last kB"):
        source[1]


def test_data_appended_to_a_jpeg_is_one_of_the_reasons_given():
    whole = cv2.imencode(".jpg", np.zeros((6, 8, 3), np.uint8))[1].tobytes()
    assert decode_image(whole + bytes(1000), "1.jpg").shape == (6, 8, 3)
    with pytest.raises(DataError, match="truncated, or with data appended"):
        decode_image(whole + bytes(2000), "1.jpg")


def test_16_bit_or_colour_depth_is_refused(folder):
    write_frame(folder / "attic_out", 1, depth=np.full((6, 8), 2000, np.uint16))
    assert_refuses(folder, "attic_out/1.png", "16-bit", "8-bit")
    write_frame(folder / "attic_out", 1, depth=np.ones((6, 8, 3), np.uint8))
    assert_refuses(folder, "attic_out/1.png", "3 channel")


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (6, 1)])
def test_images_under_two_pixels_are_refused(tmp_path, size):
    write_scene(tmp_path / "room", size=size)
    assert_refuses(tmp_path, "room/1.jpg", f"{size[1]}×{size[0]}", "2 pixels")


def test_the_first_frame_of_every_scene_is_read_at_once_and_later_ones_when_asked(folder):
    (folder / "attic_out" / "2.jpg").write_bytes(b"")
    source = NYUKaggle(folder)
    with pytest.raises(DataError, match=re.escape("attic_out/2.jpg")):
        source[1]
    (folder / "cellar_out" / "5.jpg").write_bytes(b"")
    assert_refuses(folder, "cellar_out/5.jpg")


def test_missing_files_are_left_out_by_choice_listed_and_a_gap(folder):
    (folder / "attic_out" / "4.png").unlink()
    (folder / "attic_out" / "9.jpg").unlink()
    (folder / "attic_out" / "9.png").unlink()
    config = ConfigDict({"name": "nyu_kaggle", "path": str(folder), "scenes": (), "missing": "error"})
    with pytest.raises(DataError, match=r"4\.jpg has no 4\.png"):
        open_source(config)
    config.missing = "skip"
    source = open_source(config)
    assert source.indices("attic_out").tolist() == [1, 2, 3, 5, 6, 7, 8, 10, 11, 12]
    assert source.segments == [range(3), range(3, 7), range(7, 10), range(10, 13)]
    assert [Path(problem.split()[0]).name for problem in source.problems] == ["4.png", "9.jpg", "9.png"]
    assert source[3].index == 5
    assert source.origin(3).endswith("attic_out/5.jpg")


@pytest.mark.parametrize("missing", ["depth", "all but one frame"])
def test_a_scene_that_cant_be_used_is_left_out_by_choice(folder, caplog, missing):
    write_scene(folder / "porch", range(1, 5) if missing == "depth" else [4])
    if missing == "depth":
        for path in (folder / "porch").glob("*.png"):
            path.unlink()
    assert_refuses(folder, "porch", "--config.data.source.missing=skip")
    source = NYUKaggle(folder, missing="skip", check=False)
    assert list(source.scenes) == ["attic_out", "cellar_out"]
    (problem,) = source.problems
    what = "no frame with image and depth" if missing == "depth" else "a single frame, 4.jpg"
    assert problem == f"scene porch is left out: {folder / 'porch'}: {what}. A video needs at least two."
    (message,) = caplog.messages
    assert problem in message
    assert_refuses(folder, "porch", what, scenes=["porch"], missing="skip")
    write_scene(folder / "study", [1])
    assert_refuses(folder, what, "No scene is left: 1 more", scenes=["porch", "study"], missing="skip")


def test_scenes_with_images_of_other_names_are_problems(folder, caplog):
    for name in ("porch/1.jpeg", "porch/2.jpeg", "study/0001.png", "hall/hall/1.jpg", "notes/a.txt", "notes/._1.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "empty").mkdir()
    source = NYUKaggle(folder, check=False)
    assert list(source.scenes) == ["attic_out", "cellar_out"]
    hall, porch, study = source.problems
    assert hall.startswith(f"{folder / 'hall'} is left out: no frames, but hall/1.jpg;")
    assert porch.startswith(f"{folder / 'porch'} is left out: no frames, but 1.jpeg; expected <scene>/1.jpg")
    assert study.startswith(f"{folder / 'study'} is left out: no frames, but 0001.png;")
    (message,) = caplog.messages
    assert "3 problem(s)" in message
    assert NYUKaggle(folder, ["attic_out"]).problems == ()
    assert_refuses(folder, "porch", "1.jpeg", scenes=["porch"])


@pytest.mark.parametrize("missing", ["error", "skip"])
def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch, missing):
    # Taking the permission away wouldn't stop the superuser.
    listdir = os.listdir

    def forbidding(path):
        if Path(path).name == "attic_out":
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", forbidding)
    where = f"{folder / 'attic_out'}: Permission denied"
    if missing == "error":
        assert_refuses(folder, where)
    else:
        assert NYUKaggle(folder, missing="skip").problems == (f"scene attic_out is left out: {where}.",)


def test_one_warning_tells_of_all_scenes_with_a_depth_that_no_room_has(folder, caplog):
    for name, grey in (("cellar_out", 3), ("porch", 51), ("study", 2)):
        for n in (5, 6, 7):
            write_frame(folder / name, n, depth=np.full((6, 8), grey, np.uint8))
    NYUKaggle(folder, ["porch", "cellar_out", "study"])
    (message,) = caplog.messages
    assert "cellar_out/5.jpg: the median depth is 0.118 m" in message
    assert "1 more scene(s)" in message


@pytest.mark.parametrize(("grey", "warns"), [(51, False), (3, True), (0, True)])
def test_a_depth_that_no_room_has_is_warned_about(tmp_path, caplog, grey, warns):
    scene = tmp_path / "attic_out"
    for n in (1, 2):
        write_frame(scene, n, depth=np.full((6, 8), grey, np.uint8))
    with caplog.at_level("WARNING"):
        NYUKaggle(tmp_path)
    assert ("1.jpg" in caplog.text) == warns
