"""What is done with an output's files that are there already: left alone, replaced, gone on with, or refused."""

import os
import shutil
import zipfile

import av
import numpy as np
import pytest
from made_outputs import FILES, NAMES, contents, made, output, times, video, write
from video_files import clip, write_video

from smoothdino_jax.apps.video_outputs import completed
from smoothdino_jax.apps.video_writer import VideoWriter
from smoothdino_jax.data.frames import DataError

# What is there already.


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_overwritten_unasked_and_nothing_before_the_first_frame(tmp_path, name):
    write(tmp_path / name)
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    (tmp_path / "a" / "0.png").write_text("mine")  # not of the pattern
    (tmp_path / "a" / "1000000.jpg").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(DataError, match="exists already: choose another name, add --overwrite, or --resume"):
        output(tmp_path / name)
    for options in ({"overwrite": True}, {"resume": True}, {"resume": True, "start": 3}):
        with output(tmp_path / name, **options):
            pass
        assert contents(tmp_path) == before
    write(tmp_path / name, 2, overwrite=True)
    assert completed(tmp_path / name) == 2
    kept = {"a/notes.txt", "a/0.png", "a/1000000.jpg"}
    assert {file: data for file, data in contents(tmp_path).items() if file in kept} == {
        file: data for file, data in before.items() if file in kept
    }
    assert len(contents(tmp_path)) == 3 + (2 if name in FILES else 1)


def test_other_files_in_the_folder_are_no_hindrance(tmp_path):
    (tmp_path / "000000.jpg").write_text("mine")
    write(tmp_path / "%06d.png")
    write(tmp_path / "%06d.npy")
    assert len(os.listdir(tmp_path)) == 11


@pytest.mark.parametrize("name", NAMES)
def test_without_frames_nothing_is_made(tmp_path, name):
    assert completed(tmp_path / "new" / name) == 0
    with output(tmp_path / "new" / name) as opened:
        assert opened.whole == 0
    assert os.listdir(tmp_path) == []


# Going on.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", [None, 4, 1])
def test_a_run_that_was_ended_is_gone_on_with(tmp_path, name, start):
    write(tmp_path / "once" / name, 9)
    path = write(tmp_path / "twice" / name, 5)
    assert completed(path) == 5
    write(path, 9, first=5 if start is None else start, resume=True, start=start)
    assert completed(path) == 9
    if name == "a.mp4":
        (once, seen_once), (twice, seen_twice) = video(tmp_path / "once" / name), video(path)
        np.testing.assert_allclose(seen_twice, seen_once, rtol=0, atol=1e-9)
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(once, twice, strict=True)) < 6
    else:
        assert contents(tmp_path / "once") == contents(tmp_path / "twice")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_longer_run_stays_behind_a_shorter_one(tmp_path, name):
    write(tmp_path / "once" / name, 3)
    path = write(tmp_path / "twice" / name, 9)
    write(path, 3, first=1, resume=True, start=1)
    assert completed(path) == 3
    if name == "a.mp4":
        np.testing.assert_allclose(video(path)[1], times(3), atol=1e-5)
    else:
        assert contents(tmp_path / "once") == contents(tmp_path / "twice")


@pytest.mark.parametrize("name", NAMES)
def test_where_there_is_nothing_to_go_on_with_it_starts(tmp_path, name):
    write(tmp_path / name, resume=True)
    assert completed(tmp_path / name) == 5
    with pytest.raises(ValueError, match="holds 5 whole frames"):
        output(tmp_path / name, resume=True, start=6)


def test_files_after_a_gap_are_not_counted_and_go(tmp_path):
    path = write(tmp_path / "%06d.npy", 9)
    (tmp_path / "000004.npy").unlink()
    assert completed(path) == 4
    write(path, 6, first=4, resume=True)
    assert sorted(os.listdir(tmp_path)) == [f"{number:06d}.npy" for number in range(6)]


