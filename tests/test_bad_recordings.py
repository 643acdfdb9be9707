"""What is wrong with a recording is refused with a message that names it."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from recording_files import (
    SIZE,
    assert_refuses,
    write_frame,
    write_meta,
    write_recording,
)

from smoothdino_jax.data import ClipSource, DataError, make_clips
from smoothdino_jax.data.recordings import Recordings


@pytest.fixture
def kitchen(tmp_path) -> Path:
    """Frames 0, 1, 2 at 1, 1.125 and 1.25 m."""
    return write_recording(tmp_path / "kitchen")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"depth_unit_per_meter": 1000}, ("depth_unit_per_meter", "Is depth_units_per_metre meant?")),
        ({"zebra": 1}, ("zebra", "There are depth_units_per_metre, invalid, intrinsics")),
        ({"intrinsics": {"fx": 5, "fy": 5, "cx": 3, "cy": 3, "cz": 0}}, ("intrinsics.cz", "cx")),
        ({"intrinsics": {"fx": 5, "fy": 5, "cx": 3}}, ("intrinsics.cy is missing", "fx, fy, cx, cy")),
        ({"intrinsics": {"fx": 5, "fy": 5, "cx": 3, "cy": None}}, ("intrinsics.cy is null",)),
        ({"intrinsics": {"fx": -5, "fy": 5, "cx": 3, "cy": 3}}, ("intrinsics.fx", "-5")),
        ({"intrinsics": [5, 5, 3, 3]}, ("intrinsics", "object")),
        ({"depth_units_per_metre": "1000"}, ("depth_units_per_metre", '"1000"')),
        ({"depth_units_per_metre": True}, ("depth_units_per_metre", "true")),
        ({"depth_units_per_metre": 0.001}, ("depth_units_per_metre", "0.001", "1000 units")),
        ({"depth_units_per_metre": float("inf")}, ("depth_units_per_metre", "Infinity")),
        ({"depth_units_per_metre": None}, ("depth_units_per_metre", "missing")),
        ({"invalid": 65535}, ("invalid", "65535", "list")),
        ({"invalid": [70000]}, ("invalid", "70000")),
        ({"invalid": [0.5]}, ("invalid", "0.5")),
        ({"frames_per_second": 0}, ("frames_per_second", "0")),
        ({"description": 3}, ("description", "3")),
    ],
)
def test_a_slip_in_meta_is_refused_by_key(kitchen, fields, words):
    write_meta(kitchen, **fields)
    assert_refuses(kitchen, kitchen / "meta.json", *words)


def test_a_meta_that_is_no_json_object_is_refused(kitchen):
    (kitchen / "meta.json").write_text("{'depth_units_per_metre': 1000}")
    assert_refuses(kitchen, kitchen / "meta.json", "not JSON", "line 1")
    (kitchen / "meta.json").write_text("[1000]")
    assert_refuses(kitchen, kitchen / "meta.json", "object")


def test_the_message_for_a_missing_meta_has_one_that_works(kitchen):
    (kitchen / "meta.json").unlink()
    message = assert_refuses(kitchen, kitchen / "meta.json", "missing", "docs/recordings.md")
    (kitchen / "meta.json").write_text(re.search(r"^ +(\{.+\})$", message, re.M)[1])
    np.testing.assert_allclose(Recordings(kitchen)[0].depth, 1.0, rtol=1e-6)


def test_missing_and_empty_folders_are_refused(tmp_path, kitchen):
    assert_refuses(tmp_path / "nowhere", "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    assert_refuses(tmp_path / "empty", "empty", "no recording found")
    (kitchen / "image").rename(kitchen / "photos")
    assert_refuses(kitchen, kitchen, "image or rgb")
    for name in ("image", "rgb"):
        (kitchen / name).mkdir()
    assert_refuses(kitchen, kitchen, "has image and rgb")
    (kitchen / "rgb").rmdir()
    assert_refuses(kitchen, kitchen / "image", "nothing")


def test_a_recording_without_depth_is_told_what_needs_it_and_what_does_not(kitchen):
    shutil.rmtree(kitchen / "depth")
    assert_refuses(
        kitchen, kitchen / "depth", "Evaluation and training need the depth", f"`smoothdino video {kitchen / 'image'}`"
    )
    (kitchen / "image").rename(kitchen / "rgb")
    assert_refuses(kitchen, f"`smoothdino video {kitchen / 'rgb'}`")


def test_depth_of_another_format_is_refused(kitchen):
    for file in (kitchen / "depth").iterdir():
        file.rename(file.with_suffix(".exr"))
    assert_refuses(kitchen, kitchen / "depth", ".npy", "000000.exr")


def test_a_single_frame_is_no_video(tmp_path):
    assert_refuses(write_recording(tmp_path / "hall", ["7"]), "hall", "a single frame, 7.jpg", "at least two")


def test_two_files_for_one_frame_are_refused(kitchen):
    cv2.imwrite(str(kitchen / "image/000001.png"), np.zeros((*SIZE, 3), np.uint8))
    assert_refuses(kitchen, "000001.jpg", "000001.png", "two files")
    (kitchen / "image/000001.png").unlink()
    write_frame(kitchen, "1")
    assert_refuses(kitchen, "image/1.jpg", "image/000001.jpg", "same number")


def test_png_and_npy_depth_do_not_mix(kitchen):
    np.save(kitchen / "depth/000001.npy", np.ones(SIZE, np.float32))
    (kitchen / "depth/000001.png").unlink()
    assert_refuses(kitchen, "depth/000001.npy", ".png", "all PNG or all .npy")


@pytest.mark.parametrize("fields", [{"depth_units_per_metre": 1000}, {"invalid": [0, 65535]}])
def test_a_unit_for_npy_depth_is_refused(kitchen, fields):
    for k in range(3):
        (kitchen / f"depth/{k:06d}.png").unlink()
        np.save(kitchen / f"depth/{k:06d}.npy", np.ones(SIZE, np.float32))
    (kitchen / "meta.json").write_text(json.dumps(fields))
    assert_refuses(kitchen, kitchen / "meta.json", ".npy", "metres")


def test_8_bit_or_colour_depth_is_refused(kitchen):
    cv2.imwrite(str(kitchen / "depth/000000.png"), np.full(SIZE, 20, np.uint8))
    assert_refuses(kitchen, "depth/000000.png", "8-bit", "16-bit", "Save the uint16 array itself")
    cv2.imwrite(str(kitchen / "depth/000000.png"), np.full((*SIZE, 3), 2000, np.uint16))
    assert_refuses(kitchen, "depth/000000.png", "3 channel")


@pytest.mark.parametrize("name", ["image/000000.jpg", "depth/000000.png"])
@pytest.mark.parametrize("damage", [b"", b"no picture at all"])
def test_unreadable_files_are_refused(kitchen, name, damage):
    (kitchen / name).write_bytes(damage)
    assert_refuses(kitchen, kitchen / name, f"{len(damage)} bytes")


@pytest.mark.parametrize("depth", [b"", b"no array", np.ones((*SIZE, 1), np.float32), np.ones(SIZE, np.uint16)])
def test_npy_depth_that_is_no_depth_is_refused(kitchen, depth):
    (kitchen / "meta.json").write_text("{}")
    for k in range(3):
        (kitchen / f"depth/{k:06d}.png").unlink()
        np.save(kitchen / f"depth/{k:06d}.npy", np.ones(SIZE, np.float32))
    if isinstance(depth, bytes):
        (kitchen / "depth/000000.npy").write_bytes(depth)
    else:
        np.save(kitchen / "depth/000000.npy", depth)
    assert_refuses(kitchen, kitchen / "depth/000000.npy")


def test_an_image_and_depth_of_different_sizes_are_refused(kitchen):
    cv2.imwrite(str(kitchen / "depth/000000.png"), np.ones((6, 9), np.uint16))
    assert_refuses(kitchen, "image/000000.jpg", "depth/000000.png", "8×6", "9×6")


def test_frames_of_different_sizes_are_told_apart_when_a_clip_joins_them(kitchen):
    write_frame(kitchen, "000003", size=(12, 16))
    source = Recordings(kitchen)
    with pytest.raises(DataError) as caught:
        ClipSource(source, make_clips(source, 2))[2]
    for word in (kitchen / "image/000002.jpg", kitchen / "image/000003.jpg", "8×6", "16×12"):
        assert str(word) in str(caught.value)


def test_a_wrong_unit_is_warned_about(kitchen, caplog):
    write_meta(kitchen, depth_units_per_metre=10)
    Recordings(kitchen)
    assert "100 m" in caplog.text
    assert str(kitchen / "image/000000.jpg") in caplog.text
