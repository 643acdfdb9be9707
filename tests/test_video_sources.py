"""Reading video of every kind: what arrives, when it is shown, and how what is broken is refused."""

import io
import itertools
import os
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from video_files import (
    SIZE,
    alpha_video,
    clip,
    grey_video,
    image_folder,
    rotated_video,
    size_changing_video,
    ten_bit_video,
    variable_rate_video,
    write_video,
)

from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.data.frames import DataError

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).parents[2] / "shared"))


def read(source, **options):
    with open_video(source, **options) as video:
        return list(video.frames)


def difference(one, other):
    return np.abs(one.astype(int) - other).mean()


# Files: their pixels and their time.


@pytest.mark.parametrize("fps", [15, 29.97, Fraction(24000, 1001)])
def test_a_file_gives_its_frames_and_its_pace(tmp_path, fps):
    path = write_video(tmp_path / "12:30 50%.mp4", clip(12), fps)
    with open_video(path) as video:
        assert (video.size, video.length, video.live, video.name) == (SIZE, 12, False, str(path))
        assert float(video.fps) == pytest.approx(float(fps), rel=1e-4)
        frames = list(video.frames)
    assert [frame.time for frame in frames] == pytest.approx([t / float(fps) for t in range(12)], abs=1e-4)
    # Chroma at half the resolution costs some levels; a swapped channel or colour matrix would cost tens.
    assert max(difference(frame.image, pixels) for frame, pixels in zip(frames, clip(12), strict=True)) < 4
    assert all(frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous for frame in frames)


def test_a_length_that_is_that_of_the_first_part_only_is_not_claimed(tmp_path):
    path = write_video(tmp_path / "parts.mp4", clip(40), options={"g": "10"}, container={"movflags": "frag_keyframe"})
    with open_video(path) as video:
        assert video.length is None
        assert len(list(video.frames)) == 40


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_varying_rate_is_kept(tmp_path, ending):
    times = np.cumsum([0.5, 0.04, 0.3, 0.05, 0.1, 0.02, 0.4])
    frames = read(variable_rate_video(tmp_path / f"a.{ending}", clip(7), times))
    assert [frame.time for frame in frames] == pytest.approx(times - times[0], abs=0.001)


def test_where_timestamps_are_missing_or_go_back_the_rate_fills_in(tmp_path):
    raw = read(write_video(tmp_path / "a.h264", clip(5), 25))  # has none; FFmpeg takes it for 25 frames per second
    assert [frame.time for frame in raw] == pytest.approx([t / 25 for t in range(5)])
    joined = read(size_changing_video(tmp_path / "a.ts", clip(40), clip(5)))  # starts at 0 twice
    assert [frame.time for frame in joined] == pytest.approx([t / 15 for t in range(45)], abs=0.001)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_in_the_file_is_applied(tmp_path, degrees):
    (upright,) = read(write_video(tmp_path / "upright.mp4", clip(1)))
    with open_video(rotated_video(tmp_path / "turned.mp4", clip(1), degrees)) as video:
        assert video.size == (SIZE if degrees == 180 else SIZE[::-1])
        assert (next(video.frames).image == np.rot90(upright.image, degrees // 90)).all()


def test_grey_alpha_and_ten_bits_are_rgb_too(tmp_path):
    luma = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in clip(3)]
    grey = read(grey_video(tmp_path / "grey.mkv", clip(3)))
    assert max(difference(frame.image, pixels[..., None]) for frame, pixels in zip(grey, luma, strict=True)) < 1.5
    clear = read(alpha_video(tmp_path / "clear.mkv", clip(3), alpha=0))
    assert all((frame.image == pixels).all() for frame, pixels in zip(clear, clip(3), strict=True))
    deep = read(ten_bit_video(tmp_path / "deep.mp4", clip(3)))
    assert max(difference(frame.image, pixels) for frame, pixels in zip(deep, clip(3), strict=True)) < 4


def test_full_range_is_not_taken_for_limited(tmp_path):
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    for pixels in ("yuvj420p", "yuv420p"):
        (frame,) = read(write_video(tmp_path / "a.mkv", [ramp], pixels=pixels, options={"qp": "0"}))
        assert np.abs(frame.image.astype(int) - ramp).max() <= 2


def test_frames_left_out_at_the_start_keep_the_times_of_the_rest(tmp_path):
    path = write_video(tmp_path / "a.mp4", clip(8))
    whole, rest = read(path), read(path, start=5)
    assert [frame.time for frame in rest] == [frame.time for frame in whole[5:]]
    assert all((one.image == other.image).all() for one, other in zip(rest, whole[5:], strict=True))
    assert read(path, start=8) == read(path, start=9) == []


@pytest.mark.parametrize("kind", ["file", "folder", "stdin"])
def test_memory_holds_a_few_frames_however_long_the_video(tmp_path, monkeypatch, kind):
    count, size = 60, (96, 128)
    if kind == "file":
        source = write_video(tmp_path / "a.mp4", clip(count, size))
    elif kind == "folder":
        source = image_folder(tmp_path / "a", clip(count, size))
    else:
        source = "-"
        stdin = io.BytesIO(b"".join(frame.tobytes() for frame in clip(count, size)))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    with open_video(source, raw_size=size) as video:
        next(video.frames)
        tracemalloc.start()
        try:
            assert sum(1 for _ in video.frames) == count - 1
            assert tracemalloc.get_traced_memory()[1] < 8 * size[0] * size[1] * 3
        finally:
            tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
@pytest.mark.parametrize("taken", [0, 2, 5, 6])
def test_closing_lets_go_of_the_file(tmp_path, taken):
    def held():
        opened = (Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))
        return [str(path) for path in opened if path.is_symlink() and str(tmp_path) in os.readlink(path)]

    video = open_video(write_video(tmp_path / "a.mp4", clip(5)))
    assert held()
    for _ in itertools.islice(video.frames, taken):
        pass
    video.close()
    assert not held()
    assert len(list(itertools.islice(video.frames, 2))) <= 1  # the one read at the start, if it wasn't taken


