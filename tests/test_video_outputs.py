"""Everything that a video's depth is written as, read back by others' readers."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import av
import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image
from plyfile import PlyData

from smoothdino_jax.apps.figures import NO_READING, SideBySide, colour
from smoothdino_jax.apps.point_clouds import intrinsics_from, point_cloud
from smoothdino_jax.apps.video_outputs import OUTPUTS, completed, open_output
from smoothdino_jax.apps.video_sources import VideoFrame
from smoothdino_jax.data.frames import DataError

SIZE = (42, 56)
CAMERA = intrinsics_from(70, SIZE)
NAMES = ["a.mp4", "a.npz", "a/%06d.png", "a/%06d.npy", "a/%06d.exr", "a/%06d.ply"]
FILES = NAMES[2:]


def made(count=5):
    """Frames at uneven times and their depth: vanilla, and smoothed with pixels that have none."""
    times = np.r_[0, np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, 100))]
    for number, time in enumerate(times[:count]):
        rng = np.random.default_rng(number)
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), SIZE[::-1])
        vanilla, smoothed = rng.uniform(0.5, 9, (2, *SIZE)).astype(np.float32)
        smoothed[0, :4] = 0, np.nan, np.inf, -1
        yield VideoFrame(image, float(time)), [vanilla, smoothed]


def output(path, **options):
    usual = {"size": SIZE, "fps": 10, "titles": ["vanilla", "smoothed"], "depth_range": (0, 10), "intrinsics": CAMERA}
    return open_output(path, **usual | options)


def write(path, count=5, first=0, **options):
    with output(path, **options) as opened:
        for number, (frame, depths) in enumerate(made(count)):
            if number >= first:
                opened.write(frame, depths, number)
    assert opened.whole == count
    return path


def smoothed(count=5):
    return np.stack([depths[-1] for _, depths in made(count)])


def times(count=5):
    return np.array([frame.time for frame, _ in made(count)])


def video(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [
        float(frame.pts * frame.time_base) for frame in frames
    ]


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


# What is there already.


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_overwritten_unasked_and_nothing_before_the_first_frame(tmp_path, name):
    write(tmp_path / name)
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    (tmp_path / "a" / "0.png").write_text("mine")  # not of the pattern
    (tmp_path / "a" / "1000000.jpg").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(DataError, match="exists already: choose another name, add --overwrite, or --resume"):
        output(tmp_path / name)
    for options in ({"overwrite": True}, {"resume": True}, {"resume": True, "start": 3}):
        with output(tmp_path / name, **options):
            pass
        assert contents(tmp_path) == before
    write(tmp_path / name, 2, overwrite=True)
    assert completed(tmp_path / name) == 2
    kept = {"a/notes.txt", "a/0.png", "a/1000000.jpg"}
    assert {file: data for file, data in contents(tmp_path).items() if file in kept} == {
        file: data for file, data in before.items() if file in kept
    }
    assert len(contents(tmp_path)) == 3 + (2 if name in FILES else 1)


def test_other_files_in_the_folder_are_no_hindrance(tmp_path):
    (tmp_path / "000000.jpg").write_text("mine")
    write(tmp_path / "%06d.png")
    write(tmp_path / "%06d.npy")
    assert len(os.listdir(tmp_path)) == 11


@pytest.mark.parametrize("name", NAMES)
def test_without_frames_nothing_is_made(tmp_path, name):
    assert completed(tmp_path / "new" / name) == 0
    with output(tmp_path / "new" / name) as opened:
        assert opened.whole == 0
    assert os.listdir(tmp_path) == []


# Going on.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", [None, 4, 1, 0])
def test_a_run_that_was_ended_is_gone_on_with(tmp_path, name, start):
    write(tmp_path / "once" / name, 9)
    path = write(tmp_path / "twice" / name, 5)
    assert completed(path) == 5
    write(path, 9, first=5 if start is None else start, resume=True, start=start)
    assert completed(path) == 9
    if name == "a.mp4":
        (once, seen_once), (twice, seen_twice) = video(tmp_path / "once" / name), video(path)
        np.testing.assert_allclose(seen_twice, seen_once, rtol=0, atol=1e-9)
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(once, twice, strict=True)) < 6
    else:
        assert contents(tmp_path / "once") == contents(tmp_path / "twice")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_longer_run_stays_behind_a_shorter_one(tmp_path, name):
    write(tmp_path / "once" / name, 3)
    path = write(tmp_path / "twice" / name, 9)
    write(path, 3, first=1, resume=True, start=1)
    assert completed(path) == 3
    if name == "a.mp4":
        np.testing.assert_allclose(video(path)[1], times(3), atol=1e-5)
    else:
        assert contents(tmp_path / "once") == contents(tmp_path / "twice")


@pytest.mark.parametrize("name", NAMES)
def test_where_there_is_nothing_to_go_on_with_it_starts(tmp_path, name):
    write(tmp_path / name, resume=True)
    assert completed(tmp_path / name) == 5
    with pytest.raises(ValueError, match="holds 5 whole frames"):
        output(tmp_path / name, resume=True, start=6)


def test_files_after_a_gap_are_not_counted_and_go(tmp_path):
    path = write(tmp_path / "%06d.npy", 9)
    (tmp_path / "000004.npy").unlink()
    assert completed(path) == 4
    write(path, 6, first=4, resume=True)
    assert sorted(os.listdir(tmp_path)) == [f"{number:06d}.npy" for number in range(6)]


@pytest.mark.parametrize("cut", [0, 20, 1000, 30000, 47400, 47700])
def test_an_archive_that_was_killed_is_gone_on_with(tmp_path, cut):
    path = tmp_path / "a.npz"
    with output(path) as opened:
        for number, (frame, depths) in enumerate(made(7)):
            opened.write(frame, depths, number)
            if number == 4:
                data = path.read_bytes()  # as it is on the disk, never closed
    entry = len(data) // 5
    path.write_bytes(data[:cut])
    assert completed(path) == cut // entry
    write(path, 9, first=cut // entry, resume=True)
    write(tmp_path / "once.npz", 9)
    assert path.read_bytes() == (tmp_path / "once.npz").read_bytes()


def test_going_on_makes_a_killed_archive_readable_even_without_new_frames(tmp_path):
    path = tmp_path / "a.npz"
    with output(path) as opened:
        for number, (frame, depths) in enumerate(made()):
            opened.write(frame, depths, number)
        shutil.copy(path, tmp_path / "killed.npz")
    assert not zipfile.is_zipfile(tmp_path / "killed.npz")
    with output(tmp_path / "killed.npz", resume=True):
        pass
    assert (tmp_path / "killed.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["a.mp4", "a.npz"])
def test_files_of_others_are_not_gone_on_with(tmp_path, name):
    (tmp_path / name).write_text("something else\n" * 100)
    with pytest.raises(DataError, match="could be gone on with"):
        output(tmp_path / name, resume=True)
    np.savez(tmp_path / "a.npz", depth=np.zeros(3))
    with pytest.raises(DataError, match="no archive that could be gone on with"):
        output(tmp_path / "a.npz", resume=True)


def test_a_video_of_another_layout_is_not_gone_on_with(tmp_path):
    path = write(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"other options.*--overwrite"):
        output(path, resume=True, layout="depth")


# What is refused.


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.avi", r"X\.mp4, X\.npz, FOLDER/%06d\.png, .*\.npy, .*\.exr, .*\.ply"),
        ("a", r"an output is one of X\.mp4"),
        ("a.png", r"number in the name, as in %06d\.png"),
        ("%06d%06d.exr", "number in the name"),
        ("folder.mp4", "is a folder"),
        ("file/a.mp4", "file is not a folder"),
        ("file/deep/%06d.png", "file is not a folder"),
    ],
)
def test_bad_names_are_told(tmp_path, name, why):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=why) as error:
        output(tmp_path / name, overwrite=True)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_every_output_that_is_listed_is_written(tmp_path):
    assert [name.replace("X", "a").replace("FOLDER", "a") for name in OUTPUTS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_place_without_permission_is_refused_at_once(tmp_path, name, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(DataError, match="can't be written: no permission for"):
        output(tmp_path / name)


def test_points_need_a_camera(tmp_path):
    with pytest.raises(DataError, match="field of view or its intrinsics"):
        output(tmp_path / "%06d.ply", intrinsics=None)


@pytest.mark.parametrize(("name", "package"), [("%06d.exr", "OpenEXR"), ("%06d.ply", "plyfile")])
def test_a_package_that_is_missing_is_named_beforehand(tmp_path, monkeypatch, name, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == package else find(asked))
    with pytest.raises(DataError, match=rf"{package}: pip install smoothdino-jax\[formats\]"):
        output(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_calls_are_refused(tmp_path, name):
    frame, depths = next(made())
    with output(tmp_path / name) as opened:
        with pytest.raises(ValueError, match="frame 1 comes where 0 should"):
            opened.write(frame, depths, 1)
        with pytest.raises(ValueError, match=r"shape \(41, 56\)"):
            opened.write(frame, [depth[1:] for depth in depths], 0)
        opened.write(frame, depths, 0)
    assert completed(tmp_path / name) == 1
    with pytest.raises(ValueError, match="side_by_side, depth"):
        output(tmp_path / f"new{name}", layout="above")


# A full disk.

FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_video_outputs as tests
from smoothdino_jax.data.frames import DataError

for name in sys.argv[2:]:
    limit = 3000 if "%" in name else 50_000  # of any one file
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    opened = tests.output(name)
    try:
        with opened:
            for number, (frame, depths) in enumerate(tests.made(20)):
                opened.write(frame, depths, number)
    except DataError as error:
        print(error)
    print(opened.whole)
"""


