"""People's own recordings: units, scenes, poses and intrinsics."""

import pickle
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from recording_files import POSE, ROOT, SHARED, SIZE, assert_refuses, write_meta, write_poses, write_recording

from smoothdino_jax.data.recordings import Recordings


@pytest.fixture
def kitchen(tmp_path) -> Path:
    """Frames 0, 1, 2 at 1, 1.125 and 1.25 m."""
    return write_recording(tmp_path / "kitchen")


def test_a_frame_is_rgb_and_metres(kitchen):
    source = Recordings(kitchen)
    assert source.scenes == {"kitchen": range(3)}
    assert source.segments == [range(3)]
    frame = source[1]
    assert (frame.scene, frame.index) == ("kitchen", 1)
    assert frame.image.shape == (*SIZE, 3)
    np.testing.assert_allclose(frame.image[0, 0], [200, 100, 30], atol=4)  # JPEG
    assert frame.depth.dtype == np.float32
    np.testing.assert_allclose(frame.depth, 1.125, rtol=1e-6)
    assert frame.pose is None
    assert frame.intrinsics is None
    assert source.origin(1) == str(kitchen / "image/000001.jpg")
    assert source.problems == ()


def test_depth_comes_in_the_unit_that_meta_says(kitchen):
    write_meta(kitchen, depth_units_per_metre=500)
    np.testing.assert_allclose(Recordings(kitchen)[0].depth, 2.0, rtol=1e-6)


def test_stored_values_listed_as_invalid_are_no_reading(kitchen):
    stored = np.full(SIZE, 1500, np.uint16)
    stored[0, :3] = 0, 65535, 65535
    cv2.imwrite(str(kitchen / "depth/000000.png"), stored)
    assert Recordings(kitchen)[0].depth[0, 1] == np.float32(65.535)
    write_meta(kitchen, invalid=[0, 65535])
    depth = Recordings(kitchen)[0].depth
    assert (depth == 0).sum() == 3
    np.testing.assert_array_equal(depth[0, :4] > 0, [False, False, False, True])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_npy_depth_is_metres_and_whatever_is_no_length_is_no_reading(tmp_path, kind):
    write_recording(tmp_path / "hall")
    (tmp_path / "hall/meta.json").write_text("{}")
    metres = np.full(SIZE, 1.5, kind)
    metres[0, :4] = np.nan, np.inf, -np.inf, -1
    for k in range(3):
        (tmp_path / f"hall/depth/{k:06d}.png").unlink()
        np.save(tmp_path / f"hall/depth/{k:06d}.npy", np.asfortranarray(metres))
    depth = Recordings(tmp_path / "hall")[0].depth
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth[0, :5], [0, 0, 0, 0, 1.5])
    assert (depth[1:] == 1.5).all()


@pytest.mark.parametrize("name", ["rgb", "color", "colour"])
def test_the_folder_of_images_has_other_names_too(kitchen, name):
    (kitchen / "image").rename(kitchen / name)
    assert Recordings(kitchen).origin(0) == str(kitchen / name / "000000.jpg")


def test_a_folder_of_recordings_has_a_scene_for_each(tmp_path):
    for name in ("hall", "attic"):
        write_recording(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("x")
    assert Recordings(tmp_path).scenes == {"attic": range(3), "hall": range(3, 6)}
    assert list(Recordings(tmp_path, ("hall", "attic")).scenes) == ["hall", "attic"]
    assert list(Recordings(tmp_path, "hall").scenes) == ["hall"]
    assert_refuses(tmp_path, "cellar", "no such scene", "attic, hall", scenes=("cellar",))


def test_a_recording_is_named_as_its_folder_even_where_the_path_does_not_say(kitchen, monkeypatch):
    monkeypatch.chdir(kitchen)
    assert list(Recordings(".").scenes) == ["kitchen"]


def test_the_orientation_that_a_camera_notes_does_not_turn_the_image(kitchen):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8))
    exif = Image.Exif()
    exif[274] = 6  # orientation: to be shown turned by 90°
    picture.save(kitchen / "image/000000.jpg", exif=exif)
    picture.save(kitchen / "image/000001.jpg")
    turned = cv2.imread(str(kitchen / "image/000000.jpg"))
    assert turned.shape == (*SIZE[::-1], 3)  # so the note is there
    source = Recordings(kitchen)
    assert source[0].image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(source[0].image, source[1].image)


def test_poses_are_read_and_lost_tracking_is_a_problem_and_no_pose(kitchen, caplog):
    write_poses(kitchen, ("000000", "000001", "000002"))
    np.savetxt(kitchen / "pose/000001.txt", np.full((4, 4), np.nan))
    source = Recordings(kitchen)
    np.testing.assert_array_equal(source[0].pose, POSE)
    assert source[1].pose is None
    assert len(source.problems) == 1
    assert "000001.txt" in source.problems[0]
    assert "000001.txt" in caplog.text


def test_a_frame_without_a_pose_beside_frames_with_one_is_refused(kitchen):
    write_poses(kitchen, ("000000", "000002"))
    assert_refuses(kitchen, kitchen / "pose/000001.txt", "missing", "--config.data.source.missing=skip")


