"""A Rerun viewer that runs, is missing, or can't be started."""

import contextlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from smoothdino_jax.apps import rerun_viewer
from smoothdino_jax.apps.rerun_output import open_rerun
from smoothdino_jax.apps.video_sources import VideoFrame
from smoothdino_jax.data.frames import DataError

pytest.importorskip("rerun", reason="needs rerun-sdk")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def viewer():
    """Port of a process that takes recordings as the viewer does."""
    port = free_port()
    program = (
        f"import rerun as rr; r = rr.RecordingStream('server'); rr.serve_grpc(grpc_port={port}, recording=r); "
        "print('ready', flush=True); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline().strip() == b"ready"
        yield port
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")


@pytest.mark.parametrize("target", ["connect", "spawn", "127.0.0.1:{}", "rerun+http://127.0.0.1:{}/proxy"])
def test_a_running_viewer_is_logged_to(viewer, monkeypatch, target):
    monkeypatch.setattr(rerun_viewer, "PORT", viewer)
    with open_rerun(target.format(viewer)) as output:
        for number in range(3):
            frame = VideoFrame(np.zeros((24, 32, 3), np.uint8), number / 4)
            output.write(frame, [np.ones((24, 32), np.float32)], number)
    assert output.whole == 3


def test_no_viewer_to_connect_to(monkeypatch):
    monkeypatch.setattr(rerun_viewer, "PORT", free_port())
    with pytest.raises(DataError, match="no Rerun viewer answers"):
        open_rerun("connect")


def test_a_viewer_without_a_display_is_an_error(monkeypatch):
    monkeypatch.setattr(rerun_viewer, "PORT", free_port())
    for display in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(display, raising=False)
    if not sys.platform.startswith("linux"):
        pytest.skip("elsewhere it needs no display")
    with pytest.raises(DataError, match=r"viewer did not start \(.*DISPLAY.*X\.rrd") as refused:
        open_rerun("spawn")
    assert "\n" not in str(refused.value)
