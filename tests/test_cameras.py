"""Webcams: a reader that is slow gets the newest frame, and one that isn't there is refused."""

import threading
import time

import numpy as np
import pytest
from video_files import SIZE, clip, image_folder

from smoothdino_jax.apps import live_sources
from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.data.frames import DataError


class FakeCamera:
    """Stands for cv2.VideoCapture: frame n is all n; it gives the next when told to, and a last one."""

    opened = True

    def __init__(self, index):
        self.number, self.last, self.released = -1, 250, False
        self.asked, self.allowed = 0, 1
        self.due = threading.Semaphore(self.allowed)
        FakeCamera.latest = self

    def isOpened(self):
        return self.opened

    def get(self, _):
        return 29.97

    def read(self):
        self.asked += 1
        self.due.acquire()
        self.number += 1
        return (True, np.full((*SIZE, 3), self.number, np.uint8)) if self.number <= self.last else (False, None)

    def release(self):
        self.released = True

    def goes_on(self, count):
        """Gives `count` frames, and waits until it is asked for the one after: then the last was passed on."""
        self.allowed += count
        self.due.release(count)
        deadline = time.monotonic() + 10
        while self.asked <= self.allowed:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture
def camera(monkeypatch):
    monkeypatch.setattr(live_sources.cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(FakeCamera, "opened", True)


def test_a_slow_reader_gets_the_newest_frame_of_a_camera(camera):
    with open_video("0") as video:
        assert (video.name, video.size, video.length, video.live) == ("camera 0", SIZE, None, True)
        assert float(video.fps) == pytest.approx(29.97, rel=1e-3)
        taken = [next(video.frames)]
        for count in (1, 10, 5):
            FakeCamera.latest.goes_on(count)
            taken.append(next(video.frames))
        FakeCamera.latest.due.release()
    assert [frame.image[0, 0, 0] for frame in taken] == [0, 1, 11, 16]
    times = [frame.time for frame in taken]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert FakeCamera.latest.released


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e300, 1e-9])
def test_a_camera_whose_rate_makes_no_sense_is_taken_for_30(camera, monkeypatch, rate):
    monkeypatch.setattr(FakeCamera, "get", lambda self, _: rate)
    with open_video("0") as video:
        assert video.fps == 30
        FakeCamera.latest.due.release()


def test_the_colours_of_a_camera_are_rgb(camera, monkeypatch):
    monkeypatch.setattr(FakeCamera, "read", lambda self: (True, np.full((*SIZE, 3), (1, 2, 3), np.uint8)))
    with open_video("0") as video:
        assert next(video.frames).image[0, 0].tolist() == [3, 2, 1]


def test_a_camera_that_is_unplugged_says_so_after_its_last_frame(camera):
    with open_video("0") as video:
        next(video.frames)
        FakeCamera.latest.last = 3
        FakeCamera.latest.goes_on(3)
        FakeCamera.latest.due.release()
        assert next(video.frames).image[0, 0, 0] == 3
        with pytest.raises(DataError, match="camera 0 gives no more frames"):
            next(video.frames)
    assert FakeCamera.latest.released


def test_a_camera_that_hangs_is_given_up(camera, monkeypatch):
    with open_video("0") as video:
        next(video.frames)
        monkeypatch.setattr(live_sources, "PATIENCE", -1.8)  # two seconds come on top
        with pytest.raises(DataError, match=r"camera 0: no frame for 0\.2 s"):
            next(video.frames)
        FakeCamera.latest.due.release()


def test_a_live_source_cannot_go_on_where_it_was(camera):
    with pytest.raises(DataError, match="camera 0 is live"):
        open_video("0", start=3)


def test_a_camera_that_is_not_there_is_one_line(capfd):
    with pytest.raises(DataError, match="no camera 97"):
        open_video("97")
    assert capfd.readouterr() == ("", "")


def test_a_folder_with_the_name_of_a_camera_can_be_read(tmp_path, monkeypatch):
    image_folder(tmp_path / "0", clip(2))
    monkeypatch.chdir(tmp_path)
    assert open_video("./0").length == 2