def test_a_frame_that_lacks_only_its_pose_file_stays_without_a_pose_by_choice(kitchen):
    write_poses(kitchen, ("000000", "000002"))
    np.savetxt(kitchen / "pose/000002.txt", np.full((4, 4), np.nan))
    source = Recordings(kitchen, missing="skip")
    assert source.segments == [range(3)]
    np.testing.assert_array_equal(source[0].pose, POSE)
    assert source[1].pose is source[2].pose is None
    assert source.problems == (
        f"{kitchen / 'pose/000001.txt'}: no pose, the file is missing",
        f"{kitchen / 'pose/000002.txt'}: no pose, tracking was lost",
    )


@pytest.mark.parametrize(
    "pose", [POSE.T, POSE @ np.diag([1, 1, -1, 1]), POSE * 1.1, POSE[:3]], ids=["transposed", "mirror", "scaled", "3×4"]
)
def test_a_pose_that_is_no_rigid_transform_is_refused(kitchen, pose):
    write_poses(kitchen, ("000000", "000001", "000002"))
    np.savetxt(kitchen / "pose/000002.txt", pose)
    assert_refuses(kitchen, kitchen / "pose/000002.txt")


def test_intrinsics_come_as_a_matrix(kitchen):
    write_meta(kitchen, intrinsics={"fx": 5, "fy": 6.5, "cx": 3.5, "cy": 2.5}, frames_per_second=30, description="x")
    source = Recordings(kitchen)
    np.testing.assert_array_equal(source[0].intrinsics, [[5, 0, 3.5], [0, 6.5, 2.5], [0, 0, 1]])
    assert source.meta["kitchen"].frames_per_second == 30


def test_intrinsics_of_another_size_of_image_are_refused(kitchen):
    write_meta(kitchen, intrinsics={"fx": 500, "fy": 500, "cx": 320, "cy": 240})
    assert_refuses(kitchen, "000000.jpg", "8×6", "320", "meta.json")


def test_a_pickled_source_reads_the_same_frames(kitchen):
    write_poses(kitchen, ("000000", "000001", "000002"))
    source = Recordings(kitchen)
    copy = pickle.loads(pickle.dumps(source))
    for a, b in zip(source[2], copy[2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_is_one_of_two_words(kitchen):
    with pytest.raises(ValueError, match="skip"):
        Recordings(kitchen, missing="ignore")


def test_the_code_in_the_documentation_writes_a_recording(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/recordings.md").read_text(), re.S)[1]
    names = {}
    exec(code, names)
    rng = np.random.default_rng(0)
    depths = rng.uniform(0.5, 9, (3, 12, 16)).astype(np.float32)
    depths[:, 0, :4] = np.nan, np.inf, -1, 70
    images = [np.full((12, 16, 3), (200, 100, 30), np.uint8) for _ in depths]
    names["write_recording"](tmp_path / "study", zip(images, depths, strict=True), (15, 15, 7.5, 5.5))
    source = Recordings(tmp_path / "study")
    assert source.scenes == {"study": range(3)}
    for k, depth in enumerate(depths):
        read = source[k]
        assert not read.depth[0, :4].any()
        np.testing.assert_allclose(read.depth[1:], depth[1:], atol=0.5001e-3)  # half a millimetre
        np.testing.assert_allclose(read.image[0, 0], [200, 100, 30], atol=4)
    np.testing.assert_array_equal(source[0].intrinsics, [[15, 0, 7.5], [0, 15, 5.5], [0, 0, 1]])
    assert source[0].pose is None
    with pytest.raises(FileExistsError):
        names["write_recording"](tmp_path / "study", [])
    poses = [POSE, np.full((4, 4), np.nan), POSE]
    names["write_recording"](tmp_path / "den", zip(images, depths, strict=True), poses=poses)
    source = Recordings(tmp_path / "den")
    np.testing.assert_array_equal(source[2].pose, POSE)
    assert source[1].pose is None


def test_a_real_recording(tmp_path):
    data = SHARED / "data" / "posed_rgbd"
    if not data.is_dir():
        pytest.skip(f"no posed frames at {data} (set SMOOTHDINO_SHARED)")
    folder = tmp_path / "kitchen"
    for name, kind in (("image", "color.jpg"), ("depth", "depth.png"), ("pose", "pose.txt")):
        (folder / name).mkdir(parents=True)
        for k in range(0, 30, 3):
            file = data / f"frame-{k:06d}.{kind}"
            (folder / name / f"{k:06d}{file.suffix}").symlink_to(file)
    write_meta(folder, invalid=[0, 65535], intrinsics={"fx": 585, "fy": 585, "cx": 320, "cy": 240})
    source = Recordings(folder)
    assert source.segments == [range(10)]
    assert source.indices("kitchen")[-1] == 27
    frame = source[9]
    assert frame.image.shape == (480, 640, 3)
    assert 0.3 < np.median(frame.depth[frame.depth > 0]) < 4
    assert frame.depth.max() < 65
    np.testing.assert_allclose(frame.pose[:3, :3] @ frame.pose[:3, :3].T, np.eye(3), atol=1e-3)
