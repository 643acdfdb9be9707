"""Ctrl-C reaches the program wherever it strikes."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from video_files import clip, write_video

from smoothdino_jax import interrupts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")

# Ctrl-C while the model compiles, and something in the way that it takes.
COMPILING = """
import os, signal, sys
from smoothdino_jax.stream import Stream
def warm_up(self, size):
    try:
        os.kill(os.getpid(), signal.{name})
    except BaseException:
        {becomes}
Stream.warm_up = warm_up
"""
# Ctrl-C while the garbage collector runs: what a callback raises is ignored.
COLLECTING = """
import gc, os, signal, time
from smoothdino_jax.stream import Stream
def callback(*_):
    gc.callbacks.remove(callback)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)
def warm_up(self, size):
    gc.callbacks.append(callback)
    gc.collect()
    time.sleep(60)
Stream.warm_up = warm_up
"""
# Ctrl-C while JAX is imported.
IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "jax":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(autouse=True)
def handler():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    interrupts.never_lose()
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)
    interrupts._received.clear()


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


def test_an_error_that_is_kept_is_what_it_says():
    with contextlib.suppress(BaseException):
        ctrl_c()
    with pytest.raises(OSError, match="disk full"), interrupts.restored(keep=OSError):
        raise OSError("disk full")


def test_what_a_script_runs_in_the_background_stays_deaf_to_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.never_lose()
    ctrl_c()
    interrupts.check()


def run(tmp_path, program):
    video = write_video(tmp_path / "in.mp4", clip(3))
    program += "from smoothdino_jax.__main__ import command\ncommand()\n"
    arguments = [sys.executable, "-c", program, "video", video, "-o", tmp_path / "out.mp4", "--size", "28"]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=120, check=False)
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()
    return done.returncode


@pytest.mark.parametrize(
    ("name", "becomes", "code"),
    [
        ("SIGINT", "pass", 130),
        ("SIGINT", "raise RuntimeError('compilation failed')", 130),
        ("SIGTERM", "raise", 143),
    ],
)
def test_a_command_ends_by_it_whatever_became_of_it(tmp_path, name, becomes, code):
    assert run(tmp_path, COMPILING.format(name=name, becomes=becomes)) == code


@pytest.mark.parametrize("program", [COLLECTING, IMPORTING])
def test_a_command_ends_by_it_wherever_it_comes(tmp_path, program):
    assert run(tmp_path, program) == 130


@pytest.mark.parametrize("program", ["train.py", "eval.py"])
def test_programs_end_by_it_while_they_import(tmp_path, program):
    (tmp_path / "sitecustomize.py").write_text(IMPORTING)
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    done = subprocess.run(
        [sys.executable, root / program], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")
