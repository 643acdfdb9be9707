"""`smoothdino data download` and `smoothdino data prepare`: what they print, what they leave, how they refuse."""

import io
import json
import os
import re
import subprocess
import sys
import types
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_files import archive, files_in

from smoothdino_jax.apps import cli, data_download
from smoothdino_jax.data import archives
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.opening import open_folder
from smoothdino_jax.data.public_archives import DOWNLOADS, Download

BUILDER = "smoothdino_jax.data.nyu_depth_v2_video"


@pytest.fixture
def command(capsys):
    """Runs `smoothdino data ...`; returns its exit code, stdout and stderr."""

    def run(*arguments):
        code = cli.main(["data", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def fetched(monkeypatch):
    """Stands in for the network: a table of one dataset, and an archive of these files for it.

    Returns a function (files, name of the archive) -> list of the folders downloaded to.
    """

    def make(files, file="frames.zip", sha256=None):
        entry = Download("frames", f"http://x.org/{file}", file, None, sha256, "CC0", "http://x.org/page", "frames")
        monkeypatch.setitem(DOWNLOADS, "frames", entry)
        folders = []

        def download(name, folder, **_):
            folders.append(folder)
            folder.mkdir(parents=True, exist_ok=True)
            return archive(folder / file, files)

        monkeypatch.setattr(data_download, "download", download)
        return folders

    return make


def test_without_a_name_the_table_is_printed(command):
    code, out, err = command("download")
    assert (code, err) == (0, "")
    assert command("download", "tum/freiburg1_xyz", "--list") == (code, out, err)
    header, *lines = out.splitlines()
    assert header.split() == ["NAME", "SIZE", "LICENCE", "WHAT"]
    assert [line.split()[0] for line in lines[: len(DOWNLOADS)]] == list(DOWNLOADS)
    rows = {line.split()[0]: line for line in lines if line}
    assert "34.3 GB" in rows["fastdepth"]
    assert "448 MB" not in rows["fastdepth"]
    assert re.search(r" 0\.448 GB +CC BY 4\.0 ", rows["tum/freiburg1_xyz"])
    assert " about 4 GB " in rows["nyu_kaggle"]
    assert " about 4.1 GB " in rows["densedepth"]
    assert "?" not in out
    assert "non-commercial (MSR-LA)" in rows["seven_scenes/chess"]
    assert "not stated" in rows["nyu_kaggle"]
    assert lines[-2:] == [
        "next: smoothdino data download NAME -o data --unpack",
        "      for NYU Depth v2 without --unpack, and then: smoothdino data prepare FILE -o prepared",
    ]


def test_an_unknown_name_is_refused_in_one_line(command, tmp_path):
    code, out, err = command("download", "tum/freiburg1_zyx", "-o", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("smoothdino data download: no dataset 'tum/freiburg1_zyx': did you mean tum/freiburg1_xyz")
    assert err.count("\n") == 1


@pytest.mark.parametrize("file", ["frames.zip", "frames.tgz", "frames.tar.gz"])
def test_an_archive_is_unpacked_to_a_folder_of_its_name(command, fetched, tmp_path, file):
    fetched({"rgb.txt": b"1", "rgb/1.png": b"2"}, file)
    code, out, _ = command("download", "frames", "-o", tmp_path / "data", "--unpack")
    assert code == 0
    assert files_in(tmp_path / "data") == sorted([file, "frames/rgb.txt", "frames/rgb/1.png"])
    assert (tmp_path / "data/frames/rgb/1.png").read_bytes() == b"2"
    assert "licence  CC0; terms: http://x.org/page" in out
    assert f"next: smoothdino data inspect {tmp_path / 'data/frames'}\n" in out


@pytest.mark.parametrize("file", ["frames.zip", "frames.tgz"])
def test_a_folder_of_the_archives_own_name_is_not_doubled(command, fetched, tmp_path, file):
    fetched({"frames/rgb.txt": b"1"}, file)
    assert command("download", "frames", "-o", tmp_path, "--unpack")[0] == 0
    assert files_in(tmp_path) == sorted([file, "frames/rgb.txt"])


def test_the_next_command_names_the_folder_that_has_the_frames(command, fetched, tmp_path, monkeypatch):
    fetched({"nyu_data/data/nyu2_train/attic/1.jpg": b"1", "nyu_data/data/nyu2_train.csv": b"2"})
    monkeypatch.setitem(DOWNLOADS, "nyu_kaggle", DOWNLOADS["frames"]._replace(name="nyu_kaggle"))
    code, out, _ = command("download", "nyu_kaggle", "-o", tmp_path, "--unpack")
    assert code == 0
    inner = tmp_path / "frames" / "nyu_data" / "data"
    assert f"smoothdino data inspect {inner}\n" in out
    assert f"smoothdino data prepare {inner} -o prepared\n" in out


def test_without_unpack_the_archive_is_left_and_the_checksum_shown(command, fetched, tmp_path):
    fetched({"a": b"1"})
    code, out, _ = command("download", "frames", "-o", tmp_path)
    assert code == 0
    assert files_in(tmp_path) == ["frames.zip"]
    assert f"sha256 {archives.sha256_of(tmp_path / 'frames.zip')} (nothing to compare with)" in out
    assert f"next: smoothdino data download frames -o {tmp_path} --unpack" in out


def test_an_archive_to_prepare_needs_no_unpacking(command, fetched, tmp_path, monkeypatch):
    fetched({"a": b"1"})
    monkeypatch.setitem(DOWNLOADS, "fastdepth", DOWNLOADS["frames"]._replace(name="fastdepth"))
    code, out, _ = command("download", "fastdepth", "-o", tmp_path)
    assert code == 0
    assert f"next: smoothdino data prepare {tmp_path / 'frames.zip'} -o prepared\n" in out


@pytest.mark.parametrize(
    ("options", "then"),
    [
        (("nyu_kaggle",), "prepare {out}/nyu-depth-v2.zip -o prepared"),
        (("nyu_kaggle", "--unpack"), "download nyu_kaggle -o {out} --unpack"),
        (("nyu_kaggle", "--sha256", "a" * 64), "download nyu_kaggle -o {out} --sha256 " + "a" * 64),
        (("fastdepth",), "download fastdepth -o {out}"),  # it has a checksum to be looked at
        (("seven_scenes/fire",), "download seven_scenes/fire -o {out}"),
        (("http://x.org/a.zip", "--unpack"), "download http://x.org/a.zip -o {out} --unpack"),
    ],
)
def test_after_a_download_by_hand_the_same_command_goes_on(command, tmp_path, monkeypatch, options, then):
    def urlopen(request, **_):
        raise urllib.error.HTTPError(request.full_url, 404, "Not Found", {}, io.BytesIO())

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    code, _, err = command("download", *options, "-o", tmp_path)
    assert code == 2
    assert err.endswith(f", then: smoothdino data {then.format(out=tmp_path)}\n")


def test_the_size_is_told_as_well_as_it_is_known(command, fetched, tmp_path, monkeypatch):
    fetched({"a": b"1"})
    assert "http://x.org/frames.zip (size unknown) -> " in command("download", "frames", "-o", tmp_path / "1")[1]
    monkeypatch.setitem(DOWNLOADS, "frames", DOWNLOADS["frames"]._replace(about=41 * 10**8))
    assert "http://x.org/frames.zip (about 4.1 GB) -> " in command("download", "frames", "-o", tmp_path / "2")[1]
    monkeypatch.setitem(DOWNLOADS, "frames", DOWNLOADS["frames"]._replace(bytes=5 * 10**9))
    assert "http://x.org/frames.zip (5 GB) -> " in command("download", "frames", "-o", tmp_path / "3")[1]


def test_an_archive_put_there_by_hand_is_found(command, tmp_path):
    path = archive(tmp_path / "nyu-depth-v2.zip", {"a": b"1"})
    code, out, err = command("download", "nyu_kaggle", "-o", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith(f"found {path}; nothing is downloaded\n")
    assert "https://www.kaggle.com/api" not in out
    assert f"next: smoothdino data prepare {path} -o prepared\n" in out


def test_a_reader_that_goes_ends_the_command_quietly():
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        command = [sys.executable, "-m", "smoothdino_jax.apps.cli", "data", "download", "--list"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_what_is_unpacked_is_not_downloaded_again(command, fetched, tmp_path):
    folders = fetched({"a": b"1"})
    (tmp_path / "frames" / "deeper").mkdir(parents=True)
    code, out, _ = command("download", "frames", "-o", tmp_path, "--unpack")
    assert (code, folders) == (0, [])
    assert "there already" in out
    assert f"next: smoothdino data inspect {tmp_path / 'frames' / 'deeper'}" in out


def test_ctrl_c_says_how_to_go_on(command, fetched, tmp_path, monkeypatch):
    fetched({})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(data_download, "download", interrupted)
    code, _, err = command("download", "frames", "-o", tmp_path)
    assert code == 130
    assert "run the same command to go on" in err
    assert err.endswith("\nsmoothdino data download: interrupted\n")


def test_a_message_of_several_lines_keeps_them(command, tmp_path):
    (tmp_path / "rgb").mkdir()
    code, out, err = command("inspect", tmp_path)
    assert (code, out) == (2, "")
    with pytest.raises(DataError) as caught:
        open_folder(tmp_path)
    assert "\n  tum: TUM RGB-D" in str(caught.value)
    assert err == f"smoothdino data inspect: {caught.value}\n"


def test_data_has_its_three_commands(command, capsys):
    with pytest.raises(SystemExit):
        command("--help")
    out = capsys.readouterr().out
    assert out.startswith("usage: smoothdino data [-h] COMMAND")
    for name in ("download", "inspect", "prepare"):
        assert f"\n    {name} " in out


@pytest.fixture
def kaggle(tmp_path) -> Path:
    """A folder as Kaggle's zip unpacks: two scenes of three frames."""
    folder = tmp_path / "nyu_data"
    for scene in ("attic_out", "cellar_out"):
        (folder / "data" / "nyu2_train" / scene).mkdir(parents=True)
        for n in (1, 2, 3):
            stem = str(folder / "data" / "nyu2_train" / scene / str(n))
            cv2.imwrite(f"{stem}.jpg", np.full((16, 16, 3), 40 * n, np.uint8))
            cv2.imwrite(f"{stem}.png", np.full((16, 16), 51 * n, np.uint8))  # 2, 4, 6 m
    return folder


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Puts a `prepare` in place of the real one; returns what it was called with."""
    calls = []
    folder = tmp_path / "prepared" / "nyu_depth_v2_video" / "kaggle" / "1.0.0"
    fields = {"folder": folder, "frames": {"train": 50_688, "test": 654}, "skipped": (), "size_bytes": 7 * 10**9}

    def prepare(path, data_dir, **options):
        calls.append((path, data_dir, options))
        return types.SimpleNamespace(**fields)

    monkeypatch.setitem(sys.modules, BUILDER, types.SimpleNamespace(prepare=prepare))
    return calls, fields


def test_prepare_says_what_it_does_what_came_out_and_what_is_next(command, kaggle, stand_in, tmp_path):
    calls, fields = stand_in
    code, out, err = command("prepare", kaggle, "-o", "prepared")
    assert (code, err) == (0, "")
    first, second, *rest = out.splitlines()
    assert first == f"{kaggle} (config kaggle) -> prepared"
    assert second == f"{fields['folder']}: 50,688 train, 654 test frames, 7 GB"
    assert rest[0] == f"next: smoothdino data inspect {fields['folder']}"
    train = "python train.py --config=configs/own_video.py"
    assert rest[1].strip() == f"{train} --config.data.source.path={fields['folder']} --workdir=runs/own"
    options = {"config": "kaggle", "bad_frames": "error", "overwrite": False}
    assert calls == [(kaggle, "prepared", options)]


def test_an_interrupted_prepare_says_that_nothing_is_kept(command, kaggle, monkeypatch):
    def prepare(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, BUILDER, types.SimpleNamespace(prepare=prepare))
    code, _, err = command("prepare", kaggle, "-o", "prepared")
    assert code == 130
    assert "no frame that was written is kept: the next run begins anew\n" in err
    assert err.endswith("\nsmoothdino data prepare: interrupted\n")


def test_prepare_passes_its_options_on(command, kaggle, stand_in):
    calls, _ = stand_in
    options = "--config", "kaggle", "--bad-frames", "skip", "--overwrite"
    assert command("prepare", kaggle, "--data-dir", "prepared", *options)[0] == 0
    assert calls[0][2] == {"config": "kaggle", "bad_frames": "skip", "overwrite": True}


def test_prepare_lists_twenty_skipped_files_and_says_where_the_rest_is(command, kaggle, stand_in):
    _, fields = stand_in
    fields["skipped"] = tuple(f"attic_out/{n}.png: missing" for n in range(25))
    code, out, _ = command("prepare", kaggle, "-o", "prepared", "--bad-frames", "skip")
    assert code == 0
    assert [line for line in out.splitlines() if "left out:" in line] == [
        f"  left out: attic_out/{n}.png: missing" for n in range(20)
    ]
    assert f"  25 files left out, all of them in {fields['folder'] / 'skipped.txt'}" in out


def test_prepare_refuses_in_one_line_what_is_no_nyu(command, stand_in, tmp_path):
    calls, _ = stand_in
    (tmp_path / "rgb").mkdir()
    for path, word in ((tmp_path / "nowhere", "no such file or folder"), (tmp_path, "no frames of NYUv2")):
        code, out, err = command("prepare", path, "-o", "prepared")
        assert (code, out) == (2, "")
        assert err.startswith(f"smoothdino data prepare: {path}: {word}")
        assert err.count("\n") == 1
    assert calls == []


def test_prepare_without_tensorflow_datasets_names_the_extra(command, kaggle, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, BUILDER, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    code, _, err = command("prepare", kaggle, "-o", tmp_path / "prepared")
    assert code == 2
    assert "pip install 'smoothdino-jax[data]'" in err
    assert not (tmp_path / "prepared").exists()


def test_help_teaches_with_examples(command, capsys):
    for name in ("download", "prepare"):
        with pytest.raises(SystemExit) as caught:
            command(name, "--help")
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert out.count(f"\n    smoothdino data {name}") >= 4


def test_prepared_frames_are_the_frames_that_went_in(command, kaggle, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    (kaggle / "data" / "nyu2_train" / "cellar_out" / "4.jpg").write_bytes(b"")
    code, out, err = command("prepare", kaggle, "-o", tmp_path / "prepared")
    assert code == 2
    assert "cellar_out/4.png is missing" in err
    assert "give --bad-frames skip" in err
    code, out, _ = command("prepare", kaggle, "-o", tmp_path / "prepared", "--bad-frames", "skip")
    assert code == 0
    folder = Path(out.splitlines()[1].partition(": 6 train frames")[0])
    assert (folder / "dataset_info.json").is_file()
    assert "cellar_out/4" in (folder / "skipped.txt").read_text()
    assert json.loads((folder / "metadata.json").read_text())["skipped"]
    source = open_folder(folder)
    assert source.scenes == {"attic_out": range(3), "cellar_out": range(3, 6)}
    np.testing.assert_allclose([source[k].depth[0, 0] for k in range(3)], [2, 4, 6], rtol=1e-6)  # float32
