"""Preparing NYUv2 and reading it back: what goes in comes out, in order."""

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastdepth_files import write_h5
from nyu_files import SIZE, assert_nothing_finished, build, make_folder, write_frame, zipped
from refusals import assert_refused

from smoothdino_jax.data.frames import DataError, FrameSource
from smoothdino_jax.data.nyu import NYUKaggle

pytest.importorskip("tensorflow_datasets")

from smoothdino_jax.data import nyu_depth_v2_video
from smoothdino_jax.data.nyu_depth_v2_video import prepare
from smoothdino_jax.data.nyu_video import NYUVideo, parse_example

SHARED = Path(os.environ.get("SMOOTHDINO_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_folder(tmp_path / "nyu")


def test_frames_come_back_as_they_went_in(folder, tmp_path):
    prepared = build(folder, tmp_path / "out")
    assert prepared.folder == tmp_path / "out" / "nyu_depth_v2_video" / "kaggle" / "1.0.0"
    assert prepared.frames == {"train": 10, "test": 2}
    assert prepared.skipped == ()
    assert prepared.size_bytes == sum(file.stat().st_size for file in prepared.folder.iterdir())
    source, original = NYUVideo(tmp_path / "out"), NYUKaggle(folder)
    assert isinstance(source, FrameSource)
    assert source.scenes == original.scenes
    assert source.segments == original.segments == [range(6), range(6, 10)]
    for ours, theirs in ((source[i], original[i]) for i in range(10)):
        assert (ours.scene, ours.index) == (theirs.scene, theirs.index)
        np.testing.assert_array_equal(ours.image, theirs.image)  # the JPEG is passed on as it is
        assert ours.depth.dtype == np.float32
        np.testing.assert_allclose(ours.depth, theirs.depth, atol=0.0005 + 1e-6)
        np.testing.assert_array_equal(ours.depth == 0, theirs.depth == 0)


def test_test_images_are_stored_without_loss_each_its_own_segment(folder, tmp_path):
    build(folder, tmp_path / "out")
    source = NYUVideo(tmp_path / "out", split="test")
    assert source.scenes == {"test": range(2)}
    assert source.segments == [range(1), range(1, 2)]
    frame = source[1]
    assert frame.index == 7
    np.testing.assert_array_equal(frame.depth, np.full(SIZE, np.float32(1007) * np.float32(0.001)))
    expected = cv2.imread(str(folder / "data" / "nyu2_test" / "00007_colors.png"), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(frame.image, expected)


def test_a_split_is_train_or_test_and_has_to_be_there(folder, tmp_path):
    shutil.rmtree(folder / "data" / "nyu2_test")
    build(folder, tmp_path / "out")
    assert_refused(lambda: NYUVideo(tmp_path / "out", split="test"), "no split 'test', only train")
    with pytest.raises(ValueError, match="split='val'"):
        NYUVideo(tmp_path / "out", split="val")


def test_no_folder_for_unpacking_is_left_where_nothing_is_unpacked(folder, tmp_path):
    build(folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["nyu_depth_v2_video"]
    (tmp_path / "other" / "downloads" / "extracted").mkdir(parents=True)
    build(folder, tmp_path / "other")
    assert (tmp_path / "other" / "downloads" / "extracted").is_dir()  # the user's


def test_every_process_builds_the_same_bytes(folder, tmp_path):
    code = "import sys; from smoothdino_jax.data.nyu_depth_v2_video import prepare; prepare(*sys.argv[1:])"
    built = set()
    for name in ("one", "two", "three"):
        subprocess.run([sys.executable, "-c", code, folder, tmp_path / name], check=True, capture_output=True)
        files = next((tmp_path / name).glob("*/*/1.0.0")).iterdir()
        built.add(tuple((file.name, file.read_bytes()) for file in sorted(files)))
    assert len(built) == 1


def test_the_checksum_of_a_zip_is_announced(folder, tmp_path, capsys):
    archive = zipped(folder, tmp_path / "nyu.zip")
    prepare(archive, tmp_path / "out")
    size = archive.stat().st_size / 1e6
    assert f"\nfinishing: the checksum of nyu.zip ({size:.3g} MB)\n" in capsys.readouterr().err
    prepare(folder, tmp_path / "other")
    assert "finishing" not in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["", "nyu_data/"])
def test_a_zip_gives_what_its_folder_gives(folder, tmp_path, prefix):
    archive = zipped(folder, tmp_path / "nyu.zip", prefix)
    assert build(archive, tmp_path / "out").frames == {"train": 10, "test": 2}
    build(folder, tmp_path / "other")
    ours, theirs = NYUVideo(tmp_path / "out"), NYUVideo(tmp_path / "other")
    assert ours.scenes == theirs.scenes
    for i in range(10):
        np.testing.assert_array_equal(ours[i].image, theirs[i].image)
    record = json.loads((ours.folder / "metadata.json").read_text())
    assert record["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert record["source"] == "nyu.zip"
    other = json.loads((theirs.folder / "metadata.json").read_text())
    assert record["splits"]["train"]["scenes"] == other["splits"]["train"]["scenes"]
    assert str(tmp_path) not in json.dumps(record) + json.dumps(other)


def test_checksums_tell_another_input(folder, tmp_path):
    build(folder, tmp_path / "one")
    write_frame(folder / "data" / "nyu2_train" / "attic_out", 1, (34, 48))
    build(folder, tmp_path / "two")
    one, two = (
        json.loads(next((tmp_path / name).glob("*/*/1.0.0/metadata.json")).read_text()) for name in ("one", "two")
    )
    assert one["sha256"] != two["sha256"]
    same = [
        a["sha256"] == b["sha256"] for a, b in zip(*(r["splits"]["train"]["scenes"] for r in (one, two)), strict=True)
    ]
    assert same == [False, True]


def test_fastdepth_from_a_folder_and_from_its_archive(tmp_path):
    depth = np.zeros(SIZE, np.float32)
    depth[0, :5] = [0, 0.0001, 1.2344, 1.2346, 80]
    rng = np.random.default_rng(0)
    rgb = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), SIZE[::-1]).transpose(2, 0, 1)
    top = tmp_path / "in" / "nyudepthv2"
    for n in (1, 6, 11, 21, 26):  # 16 is missing
        write_h5(top / "train" / "den" / f"{n:05d}.h5", rgb=rgb, depth=depth + (n > 1))
    for n in (1, 2):
        write_h5(top / "val" / "official" / f"{n:05d}.h5", rgb=rgb, depth=depth + 1)
    archive = tmp_path / "nyudepthv2.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(top, "nyudepthv2")

    assert_refused(lambda: build(top, tmp_path / "out"), "train/den/00016.h5", "missing", "skip")
    assert_nothing_finished(tmp_path / "out")
    for number, path in enumerate((top, tmp_path / "in", archive)):
        out = tmp_path / f"out{number}"
        prepared = build(path, out, bad_frames="skip")
        assert prepared.frames == {"train": 5, "test": 2}
        assert prepared.skipped == ("train/den/00016.h5: missing",)
        source = NYUVideo(out)
        assert source.segments == [range(3), range(3, 5)]
        np.testing.assert_array_equal(source.indices("den"), [1, 6, 11, 21, 26])
        first = np.float32([0, 1, 1234, 1235, 65535]) * np.float32(0.001)
        np.testing.assert_array_equal(source[0].depth[0, :5], first)
        # JPEG of quality 95 on a smooth image: a few grey levels.
        np.testing.assert_allclose(source[0].image.astype(int), rgb.transpose(1, 2, 0), atol=12)
        test = NYUVideo(out, split="test")
        np.testing.assert_array_equal(test[0].image, rgb.transpose(1, 2, 0))
        assert test.segments == [range(1), range(1, 2)]
    unpacked = tmp_path / "out2" / "downloads" / "extracted" / "nyudepthv2"
    changed = (unpacked / "unpacked.json").stat().st_mtime_ns
    build(archive, tmp_path / "out2", bad_frames="skip", overwrite=True)
    assert (unpacked / "unpacked.json").stat().st_mtime_ns == changed  # not unpacked again


def test_frames_over_several_shards_keep_their_order(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(nyu_depth_v2_video, "_FRAMES_PER_SHARD", 4)
    prepared = build(folder, tmp_path / "out")
    assert len(list(prepared.folder.glob("*-train.array_record-*-of-00003"))) == 3
    source, original = NYUVideo(tmp_path / "out"), NYUKaggle(folder)
    for i in range(10):
        np.testing.assert_array_equal(source[i].image, original[i].image)
    assert "00001-of-00003, record 2 (cellar_out, frame 1)" in source.origin(6)
    chosen = NYUVideo(tmp_path / "out", ("cellar_out",))
    assert chosen.scenes == {"cellar_out": range(4)}
    np.testing.assert_array_equal(chosen[0].image, original[6].image)


def test_it_can_be_pickled_and_read_from_threads(folder, tmp_path):
    build(folder, tmp_path / "out")
    source = NYUVideo(tmp_path / "out")
    expected = [source[i].depth for i in range(10)]
    source = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(source.__getitem__, [*range(10)] * 20))
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.depth, expected[i % 10])


def test_path_may_be_any_of_the_folders_with_one_config(folder, tmp_path):
    version = build(folder, tmp_path / "out").folder
    for path in (version, version.parent, version.parent.parent, tmp_path / "out", str(version)):
        assert len(NYUVideo(path)) == 10
    for path in (version.parent.parent, tmp_path / "out"):
        other = version.parent.parent / "fastdepth" / "1.0.0"
        other.mkdir(parents=True, exist_ok=True)
        for name in ("dataset_info.json", "metadata.json"):
            (other / name).write_bytes((version / name).read_bytes())
        assert_refused(lambda path=path: NYUVideo(path), "fastdepth and kaggle")


def test_damaged_datasets_are_refused_by_file(folder, tmp_path):
    version = build(folder, tmp_path / "out").folder
    shard = next(version.glob("*train*"))
    assert_refused(lambda: NYUVideo(tmp_path / "out", ["porch"]), "porch", "attic_out")
    data = shard.read_bytes()
    damaged = bytearray(data)
    damaged[200] ^= 255  # the file is padded with zeros, further on
    shard.write_bytes(damaged)
    source = NYUVideo(tmp_path / "out")
    with pytest.raises(DataError, match=re.escape(str(shard))):
        [source[i] for i in range(10)]
    shard.write_bytes(data[:-1])
    assert_refused(lambda: NYUVideo(tmp_path / "out"), shard.name, "bytes")
    assert_refused(lambda: build(folder, tmp_path / "out"), shard.name, "overwrite")
    shard.unlink()
    assert_refused(lambda: NYUVideo(tmp_path / "out"), shard.name, "No such file")
    (version / "metadata.json").write_text("{")
    assert_refused(lambda: NYUVideo(version), "metadata.json", "damaged")
    assert_refused(lambda: NYUVideo(tmp_path / "nowhere"), "no such folder")


@pytest.mark.parametrize("record", [b"\x0a", b"\x0a\x05\x00", b"\x08\x01", b"\xff" * 20])
def test_a_record_that_is_no_example_is_refused(record):
    with pytest.raises((ValueError, IndexError)):
        parse_example(record)


def test_real_frames_come_back(tmp_path):
    path = SHARED / "data" / "nyu_kaggle" / "data" / "nyu2_train" / "office_0011_out"
    if not path.is_dir():
        pytest.skip(f"no NYU frames at {path} (set SMOOTHDINO_SHARED)")
    scene = tmp_path / "in" / "nyu2_train" / path.name
    scene.mkdir(parents=True)
    for n in range(1, 41):
        for kind in ("jpg", "png"):
            (scene / f"{n}.{kind}").symlink_to(path / f"{n}.{kind}")
    prepared = build(tmp_path / "in", tmp_path / "out")
    source, original = NYUVideo(tmp_path / "out"), NYUKaggle(tmp_path / "in")
    assert len(source) == len(original) == 40
    for ours, theirs in ((source[i], original[i]) for i in range(40)):
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_allclose(ours.depth, theirs.depth, atol=0.0005 + 1e-6)
    # array_record's zstd makes up for PNGs that aren't deflated: under 0.2 MB where 0.6 MB are stored.
    assert prepared.size_bytes < 40 * 200e3