def test_where_there_is_no_more_room_it_is_told_and_what_fitted_is_whole(tmp_path):
    names = [str(tmp_path / name) for name in NAMES]
    command = [sys.executable, "-c", FULL, os.path.dirname(__file__), *names]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    told = dict(zip(names, zip(lines[::2], lines[1::2], strict=True), strict=True))
    for name, (error, whole) in told.items():
        assert error.startswith(name if "%" not in name else name.replace("%06d", "000000"))
        assert "File too large" in error
        assert int(whole) == completed(name)
    # A depth map of 42×56 has 9.4 kB: five of them fit in 50 kB.
    assert told[names[1]][1] == "5"
    assert os.listdir(tmp_path / "a") == []
    write(names[1], 7, first=5, resume=True)
    with np.load(names[1]) as archive:
        np.testing.assert_array_equal(np.stack([archive[key] for key in archive.files[:-1]]), smoothed(7))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_named_with_what_to_do(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    file = path.with_name(f".{path.name % 0}.partial") if "%" in name else path
    file.symlink_to("/dev/full")
    frame, depths = next(made())
    with (
        pytest.raises(DataError, match="No space left on device; make room, then go on with --resume"),
        output(path, overwrite=True) as opened,
    ):
        opened.write(frame, depths, 0)
    assert opened.whole == 0


@pytest.mark.parametrize("missing", [1, 200, 5000])
def test_what_cannot_be_read_back_is_not_taken_for_whole(tmp_path, monkeypatch, missing):
    """OpenEXR says nothing where the end of a file found no room."""

    class Full(OpenEXR.File):
        def write(self, path):
            super().write(path)
            os.truncate(path, os.path.getsize(path) - missing)

    monkeypatch.setattr(OpenEXR, "File", Full)
    frame, depths = next(made())
    with output(tmp_path / "%06d.exr") as opened, pytest.raises(DataError, match=r"000000\.exr.*No space left"):
        opened.write(frame, depths, 0)
    assert completed(tmp_path / "%06d.exr") == 0
    assert os.listdir(tmp_path) == []


# Many frames.


def test_memory_stays_flat_over_hundreds_of_frames(tmp_path):
    code = f"""
import sys, resource
sys.path.insert(0, {os.path.dirname(__file__)!r})
import numpy as np
import test_video_outputs as tests
from smoothdino_jax.apps.video_sources import VideoFrame

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

size = (240, 320)
outputs = [tests.output(name, size=size) for name in sys.argv[1:]]
frame, depth = np.zeros((*size, 3), np.uint8), np.ones(size, np.float32)
for number in range(250):
    for opened in outputs:
        opened.write(VideoFrame(frame, number / 10), [depth, depth], number)
    if number == 99:
        before = resident()
print(before, resident())
"""
    names = [str(tmp_path / name) for name in NAMES if not name.endswith("ply")]
    told = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True).stdout
    before, after = map(float, told.split())
    assert after < 1.05 * before
