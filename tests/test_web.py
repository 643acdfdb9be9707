"""A video behind the page, without a browser: takes, limits, bad uploads, and what is stored."""

import csv
import io
import re
import zipfile

import numpy as np
import pytest
from video_files import SIZE, audio_file, clip, empty_video, truncated_video, write_video
from web_takes import FRAMES, TINY, clip_bytes, run, stored, upload

from smoothdino_jax.apps.video_arguments import usual_short_side, working_size
from smoothdino_jax.apps.web.depth_zip import DepthZip, millimetres
from smoothdino_jax.apps.web.session import Session, watch
from smoothdino_jax.apps.web.take import Models, Take, working
from smoothdino_jax.apps.web.uploads import ENDINGS, Limits
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.stream import Stream
from smoothdino_jax.weights import load, save

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")


pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's, see web_page.py


@pytest.fixture(scope="module")
def models():
    """One for all tests, so that the program for the clip is compiled once."""
    return Models()


@pytest.fixture
def session(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    session = Session(root)
    yield session
    session.close()
    assert list(root.iterdir()) == []


@pytest.fixture(scope="module")
def video_bytes(tmp_path_factory):
    return clip_bytes(tmp_path_factory.mktemp("clip"))


# A video.


def test_what_is_shown_and_stored_is_the_depth_of_the_stream(session, models, video_bytes):
    upload(session, video_bytes)
    shown = run(session, models, every=0)
    assert [progress.kind for progress in shown] == ["info"] * (FRAMES + 1) + ["done"]
    assert "56×42" in shown[0].message
    assert [progress.share for progress in shown[1:-1]] == pytest.approx(np.arange(1, FRAMES + 1) / FRAMES)
    seen = [progress.seen for progress in shown[1:-1]]
    assert [one.number for one in seen] == list(range(FRAMES))
    assert [one.time for one in seen] == pytest.approx(np.arange(FRAMES) / 15)

    model = load(TINY)
    stream = Stream(model, size=working_size(SIZE, usual_short_side(model)), compare=True)
    archive = shown[-1].archive
    assert archive.name == "my_walk_depth.zip"
    kept = stored(archive, "vanilla"), stored(archive, "smoothed")
    for number, one in enumerate(seen):
        vanilla, smoothed = stream(one.image)
        np.testing.assert_allclose(one.depths["vanilla"], vanilla, rtol=1e-5)
        np.testing.assert_allclose(one.depths["smoothed"], smoothed, rtol=1e-5)
        assert one.shift == pytest.approx(stream.shift, abs=1e-3)
        assert np.abs(kept[0][number] - vanilla).max() <= 0.00051  # half a millimetre
        assert np.abs(kept[1][number] - smoothed).max() <= 0.00051
    assert seen[-1].shift.dx == pytest.approx(-2, abs=0.3)  # the clip's texture moves two pixels to the left
    with zipfile.ZipFile(archive) as file:
        rows = list(csv.DictReader(io.StringIO(file.read("frames.csv").decode())))
    assert [float(row["time"]) for row in rows] == pytest.approx(np.arange(FRAMES) / 15, abs=1e-4)
    assert float(rows[-1]["dx"]) == pytest.approx(seen[-1].shift.dx, abs=1e-3)


def test_all_frames_are_seen_where_few_are_shown(session, models, video_bytes):
    upload(session, video_bytes)
    shown = run(session, models, every=1e9)
    assert [progress.seen and progress.seen.number for progress in shown] == [None, 0, FRAMES - 1]
    assert len(stored(shown[-1].archive)) == FRAMES


def test_each_take_starts_anew_and_replaces_the_depth_of_the_one_before(session, models, video_bytes):
    upload(session, video_bytes)
    (first, again) = (stored(run(session, models)[-1].archive) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(list(session.folder.glob("*.zip"))) == 1


def test_stop_keeps_what_was_seen(session, models, video_bytes):
    upload(session, video_bytes)
    for progress in watch(session, models, TINY, Limits(), every=0):
        if progress.seen and progress.seen.number == 2:
            session.stopped.set()
    assert (progress.kind, progress.message) == ("done", "my walk.mp4: 3 frames, stopped")
    assert len(stored(progress.archive)) == 3


def test_stop_while_waiting_ends_before_the_first_frame(session, models, video_bytes):
    upload(session, video_bytes)
    session.stopped.set()
    last = run(session, models)[-1]
    assert (last.kind, last.message, last.archive) == ("done", "stopped before the first frame", None)


def test_it_is_known_when_a_model_is_at_work(models, tmp_path, monkeypatch):
    seen, warm_up, call = [], Stream.warm_up, Stream.__call__
    monkeypatch.setattr(Stream, "warm_up", lambda *arguments: (seen.append(working()), warm_up(*arguments))[1])
    monkeypatch.setattr(Stream, "__call__", lambda *arguments: (seen.append(working()), call(*arguments))[1])
    take = Take(models, TINY, SIZE, tmp_path / "depth.zip")
    seen.append(working())
    take.see(clip(1)[0], 0.0)
    take.close()
    assert (seen[0], seen[-2:], working()) == (True, [False, True], False)


def test_a_model_without_adapter_shows_vanilla_alone(session, tiny_model, tmp_path, video_bytes):
    checkpoint = save(tiny_model.vanilla(), tmp_path / "model")
    upload(session, video_bytes)
    last = run(session, Models(28), str(checkpoint))[-1]
    assert list(last.seen.depths) == ["vanilla"]
    assert len(stored(last.archive, "vanilla")) == FRAMES
    assert stored(last.archive, "smoothed") == []


# Limits and bad uploads.


def bad(tmp_path, kind):
    path = tmp_path / "made"
    if kind == "text":
        return b"no video at all\n" * 100
    if kind == "nothing":
        return b""
    if kind == "audio":
        return audio_file(path.with_suffix(".wav")).read_bytes()
    if kind == "no frames":
        return empty_video(path.with_suffix(".mp4")).read_bytes()
    secret = write_video(tmp_path / "secret.ts", clip(5))
    if kind == "playlist":
        return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    return f"ffconcat version 1.0\nfile '{secret}'\n".encode()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("text", "can't be read as a video"),
        ("nothing", "can't be read as a video"),
        ("audio", "is not a video: there is only audio in it"),
        ("no frames", "no frames|can't be read|is not a video"),
        ("playlist", "can't be read as a video"),  # it would have the server open other files
        ("concat", "can't be read as a video"),
    ],
)
def test_what_is_no_video_is_an_error_by_its_own_name(session, models, tmp_path, video_bytes, kind, why):
    upload(session, bad(tmp_path, kind), "walk.mp4")
    (error,) = run(session, models)
    assert error.kind == "error"
    assert error.message.startswith("walk.mp4 ")
    assert re.search(why, error.message), error.message
    assert str(session.folder) not in error.message
    upload(session, video_bytes)  # and the page goes on
    assert run(session, models)[-1].kind == "done"


