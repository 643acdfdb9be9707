"""The Rerun output: what a recording holds, read back without a viewer."""

import importlib
import io
import os
import subprocess
import sys
import threading
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from made_frames import texture
from PIL import Image

from smoothdino_jax.apps import rerun_output
from smoothdino_jax.apps.rerun_output import open_rerun
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.models.phase_correlation import Shift

rr = pytest.importorskip("rerun", reason="needs rerun-sdk")

SIZE = (24, 32)
INTRINSICS = np.array([[40.0, 0, 15.5], [0, 50, 11.5], [0, 0, 1]])


class VideoFrame(NamedTuple):
    image: np.ndarray
    time: float


def frames(count=3):
    for number in range(count):
        yield VideoFrame(np.roll(texture(SIZE), 2 * number, 1), number / 4)


def depths(number):
    plane = np.linspace(1, 4, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    return [plane + np.float32(number), plane + np.float32(number) / 2]


def record(path, count=3, start=0, **options):
    options = {"titles": ("vanilla", "smoothed"), "intrinsics": INTRINSICS} | options
    with open_rerun(path, **options) as output:
        for number, frame in enumerate(frames(count), start):
            shift = Shift(2.0 * number, -0.5, 0.25)
            output.write(frame, depths(number)[: len(options["titles"])], number, shift, cut=number == 2)
    return output


def read(path):
    """Entity -> its rows, each a dict of component -> value, in the order of the frames."""
    rows = {}
    for chunk in rr.chunk.RrdReader(path).stream():
        rows.setdefault(chunk.entity_path, []).extend(chunk.to_record_batch().to_pylist())
    return {path: sorted(found, key=lambda row: row.get("frame", 0)) for path, found in rows.items()}


def test_a_recording_holds_every_frame_on_both_timelines(tmp_path):
    assert record(tmp_path / "a.rrd").whole == 3
    rows = read(tmp_path / "a.rrd")
    per_frame = {
        "/world/camera/image",
        "/world/camera/image/shift",
        "/world/camera/depth/vanilla",
        "/world/camera/depth/smoothed",
        "/world/points",
        "/shift/pixels/dx",
        "/shift/pixels/dy",
        "/shift/response",
    }
    assert set(rows) == per_frame | {"/world", "/world/camera", "/cuts", "/__properties"}
    for entity in per_frame:
        assert [row["frame"] for row in rows[entity]] == [0, 1, 2], entity
        assert [row["video_time"].total_seconds() for row in rows[entity]] == [0, 0.25, 0.5], entity
        assert "log_time" not in rows[entity][0]


def test_depth_is_metres_and_exact(tmp_path):
    record(tmp_path / "a.rrd", depth_range=(0.5, 6))
    rows = read(tmp_path / "a.rrd")
    for position, title in enumerate(("vanilla", "smoothed")):
        for number, row in enumerate(rows[f"/world/camera/depth/{title}"]):
            [buffer], [layout] = row["DepthImage:buffer"], row["DepthImage:format"]
            assert (layout["height"], layout["width"]) == SIZE
            stored = np.frombuffer(bytes(buffer), np.float32).reshape(SIZE)
            np.testing.assert_array_equal(stored, depths(number)[position])
            assert row["DepthImage:meter"] == [1.0]
            assert row["DepthImage:depth_range"] == [[0.5, 6.0]]


def test_image_shift_and_cut_are_what_was_given(tmp_path):
    record(tmp_path / "a.rrd")
    rows = read(tmp_path / "a.rrd")
    for frame, row in zip(frames(), rows["/world/camera/image"], strict=True):
        [blob] = row["EncodedImage:blob"]
        with Image.open(io.BytesIO(bytes(blob))) as image:
            assert image.format == "JPEG"
            assert np.abs(np.asarray(image).astype(int) - frame.image).mean() < 3
    assert [row["Scalars:scalars"] for row in rows["/shift/pixels/dx"]] == [[0.0], [2.0], [4.0]]
    assert [row["Scalars:scalars"] for row in rows["/shift/pixels/dy"]] == [[-0.5]] * 3
    assert [row["Scalars:scalars"] for row in rows["/shift/response"]] == [[0.25]] * 3
    arrow = rows["/world/camera/image/shift"][2]
    assert arrow["Arrows2D:vectors"] == [[40.0, -5.0]]
    assert arrow["Arrows2D:origins"] == [[16.0, 12.0]]
    assert arrow["Arrows2D:labels"] == ["+4.0, -0.5 px, response 0.25"]
    [cut] = rows["/cuts"]
    assert cut["frame"] == 2
    assert "frame 2 (0.50 s)" in cut["TextLog:text"][0]


def test_points_are_the_last_depth_seen_through_the_camera(tmp_path):
    record(tmp_path / "a.rrd")
    rows = read(tmp_path / "a.rrd")
    points = np.array(rows["/world/points"][1]["Points3D:positions"])
    assert points.shape == (SIZE[0] * SIZE[1], 3)
    depth = depths(1)[1]
    np.testing.assert_allclose(points[:, 2], depth.ravel(), rtol=1e-6)
    pixels = points @ INTRINSICS.T
    v, u = np.indices(SIZE)
    np.testing.assert_allclose(pixels[:, 0] / pixels[:, 2], u.ravel(), atol=1e-4)
    np.testing.assert_allclose(pixels[:, 1] / pixels[:, 2], v.ravel(), atol=1e-4)
    colours = np.array(rows["/world/points"][1]["Points3D:colors"], np.uint32) >> 24
    np.testing.assert_array_equal(colours, list(frames())[1].image[..., 0].ravel())
    # Rerun's pixels have their centres at halves.
    [camera] = rows["/world/camera"]
    assert camera["Pinhole:image_from_camera"] == [[40.0, 0, 0, 0, 50, 0, 16, 12, 1]]
    assert camera["Pinhole:resolution"] == [[32.0, 24.0]]


def test_points_leave_out_what_has_no_depth_and_stay_few(tmp_path):
    depth, image = np.full((480, 640), 2, np.float32), np.zeros((480, 640, 3), np.uint8)
    depth[:240] = 0
    depth[240, 0] = np.nan
    with open_rerun(tmp_path / "a.rrd", intrinsics=INTRINSICS) as output:
        output.write(VideoFrame(image, 0.0), [depth], 0)
    points = np.array(read(tmp_path / "a.rrd")["/world/points"][0]["Points3D:positions"])
    assert 10_000 < len(points) < 50_000
    assert (points[:, 2] == 2).all()


def test_without_intrinsics_there_is_neither_camera_nor_cloud(tmp_path):
    record(tmp_path / "a.rrd", intrinsics=None, titles=("smoothed",))
    rows = read(tmp_path / "a.rrd")
    assert not {"/world/camera", "/world/points", "/world/camera/depth/vanilla"} & set(rows)
    assert len(rows["/world/camera/depth/smoothed"]) == 3


def test_the_layout_goes_into_the_file(tmp_path):
    record(tmp_path / "a.rrd")
    [layout] = rr.chunk.RrdReader(tmp_path / "a.rrd").blueprints()
    chunks = list(rr.chunk.RrdReader(tmp_path / "a.rrd").stream(store=layout))
    text = str([chunk.to_record_batch().to_pylist() for chunk in chunks])
    for part in ("3D", "TimeSeries", "TextLog", "world/camera/depth/smoothed", "video_time"):
        assert part in text


@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_what_a_killed_run_has_written_can_be_read(tmp_path):
    output = open_rerun(tmp_path / "a.rrd")
    for number, frame in enumerate(frames(20)):
        output.write(frame, depths(number)[:1], number)
    assert output.whole == 16
    assert len(read(tmp_path / "a.rrd")["/world/camera/depth/smoothed"]) == 16
    output.close()
    output.close()
    assert output.whole == 20
    assert len(read(tmp_path / "a.rrd")["/world/camera/depth/smoothed"]) == 20


def test_memory_stays_flat(tmp_path):
    """In a process of its own: what other tests left behind would be reused."""
    program = """
import sys, numpy as np
from types import SimpleNamespace
from smoothdino_jax.apps.rerun_output import open_rerun

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

image, depth = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8), np.ones((240, 320), np.float32)
with open_rerun(sys.argv[1], intrinsics=np.array([[300., 0, 160], [0, 300, 120], [0, 0, 1]])) as output:
    for number in range(500):
        if number == 100:
            before = resident()
        output.write(SimpleNamespace(image=image, time=number / 30), [depth], number, (1., 2., .5))
print(resident() / before)
"""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.rrd"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.05


def test_folders_are_made_by_the_first_frame(tmp_path):
    path = tmp_path / "new" / "deep" / "a.rrd"
    with open_rerun(path):
        pass
    assert os.listdir(tmp_path) == []
    record(path)
    assert len(read(path)["/world/points"]) == 3


def test_an_existing_file_stays_without_overwrite(tmp_path):
    path = tmp_path / "a.rrd"
    path.write_text("precious")
    with pytest.raises(DataError, match=r"a\.rrd exists already.*--overwrite"):
        open_rerun(path)
    with open_rerun(path, overwrite=True):
        pass  # nothing came
    assert path.read_text() == "precious"
    record(path, overwrite=True)
    assert len(read(path)["/world/points"]) == 3


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("folder.rrd", "is a folder"),
        ("file/a.rrd", "can't be written"),
        ("out.mp4", "spawn, connect, HOST:PORT"),
        ("http://localhost:9876", "spawn, connect, HOST:PORT"),
        ("localhost:port", "spawn, connect, HOST:PORT"),
    ],
)
def test_what_is_no_place_to_log_to_is_refused(tmp_path, monkeypatch, target, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.rrd").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=why) as refused:
        open_rerun(target)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_noticed(tmp_path):
    (tmp_path / "a.rrd").symlink_to("/dev/full")
    output = open_rerun(tmp_path / "a.rrd", overwrite=True)
    with pytest.raises(DataError, match=r"failed after 0 frames: .*No space left") as refused:
        output.write(next(frames()), depths(0)[:1], 0)
    output.close()
    assert output.whole == 0
    assert "\n" not in str(refused.value)


def test_a_disk_that_fills_ends_it_though_rerun_would_wait_for_ever(tmp_path, monkeypatch):
    output = open_rerun(tmp_path / "a.rrd")
    unregistered, never = [], threading.Event()
    broken = RuntimeError("Flush timed out - not all log messages were sent")
    monkeypatch.setattr(output._recording, "flush", mock.Mock(side_effect=broken))
    monkeypatch.setattr(output._recording, "disconnect", never.wait)
    monkeypatch.setattr(output._rr, "unregister_shutdown", lambda: unregistered.append(True))
    monkeypatch.setattr(rerun_output.shutil, "disk_usage", lambda folder: mock.Mock(free=0))

    def write_more_than_a_group():
        for number, frame in enumerate(frames(20)):
            output.write(frame, depths(number)[:1], number)

    with pytest.raises(DataError, match=r"a\.rrd: logging to Rerun failed after 0 frames: No space left .*make room"):
        write_more_than_a_group()
    output.close()
    assert unregistered
    never.set()


def test_as_many_depths_as_titles(tmp_path):
    with open_rerun(tmp_path / "a.rrd") as output, pytest.raises(ValueError, match="2 depths"):
        output.write(next(frames()), depths(0), 0)
    assert not (tmp_path / "a.rrd").exists()


def test_without_the_sdk_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(DataError, match=r"pip install smoothdino-jax\[rerun\]"):
        open_rerun(tmp_path / "a.rrd")
    importlib.reload(rerun_output)  # it can be imported without, too
