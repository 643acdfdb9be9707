"""Unpacking archives: whole or not at all, and never outside of the folder."""

import shutil
import types
from pathlib import Path

import numpy as np
import pytest
from archive_files import archive, files_in
from refusals import assert_refused

from smoothdino_jax.data import archives
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.data.unpacking import unpack, unpack_tar


def test_zips_in_a_zip_are_unpacked_and_litter_left_out(tmp_path):
    inner = archive(tmp_path / "inner.zip", {"seq-01/frame-000000.color.png": b"1", "seq-01/Thumbs.db": b"x"})
    path = archive(
        tmp_path / "chess.zip",
        {"chess/seq-01.zip": inner.read_bytes(), "chess/TrainSplit.txt": b"2", "__MACOSX/chess/._a": b"x"},
    )
    assert unpack(path) == tmp_path / "chess"
    assert files_in(tmp_path / "chess") == ["TrainSplit.txt", "seq-01/frame-000000.color.png"]


def refuses_to_unpack(path: Path, *words: str) -> None:
    """Unpacking fails with one DataError that has the words, and leaves the archive alone."""
    before = sorted(path.parent.parent.rglob("*"))
    assert_refused(lambda: unpack(path, progress=False), *words)
    assert sorted(path.parent.parent.rglob("*")) == before


@pytest.mark.parametrize("file", ["frames.zip", "frames.tgz"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/smoothdino_evil"])
def test_paths_that_lead_out_of_the_archive_are_refused_or_kept_inside(tmp_path, file, name):
    (tmp_path / "data").mkdir()
    path = archive(tmp_path / "data" / file, {"a": b"1", name: b"2"})
    if file == "frames.tgz" and name.startswith("/"):
        unpack(path)  # tarfile takes the leading / away
        assert files_in(tmp_path) == ["data/frames.tgz", "data/frames/a", "data/frames/tmp/smoothdino_evil"]
    else:
        refuses_to_unpack(path, "frames", "trusted" if file == "frames.zip" else "outside the destination")
    assert not Path("/tmp/smoothdino_evil").exists()


@pytest.mark.parametrize("file", ["frames.zip", "frames.tgz"])
def test_a_cut_or_damaged_archive_leaves_nothing(tmp_path, file):
    (tmp_path / "data").mkdir()
    data = np.random.default_rng(0).bytes(100_000)
    path = archive(tmp_path / "data" / file, {"frames/a": b"1", "frames/b": data})
    whole = path.read_bytes()
    path.write_bytes(whole[:60_000])
    refuses_to_unpack(path, file, "ownload")
    path.write_bytes(whole[:50_000] + b"damaged" + whole[50_007:])
    refuses_to_unpack(path, file, "ownload")
    path.write_bytes(b"no archive")
    refuses_to_unpack(path, file, "ownload")


def test_an_empty_archive_another_kind_and_a_folder_in_the_way_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    refuses_to_unpack(archive(tmp_path / "data" / "frames.zip", {}), "empty")
    (tmp_path / "data" / "frames.rar").write_bytes(b"")
    refuses_to_unpack(tmp_path / "data" / "frames.rar", "frames.rar", ".zip")
    (tmp_path / "data" / "frames").mkdir()
    refuses_to_unpack(tmp_path / "data" / "frames.zip", "exists already")


@pytest.mark.parametrize("file", ["frames.zip", "frames.tgz"])
def test_too_little_room_is_noticed_before_unpacking(tmp_path, monkeypatch, file):
    (tmp_path / "data").mkdir()
    path = archive(tmp_path / "data" / file, {"a": np.random.default_rng(0).bytes(10_000)})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=5000))
    refuses_to_unpack(path, f"unpacking {file}", "Make room")


def test_what_a_killed_unpacking_left_is_removed_before_room_is_looked_for(tmp_path, monkeypatch):
    path = archive(tmp_path / "frames.tgz", {"a": b"1"})
    leftover = tmp_path / "out" / "incomplete.frames"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"2")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=0 if leftover.exists() else 10**6))
    unpack_tar(path, tmp_path / "out" / "frames", progress=False)
    assert files_in(tmp_path / "out") == ["frames/a", "frames/unpacked.json"]


def test_two_processes_do_not_unpack_to_one_place(tmp_path):
    path, folder = archive(tmp_path / "frames.tgz", {"a": b"1"}), tmp_path / "out" / "frames"
    (tmp_path / "out" / "incomplete.frames").mkdir(parents=True)
    with archives.claim(tmp_path / "out"), pytest.raises(DataError, match="another process"):
        unpack_tar(path, folder, progress=False)
    assert (tmp_path / "out" / "incomplete.frames").is_dir()
    unpack_tar(path, folder, progress=False)
    assert files_in(tmp_path / "out") == ["frames/a", "frames/unpacked.json"]
