"""Ctrl-C reaches the program wherever it strikes."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time

import pytest
from video_files import clip, write_video

from smoothdino_jax import interrupts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")

# `smoothdino video` with Ctrl-C while the model compiles, and something in the way that it takes.
PROGRAM = """
import os, signal, sys
from smoothdino_jax.apps.cli import command
from smoothdino_jax.stream import Stream
def warm_up(self, size):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        {becomes}
Stream.warm_up = warm_up
command()
"""


@pytest.fixture(autouse=True)
def handler():
    before = signal.getsignal(signal.SIGINT)
    interrupts.never_lose()
    yield
    signal.signal(signal.SIGINT, before)
    interrupts._asked.clear()


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_without_it_nothing_is_raised():
    interrupts.check()
    with pytest.raises(ValueError, match="of its own"), interrupts.restored():
        raise ValueError("of its own")


def test_ctrl_c_that_is_swallowed_is_raised_by_the_next_check():
    with contextlib.suppress(BaseException):
        ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


def test_what_ctrl_c_became_is_a_keyboard_interrupt_again():
    @interrupts.restored()
    def compiling():
        try:
            ctrl_c()
        except KeyboardInterrupt as error:
            raise RuntimeError("compilation failed") from error

    with pytest.raises(KeyboardInterrupt) as raised:
        compiling()
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_within_the_garbage_collector_it_comes_a_moment_later():
    def _xla_gc_callback(*_):  # the name of JAX's
        gc.callbacks.remove(_xla_gc_callback)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)  # the handler is called in here

    gc.callbacks.append(_xla_gc_callback)
    gc.collect()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(10)


@pytest.mark.parametrize("becomes", ["pass", "raise RuntimeError('compilation failed')"])
def test_the_command_ends_by_it_whatever_became_of_it(tmp_path, becomes):
    video = write_video(tmp_path / "in.mp4", clip(3))
    arguments = ["video", video, "-o", tmp_path / "out.mp4", "--size", "28"]
    program = [sys.executable, "-c", PROGRAM.format(becomes=becomes), *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == interrupts.EXIT_CODE, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()
