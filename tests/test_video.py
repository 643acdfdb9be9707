"""The command `smoothdino video`: from a source to its outputs."""

import io
import itertools
import shutil
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from video_command import SEEN, frames_of, run
from video_files import (
    SIZE,
    alpha_video,
    audio_file,
    clip,
    empty_video,
    grey_video,
    image_folder,
    ten_bit_video,
    variable_rate_video,
    write_video,
)

import smoothdino_jax.apps.video as command
from smoothdino_jax.apps.video_arguments import working_size
from smoothdino_jax.apps.video_outputs import completed
from smoothdino_jax.apps.video_sources import Video, VideoFrame
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import save


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in.mp4", clip())


@pytest.fixture
def folder(tmp_path):
    """The same frames as images, whose pixels are exact."""
    return image_folder(tmp_path / "images", clip())


@pytest.fixture
def checkpoint(trained, tmp_path):
    return save(trained, tmp_path / "model")


def streamed(model, frames, compare=False):
    stream = Stream(model, size=SEEN, compare=compare)
    return [stream(frame) for frame in frames]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((480, 640), 476, (476, 630)),
        ((720, 1280), 476, (476, 840)),
        ((1280, 720), 476, (840, 476)),
        ((240, 320), 476, (238, 322)),
        ((480, 640), 0, (480, 640)),
        ((4, 90), 476, (14, 84)),
    ],
)
def test_working_size_is_whole_patches_close_to_the_aspect(size, short_side, expected):
    assert working_size(size, short_side) == expected


