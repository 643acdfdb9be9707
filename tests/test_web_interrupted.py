"""Ctrl-C while the page shows a video to the model."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
from chromium import CHROMIUM, launched
from video_files import clip, write_video

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")
pytest.importorskip("playwright", reason="playwright is not installed: pip install -e .[test]")
from web_page import message, start

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
    pytest.mark.skipif(os.name == "nt", reason="signals"),
]

# Slow enough that the video is never over.
SLOW = """
import sys, time
from smoothdino_jax.apps.web.take import Take
see = Take.see
def slow(*arguments):
    time.sleep(1)
    return see(*arguments)
Take.see = slow
sys.argv = ["smoothdino", "web", "--port", sys.argv[1]]
from smoothdino_jax.__main__ import command
command()
"""


@pytest.fixture
def port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_page_that_is_interrupted_within_a_take_leaves_nothing(tmp_path, port):
    video = write_video(tmp_path / "walk.mp4", clip(100))
    stored = tmp_path / "stored"
    stored.mkdir()
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", SLOW, str(port)],
                env={**os.environ, "TMPDIR": str(stored)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(page.kill)
        address = page.stdout.readline().split()[0]
        tab = stack.enter_context(launched()).new_page()
        tab.set_default_timeout(60_000)
        tab.goto(address)
        tab.locator("#start").wait_for()
        start(tab, video)
        tab.locator("[data-frame]").wait_for()
        message(tab, "walk.mp4")
        assert len(list(stored.glob("smoothdino_web_*/session_*/*"))) == 2  # the video and its depth
        page.send_signal(signal.SIGINT)
        _, said = page.communicate(timeout=60)
        assert page.returncode == 0, said
        assert said.splitlines()[-1] == "smoothdino web: ended; uploads and depth are removed"
        assert list(stored.glob("smoothdino_web_*")) == []
