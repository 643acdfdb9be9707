"""The TUM RGB-D layout: pairing by timestamp, intrinsics, and poses that are geometry."""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from posed_frames import disagreement, distance_to_wall, inverted, tilted_poses, wall_depth
from tum_files import (
    AT_30_HZ,
    START,
    assert_refuses,
    replace_line,
    write_desk,
    write_poses,
    write_sequence,
    write_still,
)

from smoothdino_jax.data import FrameSource
from smoothdino_jax.data.trajectories import associate, nearest
from smoothdino_jax.data.tum import TUM

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


@pytest.fixture
def sequence(tmp_path) -> Path:
    """Four frames at 30 Hz, poses at 100 Hz."""
    return write_desk(tmp_path)


def test_frames_are_pairs_in_the_order_of_rgb_txt(sequence):
    source = TUM(sequence)
    assert isinstance(source, FrameSource)
    assert source.scenes == {"desk": range(4)}
    assert source.segments == [range(4)]
    assert source.problems == ()
    assert source.indices("desk").tolist() == [0, 1, 2, 3]
    assert source.origin(0) == str(sequence / "rgb" / "1305031229.500000.png")
    for k in range(4):
        frame = source[k]
        assert (frame.scene, frame.index) == ("desk", k)
        np.testing.assert_allclose(frame.depth, np.full((6, 8), (5000 + k) / 5000), rtol=1e-6)
        assert frame.depth.dtype == np.float32
    assert frame.image[0, 0].tolist() == [200, 100, 30]


def test_depth_of_0_is_no_reading_and_65535_is_13_metres(tmp_path):
    folder = write_sequence(tmp_path / "a")
    for path in (folder / "depth").iterdir():
        cv2.imwrite(str(path), np.tile(np.array([0, 65535, 5000, 2500], np.uint16), (6, 2)))
    np.testing.assert_allclose(TUM(folder)[0].depth[0, :4], [0, 13.107, 1, 0.5], rtol=1e-6)


def test_the_closest_pairs_are_made_first_and_each_timestamp_once():
    # 0.010 is nearer to 0.012 than to 0.000, which is left with -0.015.
    pairs = associate(np.array([0.0, 0.012, 1.0]), np.array([-0.015, 0.010, 0.5]), 0.02)
    assert pairs.tolist() == [[0, 0], [1, 1]]
    # With nothing else near, 0.000 stays alone.
    assert associate(np.array([0.0, 0.012]), np.array([0.010]), 0.02).tolist() == [[1, 0]]
    assert associate(np.array([0.0]), np.array([0.0201]), 0.02).shape == (0, 2)


def test_pairing_is_what_trying_all_pairs_in_order_gives():
    rng = np.random.default_rng(0)
    first, second = (START + np.sort(rng.uniform(0, 3, n)) for n in (90, 110))
    rows = [(abs(a - b), i, j) for i, a in enumerate(first) for j, b in enumerate(second) if abs(a - b) < 0.02]
    free_first, free_second, expected = set(range(90)), set(range(110)), []
    for _, i, j in sorted(rows):
        if i in free_first and j in free_second:
            free_first.remove(i)
            free_second.remove(j)
            expected.append([i, j])
    assert 40 < len(expected) < 90
    assert associate(first, second, 0.02).tolist() == sorted(expected)


def test_nearest_looks_both_ways_and_past_the_ends():
    index, distance = nearest(np.array([-1.0, 0.4, 0.6, 5.0]), np.array([0.0, 1.0]))
    assert index.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(distance, [1, 0.4, 0.4, 4])
    assert nearest(np.array([2.0]), np.array([0.5]))[0].tolist() == [0]


def test_images_without_depth_are_left_out_with_a_warning_and_are_gaps(tmp_path, caplog):
    times = START + np.arange(8) / 30
    folder = write_sequence(tmp_path / "a", times, np.delete(times, [2, 7]))
    source = TUM(folder)
    assert source.indices("a").tolist() == [0, 1, 3, 4, 5, 6]
    assert [round(float(source[k].depth[0, 0]) * 5000) - 5000 for k in range(6)] == [0, 1, 2, 3, 4, 5]
    assert source.segments == [range(2), range(2, 6)]
    assert [problem.split(" is left out:")[0] for problem in source.problems] == [
        str(folder / "rgb" / f"{times[k]:.6f}.png") for k in (2, 7)
    ]
    assert "the nearest is 0.0333 s away" in source.problems[0]
    (message,) = caplog.messages
    assert "2 problem(s)" in message


