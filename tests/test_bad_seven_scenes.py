"""What is wrong with a sequence of 7-Scenes is refused by name, or left out by choice."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from posed_frames import tilted_poses
from seven_scenes_files import assert_refuses, write_frame, write_scenes, write_sequence

from smoothdino_jax.data import DataError
from smoothdino_jax.data.seven_scenes import SevenScenes


@pytest.fixture
def sequence(tmp_path) -> Path:
    """Frames 0..3 with poses."""
    return write_sequence(tmp_path / "walk")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: 2 * p, "last row"),
        (lambda p: p.T, "last row"),
        (lambda p: p * [[2, 2, 2, 1]], "unit length"),
        (lambda p: p * [[1, 1, -1, 1]], "reflection"),
        (lambda p: p[:3], "4×4"),
    ],
)
def test_a_pose_that_is_no_rigid_transform_is_refused(sequence, change, words):
    np.savetxt(sequence / "frame-000003.pose.txt", change(tilted_poses(4)[3]))
    assert_refuses(sequence, "frame-000003.pose.txt", words)


def test_a_pose_file_that_is_no_matrix_is_refused(sequence):
    (sequence / "frame-000003.pose.txt").write_bytes(b"\xff\x00 no numbers")
    assert_refuses(sequence, "frame-000003.pose.txt", "4×4")


@pytest.mark.parametrize(
    "text", ["", "500 0 4\n0 500 3", "1 2 3 4 5 6 7 8 9", "0 0 4 0 500 3 0 0 1", "nan 0 4 0 5 3 0 0 1"]
)
def test_intrinsics_that_are_no_pinhole_matrix_are_refused(sequence, text):
    (sequence / "camera-intrinsics.txt").write_text(text)
    assert_refuses(sequence, "camera-intrinsics.txt", "matrix")


def test_a_gap_in_the_numbering_is_refused_or_skipped(tmp_path, caplog):
    write_sequence(tmp_path / "a", (3, 4, 7, 8))
    assert_refuses(tmp_path / "a", "frame-000007", "frame-000004", "missing", 'missing="skip"')
    source = SevenScenes(tmp_path / "a", missing="skip")
    assert source.segments == [range(2), range(2, 4)]
    assert source.indices("a").tolist() == [3, 4, 7, 8]
    assert len(source.problems) == 1
    assert "frame-000007" in source.problems[0]
    assert "1 problem(s)" in caplog.text


@pytest.mark.parametrize(("gone", "left"), [("depth.png", "color"), ("color.png", "depth")])
def test_an_image_without_depth_or_the_reverse_is_refused_or_skipped(sequence, gone, left):
    (sequence / f"frame-000001.{gone}").unlink()
    assert_refuses(sequence, f"frame-000001.{left}.png", gone.split(".")[0], "1 such")
    source = SevenScenes(sequence, missing="skip")
    assert source.indices("walk").tolist() == [0, 2, 3]
    assert source.segments == [range(1), range(1, 3)]
    assert "frame-000001" in source.problems[0]


def test_skipping_every_other_frame_leaves_no_neighbours(sequence):
    for n in (1, 3):
        (sequence / f"frame-{n:06d}.depth.png").unlink()
    assert SevenScenes(sequence, missing="skip").segments == [range(1), range(1, 2)]


def test_two_files_of_one_frame_are_refused(sequence):
    cv2.imwrite(str(sequence / "frame-000001.color.jpg"), np.zeros((6, 8, 3), np.uint8))
    assert_refuses(sequence, "frame-000001.color.png", "frame-000001.color.jpg")


def test_missing_or_empty_folders_are_refused(tmp_path):
    assert_refuses(tmp_path / "nowhere", "nowhere", "no such folder")
    assert_refuses(tmp_path, str(tmp_path), "no frames found", "frame-000000.color.png")
    (tmp_path / "seq-01.zip").write_bytes(b"")
    assert_refuses(tmp_path, "Unpack")


def test_a_single_frame_is_no_video(tmp_path):
    write_sequence(tmp_path / "a", [5])
    assert_refuses(tmp_path / "a", str(tmp_path / "a"), "single frame")
    (tmp_path / "a" / "frame-000005.color.png").unlink()
    assert_refuses(tmp_path / "a", "no frame with image and depth", missing="skip")


def test_8_bit_depth_is_refused(sequence):
    write_frame(sequence, 0, depth=np.full((6, 8), 200, np.uint8))
    assert_refuses(sequence, "frame-000000.depth.png", "8-bit", "16-bit grey (millimetres)")


def test_image_and_depth_of_different_sizes_are_refused(sequence):
    write_frame(sequence, 0, depth=np.full((6, 9), 2000, np.uint16))
    assert_refuses(sequence, "frame-000000.color.png", "frame-000000.depth.png", "8×6", "9×6")


@pytest.mark.parametrize("name", ["frame-000002.color.png", "frame-000002.depth.png"])
def test_damaged_files_are_named_when_read(sequence, name):
    path = sequence / name
    path.write_bytes(path.read_bytes()[:-20])
    source = SevenScenes(sequence)
    with pytest.raises(DataError, match=re.escape(name)):
        source[2]


def test_a_sequence_that_cant_be_used_is_left_out_by_choice(tmp_path, caplog):
    folder = write_scenes(tmp_path)
    for path in (folder / "heads" / "seq-01").glob("*.depth.png"):
        path.unlink()
    np.savetxt(folder / "fire" / "seq-01" / "frame-000001.pose.txt", np.eye(3))
    assert_refuses(folder, "fire/seq-01/frame-000001.pose.txt")
    assert_refuses(folder, "heads/seq-01", "--config.data.source.missing=skip", scenes=["heads/seq-01"])
    caplog.clear()
    source = SevenScenes(folder, missing="skip")
    assert source.scenes == {"heads/seq-02": range(3)}
    assert [problem.split(" is left out:")[0] for problem in source.problems] == [
        "scene fire/seq-01",
        "scene heads/seq-01",
    ]
    (message,) = caplog.messages
    assert "2 problem(s)" in message
    assert_refuses(folder / "heads" / "seq-01", "no frame with image and depth", missing="skip")


def test_sequences_still_zipped_beside_unpacked_ones_are_problems(tmp_path, caplog):
    folder = write_scenes(tmp_path)
    for name in ("seq-01.zip", "seq-03.zip", "notes.zip"):
        (folder / "heads" / name).touch()
    zipped = (f"{folder / 'heads' / 'seq-03.zip'} is left out: unpack it",)
    assert SevenScenes(folder).problems == zipped
    assert SevenScenes(folder / "heads").problems == zipped
    assert [zipped[0] in message for message in caplog.messages] == [True, True]
    assert SevenScenes(folder, ["heads/seq-01"]).problems == ()
    assert SevenScenes(folder / "heads" / "seq-01").problems == ()


def test_a_unit_other_than_millimetres_is_warned_of(tmp_path, caplog):
    write_sequence(tmp_path / "a", depth=np.full((6, 8), 20000, np.uint16))
    SevenScenes(tmp_path / "a")
    assert "median depth is 20 m" in caplog.text


def test_bad_arguments_are_named(sequence):
    with pytest.raises(ValueError, match="missing='ignore'"):
        SevenScenes(sequence, missing="ignore")
