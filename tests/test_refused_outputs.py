"""What can't be written: refused beforehand, told on the way."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from made_outputs import NAMES, contents, made, output, smoothed, write
from permissions import nobody

from smoothdino_jax.apps.video_outputs import OUTPUTS, completed, identity, same_output, writes_into
from smoothdino_jax.data.frames import DataError

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")

# What is refused.


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.avi", r"X\.mp4, X\.npz, FOLDER/%06d\.png, .*\.npy, .*\.exr, .*\.ply"),
        ("a", r"an output is one of X\.mp4"),
        ("a.png", r"number in the name, as in %06d\.png"),
        ("%06d%06d.exr", "number in the name"),
        ("folder.mp4", "is a folder"),
        ("file/a.mp4", "file is not a folder"),
        ("file/deep/%06d.png", "file is not a folder"),
    ],
)
def test_bad_names_are_told(tmp_path, name, why):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=why) as error:
        output(tmp_path / name, overwrite=True)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_every_output_that_is_listed_is_written(tmp_path):
    assert [name.replace("X", "a").replace("FOLDER", "a") for name in OUTPUTS] == NAMES


@pytest.fixture
def readable():
    """A folder that everybody may look into, and nobody but its owner change; pytest's own is closed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    for below in folder.rglob("*"):
        if below.is_dir():
            below.chmod(0o755)
    shutil.rmtree(folder)


@posix
@pytest.mark.parametrize("name", NAMES)
def test_a_place_without_permission_is_refused_at_once(readable, name):
    readable.chmod(0o555)
    with pytest.raises(DataError, match="can't be written: no permission for"), nobody():
        output(readable / name)


@posix
@pytest.mark.parametrize("name", ["a.mp4", "a.npz"])
def test_a_file_without_permission_is_refused_at_once(readable, name):
    write(readable / name).chmod(0o444)
    with pytest.raises(DataError, match=f"no permission for .*{name}"), nobody():
        output(readable / name, overwrite=True)
    (readable / name).chmod(0o200)
    with pytest.raises(DataError, match=f"{name} can't be read: Permission denied"), nobody():
        completed(readable / name)


@posix
def test_a_video_is_gone_on_with_only_where_there_may_be_a_copy(readable):
    write(readable / "a.mp4").chmod(0o666)
    readable.chmod(0o555)
    before = contents(readable)
    with pytest.raises(DataError, match=r"a\.mp4 can't be gone on with: no permission for"), nobody():
        output(readable / "a.mp4", resume=True)
    assert contents(readable) == before


@posix
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [0, 0o444, 0o111])
def test_a_folder_that_may_not_be_looked_into_is_told(readable, name, mode):
    (readable / "a").mkdir()
    path = readable / "a" / name.removeprefix("a/")
    (readable / "a").chmod(mode)
    for ask in (lambda: output(path), lambda: output(path, resume=True)):
        with pytest.raises(DataError, match=r"Permission denied|no permission for") as error, nobody():
            ask()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [250, 300])  # 250: only the name that it has while it is written is too long
def test_a_name_too_long_is_refused_at_once(tmp_path, name, length):
    file = Path(name).name
    for path in (tmp_path / ("a" * (length - len(file)) + file), tmp_path / ("a" * 300) / file):
        with pytest.raises(DataError, match="File name too long; choose a shorter one"):
            output(path)
    assert os.listdir(tmp_path) == []


def test_points_need_a_camera(tmp_path):
    with pytest.raises(DataError, match="field of view or its intrinsics"):
        output(tmp_path / "%06d.ply", intrinsics=None)


