"""Files that commands write: whole or not at all, and never over somebody's work by a slip."""

import os
from pathlib import Path

import pytest

from smoothdino_jax.apps.writing import check_free, write_whole
from smoothdino_jax.data import DataError


def test_a_file_is_written_with_its_folder_and_replaces_an_earlier_one(tmp_path):
    file = tmp_path / "new" / "a.bin"
    for data in (b"one", b"two\x00"):
        write_whole(file, data)
        assert file.read_bytes() == data
    assert list(file.parent.iterdir()) == [file]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "a.bin"
    file.write_bytes(b"earlier")

    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"a\.bin can't be written: No space left on device"):
        write_whole(file, b"later")
    assert file.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_is_an_error_for_people(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for file in (tmp_path / "file" / "a.bin", tmp_path / "folder"):
        with pytest.raises(DataError, match=f"{file} can't be written"):
            write_whole(file, b"")


def test_a_taken_name_is_refused_unless_it_may_be_overwritten(tmp_path):
    file = tmp_path / "a.png"
    check_free(file, False)
    file.write_bytes(b"mine")
    with pytest.raises(DataError, match="exists already: choose another name, or add --overwrite"):
        check_free(file, False)
    check_free(file, True)
    with pytest.raises(DataError, match="is a folder"):
        check_free(tmp_path, True)


def test_an_earlier_file_of_the_same_kind_may_be_replaced(tmp_path):
    file = tmp_path / "a.html"
    file.write_bytes(b"<made by us>")
    check_free(file, False, b"by us", "report")
    file.write_bytes(b"<made by us>".rjust(1100))
    with pytest.raises(DataError, match="exists and is no report: choose another name, or add --overwrite"):
        check_free(file, False, b"by us", "report")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_an_error_for_people(tmp_path):
    file = tmp_path / "a.html"
    file.touch(0o000)
    with pytest.raises(DataError, match="can't be read"):
        check_free(file, False, b"by us", "report")
