"""MP4 as it is written, cut off, filled up and gone on with."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from video_files import SIZE, clip

from smoothdino_jax.apps.video_writer import VideoWriter
from smoothdino_jax.apps.written_videos import video_size, whole_frames
from smoothdino_jax.data.frames import DataError


def write(path, frames, fps=15, times=None, **options):
    with VideoWriter(path, fps, **options) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, None if times is None else times[number])
    return path


def read(path, cut=False):
    """`(N, H, W, 3)` and the seconds, as any player sees them; `cut`: the last frame may be cut off."""
    frames, times = [], []
    with av.open(str(path)) as container, suppress(*[av.error.InvalidDataError] * cut):
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.pts * frame.time_base))
    return np.stack(frames), np.array(times)


def far(frames, others):
    """Mean distance of the worst frame. A swapped channel or colour matrix, or a wrong frame, costs tens of levels."""
    return max(np.abs(one.astype(int) - other).mean() for one, other in zip(frames, others, strict=True))


def uneven(count):
    """Times of a variable frame rate, with a gap of three seconds."""
    times = np.r_[0, np.cumsum(np.random.default_rng(1).uniform(0.01, 0.09, count - 1))]
    times[count // 2 :] += 3
    return times


@pytest.mark.parametrize("fps", [15, 29.97, Fraction(24000, 1001)])
def test_a_constant_rate_is_kept_exactly(tmp_path, fps):
    frames, times = read(write(tmp_path / "a.mp4", clip(12), fps))
    assert far(frames, clip(12)) < 4
    np.testing.assert_allclose(times, np.arange(12) / float(fps), rtol=1e-12, atol=0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].frames == 12
        assert float(container.streams.video[0].average_rate) == pytest.approx(float(fps))


def test_times_and_gaps_are_kept(tmp_path):
    times = uneven(60)
    frames, seen = read(write(tmp_path / "a.mp4", clip(60), 20, times))
    np.testing.assert_allclose(seen, times, rtol=0, atol=0.5 / 90_000 + 1e-9)  # half a tick
    assert far(frames, clip(60)) < 4


def test_times_that_stand_still_or_go_back_move_on_by_a_tick(tmp_path):
    _, seen = read(write(tmp_path / "a.mp4", clip(4), 20, [0, 1, 1, 0.5]))
    assert (np.diff(seen) > 0).all()
    np.testing.assert_allclose(seen, [0, 1, 1, 1], atol=3 / 90_000)


def test_the_first_frame_is_shown_from_the_start(tmp_path):
    _, seen = read(write(tmp_path / "a.mp4", clip(3), 20, [0.7, 1, 1.5]))
    np.testing.assert_allclose(seen, [0, 1, 1.5], atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (720, 1280)])
def test_colours_survive(tmp_path, size):
    frame = np.empty((*size, 3), np.uint8)
    frame[:] = 200, 40, 90
    frames, _ = read(write(tmp_path / "a.mp4", [frame]))
    assert np.abs(frames[0].astype(int) - frame).max() <= 3


def test_an_odd_side_is_padded_by_its_edge(tmp_path):
    frame = cv2.resize(clip(1)[0], (55, 41))
    frames, _ = read(write(tmp_path / "a.mp4", [frame]))
    assert frames.shape == (1, 42, 56, 3)
    assert np.abs(frames[0, 41, :55].astype(int) - frame[40]).mean() < 6
    assert video_size(tmp_path / "a.mp4") == (42, 56)


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
    assert writer.frames == writer.whole == len(read(tmp_path / "a.mp4")[0]) == 1


# Killed, and gone on with.


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A file as it is on the disk while frame 50 of 60 is written, and what the writer says of it."""
    folder = tmp_path_factory.mktemp("killed")
    frames, times = clip(60), uneven(60)
    with VideoWriter(folder / "whole.mp4", 10) as writer:
        for frame, time in zip(frames[:50], times, strict=False):
            writer.write(frame, time)
        shutil.copy(folder / "whole.mp4", folder / "killed.mp4")
        return folder / "killed.mp4", writer.whole


def test_a_killed_run_leaves_a_video_that_plays(killed):
    path, whole = killed
    frames, times = read(path)
    assert 30 <= whole == len(frames) == whole_frames(path)
    assert far(frames, clip(60)[:whole]) < 4
    np.testing.assert_allclose(times, uneven(60)[:whole], atol=1e-5)


@pytest.mark.parametrize("share", [0, 0.2, 0.3, 0.6, 0.95, 1])
def test_what_is_counted_as_whole_can_be_decoded_wherever_the_file_ends(tmp_path, killed, share):
    data = killed[0].read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: round(share * len(data))])
    count = whole_frames(path)
    assert (count == 0) if not share else (count <= killed[1])
    assert (count >= 10) if share >= 0.6 else True
    if count:
        assert far(read(path, cut=True)[0][:count], clip(60)[:count]) < 4


