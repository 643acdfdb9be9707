"""What is wrong with a TUM RGB-D sequence is refused by file and line, or left out by choice."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from tum_files import AT_30_HZ, START, assert_refuses, replace_line, write_desk, write_sequence

from smoothdino_jax.data import DataError
from smoothdino_jax.data.tum import TUM


@pytest.fixture
def sequence(tmp_path) -> Path:
    """Four frames at 30 Hz, poses at 100 Hz."""
    return write_desk(tmp_path)


def test_missing_or_empty_folders_are_refused(tmp_path):
    assert_refuses(tmp_path / "nowhere", "nowhere", "no such folder")
    assert_refuses(tmp_path, str(tmp_path), "no sequences found", "rgb.txt")


@pytest.mark.parametrize("name", ["rgb.txt", "depth.txt"])
def test_both_lists_are_needed_and_must_list_something(sequence, name):
    (sequence / name).write_text("# timestamp filename\n\n")
    assert_refuses(sequence, f"desk/{name}", "not one line")
    (sequence / name).unlink()
    assert_refuses(sequence, f"desk/{name}", "missing")


@pytest.mark.parametrize("line", ["1305031229.6", "rgb/a.png 1305031229.6", "nan rgb/a.png", "1 2 3", "\x00\x01"])
def test_a_malformed_line_is_named(sequence, line):
    replace_line(sequence / "rgb.txt", 5, line)
    assert_refuses(sequence, "rgb.txt, line 5", "timestamp filename")


@pytest.mark.parametrize(
    "line", ["1305031229.46 0 0 0 0 0 1", "1305031229.46 0 0 x 0 0 0 1", "1305031229.46 0 0 inf 0 0 0 1"]
)
def test_a_malformed_pose_is_named(sequence, line):
    replace_line(sequence / "groundtruth.txt", 3, line)
    assert_refuses(sequence, "groundtruth.txt, line 3", "timestamp tx ty tz qx qy qz qw")


@pytest.mark.parametrize("name", ["rgb.txt", "depth.txt", "groundtruth.txt"])
def test_timestamps_out_of_order_are_refused(sequence, name):
    lines = (sequence / name).read_text().splitlines()
    lines[-2:] = lines[:-3:-1]
    (sequence / name).write_text("\n".join(lines))
    assert_refuses(sequence, f"{name}, line {len(lines)}", f"line {len(lines) - 1}", "does not come after")


def test_an_image_may_not_be_listed_twice_but_a_pose_may(sequence):
    for name in ("groundtruth.txt", "rgb.txt"):
        lines = (sequence / name).read_text().splitlines()
        (sequence / name).write_text("\n".join([*lines, lines[-1]]))
        if name == "groundtruth.txt":
            assert len(TUM(sequence)) == 4
    assert_refuses(sequence, "rgb.txt, line 7", "does not come after")


def test_lists_of_two_recordings_are_refused_with_the_smallest_difference(tmp_path):
    folder = write_sequence(tmp_path / "a", depth=AT_30_HZ + 100)
    assert_refuses(folder, "within 0.02 s", "99.9 s apart")


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_listed_files_that_are_not_there_are_found_when_opened(sequence, kind):
    for path in sorted((sequence / kind).iterdir())[2:]:
        path.unlink()
    assert_refuses(sequence, f"{kind}/1305031229.5", f"{kind}.txt lists it in line 5", "2 such")
    for path in (sequence / kind).iterdir():
        path.unlink()
    (sequence / kind).rmdir()
    assert_refuses(sequence, f"{kind}.txt lists it in line 3", "4 such")


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_a_listed_file_that_is_not_there_is_left_out_as_a_gap_by_choice(tmp_path, kind, caplog):
    sequence = write_sequence(tmp_path / "desk", START + np.arange(6) / 30)
    path = sorted((sequence / kind).iterdir())[2]
    path.unlink()
    assert_refuses(sequence, str(path), "--config.data.source.missing=skip")
    source = TUM(sequence, missing="skip")
    assert source.indices("desk").tolist() == [0, 1, 3, 4, 5]
    assert source.segments == [range(2), range(2, 5)]
    np.testing.assert_allclose(source[2].depth, 5003 / 5000, rtol=1e-6)
    assert source.origin(2).endswith(sorted((sequence / "rgb").iterdir())[2 if kind == "rgb" else 3].name)
    missing, *unpaired = source.problems
    assert missing == f"{path} is missing, but {sequence / kind}.txt lists it in line 5"
    assert len(unpaired) == (kind == "depth")
    assert missing in caplog.text


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_a_sequence_with_none_of_its_listed_files_is_refused_in_any_case(sequence, kind):
    for path in (sequence / kind).iterdir():
        path.unlink()
    assert_refuses(sequence, f"{kind}.txt lists it in line 3", "4 such", missing="skip")


def test_a_single_frame_is_no_video(tmp_path):
    folder = write_sequence(tmp_path / "a", AT_30_HZ[:1])
    assert_refuses(folder, str(folder), "single frame", "1305031229.500000.png")


def test_a_sequence_that_cant_be_used_is_left_out_by_choice(sequence, tmp_path, caplog):
    path = write_sequence(tmp_path / "attic") / "depth.txt"
    path.unlink()
    assert_refuses(tmp_path, str(path), "missing")
    source = TUM(tmp_path, missing="skip")
    assert source.scenes == {"desk": range(4)}
    (problem,) = source.problems
    assert problem.startswith(f"scene attic is left out: {path} is missing")
    (message,) = caplog.messages
    assert problem in message
    assert_refuses(tmp_path, str(path), missing="skip", scenes=["attic"])
    with pytest.raises(ValueError, match="missing='ignore'"):
        TUM(tmp_path, missing="ignore")


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.full((6, 8), 200, np.uint8), ("8-bit", "16-bit grey (5000 = 1 m)")),
        (np.full((6, 8, 3), 5000, np.uint16), ("3 channel",)),
        (np.full((6, 9), 5000, np.uint16), ("8×6", "9×6")),
    ],
)
def test_depth_of_another_kind_or_size_is_refused(sequence, picture, words):
    path = sorted((sequence / "depth").iterdir())[0]
    cv2.imwrite(str(path), picture)
    assert_refuses(sequence, f"depth/{path.name}", *words)


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_damaged_files_are_named_when_read(sequence, kind):
    path = sorted((sequence / kind).iterdir())[2]
    path.write_bytes(path.read_bytes()[:-20])
    source = TUM(sequence)
    with pytest.raises(DataError, match=re.escape(f"{kind}/{path.name}")):
        source[2]


def test_a_unit_other_than_a_fifth_of_a_millimetre_is_warned_of(tmp_path, caplog):
    TUM(write_sequence(tmp_path / "a", stored=1000))
    assert "median depth is 0.2 m" in caplog.text
