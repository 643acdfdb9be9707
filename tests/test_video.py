"""Video in and out, and the command between them."""

import dataclasses
import itertools
import shutil
import struct
import wave
from fractions import Fraction

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import smoothdino_jax.apps.video as command
from smoothdino_jax.apps import cli
from smoothdino_jax.apps.video import depth_video, working_size
from smoothdino_jax.apps.video_io import Video, VideoWriter, read_video, write_gif
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.weights import save

SIZE = (42, 56)


def clip(count=5, size=SIZE):
    """A blurred texture that moves two pixels to the left per frame: nothing that H.264 would spoil."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (size[0], size[1] + 2 * count, 3), np.uint8), (0, 0), 3)
    return [np.ascontiguousarray(texture[:, 2 * t : 2 * t + size[1]]) for t in range(count)]


def write(path, frames, fps=15):
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture
def video(tmp_path):
    return write(tmp_path / "in.mp4", clip())


@pytest.fixture
def folder(tmp_path):
    """The same frames as images, whose pixels are exact."""
    path = tmp_path / "images"
    path.mkdir()
    for number, frame in enumerate(clip()):
        Image.fromarray(frame).save(path / f"frame{number + 8}.png")  # 8, 9, 10, 11, 12
    return path


@pytest.fixture
def vanilla(tiny_model):
    """The model without its adapter: compiled once for all tests, where each stream compiles anew."""
    tiny_model.adapter, tiny_model.config = None, dataclasses.replace(tiny_model.config, adapter=None)
    return tiny_model


def stepped(model, frames):
    """What a stream over `frames` gives at the size that the tests let the model see."""
    state = None
    for frame in frames:
        images = jnp.asarray(cv2.resize(frame, (42, 28), interpolation=cv2.INTER_AREA))[None]
        depth, state = model.step(images, model.init_state(images) if state is None else state)
        yield (
            cv2.resize(np.asarray(depth[0]), SIZE[::-1]),
            cv2.resize(np.asarray(model(images)[0]), SIZE[::-1]),
        )


# Video in and out.


@pytest.mark.parametrize("fps", [15, 29.97, Fraction(24000, 1001)])
def test_what_is_written_is_read_again(tmp_path, fps):
    frames = clip(12)
    video = read_video(write(tmp_path / "a.mp4", frames, fps))
    assert video.size == SIZE
    assert video.length == 12
    assert float(video.fps) == pytest.approx(float(fps), rel=1e-4)
    again = list(video.frames)
    assert len(again) == 12
    # Chroma at half the resolution costs some levels; a swapped channel or colour matrix would cost tens.
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(again, frames, strict=True)) < 4


@pytest.mark.parametrize("size", [(64, 96), (720, 1280)])
def test_colours_survive(tmp_path, size):
    frame = np.empty((*size, 3), np.uint8)
    frame[:] = 200, 40, 90
    (again,) = read_video(write(tmp_path / "a.mp4", [frame])).frames
    assert np.abs(again.astype(int) - frame).max() <= 3


def test_an_odd_side_is_padded_by_its_edge(tmp_path):
    frame = cv2.resize(clip(1)[0], (55, 41))
    (again,) = read_video(write(tmp_path / "a.mp4", [frame])).frames
    assert again.shape == (42, 56, 3)
    assert np.abs(again[41, :55].astype(int) - frame[40]).mean() < 6


def test_rotation_in_the_file_is_applied(video):
    upright = next(read_video(video).frames)
    data = bytearray(video.read_bytes())
    matrix = data.rindex(b"tkhd") + 4 + 40  # the display matrix in the track's header: a quarter turn clockwise
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE[0] << 16, 0, 1 << 30)
    video.write_bytes(data)
    turned = read_video(video)
    assert turned.size == SIZE[::-1]
    assert (next(turned.frames) == np.rot90(upright, -1)).all()


def test_a_killed_run_leaves_a_video_that_plays(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        for frame in clip(60, (240, 320)):
            writer.write(frame)
        shutil.copy(writer._path, tmp_path / "killed.mp4")  # as it is on the disk, never closed
    assert len(list(read_video(tmp_path / "killed.mp4").frames)) >= 30
    assert len(list(read_video(tmp_path / "a.mp4").frames)) == 60


def test_without_frames_nothing_is_written(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    with VideoWriter(path, 30):
        pass
    assert path.read_text() == "precious"


def test_writer_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(DataError, match=r"end in \.mp4"):
        VideoWriter(tmp_path / "a.avi", 30)
    with pytest.raises(ValueError, match="above 0"):
        VideoWriter(tmp_path / "a.mp4", 0)
    with pytest.raises(DataError, match=r"nowhere.*can't be written"):
        write(tmp_path / "nowhere" / "a.mp4", clip(1))
    with VideoWriter(tmp_path / "a.mp4", 30) as writer:
        writer.write(clip(1)[0])
        with pytest.raises(ValueError, match="frame 1 is 40×56"):
            writer.write(clip(1)[0][:40])
        with pytest.raises(ValueError, match="float64"):
            writer.write(clip(1)[0] / 255)
    assert writer.frames == len(list(read_video(tmp_path / "a.mp4").frames)) == 1


def test_images_are_a_video_in_the_order_of_their_numbers(folder):
    video = read_video(folder)
    assert (video.fps, video.size, video.length) == (30, SIZE, 5)
    assert all((a == b).all() for a, b in zip(video.frames, clip(), strict=True))


def test_what_is_no_video_is_refused_by_name(tmp_path, folder):
    def refused(path, why):
        with pytest.raises(DataError, match=why) as error:
            list(read_video(path).frames)
        assert str(path) in str(error.value)

    refused(tmp_path / "none.mp4", "no such video")
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    refused(tmp_path / "text.mp4", "as a video|not a video")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    refused(tmp_path / "sound.wav", "no video stream, only audio")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no images")
    (folder / "frame9.png").write_bytes(b"damaged")
    refused(folder / "frame9.png", "image|video")
    with pytest.raises(DataError, match=r"frame9\.png can't be read as an image"):
        list(read_video(folder).frames)
    Image.fromarray(clip(1)[0][:20]).save(folder / "frame9.png")
    refused(folder, "frame 1 is 20×56, the first is 42×56")
    Image.fromarray(clip(1)[0]).save(folder / "frame9.jpg")
    refused(folder, r"frame9\.\w+ and frame9\.\w+")


def test_gif_keeps_colours_and_pace(tmp_path):
    frames = clip(6)
    write_gif(tmp_path / "a.gif", iter(frames), fps=10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6
        assert gif.info["duration"] == 100
        assert gif.info["loop"] == 0
        for number, frame in enumerate(frames):
            gif.seek(number)
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).mean() < 4
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]
    with pytest.raises(DataError, match="no frames"):
        write_gif(tmp_path / "b.gif", [], 10)


# The command.


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


@pytest.fixture
def trained(tiny_model):
    """A new adapter changes nothing: this one's last weights have moved."""
    for level in tiny_model.adapter.levels:
        level.conv_out.kernel[...] = level.conv_out.kernel[...] + 0.05
    return tiny_model