def test_a_file_of_another_kind_is_not_gone_on_with(tmp_path):
    (tmp_path / "a.mp4").write_text("no video at all\n" * 100)
    with pytest.raises(DataError, match="no video that could be gone on with"):
        whole_frames(tmp_path / "a.mp4")


def test_too_little_to_tell_whose_it_is_is_not_gone_on_with(tmp_path, killed):
    (tmp_path / "cut.mp4").write_bytes(killed[0].read_bytes()[:60])
    with pytest.raises(DataError, match="no video that could be gone on with"):
        whole_frames(tmp_path / "cut.mp4")


@pytest.mark.parametrize("keep", [1, 17, 30])
def test_a_killed_run_is_gone_on_with(tmp_path, killed, keep):
    path, frames, times = tmp_path / "a.mp4", clip(60), uneven(60)
    shutil.copy(killed[0], path)
    before = read(path)[0][:keep]
    with VideoWriter(path, 10, keep=keep) as writer:
        for frame, time in zip(frames[keep:], times[keep:], strict=True):
            writer.write(frame, time)
    assert writer.frames == writer.whole == whole_frames(path) == 60
    seen, seen_times = read(path)
    assert far(seen, frames) < 4
    np.testing.assert_allclose(seen_times, times, rtol=0, atol=1e-5)
    assert (seen[:keep] == before).all()  # copied, not encoded again
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_until_the_new_file_holds_as_much_the_old_one_stays(tmp_path, killed):
    path, frames = tmp_path / "a.mp4", clip(60)
    shutil.copy(killed[0], path)
    before = path.read_bytes()
    with VideoWriter(path, 10, keep=17) as writer:
        assert path.read_bytes() == before
        writer.write(frames[17])
        assert path.read_bytes() == before
        for number in range(18, 60):
            writer.write(frames[number])
            assert whole_frames(path) >= writer.whole >= 17  # a kill at any moment
    assert whole_frames(path) == 60


def test_runs_can_be_gone_on_with_again_and_again(tmp_path):
    path, frames = tmp_path / "a.mp4", clip(12)
    write(path, frames[:3])
    for keep in (3, 6, 9):
        write(path, frames[keep : keep + 3], keep=keep)
    seen, times = read(path)
    assert far(seen, frames) < 4
    np.testing.assert_allclose(times, np.arange(12) / 15, atol=1e-9)


def test_without_new_frames_the_old_file_stays(tmp_path):
    path = write(tmp_path / "a.mp4", clip(5))
    before = path.read_bytes()
    with VideoWriter(path, 15, keep=3) as writer:
        assert writer.whole == 3
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", ["size", "too few"])
def test_what_does_not_fit_is_not_appended(tmp_path, change):
    path = write(tmp_path / "a.mp4", clip(5))
    before = path.read_bytes()
    frame = clip(1, (60, 80) if change == "size" else SIZE)[0]
    with VideoWriter(path, 15, keep=7 if change == "too few" else 3) as writer:
        for refuse in (lambda: writer.check_kept(frame.shape[:2]), lambda: writer.write(frame)):
            with pytest.raises(DataError, match=r"has only 5 of 7" if change == "too few" else "other options"):
                refuse()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_where_ffmpeg_has_no_x264_it_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    path = write(tmp_path / "a.mp4", clip(20), 15)
    write(path, clip(30)[18:], 15, keep=18)
    seen, times = read(path)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert far(seen, clip(30)) < 12
    np.testing.assert_allclose(times, np.arange(30) / 15, atol=1e-9)


# A full disk.

FULL = """
import resource, sys
import numpy as np
from smoothdino_jax.apps.video_writer import VideoWriter
from smoothdino_jax.data.frames import DataError

path, limit, keep = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
frames = np.load(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
writer = VideoWriter(path, 15, keep=keep)
try:
    with writer:
        for frame in frames[keep:]:
            writer.write(frame)
except DataError as error:
    print(error, end="|")
print(writer.whole)
"""


@pytest.mark.parametrize(("keep", "share"), [(0, 0.01), (0, 0.7), (20, 0.7), (20, 0.1), (0, 0.95)])
def test_where_there_is_no_more_room_what_fitted_plays(tmp_path, keep, share):
    frames = clip(60)
    np.save(tmp_path / "frames.npy", frames)
    path = write(tmp_path / "a.mp4", frames)
    limit = round(path.stat().st_size * share)
    if keep:
        write(path, frames[:keep])
    else:
        path.unlink()
    command = [sys.executable, "-c", FULL, path, str(limit), str(keep), tmp_path / "frames.npy"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    error, whole = told.split("|")
    assert error.startswith(str(path))
    assert "File too large" in error
    assert int(whole) == whole_frames(path) >= keep
    assert int(whole) >= (40 if share > 0.9 else 15 if share > 0.5 else 0)
    if int(whole):
        assert far(read(path, cut=True)[0][: int(whole)], frames[: int(whole)]) < 4
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "frames.npy"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named_with_what_to_do(tmp_path):
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"a\.mp4.*No space left on device; make room, then go on with --resume"):
        write(tmp_path / "a.mp4", clip(5))
