"""Video that breaks off, and what is none: the frames before come, then one line that says where and why."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from permissions import nobody
from PIL import Image
from video_files import (
    audio_file,
    clip,
    damaged_video,
    empty_video,
    image_folder,
    size_changing_video,
    truncated_video,
    write_video,
)

from smoothdino_jax.apps.video_sources import open_video
from smoothdino_jax.data.frames import DataError


def read(source, **options):
    with open_video(source, **options) as video:
        return list(video.frames)


def read_until_it_breaks(source, **options):
    """The frames before the error, and the error."""
    frames = []
    with pytest.raises(DataError) as error, open_video(source, **options) as video:
        frames.extend(video.frames)
    return frames, str(error.value)


@pytest.mark.parametrize("part", [0.4, 0.8, 0.999])
def test_a_file_cut_short_gives_what_is_whole_and_says_where_it_ends(tmp_path, part):
    frames = clip(40, (120, 160))
    whole = read(write_video(tmp_path / "whole.mp4", frames, options={"g": "5", "crf": "10"}))
    got, error = read_until_it_breaks(truncated_video(tmp_path / "cut.mp4", frames, part))
    assert 5 < len(got) < 40
    assert all((one.image == other.image).all() for one, other in zip(got, whole, strict=False))
    after = f"cut.mp4 breaks off at frame {len(got)}, after {got[-1].time:.2f} s: the file is cut short; the {len(got)}"
    assert after in error


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "libx264"), ("avi", "mpeg4")])
def test_other_files_cut_short_are_found_out_too(tmp_path, ending, codec):
    path = write_video(tmp_path / f"a.{ending}", clip(100, (120, 160)), 25, codec)
    assert len(read(path)) == 100
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    got, error = read_until_it_breaks(path)
    assert 5 < len(got) < 90
    assert f"breaks off at frame {len(got)}" in error


def test_damage_in_the_midst_ends_the_video_there(tmp_path):
    frames = clip(40, (120, 160))
    whole = read(write_video(tmp_path / "whole.mp4", frames, options={"g": "5", "crf": "10"}))
    got, error = read_until_it_breaks(damaged_video(tmp_path / "damaged.mp4", frames))
    assert 5 < len(got) < 35
    assert all((one.image == other.image).all() for one, other in zip(got, whole, strict=False))
    assert f"damaged.mp4 breaks off at frame {len(got)}, after" in error


def test_a_size_that_changes_midway_is_named_and_ends_the_video(tmp_path):
    got, error = read_until_it_breaks(size_changing_video(tmp_path / "a.ts", clip(5), clip(5, (60, 80))))
    assert len(got) == 5
    assert "a.ts: frame 5 is 60×80, the first is 42×56" in error


def test_what_is_no_video_is_refused_by_name(tmp_path):
    def refused(path, why):
        with pytest.raises(DataError, match=why) as error:
            open_video(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    refused(tmp_path / "none.mp4", "no such video")
    refused(str(tmp_path / "none.mp4"), "no such video")
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    refused(tmp_path / "text.mp4", "can't be read as a video: damaged, cut short, or no video|not a video")
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "can't be read as a video")
    refused(audio_file(tmp_path / "sound.wav"), "no video stream, only audio")
    refused(empty_video(tmp_path / "none.mkv"), "can't be read as a video")
    refused(empty_video(tmp_path / "none_either.mp4"), "no video stream")
    refused(truncated_video(tmp_path / "start.mp4", clip(5), 0.35), "no frame can be decoded|can't be read")
    refused(write_video(tmp_path / "dot.mkv", [clip(1)[0][:1, :1]], codec="ffv1", pixels="bgr0"), "1×1.*2 pixels")
    refused(str(tmp_path / "*.jpg"), "no file matches")
    refused(str(tmp_path / "*.wav"), "sound.wav, which is no image")


def test_the_cover_of_a_song_is_no_video(tmp_path):
    with av.open(str(tmp_path / "song.mp3"), "w") as file:
        sound, cover = file.add_stream("libmp3lame", 44100), file.add_stream("mjpeg", 1)
        cover.height, cover.width, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame(32, 32, "yuvj420p")
        picture.pts, picture.time_base = 0, Fraction(1)
        packets = [*cover.encode(picture), *cover.encode(None)]
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
        silence.sample_rate = 44100
        file.mux([*packets, *sound.encode(silence), *sound.encode(None)])
    with pytest.raises(DataError, match="no video stream, only audio"):
        open_video(tmp_path / "song.mp3")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("name", ["a.mp4", "images", "images/frame8.png"])
def test_what_may_not_be_read_says_so(tmp_path, name):
    image_folder(tmp_path / "images", clip(2))
    write_video(tmp_path / "a.mp4", clip(2))
    (tmp_path / name).chmod(0)
    with pytest.raises(DataError, match=f"{name}.*Permission denied"), nobody():
        open_video(tmp_path / name)
    (tmp_path / name).chmod(0o700)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("name", ["images", "images/frame8.png", "images/*.png", "*/*.png"])
def test_a_folder_that_may_not_be_searched_says_so(tmp_path, monkeypatch, name):
    folder = image_folder(tmp_path / "images", clip(2))
    folder.chmod(0o444)  # its names may be read, and no more
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^images.*Permission denied"), nobody():
        open_video(name)
    folder.chmod(0o700)


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "*.png"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="File name too long"):
        open_video(str(tmp_path / name))


def test_images_whose_white_is_unknown_are_refused_rather_than_black(tmp_path):
    grey = clip(1)[0][..., 0]
    for values in (grey.astype(np.int32), (grey / 255).astype(np.float32)):
        Image.fromarray(values).save(tmp_path / "0.tif")
        with pytest.raises(DataError, match=r"0\.tif has numbers of 32 bits for pixels: save it with 8 or 16 bits"):
            open_video(str(tmp_path / "*.tif"))


def test_bad_images_are_named(tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images \(\.bmp"):
        open_video(tmp_path / "empty")
    folder = image_folder(tmp_path / "images", clip(4))
    for damaged in (b"", b"damaged", (folder / "frame9.png").read_bytes()[:-500]):
        (folder / "frame9.png").write_bytes(damaged)
        got, error = read_until_it_breaks(folder)
        assert len(got) == 1
        assert f"{folder / 'frame9.png'} can't be read as an image" in error
    Image.fromarray(clip(1)[0][:20]).save(folder / "frame9.png")
    assert "frame 1 is 20×56, the first is 42×56" in read_until_it_breaks(folder)[1]
    Image.fromarray(clip(1)[0]).save(folder / "frame9.jpg")
    with pytest.raises(DataError, match=r"frame9\.jpg and .*frame9\.png would be one frame"):
        open_video(folder)
    assert capfd.readouterr() == ("", "")
