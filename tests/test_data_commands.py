"""`smoothdino data` and `smoothdino data download`: what they print, what they leave, how they refuse."""

import functools
import io
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from archive_files import archive, files_in
from data_command import run_data

from smoothdino_jax.apps import data_download
from smoothdino_jax.data import archives
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.opening import open_folder
from smoothdino_jax.data.public_archives import DOWNLOADS, Download


@pytest.fixture
def command(capsys):
    return functools.partial(run_data, capsys)


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
        command = [sys.executable, "-m", "smoothdino_jax", "data", "download", "--list"]
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


def test_help_teaches_with_examples(command, capsys):
    for name in ("download", "prepare"):
        with pytest.raises(SystemExit) as caught:
            command(name, "--help")
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert out.count(f"\n    smoothdino data {name}") >= 4