def test_real_footage_is_read_to_its_end():
    path = SHARED / "data" / "video" / "tokyo_walk.mp4"
    if not path.exists():
        pytest.skip("needs the excerpt tokyo_walk.mp4")
    with open_video(path) as video:
        assert (video.size, video.fps, video.length) == ((720, 1280), 15, 195)
        times = [frame.time for frame in video.frames]
    assert times == pytest.approx([t / 15 for t in range(195)], abs=1e-3)


# Images.


def test_images_are_a_video_in_the_order_of_their_numbers(tmp_path):
    folder = image_folder(tmp_path / "[a]", clip())  # 8, 9, 10, 11, 12
    (folder / ".frame1.png").write_text("hidden")
    (folder / "notes.txt").write_text("none of the frames")
    for source in (folder, str(folder), f"{tmp_path}/[[]a]/frame*.png"):
        with open_video(source, raw_fps=10) as video:
            assert (video.fps, video.size, video.length, video.live) == (10, SIZE, 5, False)
            frames = list(video.frames)
        assert all((frame.image == pixels).all() for frame, pixels in zip(frames, clip(), strict=True))
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert open_video(folder).fps == 30


def test_images_of_any_kind_are_rgb_and_upright(tmp_path):
    (pixels,) = clip(1)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    expected = np.repeat(grey[..., None], 3, 2)

    def stored(name, image, ending="png", **options):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / f"0.{ending}", **options)
        (frame,) = read(tmp_path / name)
        return frame.image

    assert (stored("grey", Image.fromarray(grey)) == expected).all()
    for ending in ("png", "tif"):
        sixteen = Image.fromarray(grey.astype(np.uint16) * 256 + 255)
        assert (stored(f"16 bits {ending}", sixteen, ending) == expected).all()
    clear = np.dstack([pixels, np.zeros(SIZE, np.uint8)])
    assert (stored("clear", Image.fromarray(clear)) == pixels).all()
    turn = Image.Exif()
    turn[0x0112] = 6  # Orientation: to be turned clockwise
    assert (stored("turned", Image.fromarray(pixels), exif=turn) == np.rot90(pixels, -1)).all()


def test_a_folder_of_rgbd_frames_is_not_taken_for_a_video(tmp_path):
    image_folder(tmp_path / "sequence", clip(2))
    for number, name in enumerate(("color", "depth")):
        (tmp_path / "sequence" / f"frame{number + 8}.png").rename(tmp_path / "sequence" / f"frame-0.{name}.png")
    with pytest.raises(DataError, match=r"name the pictures, '.*sequence/\*\.color\.\*'"):
        open_video(tmp_path / "sequence")
    (tmp_path / "tum" / "rgb").mkdir(parents=True)
    with pytest.raises(DataError, match="rgb"):
        open_video(tmp_path / "tum")
