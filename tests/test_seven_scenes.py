"""The layout of 7-Scenes: order, units, and poses that are geometry."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from posed_frames import disagreement, distance_to_wall, inverted, tilted_poses, wall_depth
from seven_scenes_files import assert_refuses, write_frame, write_scenes, write_sequence

from smoothdino_jax.data import FrameSource
from smoothdino_jax.data.seven_scenes import SevenScenes

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


@pytest.fixture
def sequence(tmp_path) -> Path:
    """Frames 0..3 with poses."""
    return write_sequence(tmp_path / "walk")


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_scenes(tmp_path / "all")


def test_a_sequence_is_one_scene_with_frames_in_order(sequence):
    source = SevenScenes(sequence)
    assert isinstance(source, FrameSource)
    assert source.scenes == {"walk": range(4)}
    assert source.segments == [range(4)]
    assert source.problems == ()
    assert source.indices("walk").tolist() == [0, 1, 2, 3]
    assert source.origin(2) == str(sequence / "frame-000002.color.png")
    for n, pose in enumerate(tilted_poses(4)):
        frame = source[n]
        assert (frame.scene, frame.index) == ("walk", n)
        assert np.rint(frame.depth * 1000).tolist() == np.full((6, 8), 1000 + n).tolist()
        np.testing.assert_array_equal(frame.pose, pose)
    assert frame.image[0, 0].tolist() == [200, 100, 30]


def test_depth_of_0_and_65535_is_no_reading_and_the_rest_is_millimetres(tmp_path):
    stored = np.array([[0, 65535, 65534, 1], [1500, 3000, 0, 2]], np.uint16)
    for n in range(2):
        write_frame(tmp_path / "a", n, depth=stored, size=(2, 4))
    depth = SevenScenes(tmp_path / "a")[0].depth
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[0, 0, 65.534, 0.001], [1.5, 3, 0, 0.002]], rtol=1e-6)


def test_path_may_be_a_sequence_a_scene_or_a_folder_of_scenes(folder):
    names = ["fire/seq-01", "heads/seq-01", "heads/seq-02"]
    assert list(SevenScenes(folder).scenes) == names
    assert list(SevenScenes(str(folder / "heads")).scenes) == names[1:]
    assert list(SevenScenes(folder / "heads" / "seq-01").scenes) == ["seq-01"]


def test_a_relative_path_gives_the_same_names(folder, monkeypatch):
    monkeypatch.chdir(folder / "heads")
    assert list(SevenScenes(".").scenes) == ["heads/seq-01", "heads/seq-02"]
    monkeypatch.chdir(folder / "heads" / "seq-01")
    assert list(SevenScenes(".").scenes) == ["seq-01"]


def test_chosen_scenes_keep_the_order_asked_for(folder):
    source = SevenScenes(folder, scenes=("heads/seq-02", "fire/seq-01"))
    assert source.scenes == {"heads/seq-02": range(3), "fire/seq-01": range(3, 5)}
    assert source[3].scene == "fire/seq-01"
    assert_refuses(folder, "no such scene: heads/seq-03", "heads/seq-01", scenes=("heads/seq-03",))


def test_jpeg_images_and_other_files_beside_them(tmp_path):
    write_sequence(tmp_path / "a", kind="jpg")
    for name in ("frame-000009.depth.proj.png", "._frame-000000.color.png", "notes.txt"):
        (tmp_path / "a" / name).write_text("x")
    assert len(SevenScenes(tmp_path / "a")) == 4


def test_the_points_of_every_frame_lie_on_the_wall_they_show(tmp_path):
    intrinsics = np.array([[60.0, 0, 33], [0, 62, 22], [0, 0, 1]])
    size = (48, 64)
    for n, pose in enumerate(tilted_poses(3)):
        write_frame(tmp_path / "a", n, pose, size, np.rint(1000 * wall_depth(pose, intrinsics, size)).astype(np.uint16))
    np.savetxt(tmp_path / "a" / "camera-intrinsics.txt", intrinsics)
    source = SevenScenes(tmp_path / "a")
    for position in range(3):
        frame = source[position]
        # Stored depth is rounded to 1 mm, by 0.5 mm, which moves a point off the wall by up to 1.16 times that.
        assert distance_to_wall(frame).max() < 0.0007
        assert distance_to_wall(inverted(frame)).max() > 0.2
    assert disagreement(source[0], source[2]) < 0.01


def test_a_pose_that_is_not_finite_means_tracking_was_lost(sequence, caplog):
    for n, value in ((1, -np.inf), (2, np.nan)):
        np.savetxt(sequence / f"frame-{n:06d}.pose.txt", np.full((4, 4), value))
    source = SevenScenes(sequence)
    assert [source[n].pose is None for n in range(4)] == [False, True, True, False]
    assert [problem.split(":")[0] for problem in source.problems] == [
        str(sequence / f"frame-{n:06d}.pose.txt") for n in (1, 2)
    ]
    (message,) = caplog.messages
    assert "2 frame(s) without a pose" in message
    assert "frame-000001.pose.txt" in message
    assert source.segments == [range(4)]


def test_poses_may_be_absent_altogether_and_here_and_there_by_choice(sequence):
    (sequence / "frame-000002.pose.txt").unlink()
    assert_refuses(sequence, "frame-000002.pose.txt", "1 of 4", "--config.data.source.missing=skip")
    source = SevenScenes(sequence, missing="skip")
    assert [source[n].pose is None for n in range(4)] == [False, False, True, False]
    assert source.problems == (f"{sequence / 'frame-000002.pose.txt'}: missing",)
    assert source.segments == [range(4)]
    source = SevenScenes(sequence, poses=False)
    assert all(source[n].pose is None for n in range(4))
    for n in (0, 1, 3):
        (sequence / f"frame-{n:06d}.pose.txt").unlink()
    source = SevenScenes(sequence)
    assert all(source[n].pose is None for n in range(4))
    assert source.problems == ()


def test_a_rounded_pose_is_accepted(sequence):
    np.savetxt(sequence / "frame-000003.pose.txt", tilted_poses(4)[3], fmt="%.3f")
    np.testing.assert_allclose(SevenScenes(sequence)[3].pose, tilted_poses(4)[3], atol=5.1e-4)


def test_intrinsics_come_from_the_sequence_or_its_parent_and_are_not_guessed(folder):
    assert SevenScenes(folder)[0].intrinsics is None  # not 640×480
    text = "{} 0 4\n0 500 3\n0 0 1\n"
    (folder / "heads" / "camera-intrinsics.txt").write_text(text.format(500))
    (folder / "heads" / "seq-02" / "camera-intrinsics.txt").write_text(text.format(502))
    source = SevenScenes(folder)
    assert source[0].intrinsics is None
    np.testing.assert_array_equal(source[2].intrinsics, [[500, 0, 4], [0, 500, 3], [0, 0, 1]])
    assert source[6].intrinsics[0, 0] == 502
    assert SevenScenes(folder / "heads" / "seq-01")[0].intrinsics[0, 0] == 500


def test_the_originals_scenes_have_its_published_intrinsics(tmp_path):
    for name in ("heads/seq-01", "kitchen/seq-01"):
        write_sequence(tmp_path / "all" / name, range(2), size=(480, 640))
    source = SevenScenes(tmp_path / "all")
    np.testing.assert_array_equal(source[0].intrinsics, [[585, 0, 320], [0, 585, 240], [0, 0, 1]])
    assert source[2].intrinsics is None


def test_every_tenth_frame_of_a_recording_has_no_gaps(tmp_path):
    write_sequence(tmp_path / "a", range(0, 50, 10))
    assert SevenScenes(tmp_path / "a").segments == [range(5)]


def test_a_pickled_source_reads_the_same(sequence):
    source = SevenScenes(sequence)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[3].pose, source[3].pose)
    np.testing.assert_array_equal(copy[3].depth, source[3].depth)
    assert copy.segments == source.segments


def test_a_frame_is_the_callers_own(sequence):
    source = SevenScenes(sequence)
    source[1].pose[:] = 0
    np.testing.assert_array_equal(source[1].pose, tilted_poses(4)[1])


def test_real_frames_agree_through_their_poses():
    path = SHARED / "data" / "posed_rgbd"
    if not path.is_dir():
        pytest.skip(f"no posed frames at {path} (set SMOOTHDINO_SHARED)")
    source = SevenScenes(path)
    assert source.scenes == {"posed_rgbd": range(150)}
    assert source.segments == [range(150)]
    a, b = source[0], source[60]
    assert a.image.shape == (480, 640, 3)
    assert a.intrinsics.tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    assert disagreement(a, b) < 0.02
    assert disagreement(inverted(a), inverted(b)) > 0.1
