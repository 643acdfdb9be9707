"""The layout of 7-Scenes: units, poses that are geometry, and an error for every way it can be broken."""

import os
import pickle
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from smoothdino_jax.data import DataError, FrameSource
from smoothdino_jax.data.seven_scenes import SevenScenes

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
NORMAL, OFFSET = np.array([0.36, -0.48, 0.8]), 2.0  # a wall: NORMAL · x = OFFSET in the world


def tilted_poses(count: int) -> list[np.ndarray]:
    """Camera-to-world transforms that turn and move by so much that no other convention passes for them."""
    poses = []
    for k in range(count):
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(np.array([0.1, -0.2, 0.15]) * (k + 1))[0]
        pose[:3, 3] = [0.3 * k, -0.2, 0.1 * k + 0.1]
        poses.append(pose)
    return poses


def camera_points(depth, intrinsics):
    """Points `(N, 3)` of the pixels with a reading, in the camera's frame, metres."""
    v, u = np.nonzero(depth)
    return (np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(intrinsics).T) * depth[v, u, None]


def wall_depth(pose, intrinsics, size):
    """Depth of the wall, metres, by intersecting every pixel's ray with it."""
    rays = camera_points(np.ones(size), intrinsics) @ pose[:3, :3].T
    return ((OFFSET - NORMAL @ pose[:3, 3]) / (rays @ NORMAL)).reshape(size)


def distance_to_wall(frame):
    """How far, in metres, a frame's points lie from the wall, by its own depth, pose and intrinsics."""
    points = camera_points(frame.depth, frame.intrinsics) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
    return np.abs(points @ NORMAL - OFFSET)


def disagreement(a, b):
    """How far the depth of `a`'s points, carried into `b`, is off the depth that `b` has there: median, relative."""
    points = camera_points(a.depth, a.intrinsics) @ a.pose[:3, :3].T + a.pose[:3, 3]
    points = (points - b.pose[:3, 3]) @ b.pose[:3, :3]
    points = points[points[:, 2] > 0] @ b.intrinsics.T
    u, v = np.rint(points[:, :2] / points[:, 2:]).astype(int).T
    inside = (u >= 0) & (u < b.depth.shape[1]) & (v >= 0) & (v < b.depth.shape[0])
    expected, found = points[inside, 2], b.depth[v[inside], u[inside]]
    seen = found > 0
    assert seen.mean() > 0.3  # else there is nothing to compare
    return np.median(np.abs(expected - found)[seen] / found[seen])


def inverted(frame):
    return frame._replace(pose=np.linalg.inv(frame.pose))


def write_frame(folder: Path, n: int, pose=None, size=(6, 8), depth=None, kind="png") -> None:
    """A frame of one colour whose depth is 1000 + n mm everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(folder / f"frame-{n:06d}")
    cv2.imwrite(f"{stem}.color.{kind}", np.full((*size, 3), (30, 100, 200), np.uint8))  # BGR
    cv2.imwrite(f"{stem}.depth.png", np.full(size, 1000 + n, np.uint16) if depth is None else depth)
    if pose is not None:
        np.savetxt(f"{stem}.pose.txt", pose)


def write_sequence(folder: Path, numbers=range(4), **more) -> Path:
    for n, pose in zip(numbers, tilted_poses(len(numbers)), strict=True):
        write_frame(folder, n, pose, **more)
    return folder


@pytest.fixture
def sequence(tmp_path) -> Path:
    """Frames 0..3 with poses."""
    return write_sequence(tmp_path / "walk")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two of the original's scenes, three sequences."""
    for name, numbers in (("heads/seq-02", range(3)), ("heads/seq-01", range(4)), ("fire/seq-01", range(2))):
        write_sequence(tmp_path / "all" / name, numbers)
    return tmp_path / "all"


def assert_refuses(path, *words, **arguments) -> None:
    """Opening fails at once with one DataError that has all the words."""
    with pytest.raises(DataError) as caught:
        SevenScenes(path, **arguments)
    for word in words:
        assert word in str(caught.value)


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


def test_every_tenth_frame_of_a_recording_has_no_gaps(tmp_path):
    write_sequence(tmp_path / "a", range(0, 50, 10))
    assert SevenScenes(tmp_path / "a").segments == [range(5)]


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


def test_a_sequence_that_cant_be_used_is_left_out_by_choice(folder, caplog):
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


def test_sequences_still_zipped_beside_unpacked_ones_are_problems(folder, caplog):
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


def test_bad_arguments_are_named(sequence):
    with pytest.raises(ValueError, match="missing='ignore'"):
        SevenScenes(sequence, missing="ignore")


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