def test_a_pause_is_a_gap_and_one_lost_image_is_not(tmp_path):
    times = START + np.array([0, 1, 2, 4, 5, 6, 9, 10]) / 30
    source = TUM(write_sequence(tmp_path / "a", times))
    assert source.segments == [range(6), range(6, 8)]
    assert source.indices("a").tolist() == list(range(8))


def test_tolerance_is_an_argument(tmp_path):
    folder = write_sequence(tmp_path / "a", depth=AT_30_HZ + 0.012)
    assert len(TUM(folder)) == 4
    assert_refuses(folder, "within 0.01 s", "0.012 s apart", "tolerance", tolerance=0.01)
    with pytest.raises(ValueError, match="tolerance=0"):
        TUM(folder, tolerance=0)


def test_the_points_of_every_frame_lie_on_the_wall_they_show(tmp_path):
    intrinsics = np.array([[60.0, 0, 33], [0, 62, 22], [0, 0, 1]])
    poses = tilted_poses(3)
    folder = write_sequence(tmp_path / "a", AT_30_HZ[:3], size=(48, 64))
    rotations = [cv2.Rodrigues(pose[:3, :3])[0].ravel() for pose in poses]
    write_poses(folder, AT_30_HZ[:3], rotations, [pose[:3, 3] for pose in poses], digits=6)
    for pose, path in zip(poses, sorted((folder / "depth").iterdir()), strict=True):
        stored = np.rint(5000 * wall_depth(pose, intrinsics, (48, 64)))
        cv2.imwrite(str(path), stored.astype(np.uint16))
    source = TUM(folder, intrinsics=(60, 62, 33, 22))
    for k in range(3):
        np.testing.assert_allclose(source[k].pose, poses[k], atol=2e-6)
        # Stored depth is rounded to 0.2 mm, by 0.1 mm, which moves a point off the wall by up to 1.16 times that.
        assert distance_to_wall(source[k]).max() < 0.00015
        assert distance_to_wall(inverted(source[k])).max() > 0.2
    assert disagreement(source[0], source[2]) < 0.01


def test_the_pose_is_the_nearest_in_time_to_the_image(sequence):
    source = TUM(sequence)  # its poses begin 0.05 s before the first image, 0.01 s apart, and x counts them
    assert [source[k].pose[0, 3] for k in range(4)] == [5, 8, 12, 15]
    assert source[0].pose.dtype == np.float64
    np.testing.assert_array_equal(source[0].pose[:3, :3], np.eye(3))
    assert source[0].pose[3].tolist() == [0, 0, 0, 1]


def test_frames_without_a_pose_in_time_are_listed_with_one_warning(sequence, caplog):
    write_still(sequence, START + np.arange(4) / 100)
    source = TUM(sequence)
    assert [source[k].pose is None for k in range(4)] == [False, False, True, True]
    assert source[1].pose[0, 3] == 3
    assert len(source) == 4
    assert source.segments == [range(4)]
    assert [problem.split(":")[0] for problem in source.problems] == [source.origin(2), source.origin(3)]
    (message,) = caplog.messages
    assert "2 frame(s) without a pose" in message


def test_without_groundtruth_there_are_no_poses_and_no_warning(sequence, caplog):
    (sequence / "groundtruth.txt").unlink()
    source = TUM(sequence)
    assert all(source[k].pose is None for k in range(4))
    assert source.problems == ()
    assert not caplog.messages


def test_a_rounded_quaternion_is_normalised_and_another_length_refused(sequence):
    path = sequence / "groundtruth.txt"
    replace_line(path, 7, f"{START:.4f} 1 2 3 0.0000 0.7071 0.0000 0.7072")
    rotation = TUM(sequence)[0].pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=2e-4)
    replace_line(path, 7, f"{START:.4f} 1 2 3 0.0 0.7 0.0 0.7")
    assert_refuses(sequence, "groundtruth.txt, line 7", "0.9899")
    replace_line(path, 7, f"{START:.4f} 1 2 3 0 0 0 0")
    assert_refuses(sequence, "groundtruth.txt, line 7", "length is 0")


