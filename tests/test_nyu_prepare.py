"""Preparing NYUv2: bad input is named, and nothing half done passes for done."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastdepth_files import write_h5
from nyu_files import BROKEN, SIZE, assert_nothing_finished, build, make_folder, write_frame, zipped
from refusals import assert_refused

from smoothdino_jax.data.archives import claim
from smoothdino_jax.data.frames import DataError

tfds = pytest.importorskip("tensorflow_datasets")

from smoothdino_jax.data.nyu_depth_v2_video import prepare  # noqa: E402
from smoothdino_jax.data.nyu_input import KaggleInput, to_millimetres  # noqa: E402
from smoothdino_jax.data.nyu_video import NYUVideo  # noqa: E402


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_folder(tmp_path / "nyu")


def test_a_truncated_tar_leaves_nothing(tmp_path):
    top = tmp_path / "nyudepthv2"
    for n in (1, 6):
        write_h5(top / "train" / "den" / f"{n:05d}.h5", rgb=np.zeros((3, *SIZE), np.uint8), depth=np.ones(SIZE, "f4"))
    archive = tmp_path / "short.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(top, "nyudepthv2")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert_refused(lambda: build(archive, tmp_path / "out"), "short.tar.gz", "download complete")
    assert_nothing_finished(tmp_path / "out")
    assert not (tmp_path / "out" / "downloads").exists()


def test_rounding_keeps_readings_readings():
    depth = np.float32([[0, 1e-9, 0.0004, 0.0006, 0.0014, 1.2345678, 65.535, 65.6, 1e9]])
    np.testing.assert_array_equal(to_millimetres(depth), [[0, 1, 1, 1, 1, 1235, 65535, 65535, 65535]])


def test_a_bad_frame_stops_the_build_or_is_left_out_by_name(folder, tmp_path):
    (folder / BROKEN).write_bytes((folder / BROKEN).read_bytes()[:100])
    assert_refused(lambda: build(folder, tmp_path / "out"), f"{folder}/{BROKEN}: ", "unpack it again")
    assert_nothing_finished(tmp_path / "out")
    prepared = build(folder, tmp_path / "out", bad_frames="skip")
    assert prepared.frames == {"train": 9, "test": 2}
    assert len(prepared.skipped) == 1
    assert prepared.skipped[0].startswith(f"{BROKEN}: ")
    assert (prepared.folder / "skipped.txt").read_text() == prepared.skipped[0] + "\n"
    source = NYUVideo(tmp_path / "out")
    assert source.segments == [range(2), range(2, 5), range(5, 9)]
    assert source.problems == prepared.skipped
    assert [source[i].index for i in range(5)] == [1, 2, 4, 5, 6]
    builder = tfds.builder("nyu_depth_v2_video/kaggle", data_dir=tmp_path / "out")
    assert tuple(builder.info.metadata["skipped"]) == prepared.skipped
    assert [int(row["segment"]) for row in builder.as_data_source("train")] == [0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_a_broken_zip_entry_is_named(folder, tmp_path):
    archive = zipped(folder, tmp_path / "nyu.zip")
    data = archive.read_bytes()
    jpeg = (folder / BROKEN).read_bytes()
    archive.write_bytes(data.replace(jpeg, jpeg[:200] + bytes([jpeg[200] ^ 1]) + jpeg[201:]))
    assert_refused(lambda: build(archive, tmp_path / "out"), f"nyu.zip/{BROKEN}", "CRC")
    archive.write_bytes(data[:-100])
    assert_refused(lambda: build(archive, tmp_path / "out"), "nyu.zip", "download complete")


@pytest.mark.parametrize("gone", ["4.jpg", "4.png"])
def test_a_missing_file_is_an_error_or_a_gap(folder, tmp_path, gone):
    (folder / "data" / "nyu2_train" / "attic_out" / gone).unlink()
    assert_refused(lambda: build(folder, tmp_path / "out"), f"attic_out/{gone}", "missing")
    prepared = build(folder, tmp_path / "out", bad_frames="skip")
    assert prepared.skipped == (f"data/nyu2_train/attic_out/{gone}: missing",)
    assert NYUVideo(tmp_path / "out").segments == [range(3), range(3, 5), range(5, 9)]


def test_what_a_whole_scene_lacks_is_listed_too(folder, tmp_path):
    for n in range(1, 5):
        (folder / "data" / "nyu2_train" / "cellar_out" / f"{n}.png").unlink()
    prepared = build(folder, tmp_path / "out", bad_frames="skip")
    assert prepared.skipped == tuple(f"data/nyu2_train/cellar_out/{n}.png: missing" for n in range(1, 5))
    assert list(NYUVideo(tmp_path / "out").scenes) == ["attic_out"]


def test_depth_and_sizes_are_checked(folder, tmp_path):
    scene = folder / "data" / "nyu2_train" / "cellar_out"
    good = (scene / "2.png").read_bytes()
    cv2.imwrite(str(scene / "2.png"), np.ones(SIZE, np.uint16))
    assert_refused(lambda: build(folder, tmp_path / "out"), "cellar_out/2.png", "16-bit", "8-bit")
    cv2.imwrite(str(scene / "2.png"), np.ones((32, 50), np.uint8))
    assert_refused(lambda: build(folder, tmp_path / "out"), "cellar_out/2.jpg", "cellar_out/2.png", "50×32")
    (scene / "2.png").write_bytes(good)
    cv2.imwrite(str(folder / "data" / "nyu2_test" / "00007_depth.png"), np.ones(SIZE, np.uint8))
    assert_refused(lambda: build(folder, tmp_path / "out"), "00007_depth.png", "8-bit", "16-bit")
    assert_nothing_finished(tmp_path / "out")


def test_a_single_frame_and_other_inputs_are_refused(folder, tmp_path):
    out = tmp_path / "out"
    assert_refused(lambda: build(tmp_path / "nowhere", out), "nowhere", "no such file")
    (tmp_path / "empty").mkdir()
    assert_refused(lambda: build(tmp_path / "empty", out), "empty", "no frames of NYUv2")
    assert_refused(lambda: build(folder, out, config="fastdepth"), "kaggle", "fastdepth")
    (tmp_path / "text.zip").write_text("no zip")
    assert_refused(lambda: build(tmp_path / "text.zip", out), "text.zip", "not a readable zip")
    write_frame(folder / "data" / "nyu2_train" / "porch_out", 3)
    assert_refused(lambda: build(folder, out), "porch_out/3.jpg", "single frame")
    (tmp_path / "file").touch()
    assert_refused(lambda: build(folder, tmp_path / "file"), "file", "Choose a folder")
    assert_nothing_finished(out)


def test_too_small_a_disk_is_refused_beforehand(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    assert_refused(lambda: build(folder, tmp_path / "out"), "are free", "0.001 MB")
    assert_nothing_finished(tmp_path / "out")


def test_a_finished_dataset_is_kept_unless_overwritten(folder, tmp_path, capsys):
    first = build(folder, tmp_path / "out")
    shard = next(first.folder.glob("*train*"))
    written = shard.stat().st_mtime_ns
    assert prepare(folder, tmp_path / "out") == first
    assert "finished already; to build it again, add --overwrite" in capsys.readouterr().err
    assert shard.stat().st_mtime_ns == written
    (folder / "data" / "nyu2_train" / "cellar_out" / "4.jpg").unlink()
    (folder / "data" / "nyu2_train" / "cellar_out" / "4.png").unlink()
    (folder / "data" / "nyu2_train" / "cellar_out" / "2.png").unlink()
    assert_refused(lambda: build(folder, tmp_path / "out", overwrite=True), "cellar_out/2.png")
    assert shard.stat().st_mtime_ns == written  # looked at before the old one was moved
    assert build(folder, tmp_path / "out", overwrite=True, bad_frames="skip").frames["train"] == 8
    assert [path.name for path in first.folder.parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full"), DataError("damaged"), SystemExit])
def test_what_was_to_be_overwritten_is_back_when_the_new_build_fails(folder, tmp_path, monkeypatch, error):
    first = build(folder, tmp_path / "out")
    before = {file.name: file.read_bytes() for file in first.folder.iterdir()}
    read, seen = KaggleInput.read, []

    def fails(self, split, scene, k):
        if scene.name == "cellar_out" and k == 2:
            seen.extend(path.name for path in first.folder.parent.iterdir())
            assert_refused(lambda: NYUVideo(tmp_path / "out"), "no finished")
            raise error
        return read(self, split, scene, k)

    with monkeypatch.context() as patch:
        patch.setattr(KaggleInput, "read", fails)
        with pytest.raises(DataError if isinstance(error, Exception) else error):
            build(folder, tmp_path / "out", overwrite=True)
    assert "replaced.1.0.0" in seen
    assert "1.0.0" not in seen
    assert [path.name for path in first.folder.parent.iterdir()] == ["1.0.0"]
    assert {file.name: file.read_bytes() for file in first.folder.iterdir()} == before
    assert len(NYUVideo(tmp_path / "out")) == 10


def test_a_damaged_dataset_can_be_overwritten(folder, tmp_path):
    first = build(folder, tmp_path / "out")
    for name in ("metadata.json", "features.json"):
        (first.folder / name).write_text("{")
        assert build(folder, tmp_path / "out", overwrite=True).frames == first.frames
        assert len(NYUVideo(tmp_path / "out")) == 10
    (first.folder / "dataset_info.json").write_text("{")
    assert_refused(lambda: build(folder, tmp_path / "out", overwrite=True), str(first.folder), "Delete")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_build_leaves_nothing(folder, tmp_path, monkeypatch, error):
    read, count = KaggleInput.read, []

    def interrupted(self, *frame):
        count.append(frame)
        if len(count) > 7:
            raise error
        return read(self, *frame)

    monkeypatch.setattr(KaggleInput, "read", interrupted)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else DataError):
        build(folder, tmp_path / "out")
    assert_nothing_finished(tmp_path / "out")
    assert not list((tmp_path / "out" / "nyu_depth_v2_video" / "kaggle").iterdir())


_KILLED = """
import os, signal, sys
from smoothdino_jax.data.nyu_depth_v2_video import NyuDepthV2Video, prepare
NyuDepthV2Video._write_record = lambda self, written: os.kill(os.getpid(), signal.SIGKILL)
prepare(sys.argv[1], sys.argv[2], overwrite=True, progress=False)
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_killed_process_was_to_overwrite_is_brought_back(folder, tmp_path, capsys, overwrite):
    first = build(folder, tmp_path / "out")
    old = next(first.folder.glob("*train*")).stat().st_mtime_ns
    assert subprocess.run([sys.executable, "-c", _KILLED, folder, tmp_path / "out"]).returncode == -9
    names = sorted(path.name.split("_")[0].split(".")[0] for path in first.folder.parent.iterdir())
    assert names == ["build", "incomplete", "replaced"]
    assert_nothing_finished(tmp_path / "out")
    assert prepare(folder, tmp_path / "out", overwrite=overwrite) == first
    assert "brought back" in capsys.readouterr().err
    assert (next(first.folder.glob("*train*")).stat().st_mtime_ns == old) is not overwrite
    assert [path.name for path in first.folder.parent.iterdir()] == ["1.0.0"]