@pytest.mark.parametrize(("name", "package"), [("%06d.exr", "OpenEXR"), ("%06d.ply", "plyfile")])
def test_a_package_that_is_missing_is_named_beforehand(tmp_path, monkeypatch, name, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == package else find(asked))
    with pytest.raises(DataError, match=rf"{package}: pip install smoothdino-jax\[formats\]"):
        output(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_calls_are_refused(tmp_path, name):
    frame, depths = next(made())
    with output(tmp_path / name) as opened:
        with pytest.raises(ValueError, match="frame 1 comes where 0 should"):
            opened.write(frame, depths, 1)
        with pytest.raises(ValueError, match=r"shape \(41, 56\)"):
            opened.write(frame, [depth[1:] for depth in depths], 0)
        opened.write(frame, depths, 0)
    assert completed(tmp_path / name) == 1
    with pytest.raises(ValueError, match="side_by_side, depth"):
        output(tmp_path / f"new{name}", layout="above")


# A full disk.

FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import made_outputs as tests
from smoothdino_jax.data.frames import DataError

for name in sys.argv[2:]:
    limit = 3000 if "%" in name else 50_000  # of any one file
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    opened = tests.output(name)
    try:
        with opened:
            for number, (frame, depths) in enumerate(tests.made(20)):
                opened.write(frame, depths, number)
    except DataError as error:
        print(error)
    print(opened.whole)
"""


def test_where_there_is_no_more_room_it_is_told_and_what_fitted_is_whole(tmp_path):
    names = [str(tmp_path / name) for name in NAMES]
    command = [sys.executable, "-c", FULL, os.path.dirname(__file__), *names]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    told = dict(zip(names, zip(lines[::2], lines[1::2], strict=True), strict=True))
    for name, (error, whole) in told.items():
        assert error.startswith(name if "%" not in name else name.replace("%06d", "000000"))
        assert "File too large" in error
        assert int(whole) == completed(name)
    # A depth map of 42×56 has 9.4 kB: five of them fit in 50 kB.
    assert told[names[1]][1] == "5"
    assert os.listdir(tmp_path / "a") == []
    write(names[1], 7, first=5, resume=True)
    with np.load(names[1]) as archive:
        np.testing.assert_array_equal(np.stack([archive[key] for key in archive.files[:-1]]), smoothed(7))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_named_with_what_to_do(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    file = path.with_name(f".{path.name % 0}.partial") if "%" in name else path
    file.symlink_to("/dev/full")
    frame, depths = next(made())
    with (
        pytest.raises(DataError, match="No space left on device; make room, then go on with --resume"),
        output(path, overwrite=True) as opened,
    ):
        opened.write(frame, depths, 0)
    assert opened.whole == 0


@pytest.mark.parametrize("missing", [1, 200, 5000])
def test_what_cannot_be_read_back_is_not_taken_for_whole(tmp_path, monkeypatch, missing):
    """OpenEXR says nothing where the end of a file found no room."""

    class Full(OpenEXR.File):
        def write(self, path):
            super().write(path)
            os.truncate(path, os.path.getsize(path) - missing)

    monkeypatch.setattr(OpenEXR, "File", Full)
    frame, depths = next(made())
    with output(tmp_path / "%06d.exr") as opened, pytest.raises(DataError, match=r"000000\.exr.*No space left"):
        opened.write(frame, depths, 0)
    assert completed(tmp_path / "%06d.exr") == 0
    assert os.listdir(tmp_path) == []


# Which files an output writes.


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s.mp4", "./s.mp4", True),
        ("s.mp4", "a/../s.mp4", True),
        ("s.mp4", "link.mp4", True),
        ("linked/s.npz", "a/s.npz", True),
        ("s.mp4", "s.npz", False),
        ("s.mp4", "a/s.mp4", False),
        ("a/%06d.png", "a/%6d.png", True),
        ("a/%06d.png", "linked/%06d.png", True),
        ("a/%d.png", "a/%02d.png", True),  # from 10 on
        ("a/%06d.png", "a/%06d.npy", False),
        ("a/%06d.png", "a/x%06d.png", False),
        ("new/%06d.png", "new/../new/%06d.png", True),
        ("s.rrd", "./s.rrd", True),
    ],
)
def test_an_output_is_known_by_what_it_writes(tmp_path, monkeypatch, one, other, same):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "linked").symlink_to("a")
    (tmp_path / "link.mp4").symlink_to("s.mp4")
    assert same_output(one, other) == same_output(other, tmp_path / one) == same
    assert len({identity(one), identity(Path(other))}) == (1 if same else 2)


@pytest.mark.parametrize(
    ("path", "file", "writes"),
    [
        ("s.mp4", "./s.mp4", True),
        ("s.mp4", "hard.mp4", True),
        ("s.mp4", "soft.mp4", True),
        ("s.mp4", "t.mp4", False),
        ("new.mp4", "a/../new.mp4", True),
        ("a/%06d.png", "a/000007.png", True),
        ("a/%06d.png", "linked/000007.png", True),
        ("a/%06d.png", "picture.png", True),  # leads to one of them
        ("a/%06d.png", "a/0000007.png", False),
        ("a/%06d.png", "a/1000000.png", True),
        ("a/%06d.png", "a/7.png", False),
        ("a/%06d.png", "a/000007.npy", False),
        ("a/%06d.png", "000007.png", False),
        ("s.rrd", "s.rrd", True),
    ],
)
def test_it_is_known_which_files_an_output_would_touch(tmp_path, monkeypatch, path, file, writes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "linked").symlink_to("a")
    (tmp_path / "s.mp4").touch()
    (tmp_path / "hard.mp4").hardlink_to("s.mp4")
    (tmp_path / "soft.mp4").symlink_to("s.mp4")
    (tmp_path / "picture.png").symlink_to("a/000007.png")
    assert writes_into(path, file) == writes_into(tmp_path / path, tmp_path / file) == writes