def test_intrinsics_are_the_benchmarks_for_its_cameras(tmp_path):
    for name in ("rgbd_dataset_freiburg1_desk", "fr2_xyz", "freiburg3", "freiburg10", "office"):
        write_sequence(tmp_path / name, AT_30_HZ[:2], size=(480, 640))
    write_sequence(tmp_path / "excerpt", AT_30_HZ[:2], size=(480, 640), comment="# file: 'rgbd_freiburg2_xyz.bag'")
    source = TUM(tmp_path)
    found = {name: source[r.start].intrinsics for name, r in source.scenes.items()}
    expected = {
        "rgbd_dataset_freiburg1_desk": (517.3, 516.5, 318.6, 255.3),
        "fr2_xyz": (520.9, 521.0, 325.1, 249.7),
        "excerpt": (520.9, 521.0, 325.1, 249.7),
        "freiburg3": (535.4, 539.2, 320.1, 247.6),
        "freiburg10": (525.0, 525.0, 319.5, 239.5),
        "office": (525.0, 525.0, 319.5, 239.5),
    }
    assert found.keys() == expected.keys()
    for name, (fx, fy, cx, cy) in expected.items():
        assert found[name].tolist() == [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


def test_intrinsics_can_be_given_and_are_not_guessed_for_other_sizes(sequence):
    assert TUM(sequence)[0].intrinsics is None
    given = TUM(sequence, intrinsics=(500, 510, 4, 3))[0].intrinsics
    assert given.tolist() == [[500, 0, 4], [0, 510, 3], [0, 0, 1]]
    for wrong in ((500, 510, 4), (0, 510, 4, 3), (500, np.nan, 4, 3)):
        with pytest.raises(ValueError, match="intrinsics="):
            TUM(sequence, intrinsics=wrong)


def test_path_may_be_a_sequence_or_a_folder_of_sequences(sequence, tmp_path, monkeypatch):
    write_sequence(tmp_path / "attic")
    (tmp_path / "notes").mkdir()
    assert TUM(tmp_path).scenes == {"attic": range(4), "desk": range(4, 8)}
    assert TUM(tmp_path, scenes=("desk", "attic")).scenes == {"desk": range(4), "attic": range(4, 8)}
    assert list(TUM(tmp_path, scenes=["attic"]).scenes) == ["attic"]
    assert_refuses(tmp_path, "no such scene: porch. There are: attic, desk", scenes=("porch",))
    monkeypatch.chdir(sequence)
    assert list(TUM(".").scenes) == ["desk"]


def test_commas_tabs_and_windows_line_ends_are_accepted(sequence):
    text = (sequence / "rgb.txt").read_text().replace(" rgb/", ",\trgb/")
    (sequence / "rgb.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(TUM(sequence)) == 4


def test_a_pickled_source_reads_the_same(sequence):
    source = TUM(sequence)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[3].pose, source[3].pose)
    np.testing.assert_array_equal(copy[3].depth, source[3].depth)


def test_a_frame_is_the_callers_own(sequence):
    source = TUM(sequence)
    source[0].pose[:] = 0
    assert source[0].pose[0, 3] == 5


def test_real_frames_agree_through_their_poses():
    path = SHARED / "data" / "tum_rgbd"
    if not path.is_dir():
        pytest.skip(f"no TUM frames at {path} (set SMOOTHDINO_SHARED)")
    source = TUM(path)
    assert source.scenes == {"tum_rgbd": range(30)}
    assert source.segments == [range(30)]
    assert source.problems == ()
    a, b = source[0], source[10]
    assert a.image.shape == (480, 640, 3)
    assert a.intrinsics[0, 0] == 517.3  # rgb.txt's comment names freiburg1
    assert disagreement(a, b) < 0.04
    assert disagreement(inverted(a), inverted(b)) > 0.1
