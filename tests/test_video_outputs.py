"""Everything that a video's depth is written as, read back by others' readers."""

import os
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import OpenEXR
import pytest
from made_outputs import CAMERA, NAMES, SIZE, made, output, smoothed, times, video, write
from PIL import Image
from plyfile import PlyData

from smoothdino_jax.apps.figures import NO_READING, SideBySide, colour
from smoothdino_jax.apps.point_clouds import point_cloud
from smoothdino_jax.apps.video_outputs import completed


def exr(path):
    with OpenEXR.File(str(path)) as file:
        (name,) = file.channels()
        return name, file.channels()[name].pixels


# What is in them.


@pytest.mark.parametrize("layout", ["side_by_side", "depth"])
def test_mp4_shows_the_depth_at_the_frames_times(tmp_path, layout):
    pictures, seen = video(write(tmp_path / "a.mp4", layout=layout))
    np.testing.assert_allclose(seen, times(), atol=1e-5)
    sheet = SideBySide(SIZE, ["vanilla", "smoothed"], (0, 10), frame=layout == "side_by_side")
    assert pictures[0].shape[:2] == sheet.size
    for picture, (frame, depths) in zip(pictures, made(), strict=True):
        # Noise at half the resolution of colour; another frame's would be tens of levels off.
        assert np.abs(picture.astype(int) - sheet.draw(frame.image, *depths)).mean() < 12


def test_depth_alone_leaves_the_frame_out():
    wide, alone = (SideBySide(SIZE, ["depth"], (0, 10), frame=frame) for frame in (True, False))
    assert alone.size[0] == wide.size[0]
    assert wide.size[1] - alone.size[1] in range(SIZE[1], SIZE[1] + 8)
    image = np.full((*SIZE, 3), (1, 254, 3), np.uint8)
    picture = alone.draw(image, np.full(SIZE, 3, np.float32))
    assert not (picture == image[0, 0]).all(-1).any()
    assert (picture == colour(np.full((1, 1), 3), (0, 10))[0, 0]).all(-1).sum() >= 42 * 56
    grey = (alone.draw(image, np.zeros(SIZE)) == NO_READING).all(-1).sum()
    assert grey >= 42 * 56


def test_png_is_16_bit_millimetres(tmp_path):
    write(tmp_path / "new" / "deep" / "%06d.png")
    for number, depth in enumerate(smoothed()):
        path = str(tmp_path / "new" / "deep" / f"{number:06d}.png")
        millimetres = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert millimetres.dtype == np.uint16
        assert (np.asarray(Image.open(path)) == millimetres).all()
        assert millimetres[0, :4].tolist() == [0, 0, 0, 0]
        assert np.abs(millimetres[1:] / 1000 - depth[1:]).max() <= 0.000501  # half a millimetre, rounded in float32


def test_png_ends_at_65_metres(tmp_path):
    with output(tmp_path / "%06d.png", titles=["depth"]) as opened:
        frame, _ = next(made())
        opened.write(frame, [np.full(SIZE, 70, np.float32)], 0)
    assert (cv2.imread(str(tmp_path / "000000.png"), cv2.IMREAD_UNCHANGED) == 65535).all()


def test_npy_and_exr_and_npz_hold_the_very_metres(tmp_path):
    expected = smoothed()
    for name in ("a/%06d.npy", "a/%06d.exr", "a.npz"):
        write(tmp_path / name)
    for number, depth in enumerate(expected):
        array = np.load(tmp_path / "a" / f"{number:06d}.npy")
        channel, pixels = exr(tmp_path / "a" / f"{number:06d}.exr")
        assert channel == "Z"
        assert array.dtype == pixels.dtype == np.float32
        np.testing.assert_array_equal(array, depth)
        np.testing.assert_array_equal(pixels, depth)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == [*(f"{number:06d}" for number in range(5)), "time"]
        assert archive["000000"].dtype == np.float32
        np.testing.assert_array_equal(np.stack([archive[key] for key in archive.files[:-1]]), expected)
        np.testing.assert_array_equal(archive["time"], times())
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


@pytest.mark.parametrize("stride", [1, 4])
def test_ply_is_the_point_cloud(tmp_path, stride):
    write(tmp_path / "a" / "%06d.ply", stride=stride)
    for number, (frame, depths) in enumerate(made()):
        vertices = PlyData.read(str(tmp_path / "a" / f"{number:06d}.ply"))["vertex"]
        points, colours = point_cloud(frame.image, depths[-1], CAMERA, stride)
        assert (np.stack([vertices[name] for name in "xyz"], -1) == points).all()
        assert (np.stack([vertices[name] for name in ("red", "green", "blue")], -1) == colours).all()
        assert len(points) == (SIZE[0] * SIZE[1] - 4 if stride == 1 else 11 * 14 - 1)


@pytest.mark.parametrize("name", ["depth_%04d_m.npy", "%d.npy", "%3d.npy"])
def test_numbers_stand_where_the_name_says(tmp_path, name):
    write(tmp_path / name, 3)
    digits = {"depth_%04d_m.npy": 4, "%d.npy": 1, "%3d.npy": 3}[name]
    before, _, after = name.replace("%04d", "|").replace("%3d", "|").replace("%d", "|").partition("|")
    assert sorted(os.listdir(tmp_path)) == [f"{before}{number:0{digits}d}{after}" for number in range(3)]
    assert completed(tmp_path / name) == 3


# Many frames.


def test_memory_stays_flat_over_hundreds_of_frames(tmp_path):
    code = f"""
import sys, resource
sys.path.insert(0, {os.path.dirname(__file__)!r})
import numpy as np
import made_outputs as tests
from smoothdino_jax.apps.video_sources import VideoFrame

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

size = (240, 320)
outputs = [tests.output(name, size=size) for name in sys.argv[1:]]
for number in range(250):
    # New ones each time: 0.8 MB that may not be kept.
    frame, depths = np.full((*size, 3), number, np.uint8), np.full((2, *size), 1 + number / 100, np.float32)
    for opened in outputs:
        opened.write(VideoFrame(frame, number / 10), list(depths), number)
    if number == 99:
        before = resident()
print(before, resident())
"""
    names = [str(tmp_path / name) for name in NAMES if not name.endswith("ply")]
    told = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True).stdout
    before, after = map(float, told.split())
    assert after < 1.05 * before