def test_every_output_gets_the_depth_of_the_stream(tmp_path, folder, trained, checkpoint, capsys):
    out = [tmp_path / "new" / name for name in ("out.mp4", "out.npz", "png/%06d.png", "ply/%06d.ply")]
    options = ["--checkpoint", checkpoint, "--size", 28, "--fov", 60, "--raw", tmp_path / "raw"]
    assert run(folder, *itertools.chain(*(("-o", path) for path in out)), *options) == 0
    assert "5 frames" in capsys.readouterr().out
    expected = streamed(trained, clip())
    shown = frames_of(out[0])
    assert len(shown) == 5
    assert shown[0].image.shape[1] > 2 * SIZE[1]
    with np.load(out[1]) as archive:
        for number, depth in enumerate(expected):
            np.testing.assert_allclose(archive[f"{number:06d}"], depth, rtol=1e-5)
    for number, depth in enumerate(expected):
        for place in (tmp_path / "new" / "png", tmp_path / "raw"):
            millimetres = cv2.imread(str(place / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED)
            assert np.abs(millimetres / 1000 - depth).max() < 0.0006  # half a millimetre, rounding
    assert [completed(path) for path in out] == [5] * 4


def test_compare_shows_the_vanilla_and_the_streams_depth(tmp_path, folder, trained, checkpoint, monkeypatch):
    seen = []
    outputs = command._open_outputs

    def spied(*args):
        opened = outputs(*args)
        write = opened[0].write
        opened[0].write = lambda frame, depths, number, **more: (
            seen.append(depths),
            write(frame, depths, number, **more),
        )
        return opened

    monkeypatch.setattr(command, "_open_outputs", spied)
    assert run(folder, "-o", tmp_path / "out.mp4", "--checkpoint", checkpoint, "--size", 28, "--compare") == 0
    for (vanilla, smoothed), expected in zip(seen, streamed(trained, clip(), compare=True), strict=True):
        np.testing.assert_allclose(vanilla, expected[0], rtol=1e-5)
        np.testing.assert_allclose(smoothed, expected[1], rtol=1e-5)
        assert np.abs(vanilla - smoothed).max() > 1e-3


def test_the_times_of_a_varying_frame_rate_are_kept(tmp_path, checkpoint):
    source = variable_rate_video(tmp_path / "in.mp4", clip(), [0, 0.04, 0.2, 0.24, 0.5])
    assert run(source, "-o", tmp_path / "out.mp4", "--checkpoint", checkpoint, "--size", 28) == 0
    before, after = ([frame.time for frame in frames_of(path)] for path in (source, tmp_path / "out.mp4"))
    assert len({round(step, 3) for step in np.diff(before)}) > 1
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_raw_frames_come_on_standard_input(tmp_path, trained, checkpoint, monkeypatch):
    raw = io.BytesIO(b"".join(frame.tobytes() for frame in clip()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
    options = ["--stdin-size", *SIZE, "--checkpoint", checkpoint, "--size", 28]
    assert run("-", "-o", tmp_path / "out.npz", *options) == 0
    with np.load(tmp_path / "out.npz") as archive:
        np.testing.assert_allclose(archive["000004"], streamed(trained, clip())[4], rtol=1e-5)


def test_limit_and_depth_alone(tmp_path, video, checkpoint, capsys):
    options = ["--checkpoint", checkpoint, "--size", 28, "--limit", 2, "--layout", "depth"]
    assert run(video, "-o", tmp_path / "out.mp4", *options) == 0
    shown = frames_of(tmp_path / "out.mp4")
    assert len(shown) == 2
    assert shown[0].image.shape[1] < 2.5 * SIZE[1]  # one panel and the bar, no frame beside it


def test_scene_cuts_are_reported(tmp_path, video, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(Stream, "cut", property(lambda stream: stream.frames == 3))
    assert run(video, "-o", tmp_path / "out.npz", "--checkpoint", checkpoint, "--size", 28) == 0
    assert "1 scene cut(s), where the smoothing started anew: frame 2" in capsys.readouterr().out


def test_without_an_adapter_it_says_so_and_goes_on(tmp_path, video, vanilla, capsys):
    save(vanilla, tmp_path / "vanilla")
    assert run(video, "-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "vanilla") == 0
    assert "no adapter" in capsys.readouterr().err
    assert len(frames_of(tmp_path / "out.mp4")) == 5


def test_the_embedded_model_points_to_the_official_weights(tmp_path, video, vanilla, monkeypatch, capsys):
    monkeypatch.setattr(command, "load", {"tiny-synthetic": vanilla}.get)
    assert run(video, "-o", tmp_path / "out.mp4") == 0
    assert "smoothdino convert facebook/dpt-dinov2-small-nyu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (["-o", "out.mp4"], "out.mp4 exists already"),
        ([], "nothing to write"),
        (["-o", "a.mp4", "-o", "a.mp4"], "given twice"),
        (["-o", "in.mp4", "--overwrite"], "both the input and an output"),
        (["-o", "a.avi"], "a.avi: an output is one of X.mp4"),
        (["-o", "a.mp4", "--size", "13"], "one patch"),
        (["-o", "a.mp4", "--range", "5", "1"], "0 ≤ LO < HI"),
        (["-o", "a.mp4", "--raw", "full"], "exists already"),
        (["-o", "a.mp4", "--raw", "in.mp4"], "in.mp4"),
        (["-o", "a.mp4", "--checkpoint", "nowhere"], "nowhere"),
        (["-o", "a.mp4", "--checkpoint", "vanilla", "--compare"], "needs an adapter"),
        (["-o", "a/%06d.ply"], "--fov DEGREES or --intrinsics"),
        (["-o", "a/%06d.ply", "--fov", "180"], "between 0 and 180"),
        (["-o", "a.mp4", "--stdin-size", "4", "4"], "go together"),
        (["-o", "a.mp4", "--limit", "0"], "at least one frame"),
        (["-o", "a.mp4", "--resume", "--overwrite"], "not together"),
        (["-o", "/proc/none/a.mp4"], "/proc"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(tmp_path, video, vanilla, monkeypatch, capsys, extra, why):
    monkeypatch.chdir(tmp_path)
    save(vanilla, tmp_path / "vanilla")
    (tmp_path / "out.mp4").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "000000.png").write_text("precious")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    if "--checkpoint" not in extra:
        extra = [*extra, "--checkpoint", "vanilla"]
    assert run("in.mp4", *extra) == 2
    error = capsys.readouterr().err.replace(
        "smoothdino video: vanilla has no adapter: depth is predicted frame by frame, nothing is smoothed\n", ""
    )
    assert why in error
    assert error.count("\n") == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("nowhere.mp4", "nowhere.mp4"),
        ("63", "camera 63"),
        ("http://127.0.0.1:9/none.mp4", "127.0.0.1:9"),
        ("text.mp4", "text.mp4"),
        ("sound.wav", "sound.wav"),
        ("empty.mp4", "empty.mp4"),
        ("dot/*.png", "dot/*.png"),
    ],
)
def test_a_source_that_gives_nothing_is_one_line(tmp_path, vanilla, monkeypatch, capsys, source, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    audio_file("sound.wav")
    empty_video("empty.mp4")
    image_folder("dot", [np.zeros((1, 1, 3), np.uint8)])
    save(vanilla, tmp_path / "vanilla")
    assert run(source, "-o", "out.mp4", "--checkpoint", "vanilla") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "nothing is smoothed" not in line]
    assert len(said) == 1
    assert named in said[0]
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("make", [grey_video, alpha_video, ten_bit_video])
def test_every_kind_of_pixel_is_taken(tmp_path, checkpoint, make):
    source = make(tmp_path / "in.mkv", clip())
    assert run(source, "-o", tmp_path / "out.npz", "--checkpoint", checkpoint, "--size", 28) == 0
    assert completed(tmp_path / "out.npz") == 5


def test_a_camera_starts_when_the_model_is_ready_and_is_not_resumed(tmp_path, checkpoint, monkeypatch, capsys):
    def live(source, **options):
        frames = (VideoFrame(image, 4.0 * (number > 0) + number / 10) for number, image in enumerate(clip(6)))
        return Video(frames, Fraction(10), SIZE, None, "camera 0", True)

    monkeypatch.setattr(command, "open_video", live)
    options = ["--checkpoint", checkpoint, "--size", 28]
    assert run("0", "-o", tmp_path / "out.npz", *options) == 0
    with np.load(tmp_path / "out.npz") as archive:
        np.testing.assert_allclose(archive["time"], [0, 0.1, 0.2, 0.3, 0.4], atol=1e-6)
    assert run("0", "-o", tmp_path / "out.npz", *options, "--resume") == 2
    assert "camera 0 is live" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["images", "images/*.png", "images/frame8.png"])
def test_the_input_is_never_written_into(folder, tmp_path, monkeypatch, capsys, source):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "before")
    for output in ("images/frame%d.png", "images/frame8.png" if source.endswith("8.png") else "./images/%06d.png"):
        for more in (["--overwrite"], ["--resume"]):
            assert run(source, "-o", output, *more) == 2
    assert "error" not in capsys.readouterr().out
    for file in (tmp_path / "before").iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert len(list(folder.iterdir())) == 5