def run(*args):
    return cli.main(["video", *map(str, args)])


def test_command_writes_the_video_and_the_streams_depth(tmp_path, folder, trained, capsys):
    out, raw = tmp_path / "new" / "out.mp4", tmp_path / "new" / "raw"
    checkpoint = save(trained, tmp_path / "model")
    assert run(folder, "-o", out, "--checkpoint", checkpoint, "--raw", raw, "--size", 28) == 0
    assert f"{out}: 5 frames" in capsys.readouterr().out
    written = read_video(out)
    assert written.fps == 30
    assert written.size[1] > 2 * SIZE[1]
    assert len(list(written.frames)) == 5
    assert sorted(file.name for file in raw.iterdir()) == [f"{number:06d}.png" for number in range(5)]
    for number, (expected, _) in enumerate(stepped(trained, clip())):
        millimetres = cv2.imread(str(raw / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert millimetres.dtype == np.uint16
        assert np.abs(millimetres / 1000 - expected).max() < 0.0006  # half a millimetre, rounding


def test_compare_shows_the_vanilla_and_the_streams_depth(tmp_path, folder, trained, monkeypatch):
    seen = []
    draw = command.SideBySide.draw
    monkeypatch.setattr(command.SideBySide, "draw", lambda self, *args: (seen.append(args), draw(self, *args))[1])
    assert depth_video(trained, read_video(folder), tmp_path / "out.mp4", compare=True, short_side=28) == 5
    assert [len(shown) for shown in seen] == [3] * 5
    for frame, shown, (smoothed, vanilla) in zip(clip(), seen, stepped(trained, clip()), strict=True):
        assert (shown[0] == frame).all()
        np.testing.assert_allclose(shown[1], vanilla, rtol=1e-5)
        np.testing.assert_allclose(shown[2], smoothed, rtol=1e-5)
        assert np.abs(smoothed - vanilla).max() > 1e-3


def test_without_an_adapter_it_says_so_and_goes_on(tmp_path, video, vanilla, capsys):
    save(vanilla, tmp_path / "vanilla")
    assert run(video, "-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "vanilla") == 0
    assert "no adapter" in capsys.readouterr().err
    assert read_video(tmp_path / "out.mp4").length == 5


def test_the_embedded_model_points_to_the_official_weights(tmp_path, video, vanilla, monkeypatch, capsys):
    monkeypatch.setattr(command, "load", {"tiny-synthetic": vanilla}.get)
    assert run(video, "-o", tmp_path / "out.mp4") == 0
    assert "smoothdino convert facebook/dpt-dinov2-small-nyu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ([], "out.mp4 exists already"),
        (["-o", "in.mp4", "--overwrite"], "same file as IN"),
        (["-o", "a.avi"], "end in .mp4"),
        (["-o", "a.mp4", "--size", "13"], "one patch"),
        (["-o", "a.mp4", "--range", "5", "1"], "0 ≤ LO < HI"),
        (["-o", "a.mp4", "--raw", "full"], "not empty"),
        (["-o", "a.mp4", "--raw", "in.mp4"], "not a folder"),
        (["-o", "a.mp4", "--checkpoint", "nowhere"], "nowhere"),
        (["-o", "a.mp4", "--checkpoint", "vanilla", "--compare"], "needs an adapter"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(tmp_path, video, monkeypatch, capsys, extra, why):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load", _load)
    (tmp_path / "out.mp4").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "000000.png").write_text("precious")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert run("in.mp4", "-o", "out.mp4", "--checkpoint", "model", *extra) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def _load(name):
    if name == "nowhere":
        raise DataError("no model folder nowhere")
    return type("Model", (), {"adapter": None})  # nothing gets so far as to use it


def test_raw_never_goes_into_the_input(folder, tmp_path, capsys):
    shutil.move(folder / "frame8.png", folder / "000000.png")
    assert run(folder, "-o", tmp_path / "a.mp4", "--raw", folder, "--overwrite") == 2
    assert "folder of the input" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 5


def test_overwrite_replaces_and_leaves_no_depth_of_an_older_video(tmp_path, video, vanilla):
    checkpoint = save(vanilla, tmp_path / "model")
    out, raw = tmp_path / "out.mp4", tmp_path / "raw"
    raw.mkdir()
    out.write_text("old")
    (raw / "000007.png").write_text("old")
    (raw / "notes.txt").write_text("mine")
    assert run(video, "-o", out, "--raw", raw, "--checkpoint", checkpoint, "--overwrite") == 0
    assert read_video(out).length == 5
    assert sorted(file.name for file in raw.iterdir()) == [*(f"00000{n}.png" for n in range(5)), "notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("frame 3 can't be decoded")])
def test_what_stops_it_leaves_a_video_that_plays(tmp_path, vanilla, capsys, error):
    def frames():
        yield from itertools.islice(clip(), 3)
        raise error

    with pytest.raises(type(error)):
        depth_video(vanilla, Video(frames(), Fraction(15), SIZE, 5), tmp_path / "out.mp4")
    assert len(list(read_video(tmp_path / "out.mp4").frames)) == 3
    assert "stopped after 3 frames" in capsys.readouterr().err
