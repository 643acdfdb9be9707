"""The command `smoothdino video` when stopped, when its source breaks, when resumed, and over hundreds of frames."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_command import SEEN, frames_of, run
from video_files import SIZE, clip, size_changing_video, truncated_video, write_video

import smoothdino_jax.apps.video as command
from smoothdino_jax import interrupts
from smoothdino_jax.apps.video import depth_video
from smoothdino_jax.apps.video_outputs import completed, open_output
from smoothdino_jax.apps.video_sources import Video, VideoFrame
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import save


class FullDisk:
    """An output that can't be closed."""

    whole = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise DataError("out.npy: no space left")


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in.mp4", clip())


@pytest.fixture
def checkpoint(trained, tmp_path):
    return save(trained, tmp_path / "model")


@pytest.mark.parametrize("memory", ["encoded", "adapted"])
def test_a_resumed_run_writes_what_an_uninterrupted_one_would(tmp_path, trained, memory):
    trained.config = dataclasses.replace(
        trained.config, adapter=dataclasses.replace(trained.config.adapter, memory=memory)
    )
    trained.adapter.config = trained.config.adapter
    checkpoint = save(trained, tmp_path / "model")
    video = write_video(tmp_path / "in.mp4", clip(8))
    options = ["--checkpoint", checkpoint, "--size", 28]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for place, more in ((whole, []), (parts, ["--limit", 3]), (parts, ["--resume"])):
        outputs = itertools.chain(*(("-o", place / name) for name in ("a.mp4", "a.npz", "%06d.npy")))
        assert run(video, *outputs, *options, *more) == 0
    assert len(frames_of(parts / "a.mp4")) == 8
    for number in range(8):
        depths = [np.load(place / f"{number:06d}.npy") for place in (whole, parts)]
        np.testing.assert_allclose(depths[1], depths[0], rtol=1e-4)
    with np.load(parts / "a.npz") as archive:
        assert len([name for name in archive if name.isdigit()]) == 8


@pytest.mark.parametrize("how", ["truncated", "changing"])
def test_a_source_that_breaks_leaves_what_was_before_it(tmp_path, checkpoint, capsys, how):
    if how == "truncated":
        source = truncated_video(tmp_path / "in.mp4", clip(20))
    else:
        source = size_changing_video(tmp_path / "in.ts", clip(6), clip(6, (28, 42)))
    out = ["-o", tmp_path / "out.mp4", "-o", tmp_path / "%06d.npy"]
    assert run(source, *out, "--checkpoint", checkpoint, "--size", 28) == 2
    whole = completed(tmp_path / "%06d.npy")
    assert whole > 0
    assert len(frames_of(tmp_path / "out.mp4")) == whole
    error = capsys.readouterr().err
    assert f"; the first {whole} frames are whole in " in error
    assert error.count("\n") == 1


def test_resuming_what_is_finished_says_so_and_changes_nothing(tmp_path, video, checkpoint, capsys):
    arguments = [video, "-o", tmp_path / "%06d.npy", "--checkpoint", checkpoint, "--size", 28]
    assert run(*arguments) == 0
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert run(*arguments, "--resume") == 0
    assert "all 5 frames were there, nothing was left to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")} == written


def test_an_archive_whose_index_was_never_written_is_closed_by_resuming(tmp_path, video, checkpoint):
    arguments = [video, "-o", tmp_path / "a.npz", "--checkpoint", checkpoint, "--size", 28]
    assert run(*arguments) == 0
    file = tmp_path / "a.npz"
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"PK\x01\x02")])  # as a killed run leaves it
    assert run(*arguments, "--resume") == 0
    with np.load(file) as archive:
        assert len([name for name in archive if name.isdigit()]) == 5


def test_an_output_that_cannot_be_closed_after_ctrl_c_is_told_of(tmp_path, video, checkpoint, capsys, monkeypatch):
    received = []

    def ctrl_c(*_):
        received.append(signal.SIGINT)
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupts, "_received", received)
    monkeypatch.setattr(Stream, "__call__", ctrl_c)
    monkeypatch.setattr(command, "open_output", lambda *_, **__: FullDisk())
    assert run(video, "-o", tmp_path / "%06d.npy", "--checkpoint", checkpoint, "--size", 28) == 2
    assert "no space left" in capsys.readouterr().err


def test_what_stops_it_closes_the_outputs(tmp_path, vanilla):
    def frames():
        for number, image in enumerate(itertools.islice(clip(), 3)):
            yield VideoFrame(image, number / 15)
        raise KeyboardInterrupt

    video = Video(frames(), Fraction(15), SIZE, 5, "made up", False)
    options = {"size": SIZE, "fps": 15, "titles": ["depth"], "depth_range": (0, 10)}
    with pytest.raises(KeyboardInterrupt):
        depth_video(Stream(vanilla, size=SEEN), video, [open_output(tmp_path / "out.mp4", **options)])
    assert len(frames_of(tmp_path / "out.mp4")) == 3


def started(arguments):
    program = [sys.executable, "-m", "smoothdino_jax", *map(str, arguments)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("wait", [0, 0.3, 1.5])
def test_ctrl_c_ends_it_while_it_compiles(tmp_path, video, wait):
    process = started(["video", video, "-o", tmp_path / "out.mp4", "--size", 112])
    # Said last before the model is compiled, which takes seconds.
    assert "has only seen rendered rooms" in process.stderr.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_whole_outputs_and_resume_finishes_them(tmp_path, checkpoint):
    video = write_video(tmp_path / "in.mp4", clip(400))
    arguments = ["video", video, "-o", tmp_path / "out.mp4", "-o", tmp_path / "%06d.npy"]
    arguments += ["--checkpoint", checkpoint, "--size", 28]
    process = started(arguments)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("00000[5-9].npy")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    whole = completed(tmp_path / "%06d.npy")
    assert 5 < whole < 400
    assert f"the first {whole} frames are whole" in error
    assert len(frames_of(tmp_path / "out.mp4")) == whole
    assert run(*arguments[1:], "--resume") == 0
    assert len(frames_of(tmp_path / "out.mp4")) == 400
    assert completed(tmp_path / "%06d.npy") == 400


def test_memory_stays_flat_over_a_few_hundred_frames(tmp_path, vanilla):
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc")
    resident = []

    size = (240, 320)  # 400 frames and their depth are 210 MB: whoever keeps them can't stay within 5 %

    def frames():
        for number in range(400):
            resident.append(int(statm.read_text().split()[1]))
            yield VideoFrame(np.full((*size, 3), number % 256, np.uint8), number / 15)

    video = Video(frames(), Fraction(15), size, 400, "made up", False)
    options = {"size": size, "fps": 15, "titles": ["depth"], "depth_range": (0, 10)}
    outputs = [open_output(tmp_path / name, **options) for name in ("a.mp4", "a.npz", "%06d.png")]
    assert depth_video(Stream(vanilla, size=SEEN), video, outputs).frames == 400
    early, late = np.median(resident[100:150]), np.median(resident[350:])
    assert late < 1.05 * early