@pytest.mark.parametrize("cut", [0, 100, 1000, 30000, 47400, 47700])
def test_an_archive_that_was_killed_is_gone_on_with(tmp_path, cut):
    path = tmp_path / "a.npz"
    with output(path) as opened:
        for number, (frame, depths) in enumerate(made(7)):
            opened.write(frame, depths, number)
            if number == 4:
                data = path.read_bytes()  # as it is on the disk, never closed
    entry = len(data) // 5
    path.write_bytes(data[:cut])
    assert completed(path) == cut // entry
    write(path, 9, first=cut // entry, resume=True)
    write(tmp_path / "once.npz", 9)
    assert path.read_bytes() == (tmp_path / "once.npz").read_bytes()


def test_going_on_makes_a_killed_archive_readable_even_without_new_frames(tmp_path):
    path = tmp_path / "a.npz"
    with output(path) as opened:
        for number, (frame, depths) in enumerate(made()):
            opened.write(frame, depths, number)
        shutil.copy(path, tmp_path / "killed.npz")
    assert not zipfile.is_zipfile(tmp_path / "killed.npz")
    with output(tmp_path / "killed.npz", resume=True):
        pass
    assert (tmp_path / "killed.npz").read_bytes() == path.read_bytes()


def test_an_archive_keeps_what_it_holds_until_the_next_frame_comes(tmp_path):
    path = tmp_path / "a.npz"
    with output(path) as opened:
        for number, (frame, depths) in enumerate(made()):
            opened.write(frame, depths, number)
        shutil.copy(path, tmp_path / "killed.npz")
    with output(tmp_path / "killed.npz", resume=True, start=2) as opened:
        assert opened.whole == 2
    assert (tmp_path / "killed.npz").read_bytes() == path.read_bytes()
    write(tmp_path / "killed.npz", 3, first=2, resume=True, start=2)
    assert completed(tmp_path / "killed.npz") == 3


def somebodys(path, kind):
    """A file that this program did not write."""
    if kind == "video":
        write_video(path, clip(20))
    elif kind == "audio":
        with av.open(str(path), "w", format="mp4") as file:
            sound = file.add_stream("aac", 44100)
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
            silence.sample_rate = 44100
            file.mux([*sound.encode(silence), *sound.encode(None)])
    elif kind == "arrays":
        np.savez(path, depth=np.zeros(3))
    elif kind == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("000000.npy", "x" * 1000)
    elif kind == "begun":  # the start of a file of this program's, too little of it to tell
        path.write_bytes(write(path).read_bytes()[:30])
    else:
        path.write_bytes({"text": b"something else\n" * 100, "short": b"abc", "29 bytes": b"PK" + bytes(27)}[kind])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp4", kind) for kind in ("video", "audio", "text", "short", "29 bytes", "arrays", "begun")]
    + [("a.npz", kind) for kind in ("arrays", "archive", "text", "short", "29 bytes", "video", "begun")],
)
@pytest.mark.parametrize("start", [None, 0])
def test_what_others_wrote_is_neither_gone_on_with_nor_replaced(tmp_path, name, kind, start):
    made_as = tmp_path / ("x.npz" if kind == "arrays" else "x.mp4" if kind == "video" else name)
    somebodys(made_as, kind)
    (tmp_path / name).write_bytes(made_as.read_bytes())
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"could be gone on with.*another name, or --overwrite") as error:
        output(tmp_path / name, resume=True, start=start)
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == before
    write(tmp_path / name, 2, overwrite=True)
    assert completed(tmp_path / name) == 2


@pytest.mark.parametrize("name", ["a.mp4", "a.npz"])
def test_an_empty_file_is_begun_anew(tmp_path, name):
    (tmp_path / name).touch()
    write(tmp_path / name, 2, resume=True)
    assert completed(tmp_path / name) == 2


def test_a_video_that_was_killed_before_its_first_fragment_is_begun_anew(tmp_path):
    with output(tmp_path / "a.mp4") as opened:
        frame, depths = next(made())
        opened.write(frame, depths, 0)
        shutil.copy(tmp_path / "a.mp4", tmp_path / "killed.mp4")
    assert (tmp_path / "killed.mp4").stat().st_size > 0
    assert completed(tmp_path / "killed.mp4") == 0
    write(tmp_path / "killed.mp4", 3, resume=True)
    assert completed(tmp_path / "killed.mp4") == 3


@pytest.mark.parametrize("name", NAMES)
def test_much_that_is_done_is_not_thrown_away(tmp_path, name):
    path = write(tmp_path / name, 131)
    before = contents(tmp_path)
    for start in (0, 2):
        with pytest.raises(DataError, match=f"holds 131 whole frames.*frame {start} would throw away.*--overwrite"):
            output(path, resume=True, start=start)
    with output(path, resume=True, start=3):
        pass
    assert contents(tmp_path) == before


def test_numbered_files_that_start_later_are_not_removed(tmp_path):
    (tmp_path / "000001.png").write_text("mine")
    with pytest.raises(DataError, match=r"holds 0 whole frames.*would throw away"):
        output(tmp_path / "%06d.png", resume=True)
    assert contents(tmp_path) == {"000001.png": b"mine"}


def test_a_video_of_another_layout_is_not_gone_on_with(tmp_path):
    path = write(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"other options.*--overwrite"):
        output(path, resume=True, layout="depth")


@pytest.mark.parametrize("change", ["codec", "profile"])
def test_a_video_of_another_encoder_is_refused_before_the_first_frame(tmp_path, monkeypatch, change):
    path = tmp_path / "a.mp4"
    with monkeypatch.context() as patched:
        if change == "codec":
            patched.setattr(av, "codecs_available", {"mpeg4"})  # FFmpeg without x264
            write(path)
        else:
            add = VideoWriter._add_stream

            def baseline(self, *args):
                stream = add(self, *args)
                stream.codec_context.profile = "Baseline"
                return stream

            patched.setattr(VideoWriter, "_add_stream", baseline)
            write(path)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"other options, or by another version of FFmpeg.*--overwrite"):
        output(path, resume=True)
    assert contents(tmp_path) == before