@pytest.mark.parametrize(
    ("ending", "coded"),
    [(".ts", {}), (".gif", {"codec": "gif", "pixels": "rgb8"}), (".y4m", {"codec": "wrapped_avframe"})],
)
def test_videos_beside_the_usual_are_taken(session, models, tmp_path, ending, coded):
    assert ending in ENDINGS
    upload(session, write_video(tmp_path / f"walk{ending}", clip(FRAMES), **coded).read_bytes(), f"walk{ending}")
    assert run(session, models)[-1].message == f"walk{ending}: {FRAMES} frames"


def test_without_a_video_there_is_a_message(session, models):
    (error,) = run(session, models)
    assert (error.kind, error.message) == ("error", "choose a video first")


def test_what_is_too_large_or_too_long_is_refused_before_it_is_decoded(session, models, tmp_path):
    upload(session, write_video(tmp_path / "long.mp4", clip(8), fps=2).read_bytes(), "long.mp4")
    (error,) = run(session, models, limits=Limits(seconds=2))
    assert error.message == "long.mp4 is 4 s long, this page takes up to 2 s: cut it to a part"
    (error,) = run(session, models, limits=Limits(megabytes=0.001))
    assert "this page takes up to 0.001" in error.message


def test_a_video_that_does_not_say_how_long_it_is_ends_at_the_limit(session, models, tmp_path):
    video = write_video(tmp_path / "long.h264", clip(12), fps=25)  # a bare stream: no duration anywhere
    upload(session, video.read_bytes(), "long.h264")
    last = run(session, models, limits=Limits(seconds=0.2))[-1]
    assert (last.kind, last.message) == ("done", "long.h264: 5 frames, stopped at the limit of 0.2 s")


def test_a_video_that_breaks_off_keeps_the_depth_before(session, models, tmp_path):
    video = truncated_video(tmp_path / "cut.mkv", clip(60), part=0.5)
    upload(session, video.read_bytes(), "cut.mkv")
    last = run(session, models)[-1]
    whole = len(stored(last.archive))
    assert 0 < whole < 60
    assert last.kind == "error"
    assert last.message.startswith(f"cut.mkv breaks off at frame {whole}, ")
    assert last.message.endswith(
        f": the file is cut short; the depth of the {whole} frames before it can be downloaded"
    )


def test_a_full_disk_is_a_message(session, models, video_bytes, monkeypatch):
    upload(session, video_bytes)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    last = run(session, models)[-1]
    assert (last.kind, last.message) == ("error", "the depth can't be written: No space left on device")


def test_a_missing_model_is_a_message(session, video_bytes):
    upload(session, video_bytes)
    last = run(session, Models(), "nowhere")[-1]
    assert last.kind == "error"
    assert "nowhere" in last.message


# What is stored.


def test_an_upload_is_moved_and_replaced_and_removed(session, video_bytes):
    upload(session, video_bytes)
    assert [path.name for path in session.folder.parent.iterdir()] == [session.folder.name]
    assert [path.name for path in session.folder.iterdir()] == ["upload.mp4"]
    upload(session, b"other", "odd.na/me*".replace("/", "_"))
    assert [path.read_bytes() for path in session.folder.iterdir()] == [b"other"]
    session.drop_video()
    assert list(session.folder.iterdir()) == []
    with pytest.raises(DataError, match=r"gone\.mp4 did not arrive whole"):
        session.keep_video(session.folder / "gone.mp4", "gone.mp4")


def test_an_archive_without_frames_is_none(tmp_path):
    archive = DepthZip(tmp_path / "a.zip")
    archive.close()
    archive.close()
    assert list(tmp_path.iterdir()) == []


def test_millimetres_round_and_stop_at_16_bits():
    depth = np.array([[0.0004, 0.0006, 1.2345678, 65.535, 80, np.nan]], np.float32)
    assert millimetres(depth).tolist() == [[0, 1, 1235, 65535, 65535, 0]]