def test_the_old_dataset_of_a_process_killed_after_it_was_done_is_removed(folder, tmp_path):
    first = build(folder, tmp_path / "out")
    shutil.copytree(first.folder, first.folder.with_name("replaced.1.0.0"))
    assert build(folder, tmp_path / "out") == first
    assert [path.name for path in first.folder.parent.iterdir()] == ["1.0.0"]


def test_a_killed_build_does_not_pass_for_finished_and_is_cleaned_up(folder, tmp_path):
    killed = subprocess.run([sys.executable, "-c", _KILLED, folder, tmp_path / "out"])
    assert killed.returncode == -9
    configs = tmp_path / "out" / "nyu_depth_v2_video" / "kaggle"
    assert sorted(path.name.partition(".")[0] for path in configs.iterdir()) == ["build", "incomplete"]
    assert_nothing_finished(tmp_path / "out")
    build(folder, tmp_path / "out")
    assert [path.name for path in configs.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_another_process_is_building_is_left_alone(folder, tmp_path, overwrite):
    configs = build(folder, tmp_path / "out").folder.parent
    (configs / "1.0.0").rename(configs / "replaced.1.0.0")
    (configs / "incomplete.ABCDEF_1.0.0").mkdir()
    there = {"build.lock", "incomplete.ABCDEF_1.0.0", "replaced.1.0.0"}
    with claim(configs):
        assert_refused(lambda: build(folder, tmp_path / "out", overwrite=overwrite), str(configs), "another process")
        assert {path.name for path in configs.iterdir()} == there
        shutil.rmtree(configs / "replaced.1.0.0")
        assert_refused(lambda: build(folder, tmp_path / "out", overwrite=overwrite), str(configs), "another process")
        assert (configs / "incomplete.ABCDEF_1.0.0").is_dir()
    build(folder, tmp_path / "out", overwrite=overwrite)
    assert [path.name for path in configs.iterdir()] == ["1.0.0"]


def test_one_process_at_a_time_has_a_claim(tmp_path):
    with claim(tmp_path):
        with pytest.raises(DataError, match="another process"), claim(tmp_path):
            pass
        assert (tmp_path / "build.lock").exists()  # still the first one's
    assert not list(tmp_path.iterdir())
    with claim(tmp_path):
        pass


def test_a_changed_byte_in_a_png_comes_up_by_its_checksum(folder, tmp_path):
    path = folder / "data" / "nyu2_train" / "attic_out" / "3.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    assert_refused(lambda: build(folder, tmp_path / "out"), "attic_out/3.png: ", "PNG", "unpack it again")
    assert_nothing_finished(tmp_path / "out")
