"""The order of a recording's frames, and its gaps: by numbers, by timestamps, and where files are missing."""

from pathlib import Path

import numpy as np
import pytest
from recording_files import assert_refuses, write_frame, write_meta, write_recording

from smoothdino_jax.data.recordings import Recordings


@pytest.fixture
def kitchen(tmp_path) -> Path:
    """Frames 0, 1, 2."""
    return write_recording(tmp_path / "kitchen")


def test_numbers_in_names_are_the_frames_numbers_and_jumps_are_gaps(tmp_path):
    write_recording(tmp_path / "hall", [str(n) for n in (98, 99, 100, 104, 105)])
    source = Recordings(tmp_path / "hall")
    np.testing.assert_array_equal(source.indices("hall"), [98, 99, 100, 104, 105])
    assert source.segments == [range(3), range(3, 5)]


def test_every_second_number_is_no_gap(tmp_path):
    write_recording(tmp_path / "hall", [f"{n:04d}" for n in (0, 2, 4, 6, 8)])
    assert Recordings(tmp_path / "hall").segments == [range(5)]


def test_other_names_are_in_natural_order_and_numbered_from_zero(tmp_path):
    stems = ["b9", "b10", "b100", "a²"]
    write_recording(tmp_path / "hall", stems)
    source = Recordings(tmp_path / "hall")
    assert [Path(source.origin(k)).stem for k in range(4)] == ["a²", "b9", "b10", "b100"]
    np.testing.assert_array_equal(source.indices("hall"), range(4))
    assert source.segments == [range(4)]


def test_a_pause_in_the_timestamps_is_a_gap_and_then_numbers_are_none(tmp_path):
    stems = [str(n) for n in (1000, 1033, 1067, 1201, 1236)]
    folder = write_recording(tmp_path / "hall", stems)
    assert len(Recordings(folder).segments) == 4
    lines = [f"{stem} {int(stem) / 1000}" for stem in stems]
    (folder / "timestamps.txt").write_text("# stem seconds\n\n" + "\n".join(lines))
    source = Recordings(folder)
    assert source.segments == [range(3), range(3, 5)]
    np.testing.assert_array_equal(source.indices("hall"), [1000, 1033, 1067, 1201, 1236])


def test_numbers_that_jump_everywhere_are_warned_about(tmp_path, caplog):
    folder = write_recording(tmp_path / "hall", [str(n) for n in (1000, 1033, 1067, 1201, 1236)])
    Recordings(folder)
    assert "timestamps.txt" in caplog.text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["000000 0.0", "000001 0.2", "000002 0.2"], ("line 3", "000002", "000001")),
        (["000000 0.0", "000001 0.2", "000002 0.1"], ("line 3", "000002", "0.1")),
        (["000000 0.0", "000002 0.2"], ("000001 SECONDS", "1 of 3")),
        (["000000 0.0", "000001", "000002 0.2"], ("line 2", "seconds")),
        (["000000 0.0", "000001 soon", "000002 0.2"], ("line 2", "soon")),
        (["000000 0.0", "000001 nan", "000002 0.2"], ("line 2", "nan")),
        (["000000 0.0", "000000 0.1", "000002 0.2"], ("line 2", "line 1")),
    ],
)
def test_timestamps_must_be_complete_and_rise(kitchen, lines, words):
    (kitchen / "timestamps.txt").write_text("\n".join(lines))
    assert_refuses(kitchen, kitchen / "timestamps.txt", *words)


@pytest.mark.parametrize(("gone", "left"), [("depth/1.png", "image/1.jpg"), ("image/1.jpg", "depth/1.png")])
@pytest.mark.parametrize("stems", [("0", "1", "2", "3"), ("a0", "a1", "a2", "a3")])
def test_an_image_without_depth_is_refused_or_left_out_as_a_gap(tmp_path, caplog, gone, left, stems):
    folder = write_recording(tmp_path / "hall", stems)
    prefix = stems[0][:-1]
    gone, left = (folder / Path(file).parent / (prefix + Path(file).name) for file in (gone, left))
    gone.unlink()
    assert_refuses(folder, left, gone.with_suffix(".*").relative_to(folder))
    source = Recordings(folder, missing="skip")
    np.testing.assert_array_equal(source.indices("hall"), [0, 2, 3])
    assert source.segments == [range(1), range(1, 3)]
    assert len(source.problems) == 1
    assert str(left) in source.problems[0]
    assert caplog.text.count(str(left)) == 1


def test_a_frame_left_out_is_a_gap_whatever_the_timestamps_say(tmp_path):
    folder = write_recording(tmp_path / "hall", ("0", "1", "2", "3"))
    (folder / "depth/1.png").unlink()
    (folder / "timestamps.txt").write_text("0 0.0\n1 0.1\n2 0.2\n3 0.3\n")
    assert Recordings(folder, missing="skip").segments == [range(1), range(1, 3)]


def test_a_recording_that_cant_be_used_is_left_out_by_choice(tmp_path, caplog):
    for name in ("attic", "cellar", "hall"):
        write_recording(tmp_path / name)
    write_meta(tmp_path / "attic", zebra=1)
    for k in range(3):
        (tmp_path / f"hall/depth/{k:06d}.png").rename(tmp_path / f"hall/depth/{k + 10:06d}.png")
    assert_refuses(tmp_path, "attic/meta.json", "zebra")
    assert_refuses(tmp_path / "hall", "6 such", "--config.data.source.missing=skip")
    source = Recordings(tmp_path, missing="skip")
    assert source.scenes == {"cellar": range(3)}
    attic, hall = source.problems
    assert attic.startswith(f"scene attic is left out: {tmp_path / 'attic/meta.json'}")
    assert hall.startswith(f"scene hall is left out: {tmp_path / 'hall'}: no frame with image and depth")
    (message,) = caplog.messages
    assert attic in message
    assert_refuses(tmp_path, "zebra", "1 more", scenes=("attic", "hall"), missing="skip")


def test_folders_with_images_beside_recordings_are_problems_and_others_are_not(tmp_path, caplog):
    for name in ("attic", "hall"):
        write_recording(tmp_path / name)
    write_frame(tmp_path / "porch/raw", "0")  # images two levels down are someone else's
    for k, name in enumerate(("cellar", "study/rgb")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / f"{k}.JPG").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").touch()
    (tmp_path / "empty").mkdir()
    source = Recordings(tmp_path)
    assert list(source.scenes) == ["attic", "hall"]
    cellar, study = source.problems
    assert cellar.startswith(f"{tmp_path / 'cellar'} is left out: it has 0.JPG")
    assert study.startswith(f"{tmp_path / 'study'} is left out: it has rgb/1.JPG")
    (message,) = caplog.messages
    assert "2 problem(s)" in message
    assert Recordings(tmp_path, "hall").problems == ()
    assert Recordings(tmp_path / "hall").problems == ()
